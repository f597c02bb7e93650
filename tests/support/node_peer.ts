import { SmpClient, type SmpClientOptions } from "../../client/mod.ts";
import { next, soon } from "./wait.ts";

/** One line of what a peer prints. */
export interface PeerLine {
  readonly [name: string]: unknown;
}

/** A peer of tests/peers as a process, until it is disposed of. */
export class NodePeer implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: AsyncGenerator<PeerLine, void>;

  constructor(script: string, args: readonly string[]) {
    this.#process = spawnNode(script, args);
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Takes lines up to the first whose `name` is there; with a value, to the first with that value. */
  async line(name: string, value?: unknown): Promise<PeerLine> {
    for (;;) {
      const line = await next(this.#lines);
      if (name in line && (value === undefined || line[name] === value)) return line;
      if ("failed" in line) throw new Error(`the peer failed: ${line.error}`);
    }
  }

  /** Kills the process, which cannot do anything about it. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** The exit code, when the process has ended by itself. */
  async ended(): Promise<number> {
    return (await soon(this.#process.status)).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill();
    } catch {
      // It has ended by itself.
    }
    await this.#process.status;
    // What it has printed and nobody asked for; to the end, so that the pipe is closed.
    for await (const _ of this.#lines);
  }
}

/** Runs a program of tests/peers in Node. */
export function spawnNode(
  script: string,
  args: readonly string[],
  stdin: "null" | "piped" = "null",
): Deno.ChildProcess {
  const all = [new URL(`../peers/${script}`, import.meta.url).pathname, ...args];
  try {
    return new Deno.Command("node", { args: all, stdin, stdout: "piped", stderr: "inherit" }).spawn();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error("Node 20 is needed on PATH as `node`: the independent peers run in it", { cause });
  }
}

/** The lines of JSON that a process prints. */
export async function* linesOf(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<PeerLine, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

/** A running server.mjs. */
export class PeerServer extends NodePeer {
  /** The port that it listens on, on loopback. */
  port = 0;
  /** Base64 of its key's SHA-256. */
  keyHash = "";

  /** Starts it with options that it documents; resolves when it listens. */
  static async start(options: PeerLine = {}): Promise<PeerServer> {
    const server = new PeerServer("server.mjs", [JSON.stringify(options)]);
    try {
      const { port, keyHash } = await server.line("event", "listening");
      server.port = Number(port);
      server.keyHash = String(keyHash);
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Connects a client of ours. */
  connect(options: SmpClientOptions = {}): Promise<SmpClient> {
    return SmpClient.connect(`127.0.0.1:${this.port}#${this.keyHash}`, options);
  }
}
