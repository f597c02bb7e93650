import { type PeerLine, spawnNode } from "./node_peer.ts";
import { soon } from "./wait.ts";

/** Where a client of tests/peers connects to. */
export interface Listening {
  readonly port: number;
  readonly keyHash: string;
  readonly webSocketPort?: number | undefined;
}

/** A client of tests/peers as a process that runs scenario after scenario, until it is disposed of. */
export class PeerClients implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  constructor(script: "client.mjs" | "extension_client.mjs") {
    this.#process = spawnNode(script, [], "piped");
    this.#output = this.#process.stdout.getReader();
    this.#input = this.#process.stdin.getWriter();
  }

  /**
   * Runs scenarios, named with commas between them, against a server; gives the lines that it prints, and throws when
   * it was not content.
   */
  async run(server: Listening, scenarios: string, options: PeerLine = {}): Promise<PeerLine[]> {
    const port = options.webSocket === true ? server.webSocketPort : server.port;
    const args = ["127.0.0.1", `${port}`, server.keyHash, scenarios, JSON.stringify(options)];
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(args)}\n`));
    const lines = await this.#answer();
    if (lines.at(-1)!.done === scenarios) return lines;
    const last = lines.slice(-8).map((line) => JSON.stringify(line));
    throw new Error(`the client was not content:\n${last.join("\n")}`);
  }

  /** Reads no further than to the end of a run: nothing is being read between tests. */
  async #answer(): Promise<PeerLine[]> {
    const decoder = new TextDecoder();
    for (let text = "";;) {
      const { value, done } = await soon(this.#output.read());
      if (done) throw new Error(`the client has ended: ${text}`);
      text += decoder.decode(value, { stream: true });
      if (!text.endsWith("\n")) continue;
      const last: PeerLine = JSON.parse(text.slice(text.lastIndexOf("\n", text.length - 2) + 1));
      if ("done" in last || "failed" in last) {
        return text.trimEnd().split("\n").map((line) => JSON.parse(line));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    while (!(await this.#output.read()).done);
    await this.#process.status;
  }
}
