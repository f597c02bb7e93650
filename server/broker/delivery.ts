import { defaultBlockSize, type ServerResponse, type ServerTransmission } from "../../protocol/mod.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { MessageStore, PartitionMemory, StoredMessage } from "../store/store.ts";
import { fits } from "./answer.ts";
import { DeliveredBodies } from "./delivered_bodies.ts";
import type { CommandRunner, Reply } from "./command_runner.ts";
import { type BrokerConnection, type Rank, type Subscription, Subscriptions } from "./subscriptions.ts";

export interface DeliveryParts {
  readonly messages: MessageStore;
  readonly metrics: Metrics;
  readonly runner: CommandRunner;
  /** Of the ranks of subscriptions; higher than that of every broker before. */
  readonly epoch: number;
  readonly memory?: PartitionMemory | undefined;
  /** Milliseconds of a clock that does not go back. @default `performance.now` */
  readonly now?: () => number;
}

/** What is at the moment. */
export interface DeliveryCounts {
  readonly subscriptions: number;
  /** Those that may have more than one message unacknowledged. */
  readonly windows: number;
  /** Messages that are delivered and unacknowledged. */
  readonly delivered: number;
}

/** What waits until the peer of a connection has taken something. */
interface HeldBack {
  readonly queues: Set<string>;
  isResuming: boolean;
}

const noCorrId = new Uint8Array(0);
/** Above so many subscriptions they are looked through once a second: who asks without end must not take the server's time. */
const mostCounted = 10_000, countInterval = 1_000;

/**
 * Gives the messages of queues to the connections that subscribe to them: one at a time (smp.md Queues and delivery), or
 * as many as their windows take (extensions.md window1).
 */
export class Delivery {
  readonly #messages: MessageStore;
  readonly #metrics: Metrics;
  readonly #runner: CommandRunner;
  readonly #subscriptions: Subscriptions;
  readonly #memory: PartitionMemory | undefined;
  /** `null`: the store may use bodies of messages that were removed. */
  readonly #bodies: DeliveredBodies | null;
  readonly #blockSizes = new Map<string, number>();
  /** The ID of the message that is being stored, by recipient ID. */
  readonly #arriving = new Map<string, string>();
  readonly #heldBack = new Map<BrokerConnection, HeldBack>();
  readonly #now: () => number;
  #counted: Omit<DeliveryCounts, "subscriptions"> = { windows: 0, delivered: 0 };
  #countedAt = -Infinity;

  constructor({ messages, metrics, runner, epoch, memory, now = () => performance.now() }: DeliveryParts) {
    this.#now = now;
    this.#memory = memory;
    this.#messages = messages;
    this.#bodies = messages.releasesBodies === true ? new DeliveredBodies() : null;
    this.#metrics = metrics;
    this.#runner = runner;
    this.#subscriptions = new Subscriptions(epoch);
  }

  get counts(): DeliveryCounts {
    const { size } = this.#subscriptions, now = this.#now();
    if (size <= mostCounted || now - this.#countedAt >= countInterval) {
      this.#counted = this.#count();
      this.#countedAt = now;
    }
    return { subscriptions: size, ...this.#counted };
  }

  isSubscribed(connection: BrokerConnection): boolean {
    return this.#subscriptions.has(connection);
  }

  subscription(recipientId: string): Subscription | undefined {
    return this.#subscriptions.get(recipientId);
  }

  /** The former subscriber gets END and nothing more. */
  subscribe(
    recipientId: string,
    connection: BrokerConnection,
    window: number | null = null,
    rank?: Rank,
  ): Subscription {
    const former = this.#subscriptions.get(recipientId)?.connection;
    const subscription = this.#subscriptions.set(recipientId, connection, window, rank);
    this.#bodies?.subscribed(recipientId);
    if (former !== undefined && former !== connection && !connection.closed) {
      former.notify({ corrId: noCorrId, queueId: recipientId, response: { type: "END" } });
    }
    return subscription;
  }

  disconnect(connection: BrokerConnection): void {
    this.#subscriptions.disconnect(connection);
    this.#bodies?.disconnect(connection);
    this.#heldBack.delete(connection);
  }

  /** Pushes what was held back because so much waited for the peer of a connection, as far as it takes it now. */
  resume(connection: BrokerConnection): void {
    const heldBack = this.#heldBack.get(connection);
    if (heldBack !== undefined && !heldBack.isResuming) void this.#resume(connection, heldBack);
  }

  async #resume(connection: BrokerConnection, heldBack: HeldBack): Promise<void> {
    heldBack.isResuming = true;
    for (const recipientId of heldBack.queues) {
      if (connection.isFull || connection.closed) break;
      heldBack.queues.delete(recipientId);
      await this.#runner.continue(recipientId, () => this.push(recipientId));
    }
    heldBack.isResuming = false;
    if (heldBack.queues.size === 0) this.#heldBack.delete(connection);
  }

