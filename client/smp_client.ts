import {
  type ClientCommand,
  closedError,
  deferred,
  generateKeyPair,
  type KeyPair,
  largestWindow,
  parseServer,
  passwordProof,
  type PublicKey,
  type ServerAddress,
  type ServerResponse,
  type ServerWithPassword,
  SmpError,
  type SmpErrorCode,
  TransportError,
} from "../protocol/mod.ts";
import { type CommandOptions, Connection } from "./connection.ts";
import { Inbox } from "./inbox.ts";
import type { CommandToSend } from "./request.ts";
import {
  checkIsAddress,
  checkOptions,
  checkVerifiable,
  connectionLimits,
  type SmpClientOptions,
} from "./options.ts";
import type { QueueEvent, RecipientQueue, SenderQueue } from "./queue.ts";
import { PasswordGate } from "./password.ts";
import { openSession, type Session } from "./session.ts";

/** How a message is sent. */
export interface SendOptions extends CommandOptions {
  /**
   * The body stays as it is until the server has it, and for good when `send` fails, as it may then be written later: it is
   * not copied where no signature is made. @default false
   */
  readonly isLent?: boolean;
}

/** How a queue is subscribed to. */
export interface SubscribeOptions extends CommandOptions {
  /** Messages that may be delivered and unacknowledged at a time, 1 to 128, if the server lists `window1`. @default 1 */
  readonly window?: number;
}

/**
 * A connection to one SMP server (smp.md).
 *
 * Every command rejects with {@linkcode SmpError} when the server answers `ERR`, with {@linkcode TransportError} when
 * the connection fails or no answer comes in time, and with the reason of `options.signal` when that aborts. The
 * outcome is then unknown, unless the error's `neverSent` says that the command was not sent: it never is then, and
 * nothing is sent twice. Commands may overlap; they are sent in the order of the calls.
 */
export class SmpClient implements AsyncDisposable {
  /** Resolves with the reason when the connection is gone; its code is `CLOSED` after {@linkcode SmpClient.close}. */
  readonly closed: Promise<TransportError>;
  /** The extensions that the server has listed (extensions.md), at most 16. A server of 0.3 lists none. */
  readonly extensions: readonly string[];
  /** The version of the protocol that the server has named, like `0.3.2.0`. */
  readonly protocolVersion: string;
  /**
   * Whether nobody can read what was sent and received by recording it and getting the server's key later: the session's
   * keys were made with keys of one use on both sides (extensions.md rekey1).
   */
  readonly isForwardSecret: boolean;
  /** Bytes of a block: what a message is limited by, with its command and signature. */
  readonly blockSize: number;
  readonly #connection: Connection;
  readonly #inbox = new Inbox();
  readonly #gate: PasswordGate;
  /** Subscriptions and ends of subscriptions that the server has told of, in its order. */
  #sequence = 0;

