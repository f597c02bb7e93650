import type { SmpClient } from "../../client/mod.ts";
import {
  equalBytes,
  formatAddress,
  sealPacket,
  SmpError,
  splitMessage,
  TransportError,
} from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import type { AtOutbound } from "../core/connections.ts";
import { AgentError } from "../protocol/error.ts";
import { hasNumber } from "../session/number_set.ts";
import type { FrameRecord } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { type EncryptedReceipt, nextFrames } from "./frames.ts";
import type { Interpreter } from "./interpreter.ts";

/** Packets of a batch that are on their way at a time; after one that failed the first goes alone. */
const inFlight = 16;

/** Milliseconds between two repetitions of frames that may be lost. */
const repeatInterval = 10_000;

/** How often the same frame goes again because its connection was lost: to a side that is away, no more copies. */
const mostLosses = 3;

interface SendOutcome {
  /** How many of the messages the server has, from the first. */
  readonly count: number;
  readonly failure: { readonly error: unknown } | null;
}

/** Sends the frames of a session by one outbound route, in order, and the receipts. */
export class PacketSender {
  readonly #id: string;
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  #work: Promise<void> | null = null;
  #isWoken = false;
  /** The last one that was not sent, and who is told when it is. */
  #receipt: { readonly receipt: EncryptedReceipt; readonly taken: () => void } | null = null;
  /** What is sent again lies after this number; `null`: nothing is. */
  #repeatAfter: number | null = null;
  #repeatedAt = -Infinity;
  #later: ReturnType<typeof setTimeout> | undefined;
  /** The message of which not all packets could be sent last, how many the server has, and how often it lost its connection. */
  #begun:
    | { readonly message: Uint8Array<ArrayBuffer>; readonly sent: number; readonly losses: number }
    | null = null;
  /** The connection that packets went by last. */
  #client: SmpClient | null = null;
  /** The last frame that had gone when a connection was lost, and how many were since it has. */
  #losses = { number: 0, count: 0 };
  /** Whether the last try that failed brought the server something new. */
  #hasAdvanced = false;
  readonly #pause = new Pause();
  #isClosed = false;

  /** Sends nothing yet for the outbound route with this ID. */
  constructor(id: string, context: AgentContext, interpreter: Interpreter) {
    this.#id = id;
    this.#context = context;
    this.#interpreter = interpreter;
  }

