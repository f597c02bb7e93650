import {
  asciiText,
  type BlockChannel,
  type BlockContent,
  decodeServerTransmission,
  deferred,
  encodeBase64,
  GiveWay,
  type ServerResponse,
  type ServerTransmission,
  TransportError,
} from "../protocol/mod.ts";
import { OpenedQueues } from "./opened_queues.ts";
import {
  answerError,
  type CommandToSend,
  encodeCommand,
  newCorrId,
  type Request,
  requestError,
} from "./request.ts";

/** What bounds a connection to a server. All times are in milliseconds. */
export interface ConnectionLimits {
  /** Time for an answer, from the call: waiting to be sent is included. @default 15000 */
  readonly commandTimeout: number;
  /** Time without anything from the server after which a PING is sent. @default 30000 */
  readonly keepAliveInterval: number;
  /**
   * Unanswered PINGs, one each interval, after which the connection counts as dead; also intervals in which the
   * server does not take what is written to it. @default 2
   */
  readonly keepAliveCount: number;
  /** Commands that may wait for answers at a time; further ones wait to be sent. @default 256 */
  readonly inFlight: number;
  /** Commands that may wait to be sent at a time; further ones are refused (`BUSY`). @default 4096 */
  readonly waiting: number;
}

/** What a connection tells its owner, at once and in order. */
export interface ConnectionEvents {
  /** A transmission that is not, or not only, the answer to a command. */
  notified(transmission: ServerTransmission): void;
  /** The connection is gone; called once. */
  closed(error: TransportError): void;
}

/** How a connection is used. */
export interface ConnectionOptions {
  readonly limits: ConnectionLimits;
  readonly events: ConnectionEvents;
  /** Whether the server lists open1: then commands on a queue that is used more than once go without signatures. */
  readonly canOpen: boolean;
}

/** What can be asked of any command. */
export interface CommandOptions {
  /** Gives up waiting; what was not sent is not sent any more, else whether the command is executed is unknown. */
  readonly signal?: AbortSignal;
}

const batchSize = 16;

/** Bytes of the blocks that are written together at most, unless one has more: large arrays are slow to be made and freed. */
const batchBytes = 262_144;
/** Bytes of blocks from which on reading gives way to other connections: of smaller ones as much is not sent at a time. */
const largeBlock = 65_536;
/** Milliseconds without anything from the server after which a connection that takes no more is closed. */
const lastAnswersTime = 1_000;

/**
 * A connection to a server after the handshake: sends commands in the order of the calls, matches answers by corrId
 * and keeps the connection alive. Any failure of reading or keep-alive ends all of it at once, one of writing when what
 * has come before is read.
 */
export class Connection {
  readonly #blocks: BlockChannel;
  readonly #limits: ConnectionLimits;
  readonly #events: ConnectionEvents;
  /** The commands of which nothing was written, in order; what is not in here is never written. */
  readonly #outgoing = new Set<Request>();
  /** The commands that were sent and wait for their answers, by corrId. */
  readonly #pending = new Map<string, Request>();
  /** Commands that are being signed: closing waits for them. */
  readonly #signing = new Set<Promise<unknown>>();
  /** `null` where the server has none. */
  readonly #opened: OpenedQueues | null;
  /** The OPENs of which nothing was written: nobody asked for them, so that they take no place among those that wait. */
  readonly #openings = new Set<Request>();
  #requests = 0;
  #wakeWriter: (() => void) | null = null;
  #error: TransportError | null = null;
  #released: Promise<void> | null = null;
  #received = true;
  #unansweredPings = 0;
  /** What writing has failed with. */
  #writeError: { readonly cause: unknown } | null = null;
  #silence: ReturnType<typeof setTimeout> | undefined;
  /** Keep-alive intervals in which the write that is under way has not ended; `null`: none is. */
  #stuckIntervals: number | null = null;
  readonly #way = new GiveWay();
  readonly #keepAlive: ReturnType<typeof setInterval>;

