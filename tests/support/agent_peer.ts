import type { SmpServer } from "../../server/mod.ts";
import { soon } from "./wait.ts";

const script = new URL("../peers/agent.mjs", import.meta.url).pathname;

/** A step that it tells. */
interface Line {
  readonly invitation?: string;
  readonly received?: string;
  readonly done?: boolean;
  readonly failed?: string;
  readonly error?: string;
}

/** The independent agent of tests/peers/agent.mjs in a process. */
export class AgentPeer implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: AsyncIterator<Line>;

  /** Starts it as `initiator` or `joiner` with its queues on `server`. */
  constructor(
    role: string,
    server: Pick<SmpServer, "port" | "keyHash">,
    invitation: string,
    options: object,
  ) {
    const args = [
      script,
      role,
      `127.0.0.1 ${server.port} ${server.keyHash}`,
      invitation,
      JSON.stringify(options),
    ];
    this.#process = new Deno.Command("node", { args, stdin: "null", stdout: "piped" }).spawn();
    this.#lines = readLines(this.#process.stdout);
  }

  /** The next line of which `isRight`. */
  async line(isRight: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const { value, done } = await soon(this.#lines.next());
      if (done) throw new Error("the peer has ended");
      if (value.failed !== undefined) throw new Error(`the peer has failed: ${value.error}`);
      if (isRight(value)) return value;
    }
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#process.status;
    while (!(await this.#lines.next()).done);
  }
}

async function* readLines(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Line, void> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}
