import { parseAddress } from "../../protocol/mod.ts";
import { steadyPort } from "./ports.ts";
import { type Outcome, readyKeys, ServerProcess, temporaryFolder } from "./server_process.ts";

const root = new URL("../../", import.meta.url);

/** Options of a server that listens where there is room. */
export const freePorts: readonly string[] = ["--port", "0", "--ws-port", "0"];

/** Options of a server that is killed and started again. */
export function steadyPorts(): readonly string[] {
  return ["--port", `${steadyPort()}`, "--ws-port", `${steadyPort()}`];
}

/** What a set of permissions in deno.json is on the command line. */
export function permissionFlags(permissions: Readonly<Record<string, readonly string[]>>): string[] {
  return Object.entries(permissions).map(([name, values]) => `--allow-${name}=${values.join(",")}`);
}

/** The two programs of `deno task web-chat`, with another folder. */
async function taskCommands(folder: string): Promise<string[][]> {
  const { tasks, permissions } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const flags = permissionFlags(permissions["web-chat"]).join(" ");
  const written: string = tasks["web-chat"].command.replace("-P=web-chat", flags);
  const text = written.replaceAll("data/web-chat", folder);
  return text.split(" && ").map((command) => [Deno.execPath(), ...command.split(" ").slice(1)]);
}

/** The files of the page's program. */
let made: ReturnType<typeof make> | undefined;

async function make(
  [program, ...args]: readonly string[],
  folder: string,
): Promise<(readonly [name: string, text: string])[]> {
  const { success, stderr } = await new Deno.Command(program!, { args, cwd: root }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  return await Promise.all(
    names.map(async (name) => [name, await Deno.readTextFile(`${folder}/${name}`)] as const),
  );
}

/** The chat as its task starts it, in processes of its own. */
export class WebChat implements AsyncDisposable {
  readonly #folder: Awaited<ReturnType<typeof temporaryFolder>>;
  readonly #command: readonly string[];
  #server: ServerProcess;

  private constructor(
    folder: Awaited<ReturnType<typeof temporaryFolder>>,
    command: readonly string[],
    server: ServerProcess,
  ) {
    this.#folder = folder;
    this.#command = command;
    this.#server = server;
  }

  /**
   * Makes the page's program, once in a process, and starts the server, on free ports unless `options` say otherwise;
   * its key is the same each time unless it `makesKeys`. `wrapper`: what its process is started by;
   * `preload`: a module that is loaded first.
   */
  static async start(
    options: readonly string[] = freePorts,
    { makesKeys = false, wrapper = [], preload }: {
      readonly makesKeys?: boolean;
      readonly wrapper?: readonly string[];
      readonly preload?: string;
    } = {},
  ): Promise<WebChat> {
    const folder = await temporaryFolder();
    try {
      const [bundle, [deno, run, ...args]] = await taskCommands(folder.path) as [string[], string[]];
      const preloads = [...(makesKeys ? [] : [readyKeys]), ...(preload === undefined ? [] : [preload])];
      const serve = [...wrapper, deno!, run!, ...preloads.map((path) => `--preload=${path}`), ...args];
      made ??= make(bundle, folder.path);
      for (const [name, text] of await made) await Deno.writeTextFile(`${folder.path}/${name}`, text);
      const server = await spawn([...serve, "--dir", folder.path, ...options]);
      return new WebChat(folder, serve, server);
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where key, queues, messages and certificate are. */
  get folder(): string {
    return this.#folder.path;
  }

  /** Where the page is. */
  get url(): string {
    return this.#printed(/^open (\S+) /m);
  }

  /** Where the page's WebSockets go to. */
  get webSocketUrl(): string {
    return this.#printed(/^WebSockets: (\S+)$/m);
  }

  /** The port for WebSockets, behind a proxy too. */
  get listeningPort(): number {
    return Number(this.#printed(/^WebSocket port: (\d+)$/m));
  }

  /** The SMP server's address for programs: host, TCP port, key hash. */
  get smp(): { readonly port: number; readonly keyHash: string } {
    const { port, keyHash } = parseAddress(this.#printed(/^SMP server for other programs: (\S+)$/m));
    return { port: port!, keyHash: keyHash! };
  }

  /** Kills the server, which was started on {@linkcode steadyPorts}; the function that it gives starts it there again. */
  async kill(): Promise<(...options: readonly string[]) => Promise<void>> {
    const ports = [["--port", this.url], ["--ws-port", this.webSocketUrl]].flatMap(([option, url]) => [
      option!,
      new URL(url!).port,
    ]);
    await this.#server.kill("SIGKILL");
    return async (...options) => {
      this.#server = await spawn([...this.#command, "--dir", this.#folder.path, ...ports, ...options]);
    };
  }

  /** Presses Ctrl-C, and waits until it is told that it stops. */
  async interrupt(): Promise<void> {
    this.#server.signal("SIGINT");
    const line = await this.#server.line();
    if (line !== "stopping") throw new Error(`it prints ${line}`);
  }

  /** Sends a signal and waits for the end; gives what was not read of its output. */
  end(signal: Deno.Signal): Promise<Outcome> {
    return this.#server.kill(signal);
  }

  /** Stops the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  #printed(pattern: RegExp): string {
    return pattern.exec(this.#server.printed.join("\n"))![1]!;
  }
}

function spawn(command: readonly string[]): Promise<ServerProcess> {
  return ServerProcess.spawned({ command, until: "open " });
}