  /** There is something new to send. */
  wake(): void {
    if (this.#isClosed) return;
    this.#isWoken = true;
    this.#work ??= this.#sendAll();
  }

  /** Sends a receipt, instead of one that could not be sent; `taken` is called when the server has taken it. */
  sendReceipt(receipt: EncryptedReceipt, taken: () => void): void {
    this.#receipt = { receipt, taken };
    this.wake();
  }

  /** Sends again what went by this route and is not receipted; later, if that was done a short time ago. */
  repeat(): void {
    const at = this.#context.connections.outbound(this.#id);
    if (at === undefined || this.#isClosed) return;
    const early = this.#repeatedAt + repeatInterval - performance.now();
    if (early > 0) {
      this.#later ??= setTimeout(() => this.#repeatLater(), early);
      return;
    }
    this.#repeatedAt = performance.now();
    this.#repeatAfter = at.connection.session?.receipted.upTo ?? null;
    this.wake();
  }

  #repeatLater(): void {
    this.#later = undefined;
    const session = this.#context.connections.outbound(this.#id)?.connection.session;
    if ((session?.receipted.ranges.length ?? 0) > 0) this.repeat();
  }

  /** What waits for another try is tried at once. */
  hurry(): void {
    this.#pause.end();
  }

  /** Stops when what is on its way has come or failed; what was not sent stays in the store. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#later);
    this.#pause.end();
    await this.#work;
  }

  /**
   * A server whose connection is lost may have been killed, and have lost what it had taken: the last frame goes again, and
   * when it comes the other side sees what is missing before it.
   */
  #watch(client: SmpClient): void {
    if (this.#client === client) return;
    this.#client = client;
    void client.closed.then(({ code }) => {
      if (this.#client !== client) return;
      this.#client = null;
      if (code !== "CLOSED") this.#repeatLast();
    });
  }

  #repeatLast(): void {
    const at = this.#context.connections.outbound(this.#id);
    const receipted = at?.connection.session?.receipted;
    if (at === undefined || receipted === undefined || this.#isClosed) return;
    const { cursor } = at.route;
    if (receipted.upTo >= cursor) return;
    const count = this.#losses.number === cursor ? this.#losses.count + 1 : 1;
    if (count > mostLosses) return;
    this.#losses = { number: cursor, count };
    this.#repeatAfter ??= hasNumber(receipted, cursor) ? receipted.upTo : cursor - 1;
    this.wake();
  }

  async #sendAll(): Promise<void> {
    const { connections, retry } = this.#context;
    for (let failures = 0; this.#isWoken && !this.#isClosed;) {
      this.#isWoken = false;
      this.#hasAdvanced = false;
      try {
        while (!this.#isClosed && await this.#sendNext()) failures = 0;
      } catch (error) {
        const at = connections.outbound(this.#id);
        if (at === undefined || this.#isClosed) break;
        this.#isWoken = true;
        // A full queue that is being read is not waited for longer each time.
        if (this.#hasAdvanced && isPassing(error)) failures = 0;
        // Of a queue that is gone, the end of the connection may be on its way.
        if (!isPassing(error) && failures === (isGone(error) ? 1 : 0)) {
          this.#context.failed(at.connection.record.id, reasonOf(error, at));
        }
        await this.#pause.wait(backoffDelay(retry, ++failures));
      }
    }
    // In the same turn as the last look: what comes from now on begins anew.
    this.#work = null;
  }

  /** Sends what comes next; `false` when there is nothing. */
  async #sendNext(): Promise<boolean> {
    const at = this.#context.connections.outbound(this.#id);
    if (at === undefined) return false;
    return await this.#sendReceipt(at) || await this.#sendAgain(at) || await this.#sendFrames(at);
  }

  async #sendReceipt(at: AtOutbound): Promise<boolean> {
    const waiting = this.#receipt;
    if (waiting === null) return false;
    const { receipt, taken } = waiting;
    const { failure } = await this.#send(at, [receipt.message]);
    if (failure !== null) throw failure.error;
    if (this.#receipt?.receipt === receipt) this.#receipt = null;
    const event = { type: "receipt sent", route: this.#id, told: receipt.told } as const;
    await this.#interpreter.do(at.connection.record.id, event, { isTogether: true });
    taken();
    return true;
  }

  async #sendAgain(at: AtOutbound): Promise<boolean> {
    const after = this.#repeatAfter;
    if (after === null) return false;
    // What has never gone by this route goes next, and once.
    const frames = (await this.#frames(at, after)).filter(({ number }) => number <= at.route.cursor);
    if (frames.length === 0) {
      this.#repeatAfter = null;
      return false;
    }
    const { failure } = await this.#send(at, frames.map(({ message }) => message));
    if (failure !== null) {
      // The next try begins with the same frames.
      this.#hasAdvanced = false;
      throw failure.error;
    }
    this.#repeatAfter = frames.at(-1)!.number;
    if (this.#repeatAfter >= at.route.cursor) this.#repeatAfter = null;
    return true;
  }

  async #sendFrames(at: AtOutbound): Promise<boolean> {
    const { connection: { record, session }, route: { cursor } } = at;
    const code = session?.keys.safetyCode ?? null;
    const frames = await this.#frames(at, cursor);
    if (frames.length === 0) return false;
    const { count, failure } = await this.#send(at, frames.map(({ message }) => message));
    const last = frames[count - 1];
    if (last !== undefined) {
      const sent = frames.slice(0, count);
      const event = { type: "frames sent", route: this.#id, cursor: last.number, frames: sent } as const;
      await this.#interpreter.do(record.id, { ...event, session: code }, { isTogether: true });
    }
    if (failure !== null) throw failure.error;
    return true;
  }

  /** The next frames after a number that are encrypted and not receipted. */
  async #frames({ connection: { record, session } }: AtOutbound, after: number): Promise<FrameRecord[]> {
    if (session === null) return [];
    const { receipted, lastEncrypted } = session;
    const from = Math.max(after, receipted.upTo);
    if (from >= lastEncrypted) return [];
    const frames = await nextFrames(this.#context.store, record.id, { after: from });
    // Those after the last one that is encrypted may have a message of a session before.
    return frames.filter(({ number, message }) =>
      number <= lastEncrypted && message.length > 0 && !hasNumber(receipted, number)
    );
  }

  /** Sends messages in order, several packets at a time; none after one that failed, from which the next try goes on. */
  async #send(
    { route: { keys } }: AtOutbound,
    messages: readonly Uint8Array<ArrayBuffer>[],
  ): Promise<SendOutcome> {
    const client = await this.#context.servers.client(keys.server);
    this.#watch(client);
    const queue = { senderId: keys.senderId, senderKey: await this.#context.keys.signing(keys.senderKey) };
    /** The first packet that failed, by its message and its place there. */
    let failed: { readonly index: number; readonly at: number; readonly error: unknown } | null = null;
    const isFirst = (index: number, at: number) =>
      failed === null || index < failed.index || index === failed.index && at < failed.at;
    const onWay: Promise<void>[] = [];
    const begun = this.#begun;
    let width = begun === null ? inFlight : 1;
    for (const [index, message] of messages.entries()) {
      const packets = await splitMessage(message, keys.blockSize);
      const from = begun !== null && equalBytes(begun.message, message) ? begun.sent : 0;
      for (let at = from; at < packets.length && failed === null; at++) {
        const body = await sealPacket(packets[at]!, keys);
        onWay.push(
          client.send(queue, body).catch((error) => {
            if (isFirst(index, at)) failed = { index, at, error };
          }),
        );
        if (onWay.length >= width) await onWay.shift();
        width = inFlight;
      }
    }
    await Promise.all(onWay);
    if (failed === null) {
      this.#begun = null;
      return { count: messages.length, failure: null };
    }
    const { index, at, error } = failed as NonNullable<typeof failed>;
    const message = messages[index]!;
    const former = begun !== null && equalBytes(begun.message, message) ? begun : null;
    this.#hasAdvanced = index > 0 || at > (former?.sent ?? 0);
    const isLoss = isLost(error);
    const losses = (former?.losses ?? 0) + (isLoss ? 1 : 0);
    // The server may have lost its first packets, of which nothing would be seen before another message.
    this.#begun = { message, sent: isLoss && losses <= mostLosses ? 0 : at, losses };
    return { count: index, failure: { error } };
  }
}

/** Why nothing can be sent by a route; it can be by another one that the other agent tells of. */
function reasonOf(error: unknown, { route: { keys } }: AtOutbound): unknown {
  if (!isGone(error)) return error;
  const text = `The other agent's queue at ${
    formatAddress(keys.server)
  } is gone: what is sent waits for another one`;
  return new AgentError("SMP AUTH", text, { cause: error });
}

function isGone(error: unknown): boolean {
  return error instanceof SmpError && error.code === "AUTH";
}

/** Whether a failure is that of a connection. */
function isLost(error: unknown): boolean {
  return error instanceof TransportError;
}

/** Whether a failure is a matter of time, and told elsewhere. */
function isPassing(error: unknown): boolean {
  if (error instanceof TransportError) return true;
  if (error instanceof SmpError) return error.code === "QUOTA" || error.code === "INTERNAL";
  return error instanceof DOMException && error.name === "AbortError";
}
