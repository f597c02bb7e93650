import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../agent/model/random.ts";
import { commandOf, linesOf, run, ServerProcess } from "../support/server_process.ts";
import { steadyPort } from "../support/ports.ts";

/** What is killed. */
export const victims = ["sender", "receiver", "server"] as const;

/** One of {@linkcode victims}. */
export type Victim = typeof victims[number];

/** How far a transfer is. */
export interface Progress {
  /** Bytes that are there of the file; `null`: none are, or all have come. */
  part(): number | null;
  /** Whether it has begun to come, or has come. */
  hasBegun(): boolean;
  /** Milliseconds that are left. */
  left(): number;
}

/** Something that happens to a transfer. */
export interface Fault {
  /** Resolves when it is time. */
  when(progress: Progress): Promise<void>;
  /** What is killed and started again, or what else is done. */
  readonly what: Victim | (() => Promise<void>);
}

/** What became of a transfer. */
export interface Transferred {
  readonly bytes: number;
  /** Bytes that were in the part at each fault; `null`: there was none. */
  readonly faultsAt: readonly (number | null)[];
  /** Milliseconds from its first start to its end. */
  readonly time: number;
  /** It was all over when the last victim was to be killed, or the end of it was known already. */
  readonly isLate: boolean;
  readonly problems: readonly string[];
}

/** Where transfers take place. */
export interface Place {
  /** Where the server listens. @default 127.0.0.1 */
  readonly host?: string;
  /** What its command begins with, and those of agents. @default nothing */
  readonly wrappers?: { readonly server: readonly string[]; readonly agent: readonly string[] };
  /** Milliseconds in which a transfer must come to its end. @default 90 seconds */
  readonly patience?: number;
  /** A module that agents load first. */
  readonly preload?: string;
  /** Ends what is under way, as far as it has come. */
  readonly signal?: AbortSignal;
}

const root = new URL("../../", import.meta.url).pathname;

const usualPatience = 90_000;

/** Milliseconds of looking without a pause. */
const spinning = 20;

/** Milliseconds between a kill and the start of the same command. */
const rest = 1_000;

/** A program that a user started. */
export class Program {
  readonly #process: Deno.ChildProcess;
  /** What it has printed, both outputs. */
  readonly lines: string[] = [];
  readonly ended: Promise<number>;
  code: number | null = null;

  /** Starts it. */
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
  readonly #place: Place;
  #server: ServerProcess;

  private constructor(folder: string, port: number, { place, server }: {
    readonly place: Place;
    readonly server: ServerProcess;
  }) {
    this.#folder = folder;
    this.#port = port;
    this.#place = place;
    this.#server = server;
  }

