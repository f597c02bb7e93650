import { deferred } from "../protocol/deferred.ts";
import {
  type BlockChannel,
  type ClientCommand,
  contentLimit,
  decodeServerTransmission,
  encodeBase64,
  encodeClientTransmission,
  encodeSigned,
  type PrivateKey,
  type ServerResponse,
  type ServerTransmission,
  signPss,
  TransportError,
} from "../protocol/mod.ts";
import { asciiText, randomBytes, textBytes } from "../protocol/bytes.ts";

/** What bounds a connection to a server. All times are in milliseconds. */
export interface ConnectionLimits {
  /** Time for an answer, from when the command is written. @default 15000 */
  readonly commandTimeout: number;
  /** Time without anything from the server after which a PING is sent. @default 30000 */
  readonly keepAliveInterval: number;
  /** Unanswered PINGs, one each interval, after which the connection counts as dead. @default 2 */
  readonly keepAliveCount: number;
  /** Commands that may wait for answers at a time; further ones wait to be sent. @default 256 */
  readonly inFlight: number;
}

/** What a connection tells its owner, at once and in order. */
export interface ConnectionEvents {
  /** A transmission that is not, or not only, the answer to a command. */
  notified(transmission: ServerTransmission): void;
  /** The connection is gone; called once. */
  closed(error: TransportError): void;
}

/** A command to send. */
export interface CommandToSend {
  /** Base64, empty for none. */
  readonly queueId: string;
  readonly command: ClientCommand;
  /** Signs the command, if given. */
  readonly key?: PrivateKey<"sign"> | undefined;
  /** Is called with the answer before anything that the server sends later is looked at. */
  readonly answered?: (response: ServerResponse) => void;
}

/** What can be asked of any command. */
export interface CommandOptions {
  /** Gives up waiting; whether the command is executed is then unknown, unless it had not been sent. */
  readonly signal?: AbortSignal;
}

interface Request {
  readonly corrId: string;
  readonly queueId: string;
  readonly content: Promise<Uint8Array>;
  readonly answered: (response: ServerResponse) => void;
  readonly settled: PromiseWithResolvers<ServerResponse>;
  timer?: ReturnType<typeof setTimeout>;
  isOver: boolean;
}

const corrIdLength = 12;
const batchSize = 16;

/**
 * A connection to a server after the handshake: sends commands in the order of the calls, matches answers by corrId
 * and keeps the connection alive. Any failure of reading, writing or keep-alive ends all of it at once.
 */
export class Connection {
  readonly #blocks: BlockChannel;
  readonly #limits: ConnectionLimits;
  readonly #events: ConnectionEvents;
  #outgoing: Request[] = [];
  /** The commands that were sent and wait for their answers, by corrId. */
  readonly #pending = new Map<string, Request>();
  /** Commands that are being signed: closing waits for them. */
  readonly #signing = new Set<Promise<unknown>>();
  #wakeWriter: (() => void) | null = null;
  #error: TransportError | null = null;
  #released: Promise<void> | null = null;
  #received = true;
  #unansweredPings = 0;
  readonly #keepAlive: ReturnType<typeof setInterval>;

  /** Takes over `blocks` and begins to read. */
  constructor(blocks: BlockChannel, limits: ConnectionLimits, events: ConnectionEvents) {
    this.#blocks = blocks;
    this.#limits = limits;
    this.#events = events;
    this.#keepAlive = setInterval(() => this.#checkAlive(), limits.keepAliveInterval);
    this.#readLoop().catch((error) => this.close(error));
    this.#writeLoop().catch((error) => this.close(error));
  }

  /** Bytes of a block. */
  get blockSize(): number {
    return this.#blocks.blockSize;
  }

