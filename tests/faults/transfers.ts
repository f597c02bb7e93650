import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../agent/model/random.ts";
import { commandOf, linesOf, run, ServerProcess } from "../support/server_process.ts";
import { steadyPort } from "../support/ports.ts";

/** What is killed. */
export const victims = ["sender", "receiver", "server"] as const;

/** One of {@linkcode victims}. */
export type Victim = typeof victims[number];

/** What became of a transfer. */
export interface Transferred {
  readonly victim: Victim;
  readonly bytes: number;
  /** Bytes that were in the part when it was killed; `null`: there was none. */
  readonly killedAt: number | null;
  /** Milliseconds from its first start to its end. */
  readonly time: number;
  /** It was all over when the victim was to be killed, or the end of it was known already. */
  readonly isLate: boolean;
  readonly problems: readonly string[];
}

const root = new URL("../../", import.meta.url).pathname;

/** Milliseconds in which a transfer must come to its end. */
const patience = 90_000;

/** Milliseconds between a kill and the start of the same command. */
const rest = 1_000;

/** A program that a user started. */
class Program {
  readonly #process: Deno.ChildProcess;
  /** What it has printed, both outputs. */
  readonly lines: string[] = [];
  readonly ended: Promise<number>;
  code: number | null = null;

  constructor(command: readonly string[]) {
    const [file, ...args] = command;
    const options = { args, cwd: root, stdin: "null", stdout: "piped", stderr: "piped" } as const;
    this.#process = new Deno.Command(file!, options).spawn();
    const read = async (output: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      for await (const line of linesOf(output)) this.lines.push(line);
    };
    const { stdout, stderr, status } = this.#process;
    this.ended = Promise.all([status, read(stdout), read(stderr)]).then(([{ code }]) => this.code = code);
  }

  async signal(signal: Deno.Signal): Promise<void> {
    if (this.code === null) {
      try {
        this.#process.kill(signal);
      } catch {
        // It has ended.
      }
    }
    await this.ended;
  }
}

/** A server and two agents that have a session, all in processes. */
export class Transfers implements AsyncDisposable {
  readonly #folder: string;
  readonly #port: number;
  #server: ServerProcess;

  private constructor(folder: string, port: number, server: ServerProcess) {
    this.#folder = folder;
    this.#port = port;
    this.#server = server;
  }