  /** Starts the server in a new folder, and connects the agents. */
  static async start(place: Place = {}): Promise<Transfers> {
    const folder = await Deno.makeTempDir({ prefix: "smp-streams-" });
    const port = steadyPort();
    const server = await startServer(folder, port, place);
    const transfers = new Transfers(folder, port, { place, server });
    try {
      await transfers.#connect();
      return transfers;
    } catch (error) {
      await transfers[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where everything is. */
  get folder(): string {
    return this.#folder;
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
    await Promise.all(agents.map((agent) => this.agent(receive(agent)).ended));
  }

  /** Writes the file that is sent; gives its SHA-256. */
  newFile(bytes: number): Promise<string> {
    return writeFile(`${this.#folder}/file`, bytes);
  }

  /** Sends a file, has things happen to it, and looks at what came. */
  async transfer(bytes: number, faults: readonly Fault[]): Promise<Transferred> {
    const { patience = usualPatience, signal } = this.#place;
    const begun = performance.now(), end = begun + patience;
    const problems: string[] = [];
    const to = `${this.#folder}/received`;
    await Deno.mkdir(to);
    const sha256 = await this.newFile(bytes);
    const commands = {
      sender: ["send-file", "bob", "file", "--db", "a.db"],
      receiver: ["receive-file", "alice", "--to", "received", "--db", "b.db"],
    };
    const programs = { sender: this.agent(commands.sender), receiver: this.agent(commands.receiver) };
    const isOver = () => Object.values(programs).every(({ code }) => code !== null);
    const progress = {
      part: () => partOf(to),
      hasBegun: () => namesIn(to).length > 0 || isOver(),
      left: () => isOver() || signal?.aborted ? 0 : end - performance.now(),
    };
    const faultsAt: (number | null)[] = [];
    let isKnown = false, victim: Victim = "server";
    for (const { when, what } of faults) {
      await when(progress);
      faultsAt.push(partOf(to));
      isKnown = programs.sender.code !== null || programs.receiver.code !== null;
      if (typeof what === "function") await what();
      else {
        victim = what;
        if (what === "server") await this.#killServer();
        else if (programs[what].code === null) {
          await programs[what].signal("SIGKILL");
          await pause(rest);
          programs[what] = this.agent(commands[what]);
        }
      }
    }
    // What was killed when its end was stored already waits for another file, or offers it anew.
    const other = victim === "sender" ? programs.receiver : programs.sender;
    while (!isOver()) {
      if (signal?.aborted) {
        problems.push("interrupted");
        break;
      }
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
    return { bytes, faultsAt, time: performance.now() - begun, isLate: isKnown, problems };
  }

  /** Starts a command of an agent, of which some words are files of the folder. */
  agent(
    given: readonly string[],
    { wrapper = [], folder }: { readonly wrapper?: readonly string[]; readonly folder?: string } = {},
  ): Program {
    const { wrappers, preload } = this.#place;
    const files = ["a.db", "b.db", "file", "received"];
    const args = given.map((word) => files.includes(word) ? `${this.#folder}/${word}` : word);
    return new Program(commandOf(args, {
      script: `${root}agent/main.ts`,
      folder: this.#folder,
      ...(folder !== undefined && { folders: [folder] }),
      openSsl: true,
      wrapper: [...wrapper, ...wrappers?.agent ?? []],
      ...(preload !== undefined && { preload }),
    }));
  }

  async #killServer(): Promise<void> {
    await this.#server.kill("SIGKILL");
    await pause(rest);
    this.#server = await startServer(this.#folder, this.#port, this.#place);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.kill("SIGKILL");
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #connect(): Promise<void> {
    const server = ["--server", this.#server.address];
    const invite = this.agent(["invite", "bob", "--wait", "--db", "a.db", ...server]);
    const invitation = () => invite.lines.find((line) => line.startsWith("smp::"));
    while (invitation() === undefined && invite.code === null) await pause(20);
    const join = this.agent(["join", "alice", invitation() ?? "", "--db", "b.db", ...server]);
    const codes = await Promise.all([invite.ended, join.ended]);
    if (codes.some((code) => code !== 0)) {
      throw new Error(`not connected: ${[...invite.lines, ...join.lines].join("\n")}`);
    }
  }
}

/** When as much has come as chance wants, or a while after the start. */
export function bySome(bytes: number, random: Random): Fault["when"] {
  const isEarly = random.below(4) === 0;
  const wanted = random.below(isEarly ? 3_000 : bytes);
  return isEarly ? () => pause(wanted) : whenThere(wanted);
}

/** When so many bytes have come. */
export function whenThere(wanted: number): Fault["when"] {
  return async ({ part, hasBegun, left }) => {
    while (left() > 0 && !hasBegun()) await pause(1);
    const isComing = () => (part() ?? Infinity) < wanted;
    while (left() > 0 && isComing()) {
      // In a pause much comes.
      for (const end = performance.now() + spinning; performance.now() < end && isComing(););
      await pause(1);
    }
  };
}

function startServer(
  folder: string,
  port: number,
  { host = "127.0.0.1", wrappers }: Place,
): Promise<ServerProcess> {
  const directories = ["--config-dir", folder, "--log-dir", folder];
  const args = ["start", "-y", "-l", ...directories, "--host", host, "--port", `${port}`];
  return ServerProcess.startBare({ folder, openSsl: true, args, wrapper: wrappers?.server ?? [] });
}

/** What is wrong with what was received. */
async function faultsOf(folder: string, sha256: string): Promise<string[]> {
  const names = namesIn(folder);
  const problems = names.join() === "file" ? [] : [`there is ${JSON.stringify(names)}`];
  for (const name of names) {
    if (!name.startsWith(".") && await hashOf(`${folder}/${name}`) !== sha256) {
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
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const hash = createHash("sha256"), part = new Uint8Array(65_536);
  for (let left = bytes; left > 0; left -= part.length) {
    crypto.getRandomValues(part);
    const content = part.subarray(0, Math.min(left, part.length));
    hash.update(content);
    for (let at = 0; at < content.length;) at += await file.write(content.subarray(at));
  }
  return hash.digest("hex");
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of (await Deno.open(path)).readable) hash.update(part);
  return hash.digest("hex");
}
