import { setImmediate } from "node:timers";
import {
  type BlockChannel,
  type Channel,
  clientHandshake,
  connectTcp,
  decodeServerTransmission,
  defaultPort,
  encodeBase64,
  encodeClientTransmission,
  encodeSigned,
  parseAddress,
  passwordExtension,
  passwordProof,
  type ServerTransmission,
  startRekey,
} from "../../protocol/mod.ts";
import { rekey } from "../rekey.ts";

/** How a line is opened. */
export interface LineOptions {
  /** Milliseconds for the handshake and for each answer. @default 15000 */
  readonly patience?: number;
  /** Bytes of a block. @default the server's */
  readonly blockSize?: number;
  /** Whether the session gets keys that nobody can find out later (extensions.md rekey1). @default false */
  readonly rekey?: boolean;
  /** Is shown to be known where the server lists pass1 (extensions.md pass1). @default none */
  readonly password?: string;
}

const defaultPatience = 15_000;
const blocksAWrite = 16;
/** Lines that are opened at a time. */
const linesAtATime = 32;

/** A connection whose transmissions are written as they were made, many at once. */
export class Line {
  /** Is told of every transmission of the server. */
  onTransmission: (transmission: ServerTransmission) => void = () => {};
  /** Rejects when the connection fails or the server answers an error. */
  readonly failed: Promise<never>;
  /** What the server has listed. */
  readonly extensions: readonly string[];
  readonly #blocks: BlockChannel;
  readonly #reading: Promise<void>;
  #waiting: Uint8Array[] = [];
  #isWriting = false;
  #isClosed = false;
  #hasEnded = false;
  /** Commands without an answer, and when one came last, or was written when there were none (`performance.now`). */
  #unanswered = 0;
  #heard = 0;
  #wakeAnswered: (() => void)[] = [];
  readonly #watch: ReturnType<typeof setInterval>;

  private constructor(blocks: BlockChannel, extensions: readonly string[], patience: number) {
    const failure = Promise.withResolvers<never>();
    this.failed = failure.promise;
    this.failed.catch(() => {});
    this.extensions = extensions;
    this.#blocks = blocks;
    this.#watch = setInterval(() => {
      if (this.#unanswered === 0 || performance.now() - this.#heard < patience) return;
      failure.reject(new Error(`the server has not answered in ${patience} ms`));
      void this.close();
    }, patience / 10);
    this.#reading = this.#read().catch(failure.reject);
  }

  /** Connects to a server, whose key must be that of the address if it names one. */
  static async open(
    address: string,
    { patience = defaultPatience, blockSize, rekey: isRekeyed = false, password }: LineOptions = {},
  ): Promise<Line> {
    const { host, port, keyHash } = parseAddress(address);
    const late = new AbortController();
    const timer = setTimeout(
      () => late.abort(new Error(`the server did not finish the handshake in ${patience} ms`)),
      patience,
    );
    let channel: Channel | undefined;
    late.signal.addEventListener("abort", () => void channel?.close());
    try {
      channel = await connectTcp(host, port ?? defaultPort, late.signal);
      let extensions: readonly string[] = [];
      const blocks = await clientHandshake(channel, {
        ...(keyHash !== undefined && { keyHash }),
        ...(blockSize !== undefined && { blockSize }),
        welcomed: (listed) => extensions = listed,
      });
      if (isRekeyed) await rekey(blocks, await startRekey());
      const line = new Line(blocks, extensions, patience);
      if (password !== undefined && extensions.includes(passwordExtension)) await line.#pass(password);
      return line;
    } catch (error) {
      await channel?.close();
      late.signal.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #pass(password: string): Promise<void> {
    const proof = await passwordProof(password, this.#blocks.binding);
    this.write(unsignedPass(proof));
    try {
      await this.answered();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Whether it was closed or has failed. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Bytes of a block. */
  get blockSize(): number {
    return this.#blocks.blockSize;
  }

  /** What OPEN names the session by, base64. */
  get binding(): string {
    return encodeBase64(this.#blocks.binding);
  }

  write(content: Uint8Array): void {
    if (this.#unanswered++ === 0) this.#heard = performance.now();
    this.#waiting.push(content);
    if (!this.#isWriting) void this.#writeAll();
  }

  /** Resolves when every command has its answer, and rejects as `failed` does. */
  async answered(): Promise<void> {
    if (this.#unanswered === 0) return;
    await Promise.race([new Promise<void>((resolve) => this.#wakeAnswered.push(resolve)), this.failed]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#watch);
    await this.#blocks.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const content = await this.#blocks.read();
        if (content === null) throw new Error("the server has closed the connection");
        const decoded = decodeServerTransmission(content);
        if (!decoded.ok) throw new Error(`an answer cannot be read: ${decoded.error}`);
        const { corrId, response } = decoded.value;
        this.#heard = performance.now();
        if (response.type !== "MSG" || corrId.length > 0) this.#unanswered--;
        if (response.type === "ERR") throw new Error(`the server answers ERR ${response.error}`);
        this.onTransmission(decoded.value);
        if (this.#unanswered === 0) this.#wakeAnswered.splice(0).forEach((wake) => wake());
      }
    } catch (error) {
      if (!this.#isClosed) throw error;
    } finally {
      this.#hasEnded = true;
      clearInterval(this.#watch);
    }
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#waiting.length > 0) {
        // What else is given in this turn goes out in the same write.
        await nextTurn();
        await this.#blocks.write(this.#waiting.splice(0, blocksAWrite));
      }
    } catch {
      // Whoever reads is told what happened.
    }
    this.#isWriting = false;
  }
}

/** Opens lines, some at a time. */
export async function openLines(
  address: string,
  count: number,
  options: LineOptions = {},
): Promise<Line[]> {
  const lines: Line[] = [];
  while (lines.length < count) {
    const more = Math.min(linesAtATime, count - lines.length);
    lines.push(...await Promise.all(Array.from({ length: more }, () => Line.open(address, options))));
  }
  return lines;
}

function unsignedPass(proof: Uint8Array): Uint8Array {
  const noBytes = new Uint8Array(0);
  return encodeClientTransmission(noBytes, encodeSigned(noBytes, "", { type: "PASS", proof }));
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