  /** Sends a command and gives its answer, `ERR` included. Throws {@linkcode TransportError}, `RangeError` or the signal's reason. */
  request(send: CommandToSend, { signal }: CommandOptions = {}): Promise<ServerResponse> {
    if (this.#error !== null) return Promise.reject(this.#requestError("it was not sent"));
    if (signal?.aborted) return Promise.reject(signal.reason);
    const corrId = encodeBase64(randomBytes(corrIdLength));
    const settled = deferred<ServerResponse>();
    const request: Request = {
      corrId,
      queueId: send.queueId,
      content: encode(corrId, send, this.blockSize),
      answered: send.answered ?? (() => {}),
      settled,
      isOver: false,
    };
    const abort = () => this.#reject(request, signal!.reason);
    signal?.addEventListener("abort", abort);
    // The writer looks at it later, maybe after it has failed.
    const signed: Promise<unknown> = request.content.then(() => {}, () => {}).then(() =>
      this.#signing.delete(signed)
    );
    this.#signing.add(signed);
    this.#outgoing.push(request);
    this.#wake();
    return settled.promise.finally(() => signal?.removeEventListener("abort", abort));
  }

  /** Ends everything with `cause`, once; resolves when the system has released the connection. */
  close(cause: unknown): Promise<void> {
    if (this.#released !== null) return this.#released;
    const error = cause instanceof TransportError
      ? cause
      : new TransportError("NETWORK", "The connection to the server failed", { cause });
    this.#error = error;
    clearInterval(this.#keepAlive);
    this.#released = Promise.all([this.#blocks.close(), ...this.#signing]).then(() => {});
    for (const request of this.#outgoing) this.#reject(request, this.#requestError("it was not sent"));
    for (const request of this.#pending.values()) {
      this.#reject(request, this.#requestError("whether it was executed is unknown"));
    }
    this.#wake();
    this.#events.closed(error);
    return this.#released;
  }

  async #readLoop(): Promise<void> {
    while (this.#error === null) {
      const content = await this.#blocks.read();
      if (content === null) throw new TransportError("NETWORK", "The server has closed the connection");
      this.#received = true;
      const decoded = decodeServerTransmission(content);
      const { corrId, queueId } = decoded.ok ? decoded.value : decoded;
      const request = this.#pending.get(asciiText(corrId));
      if (!decoded.ok) {
        if (request) this.#reject(request, answerError("RESPONSE", `it cannot be read (${decoded.error})`));
      } else if (request !== undefined && queueId !== "" && queueId !== request.queueId) {
        this.#reject(request, answerError("UNEXPECTED", "it is for another queue"));
      } else {
        this.#take(decoded.value, request);
      }
    }
  }

  #take(transmission: ServerTransmission, request: Request | undefined): void {
    const { response } = transmission;
    request?.answered(response);
    if (response.type === "MSG" || response.type === "END") this.#events.notified(transmission);
    if (request === undefined) return;
    this.#finish(request);
    request.settled.resolve(response);
  }

  async #writeLoop(): Promise<void> {
    while (this.#error === null) {
      const room = Math.min(batchSize, this.#limits.inFlight - this.#pending.size);
      const batch = this.#outgoing.splice(0, room);
      if (batch.length === 0) await new Promise<void>((resolve) => this.#wakeWriter = resolve);
      else await this.#write(batch);
    }
  }

  async #write(batch: readonly Request[]): Promise<void> {
    const contents: Uint8Array[] = [];
    for (const request of batch) {
      try {
        const content = await request.content;
        if (request.isOver) continue;
        contents.push(content);
        this.#await(request);
      } catch (error) {
        this.#reject(request, error);
      }
    }
    if (contents.length > 0 && this.#error === null) await this.#blocks.write(contents);
  }

  /** From now on an answer is expected. */
  #await(request: Request): void {
    if (this.#error !== null) return this.#reject(request, this.#requestError("it was not sent"));
    this.#pending.set(request.corrId, request);
    const { commandTimeout } = this.#limits;
    request.timer = setTimeout(() => {
      const unknown = "whether it was executed is unknown";
      const message = `Cannot execute the command: no answer in ${commandTimeout} ms, ${unknown}`;
      this.#reject(request, new TransportError("TIMEOUT", message));
    }, commandTimeout);
  }

  #checkAlive(): void {
    if (this.#received) {
      this.#received = false;
      this.#unansweredPings = 0;
    } else if (this.#unansweredPings < this.#limits.keepAliveCount) {
      this.#unansweredPings++;
      this.request({ queueId: "", command: { type: "PING" } }).catch(() => {});
    } else {
      this.close(new TransportError("TIMEOUT", `The server has not answered ${this.#unansweredPings} PINGs`));
    }
  }

  #reject(request: Request, error: unknown): void {
    this.#finish(request);
    request.settled.reject(error);
  }

  #finish(request: Request): void {
    request.isOver = true;
    clearTimeout(request.timer);
    if (this.#pending.delete(request.corrId)) this.#wake();
  }

  #wake(): void {
    this.#wakeWriter?.();
    this.#wakeWriter = null;
  }

  #requestError(outcome: string): TransportError {
    const { code, message } = this.#error!;
    return new TransportError(code, `Cannot execute the command: ${outcome}. ${message}`, {
      cause: this.#error,
    });
  }
}

async function encode(
  corrId: string,
  { queueId, command, key }: CommandToSend,
  blockSize: number,
): Promise<Uint8Array> {
  const signed = encodeSigned(textBytes(corrId), queueId, command);
  const content = encodeClientTransmission(key ? await signPss(key, signed) : new Uint8Array(0), signed);
  const excess = content.length - contentLimit(blockSize);
  if (excess > 0) {
    throw new RangeError(`Cannot send the command: it is ${excess} bytes too long for the server's blocks`);
  }
  return content;
}

function answerError(code: "RESPONSE" | "UNEXPECTED", what: string): TransportError {
  return new TransportError(code, `Cannot use the server's answer: ${what}`);
}