  delete(recipientId: string): void {
    this.#subscriptions.get(recipientId)?.connection.ended?.(recipientId);
    this.#subscriptions.delete(recipientId);
    this.#bodies?.delete(recipientId);
    this.#blockSizes.delete(recipientId);
  }

  /** A message is being stored: it is not there until {@linkcode arrived}, whatever the store says. */
  arrives(recipientId: string, messageId: string): void {
    this.#arriving.set(recipientId, messageId);
  }

  arrived(recipientId: string): void {
    this.#arriving.delete(recipientId);
  }

  isArriving(recipientId: string): boolean {
    return this.#arriving.has(recipientId);
  }

  /** Resolves when also the next broker will know it; `null`: there is nothing to wait for. */
  rememberBlockSize(recipientId: string, { blockSize }: BrokerConnection): Promise<void> | null {
    if (this.#memory !== undefined) return this.#memory.rememberBlockSize(recipientId, blockSize);
    if (blockSize === defaultBlockSize) this.#blockSizes.delete(recipientId);
    else this.#blockSizes.set(recipientId, blockSize);
    return null;
  }

  fits(recipientId: string, message: StoredMessage): boolean {
    const known = this.#memory?.blockSize(recipientId) ?? this.#blockSizes.get(recipientId);
    return fits(pushed(recipientId, message), known ?? defaultBlockSize);
  }

  /**
   * The oldest message behind those that are delivered, or of all when none is. Drops those that do not fit the blocks of
   * the connection.
   */
  async next(
    recipientId: string,
    { blockSize }: BrokerConnection,
    delivered: readonly string[] = [],
  ): Promise<StoredMessage | null> {
    let last = delivered.at(-1);
    for (;;) {
      const message = await (last === undefined
        ? this.#messages.first(recipientId)
        : this.#messages.next(recipientId, last));
      if (message === undefined || message.id === this.#arriving.get(recipientId)) {
        return null;
      }
      if (delivered.includes(message.id)) {
        // Acknowledged with one that is gone, but could not be removed.
        last = message.id;
        continue;
      }
      if (fits(pushed(recipientId, message), blockSize)) {
        return message;
      }
      // smp.md Size of a message: it never blocks the queue
      await this.#messages.remove(recipientId, message.id);
      this.#metrics.messagesDropped++;
    }
  }

  answer({ delivered }: Subscription, message: StoredMessage | null, reply: Reply): void {
    if (message === null) return reply({ type: "OK" });
    delivered.push(message.id);
    this.#metrics.messagesDelivered++;
    reply(messageResponse(message));
  }

  /**
   * Removes messages that were delivered, the first `count`; they stay in `delivered`, so that the client can acknowledge
   * them again when this fails in the middle.
   */
  async remove(recipientId: string, { delivered }: Subscription, count: number): Promise<void> {
    const acknowledged = delivered.slice(0, count);
    const removals = acknowledged.map((id) => this.#messages.remove(recipientId, id));
    const failed = (await Promise.allSettled(removals)).find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
    this.#bodies?.acknowledged(recipientId, acknowledged);
  }

  /** Delivers what the subscriber's window has room for. `since`: when a message came that may be among it. */
  async push(recipientId: string, since?: number): Promise<void> {
    const subscription = this.#subscriptions.get(recipientId);
    if (subscription === undefined) return;
    const { connection, window, delivered } = subscription;
    while (delivered.length < (window ?? 1) && !connection.closed) {
      if (connection.isFull) return this.#holdBack(recipientId, connection);
      const message = await this.next(recipientId, connection, delivered);
      if (message === null) return;
      delivered.push(message.id);
      this.#metrics.messagesDelivered++;
      const written = this.#bodies?.pushed(recipientId, connection, message);
      connection.notify(pushed(recipientId, message), since, written);
    }
  }

  #count(): Omit<DeliveryCounts, "subscriptions"> {
    let windows = 0, delivered = 0;
    for (const subscription of this.#subscriptions) {
      if (subscription.window !== null) windows++;
      delivered += subscription.delivered.length;
    }
    return { windows, delivered };
  }

  #holdBack(recipientId: string, connection: BrokerConnection): void {
    const heldBack = this.#heldBack.get(connection);
    if (heldBack !== undefined) heldBack.queues.add(recipientId);
    else this.#heldBack.set(connection, { queues: new Set([recipientId]), isResuming: false });
  }
}

function messageResponse({ id, timestamp, body }: StoredMessage): ServerResponse {
  return { type: "MSG", messageId: id, timestamp, body };
}

function pushed(recipientId: string, message: StoredMessage): ServerTransmission {
  return { corrId: noCorrId, queueId: recipientId, response: messageResponse(message) };
}
