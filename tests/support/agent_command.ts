import { SqliteStore } from "../../agent/store/sqlite.ts";
import { connectAgents, TestAgent } from "./agent.ts";
import { agentUntil, CommandHere } from "./agent_here.ts";
import { commandOf, linesOf, type Outcome, temporaryFolder } from "./server_process.ts";
import { sessions, settled } from "./streams.ts";
import { next, patience, soon } from "./wait.ts";

const root = new URL("../../", import.meta.url);
const script = "agent/main.ts";

/** A command of `agent/main.ts` that runs. */
export class AgentCommand implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #errors: AsyncIterator<string>;
  readonly #output: Promise<string> | null;
  #lines: AsyncIterator<string> | null;

  /** `isRead`: the standard output is read from now on, and given at the end. */
  constructor(process: Deno.ChildProcess, isRead: boolean) {
    this.#process = process;
    this.#errors = linesOf(process.stderr);
    this.#output = isRead ? new Response(process.stdout).text() : null;
    this.#lines = null;
  }

  /** The next line that it prints; for one that is not read from the beginning. */
  line(): Promise<string> {
    return next(this.#lines ??= linesOf(this.#process.stdout));
  }

  /** The next line on the standard error. */
  told(): Promise<string> {
    return next(this.#errors);
  }

  /** Sends a signal. */
  signal(signal: Deno.Signal): void {
    try {
      this.#process.kill(signal);
    } catch {
      // It has ended.
    }
  }

  /** Waits for its end; gives what was not read of its output. */
  async end(): Promise<Outcome> {
    const output = this.#output ?? rest(this.#lines ??= linesOf(this.#process.stdout));
    const [{ code }, stdout, stderr] = await soon(
      Promise.all([this.#process.status, output, rest(this.#errors)]),
    );
    return { code, stdout, stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.end();
  }
}

/** A folder in which the commands of an agent are called, with the permissions that they document. */
export class AgentFolder implements AsyncDisposable {
  private constructor(readonly path: string, readonly remove: () => PromiseLike<void>) {}

  static async make(): Promise<AgentFolder> {
    const folder = await temporaryFolder();
    return new AgentFolder(folder.path, () => folder[Symbol.asyncDispose]());
  }

  /** A file's path. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Writes a file; gives its path. */
  async write(name: string, text: string): Promise<string> {
    await Deno.writeTextFile(this.file(name), text);
    return this.file(name);
  }

  /** Starts a command. */
  async start(
    args: readonly string[],
    { input, isRead = false }: { readonly input?: Uint8Array<ArrayBuffer>; readonly isRead?: boolean } = {},
  ): Promise<AgentCommand> {
    const [file, ...rest] = commandOf(args, { script, folder: this.path });
    const process = new Deno.Command(file!, {
      args: rest,
      cwd: root,
      env: { NO_COLOR: "1" },
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    if (input !== undefined) {
      const writer = process.stdin.getWriter();
      await writer.write(input);
      await writer.close();
    }
    return new AgentCommand(process, isRead);
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], input?: Uint8Array<ArrayBuffer>): Promise<Outcome> {
    return await (await this.start(args, { isRead: true, ...(input && { input }) })).end();
  }

  /** Runs a command in this process, to its end. */
  here(args: readonly string[], input?: Uint8Array<ArrayBuffer>): Promise<Outcome> {
    return agentUntil(new AbortController().signal, args, { ...(input && { input }) });
  }

  /** Starts a command in this process. */
  begin(args: readonly string[]): CommandHere {
    return new CommandHere(args);
  }

  /** Makes an invitation to `alias` in the database `db`, as `invite` does. */
  async invite(
    alias: string,
    { db, server }: { readonly db: string; readonly server: string },
  ): Promise<void> {
    await using side = await TestAgent.start(server, { store: await SqliteStore.open(db), ...sessions });
    await side.agent.create(alias);
  }

  /** Runs a line of a shell in which `agent` is the program; gives how it ends. */
  async shell(line: string, env: Readonly<Record<string, string>>): Promise<Outcome> {
    const quoted = commandOf([], { script: new URL(script, root).pathname, folder: this.path })
      .map((word) => `'${word}'`);
    const text = `agent() { ${quoted.join(" ")} "$@"; }\n${line}`;
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", text],
      cwd: this.path,
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      signal: AbortSignal.timeout(patience),
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

/**
 * Connects the database `db`, as "b", with an agent, who calls it "a". As commands do the database's side announces
 * sessions; `isSession`: so does the agent, and it is waited for that there is one.
 */
export async function connectCommand(
  agent: TestAgent,
  { db, server, isSession = false }: {
    readonly db: string;
    readonly server: string;
    readonly isSession?: boolean;
  },
): Promise<void> {
  const store = await SqliteStore.open(db);
  await using side = await TestAgent.start(server, { store, ...sessions });
  await connectAgents(agent, side, ["a", "b"]);
  if (isSession) await settled(agent, side);
}

async function rest(lines: AsyncIterator<string>): Promise<string> {
  let text = "";
  for (let line = await lines.next(); !line.done; line = await lines.next()) text += `${line.value}\n`;
  return text;
}
