import { linesOf, type PeerLine } from "./node_peer.ts";
import { next } from "./wait.ts";

const script = new URL("../peers/session_peer.mjs", import.meta.url).pathname;

/** tests/peers/session_peer.mjs in a process: one side of a session, which does what it is told. */
export class SessionPeer implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncGenerator<PeerLine, void>;

  private constructor(command: string, args: readonly string[]) {
    this.#process = new Deno.Command(command, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#lines = linesOf(this.#process.stdout);
  }

  /** In Node, with the URL from which it loads ML-KEM; with a label, its random bytes are always the same. */
  static inNode(mlKem: string, label?: string): SessionPeer {
    return new SessionPeer("node", [script, mlKem, ...(label === undefined ? [] : [label])]);
  }

  /** In Deno, with the package that the tests use. */
  static inDeno(label?: string): SessionPeer {
    const args = [script, "@noble/post-quantum/ml-kem.js", ...(label === undefined ? [] : [label])];
    return new SessionPeer(Deno.execPath(), ["run", "--quiet", "--allow-read", ...args]);
  }

  /** What it answers to a command that it documents. */
  async ask(op: string, command: PeerLine = {}): Promise<PeerLine> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify({ ...command, op })}\n`));
    const answer = await next(this.#lines);
    if ("failed" in answer) throw new Error(`the peer failed: ${answer.failed}`);
    return answer;
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.#process.status;
    for await (const _ of this.#lines);
  }
}