  /** Starts the server in a new folder, and connects the agents. */
  static async start(): Promise<Transfers> {
    const folder = await Deno.makeTempDir({ prefix: "smp-streams-" });
    const port = steadyPort();
    const transfers = new Transfers(folder, port, await startServer(folder, port));
    try {
      await transfers.#connect();
      return transfers;
    } catch (error) {
      await transfers[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Queues on the server. */
  async queues(): Promise<number> {
    const args = ["status", "--json", "--config-dir", this.#folder, "--log-dir", this.#folder];
    const { code, stdout, stderr } = await run(args, { folder: this.#folder });
    if (code !== 0) throw new Error(`no status: ${stderr}`);
    return JSON.parse(stdout).gauges.queues;
  }

  /** Lets both agents run for a while, so that they end what they left. */
  async settle(): Promise<void> {
    const agents = [["bob", "a.db"], ["alice", "b.db"]] as const;
    const receive = ([name, db]: typeof agents[number]) => ["receive", name, "--db", db, "--timeout", "4"];
    await Promise.all(agents.map((agent) => this.#agent(receive(agent)).ended));
  }

  /** Sends a file, kills one of the three somewhere in between, starts it again, and looks at what came. */
  async transfer(bytes: number, victim: Victim, random: Random): Promise<Transferred> {
    const begun = performance.now(), end = begun + patience;
    const problems: string[] = [];
    const file = `${this.#folder}/file`, to = `${this.#folder}/received`;
    await Deno.mkdir(to);
    const sha256 = await writeFile(file, bytes);
    const commands = {
      sender: ["send-file", "bob", "file", "--db", "a.db"],
      receiver: ["receive-file", "alice", "--to", "received", "--db", "b.db"],
    };
    const programs = { sender: this.#agent(commands.sender), receiver: this.#agent(commands.receiver) };
    await this.#moment(to, bytes, random, end);
    const killedAt = partOf(to);
    const { sender, receiver } = programs;
    const isLate = sender.code !== null || receiver.code !== null;
    if (victim === "server") {
      await this.#server.kill("SIGKILL");
      await pause(rest);
      this.#server = await startServer(this.#folder, this.#port);
    } else if (programs[victim].code === null) {
      await programs[victim].signal("SIGKILL");
      await pause(rest);
      programs[victim] = this.#agent(commands[victim]);
    }
    // What was killed when its end was stored already waits for another file, or offers it anew.
    const other = victim === "sender" ? programs.receiver : programs.sender;
    const isOver = () => Object.values(programs).every(({ code }) => code !== null);
    let isKnown = isLate;
    while (!isOver()) {
      if (performance.now() > end) {
        problems.push(`hangs: ${
          Object.entries(programs).map(([name, { code, lines }]) => {
            return `${name} (${code ?? "runs"}) said ${JSON.stringify(lines)}`;
          }).join("; ")
        }`);
        break;
      }
      const { code } = other;
      if (victim !== "server" && code === 0 && partOf(to) === null && namesIn(to).length === 1) {
        await Promise.race([programs[victim].ended, pause(5_000)]);
        if (programs[victim].code !== null) break;
        isKnown = true;
        await programs[victim].signal("SIGINT");
        break;
      }
      await pause(20);
    }
    await Promise.all(Object.values(programs).map((program) => program.signal("SIGINT")));
    for (const [name, { code, lines }] of Object.entries(programs)) {
      if (code === 0 || isKnown && name === victim) continue;
      problems.push(`${name} ended with ${code}: ${JSON.stringify(lines)}`);
    }
    problems.push(...await faultsOf(to, sha256));
    await Deno.remove(to, { recursive: true });
    // An offer that was taken back is not to be there for the next one.
    if (isKnown) await this.settle();
    return { victim, bytes, killedAt, time: performance.now() - begun, isLate: isKnown, problems };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.kill("SIGKILL");
    await Deno.remove(this.#folder, { recursive: true });
  }

  /** When as much has come as chance wants, or a while after the start. */
  async #moment(to: string, bytes: number, random: Random, end: number): Promise<void> {
    if (random.below(4) === 0) return await pause(random.below(3_000));
    const wanted = random.below(bytes);
    while (performance.now() < end && namesIn(to).length === 0) await pause(1);
    // Without a pause, in which much comes.
    while (performance.now() < end && (partOf(to) ?? Infinity) < wanted);
  }

  async #connect(): Promise<void> {
    const server = ["--server", this.#server.address];
    const invite = this.#agent(["invite", "bob", "--wait", "--db", "a.db", ...server]);
    const invitation = () => invite.lines.find((line) => line.startsWith("smp::"));
    while (invitation() === undefined && invite.code === null) await pause(20);
    const join = this.#agent(["join", "alice", invitation() ?? "", "--db", "b.db", ...server]);
    const codes = await Promise.all([invite.ended, join.ended]);
    if (codes.some((code) => code !== 0)) {
      throw new Error(`not connected: ${[...invite.lines, ...join.lines].join("\n")}`);
    }
  }

  #agent(given: readonly string[]): Program {
    const files = ["a.db", "b.db", "file", "received"];
    const args = given.map((word) => files.includes(word) ? `${this.#folder}/${word}` : word);
    return new Program(commandOf(args, { script: "agent/main.ts", folder: this.#folder, openSsl: true }));
  }
}

function startServer(folder: string, port: number): Promise<ServerProcess> {
  const directories = ["--config-dir", folder, "--log-dir", folder];
  const args = ["start", "-y", "-l", ...directories, "--host", "127.0.0.1", "--port", `${port}`];
  return ServerProcess.startBare({ folder, openSsl: true, args });
}

/** What is wrong with what was received. */
async function faultsOf(folder: string, sha256: string): Promise<string[]> {
  const names = namesIn(folder);
  const problems = names.join() === "file" ? [] : [`there is ${JSON.stringify(names)}`];
  for (const name of names) {
    if (!name.startsWith(".") && hashOf(await Deno.readFile(`${folder}/${name}`)) !== sha256) {
      problems.push(`${name} is another file`);
    }
  }
  return problems;
}

/** Bytes that are there of a file that comes; `null`: none does. */
function partOf(folder: string): number | null {
  const part = namesIn(folder).find((name) => name.endsWith(".part"));
  try {
    return part === undefined ? null : Deno.statSync(`${folder}/${part}`).size;
  } catch {
    return null;
  }
}

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** Writes a file of random bytes; gives its hash. */
async function writeFile(path: string, bytes: number): Promise<string> {
  const content = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(content.subarray(at, at + 65_536));
  await Deno.writeFile(path, content);
  return hashOf(content);
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