  private constructor(
    { blocks, extensions, protocolVersion, isForwardSecret }: Session,
    { server, ...options }: SmpClientOptions & { readonly server: ServerAddress },
  ) {
    this.extensions = extensions;
    this.protocolVersion = protocolVersion;
    this.isForwardSecret = isForwardSecret;
    this.blockSize = blocks.blockSize;
    const { password } = options;
    this.#gate = new PasswordGate({
      extensions,
      password: () => typeof password === "function" ? password(server) : password,
      show: (password) => this.#showPassword(password),
    });
    const closed = deferred<TransportError>();
    this.closed = closed.promise;
    this.#connection = new Connection(blocks, {
      limits: connectionLimits(options),
      canOpen: extensions.includes("open1"),
      events: {
        notified: ({ queueId, response }) => this.#notified(queueId, response),
        closed: (error) => {
          this.#inbox.close(error.code === "CLOSED" ? null : error);
          closed.resolve(error);
        },
      },
    });
    const { signal } = options;
    const abort = () => this.close();
    signal?.addEventListener("abort", abort, { once: true });
    this.closed.then(() => signal?.removeEventListener("abort", abort));
  }

  /**
   * Connects to a server, given as `[<password>@]<host>[:port]#<key hash>` or as a value, whose password is in the options. A server with another key is refused, and
   * an address without a key hash unless `options.allowUnverified` (both `BAD_HASH`); a server without forward secrecy if
   * `options.forwardSecrecy` is `required` (`FORWARD_SECRECY`).
   * Throws `ParseError`, {@linkcode TransportError}, `RangeError` for an option, `TypeError` for no address, or the signal's
   * reason.
   */
  static async connect(address: string | ServerAddress, options: SmpClientOptions = {}): Promise<SmpClient> {
    checkOptions(options);
    checkIsAddress(address);
    const { server, password }: ServerWithPassword = typeof address === "string"
      ? parseServer(address)
      : { server: address };
    if (!options.allowUnverified) checkVerifiable(server);
    const { connectTimeout = 15_000 } = options;
    const timeout = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, timeout.signal]) : timeout.signal;
    signal.throwIfAborted();
    const late = new TransportError(
      "TIMEOUT",
      `Cannot connect: the server did not finish in ${connectTimeout} ms`,
    );
    const timer = setTimeout(() => timeout.abort(late), connectTimeout);
    try {
      const session = await openSession(server, options, signal);
      // It may have aborted since the last step was taken.
      if (signal.aborted) await session.blocks.close();
      signal.throwIfAborted();
      return new SmpClient(session, { ...(password !== undefined && { password }), ...options, server });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether the server has called the password wrong that it was shown last (extensions.md pass1). */
  get isPasswordRefused(): boolean {
    return this.#gate.isRefused;
  }

  /**
   * Creates a queue and subscribes to it (NEW); makes a 2048-bit key pair unless one is given. Where the server lists
   * `pass1` and there is a password, it is shown first that it is known (PASS). `AUTH`: the server takes no new queues, or
   * none from this client, or the password is wrong.
   */
  async createQueue(
    options: CommandOptions & { readonly keyPair?: KeyPair<"sign"> } = {},
  ): Promise<RecipientQueue> {
    const { publicKey, privateKey } = options.keyPair ?? await generateKeyPair("sign");
    // Else commands are sent in the order of the calls.
    if (this.#gate.isAsked) await this.#gate.pass(options.signal);
    const command: ClientCommand = { type: "NEW", recipientKey: publicKey };
    const answered = (response: ServerResponse) => {
      if (response.type === "IDS") this.#inbox.open(response.recipientId);
    };
    const response = await this.#connection.request(
      { queueId: "", command, key: privateKey, answered },
      options,
    );
    if (response.type === "ERR" && response.error === "AUTH") throw this.#gate.refused();
    if (response.type !== "IDS") throw unexpected(command, response);
    return { recipientId: response.recipientId, senderId: response.senderId, recipientKey: privateKey };
  }

  /**
   * Subscribes to a queue (SUB): its events come from {@linkcode SmpClient.events}, first the messages that wait. With
   * `options.window` (1 to 128) and a server that lists `window1`, as many may be delivered and unacknowledged at a time,
   * else one; the server keeps the others until then. Subscribing again delivers again what was not acknowledged, and
   * drops what was not read; a window is that of the last subscription.
   *
   * Gives the subscription's number: an END event with a smaller one was sent before, and is of an earlier subscription.
   * Throws `RangeError` for a window that cannot be. A server that sends more than the window allows is left: the client
   * closes with `UNEXPECTED`.
   */
  async subscribe(queue: RecipientQueue, options: SubscribeOptions = {}): Promise<number> {
    const { recipientId } = queue;
    const window = this.#usableWindow(options.window);
    const isNew = this.#inbox.open(recipientId);
    this.#inbox.ask(recipientId, window);
    let sequence = 0;
    const answered = ({ type }: ServerResponse) => {
      if (type === "OK" || type === "MSG") {
        this.#inbox.begin(recipientId, window);
        sequence = ++this.#sequence;
        return;
      }
      this.#inbox.refused(recipientId);
      if (isNew) this.#inbox.drop(recipientId);
    };
    const command: ClientCommand = window === null ? { type: "SUB" } : { type: "SUBN", window };
    let isWritten = false;
    const written = () => void (isWritten = true);
    try {
      await this.#recipientCommand(queue, command, options, { answered, written });
    } catch (error) {
      if (!isWritten) this.#inbox.refused(recipientId);
      throw error;
    }
    return sequence;
  }

  /** Sets the key with which messages must be signed from now on (KEY); works once. */
  async secureQueue(queue: RecipientQueue, senderKey: PublicKey, options?: CommandOptions): Promise<void> {
    await this.#recipientCommand(queue, { type: "KEY", senderKey }, options);
  }

  /** Acknowledges the oldest message that was delivered (ACK): the server deletes it and delivers the next one. */
  async acknowledge(queue: RecipientQueue, options?: CommandOptions): Promise<void>;
  /**
   * Acknowledges a message, and in a window all that were delivered before it: the server deletes them and delivers as
   * many (ACKM). `NO_MSG` when it is not delivered on this connection, or acknowledged already.
   *
   * To a server without `window1` it sends ACK if the message is the one that was delivered last and was not acknowledged,
   * and else nothing: ACK names no message, and a second one would delete the next message unseen. For the same reason a
   * message whose acknowledgement had no answer counts as acknowledged there, until a new subscription delivers it again.
   */
  async acknowledge(queue: RecipientQueue, messageId: string, options?: CommandOptions): Promise<void>;
  async acknowledge(
    queue: RecipientQueue,
    second?: string | CommandOptions,
    third?: CommandOptions,
  ): Promise<void> {
    const messageId = typeof second === "string" ? second : undefined;
    const options = typeof second === "string" ? third : second;
    const { recipientId } = queue;
    const due = this.#inbox.unacknowledged(recipientId)?.begin(messageId) ?? null;
    const isNamed = messageId !== undefined && this.extensions.includes("window1");
    if (messageId !== undefined && !isNamed && due === null) throw new SmpError("NO_MSG");
    const command: ClientCommand = isNamed ? { type: "ACKM", messageId } : { type: "ACK" };
    const acknowledged = messageId ?? due;
    const end = () => {
      if (acknowledged !== null) this.#inbox.unacknowledged(recipientId)?.end(acknowledged);
    };
    const answered = ({ type }: ServerResponse) => {
      if (type === "OK" || type === "MSG") end();
    };
    let isWritten = false;
    const written = () => void (isWritten = true);
    try {
      await this.#recipientCommand(queue, command, options, { answered, written });
    } catch (error) {
      if (isWritten && !isRefused(error)) end();
      else if (due !== null) this.#inbox.unacknowledged(recipientId)?.undo(due);
      throw error;
    }
  }

  /** Makes the queue refuse messages for ever (OFF); those that wait can still be read. */
  async suspendQueue(queue: RecipientQueue, options?: CommandOptions): Promise<void> {
    await this.#recipientCommand(queue, { type: "OFF" }, options);
  }

  /** Deletes the queue and its messages (DEL). */
  async deleteQueue(queue: RecipientQueue, options?: CommandOptions): Promise<void> {
    await this.#recipientCommand(queue, { type: "DEL" }, options);
    this.#inbox.drop(queue.recipientId);
  }

  /** Sends a message (SEND); resolves when the server has it. Throws `RangeError` when it is too long for a block. */
  async send(queue: SenderQueue, body: Uint8Array, options?: SendOptions): Promise<void> {
    const command: ClientCommand = { type: "SEND", body };
    const response = await this.#connection.request(
      { queueId: queue.senderId, command, key: queue.senderKey, isLent: options?.isLent },
      options,
    );
    if (response.type !== "OK") throw unexpected(command, response);
  }

  /** Asks the server for a sign of life (PING). */
  async ping(options?: CommandOptions): Promise<void> {
    const command: ClientCommand = { type: "PING" };
    const response = await this.#connection.request({ queueId: "", command }, options);
    if (response.type !== "PONG") throw unexpected(command, response);
  }

  /**
   * Messages and ends of subscriptions, as they come: of `queue`, ending after END; or of all queues that have no
   * iterator of their own. Ends when the client is closed; throws {@linkcode TransportError} when the connection fails.
   * What is not acknowledged is delivered again to the next subscriber, so nothing is lost by not reading it.
   */
  events(queue?: Pick<RecipientQueue, "recipientId">): AsyncGenerator<QueueEvent, void, void> {
    return queue === undefined ? this.#inbox.all() : this.#inbox.of(queue.recipientId);
  }

  /** Closes the connection: commands in flight reject, iterators end. Resolves when the system has released it. */
  close(): Promise<void> {
    return this.#connection.close(closedError());
  }

  /** Closes the connection. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #recipientCommand(
    queue: RecipientQueue,
    command: ClientCommand,
    options?: CommandOptions,
    told?: Pick<CommandToSend, "answered" | "written">,
  ): Promise<void> {
    const { recipientId, recipientKey } = queue;
    const response = await this.#connection.request(
      { queueId: recipientId, command, key: recipientKey, ...told },
      options,
    );
    const mayBeMessage = command.type === "SUB" || command.type === "SUBN" || command.type === "ACK";
    if (response.type !== "OK" && !(mayBeMessage && response.type === "MSG")) {
      throw unexpected(command, response);
    }
  }

  /** extensions.md pass1. */
  async #showPassword(password: string): Promise<void> {
    const proof = await passwordProof(password, this.#connection.binding);
    const command: ClientCommand = { type: "PASS", proof };
    const response = await this.#connection.request({ queueId: "", command });
    if (response.type === "OK") return;
    const explanation = response.type === "ERR" ? passRefusals.get(response.error) : undefined;
    if (response.type !== "ERR" || explanation === undefined) throw unexpected(command, response);
    throw new SmpError(response.error, explanation);
  }

  /** What a server is asked for; `null`: what all have. */
  #usableWindow(window: number | undefined): number | null {
    if (window === undefined) return null;
    if (!Number.isInteger(window) || window < 1 || window > largestWindow) {
      throw new RangeError(`Cannot use window: ${window} is not a whole number from 1 to ${largestWindow}`);
    }
    return this.extensions.includes("window1") ? window : null;
  }

  #notified(recipientId: string, response: ServerResponse): void {
    if (response.type === "MSG") {
      const { messageId, timestamp, body } = response;
      const event = {
        type: "MSG",
        recipientId,
        messageId,
        timestamp,
        body,
        sequence: this.#sequence,
      } as const;
      if (!this.#inbox.put(event)) this.#connection.close(overfilled());
    } else if (response.type === "END") {
      this.#inbox.put({ type: "END", recipientId, sequence: ++this.#sequence });
    }
  }
}

const passRefusals: ReadonlyMap<SmpErrorCode, string> = new Map([
  ["AUTH", "the password is not that of the server"],
  ["QUOTA", "wrong passwords have come from this address, try again later"],
]);

/** After `INTERNAL` a command may have been executed or not. */
function isRefused(error: unknown): boolean {
  return error instanceof SmpError && error.code !== "INTERNAL";
}

function overfilled(): TransportError {
  return new TransportError(
    "UNEXPECTED",
    "Cannot go on: the server has delivered more messages of a queue than its window takes",
  );
}

function unexpected(command: ClientCommand, response: ServerResponse): SmpError | TransportError {
  if (response.type === "ERR") return new SmpError(response.error);
  return new TransportError(
    "UNEXPECTED",
    `Cannot use the server's answer: ${response.type} does not answer ${command.type}`,
  );
}