  /** Takes over `blocks` and begins to read. */
  constructor(blocks: BlockChannel, { limits, events, canOpen }: ConnectionOptions) {
    this.#blocks = blocks;
    this.#limits = limits;
    this.#events = events;
    this.#opened = canOpen ? new OpenedQueues() : null;
    this.#keepAlive = setInterval(() => this.#checkAlive(), limits.keepAliveInterval);
    this.#readLoop().catch((error) => this.close(error));
    this.#writeLoop().catch((cause) => {
      this.#writeError = { cause };
      this.#awaitLastAnswers();
    });
  }

  /** What names the session. */
  get binding(): Uint8Array<ArrayBuffer> {
    return this.#blocks.binding;
  }

  /** Bytes of a block. */
  get blockSize(): number {
    return this.#blocks.blockSize;
  }

  /**
   * Sends a command and gives its answer, `ERR` included. Throws {@linkcode TransportError}, `RangeError` or the
   * signal's reason.
   */
  request(send: CommandToSend, { signal }: CommandOptions = {}): Promise<ServerResponse> {
    if (this.#error !== null) return Promise.reject(this.#closedError(false));
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { waiting } = this.#limits;
    // What was given up while it is signed still costs.
    const isFull = Math.max(this.#outgoing.size, this.#signing.size) - this.#openings.size >= waiting;
    if (isFull) return Promise.reject(requestError("BUSY", `${waiting} commands wait already`, false));
    const request = this.#add(send, this.#authorize(send));
    const abort = () => this.#reject(request, signal!.reason);
    signal?.addEventListener("abort", abort);
    return request.settled.promise.finally(() => signal?.removeEventListener("abort", abort));
  }

  /** Ends everything with `cause`, once; resolves when the system has released the connection. */
  close(cause: unknown): Promise<void> {
    if (this.#released !== null) return this.#released;
    const error = cause instanceof TransportError
      ? cause
      : new TransportError("NETWORK", "The connection to the server failed", { cause });
    this.#error = error;
    clearInterval(this.#keepAlive);
    clearTimeout(this.#silence);
    const underWay = [this.#way[Symbol.asyncDispose](), ...this.#signing];
    this.#released = Promise.all([this.#blocks.close(), ...underWay]).then(() => {});
    for (const request of this.#outgoing) this.#reject(request, this.#closedError(request.isGivenAgain));
    for (const request of this.#pending.values()) this.#reject(request, this.#closedError(true));
    this.#wake();
    this.#events.closed(error);
    return this.#released;
  }

  #add(send: CommandToSend, isUnsigned: boolean): Request {
    const { commandTimeout } = this.#limits;
    const corrId = newCorrId();
    const request: Request = {
      ...send,
      place: this.#requests++,
      corrId,
      isUnsigned,
      isGivenAgain: false,
      content: encodeCommand({ ...send, corrId, isUnsigned }, this.blockSize),
      settled: deferred<ServerResponse>(),
      deadline: performance.now() + commandTimeout,
    };
    request.timer = setTimeout(() => this.#timeOut(request), commandTimeout);
    this.#outgoing.add(request);
    this.#sign(request);
    return request;
  }

  #sign(request: Request): void {
    const signed: Promise<unknown> = request.content.catch((error) => this.#reject(request, error))
      .then(() => this.#signing.delete(signed));
    this.#signing.add(signed);
    this.#wake();
  }

  /** extensions.md open1; `true`: the command needs no signature. */
  #authorize({ queueId, key, command }: CommandToSend): boolean {
    if (this.#opened === null || key === undefined || queueId === "") return false;
    const use = this.#opened.use(queueId, key);
    const opens = use === "open" && command.type !== "DEL" && this.#openings.size < this.#limits.waiting;
    if (opens) {
      const settle = this.#opened.opening(queueId);
      const binding = encodeBase64(this.#blocks.binding);
      const answered = ({ type }: ServerResponse) => settle(type === "OK");
      const opening = this.#add({ queueId, key, command: { type: "OPEN", binding }, answered }, false);
      this.#openings.add(opening);
      // Whatever it fails with: the queue's commands are signed, as before.
      opening.settled.promise.catch(() => settle(false));
    }
    return use === "no signature";
  }

  /**
   * Gives a command that was refused for want of a signature again with one, in its place. A server does that when the
   * queue is gone.
   */
  #giveAgain(request: Request): void {
    this.#opened?.refused(request.queueId);
    this.#pending.delete(request.corrId);
    request.corrId = newCorrId();
    request.isUnsigned = false;
    request.isGivenAgain = true;
    request.content = encodeCommand(request, this.blockSize);
    const later = [...this.#outgoing].filter(({ place }) => place > request.place);
    for (const moved of later) this.#outgoing.delete(moved);
    for (const moved of [request, ...later]) this.#outgoing.add(moved);
    this.#sign(request);
  }

  async #readLoop(): Promise<void> {
    const isLarge = this.blockSize >= largeBlock;
    while (this.#error === null) {
      if (isLarge && !this.#way.hasTime) await this.#way.look();
      // Nothing that is decoded of it is a part of it.
      const content = await this.#blocks.readLent();
      if (content === null) throw new TransportError("NETWORK", "The server has closed the connection");
      this.#received = true;
      const decoded = decodeServerTransmission(content);
      const { corrId, queueId } = decoded.ok ? decoded.value : decoded;
      const request = this.#pending.get(asciiText(corrId));
      if (!decoded.ok) {
        if (request) this.#reject(request, answerError("RESPONSE", `it cannot be read (${decoded.error})`));
      } else if (request !== undefined && !isOfCommand(decoded.value, request)) {
        this.#reject(request, answerError("RESPONSE", "it has no queue ID"));
      } else if (request !== undefined && queueId !== "" && queueId !== request.queueId) {
        this.#reject(request, answerError("UNEXPECTED", "it is for another queue"));
      } else {
        this.#take(decoded.value, request);
      }
      this.#awaitLastAnswers();
    }
  }

  /** A server that stops has answered what it executed, and may be gone before that is read. */
  #awaitLastAnswers(): void {
    if (this.#writeError === null || this.#error !== null) return;
    const close = () => this.close(this.#writeError!.cause);
    clearTimeout(this.#silence);
    if (this.#pending.size === 0) close();
    else this.#silence = setTimeout(close, lastAnswersTime);
  }

  #take(transmission: ServerTransmission, request: Request | undefined): void {
    const { response } = transmission;
    if (request?.isUnsigned && response.type === "ERR" && response.error === "CMD NO_AUTH") {
      return this.#giveAgain(request);
    }
    if (request?.command.type === "DEL" && response.type === "OK") this.#opened?.forget(request.queueId);
    request?.answered?.(response);
    if (response.type === "MSG" || response.type === "END") this.#events.notified(transmission);
    if (request === undefined) return;
    this.#finish(request);
    request.settled.resolve(response);
  }

  async #writeLoop(): Promise<void> {
    while (this.#error === null) {
      const most = Math.max(1, Math.min(batchSize, Math.floor(batchBytes / this.blockSize)));
      const room = Math.min(most, this.#limits.inFlight - this.#pending.size);
      const batch = first(this.#outgoing, room);
      if (batch.length === 0) await new Promise<void>((resolve) => this.#wakeWriter = resolve);
      else await this.#write(batch);
    }
  }

  async #write(batch: readonly Request[]): Promise<void> {
    const signed = await Promise.all(batch.map(async (request) => {
      const content = await request.content.catch(() => null);
      return content && { request, content };
    }));
    const contents: BlockContent[] = [];
    const now = performance.now();
    for (const entry of signed) {
      // Its timer is about to run; another one that did has made the room for it.
      if (entry !== null && entry.request.deadline <= now) this.#timeOut(entry.request);
      // What was given up meanwhile is not written; from here on nobody can tell any more.
      if (entry === null || !this.#outgoing.delete(entry.request)) continue;
      this.#openings.delete(entry.request);
      this.#pending.set(entry.request.corrId, entry.request);
      contents.push(entry.content);
      entry.request.written?.();
    }
    if (contents.length === 0) return;
    this.#stuckIntervals = 0;
    await this.#blocks.write(contents);
    this.#stuckIntervals = null;
  }

  #checkAlive(): void {
    if (this.#stuckIntervals !== null && this.#stuckIntervals++ >= this.#limits.keepAliveCount) {
      this.close(new TransportError("TIMEOUT", "The server does not take what is written to it"));
    } else if (this.#received) {
      this.#received = false;
      this.#unansweredPings = 0;
    } else if (this.#unansweredPings < this.#limits.keepAliveCount) {
      this.#unansweredPings++;
      this.request({ queueId: "", command: { type: "PING" } }).catch(() => {});
    } else {
      this.close(new TransportError("TIMEOUT", `The server has not answered ${this.#unansweredPings} PINGs`));
    }
  }

  #timeOut(request: Request): void {
    const isSent = this.#pending.has(request.corrId);
    const reason = `${
      isSent ? "no answer" : "the server takes no more"
    } in ${this.#limits.commandTimeout} ms`;
    this.#reject(request, requestError("TIMEOUT", reason, isSent || request.isGivenAgain));
  }

  #reject(request: Request, error: unknown): void {
    this.#finish(request);
    request.settled.reject(error);
  }

  #finish(request: Request): void {
    clearTimeout(request.timer);
    this.#outgoing.delete(request);
    this.#openings.delete(request);
    if (this.#pending.delete(request.corrId)) this.#wake();
  }

  #wake(): void {
    this.#wakeWriter?.();
    this.#wakeWriter = null;
  }

  /** The error of a command on a connection that is gone. */
  #closedError(isSent: boolean): TransportError {
    const cause = this.#error!;
    return requestError(cause.code, cause.message, isSent, { cause });
  }
}

/** An OK without queue ID answers PASS alone (extensions.md pass1). */
function isOfCommand({ queueId, response }: ServerTransmission, { command }: Request): boolean {
  return response.type !== "OK" || queueId !== "" || command.type === "PASS";
}

/** The first `count` of a set. */
function first<T>(set: ReadonlySet<T>, count: number): T[] {
  const taken: T[] = [];
  for (const value of set) {
    if (taken.length >= count) break;
    taken.push(value);
  }
  return taken;
}
