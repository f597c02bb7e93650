import { defaultBlockSize, type ServerResponse, type ServerTransmission } from "../../protocol/mod.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { MessageStore, StoredMessage } from "../store/store.ts";
import { fits } from "./answer.ts";
import type { Reply } from "./command_runner.ts";
import { type BrokerConnection, type Subscription, Subscriptions } from "./subscriptions.ts";

const noCorrId = new Uint8Array(0);

/**
 * Gives the messages of queues to the connections that subscribe to them: one at a time (smp.md Queues and delivery), or
 * as many as their windows take (extensions.md window1).
 */
export class Delivery {
  readonly #messages: MessageStore;
  readonly #metrics: Metrics;
  readonly #subscriptions = new Subscriptions();
  readonly #blockSizes = new Map<string, number>();

  constructor(messages: MessageStore, metrics: Metrics) {
    this.#messages = messages;
    this.#metrics = metrics;
  }

  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  isSubscribed(connection: BrokerConnection): boolean {
    return this.#subscriptions.has(connection);
  }

  subscription(recipientId: string): Subscription | undefined {
    return this.#subscriptions.get(recipientId);
  }

  /** The former subscriber gets END and nothing more. */
  subscribe(recipientId: string, connection: BrokerConnection, window: number | null = null): Subscription {
    const former = this.#subscriptions.get(recipientId)?.connection;
    const subscription = this.#subscriptions.set(recipientId, connection, window);
    if (former !== undefined && former !== connection && !connection.closed) {
      former.notify({ corrId: noCorrId, queueId: recipientId, response: { type: "END" } });
    }
    return subscription;
  }

  disconnect(connection: BrokerConnection): void {
    this.#subscriptions.disconnect(connection);
  }

  delete(recipientId: string): void {
    this.#subscriptions.delete(recipientId);
    this.#blockSizes.delete(recipientId);
  }

  rememberBlockSize(recipientId: string, { blockSize }: BrokerConnection): void {
    if (blockSize === defaultBlockSize) this.#blockSizes.delete(recipientId);
    else this.#blockSizes.set(recipientId, blockSize);
  }

  fits(recipientId: string, message: StoredMessage): boolean {
    return fits(pushed(recipientId, message), this.#blockSizes.get(recipientId) ?? defaultBlockSize);
  }

  /**
   * The oldest message that is not delivered to a subscription, or of all when there is none. Drops those that do not fit
   * the blocks of the connection.
   */
  async next(
    recipientId: string,
    { blockSize }: BrokerConnection,
    delivered: readonly string[] = [],
  ): Promise<StoredMessage | null> {
    const last = delivered.at(-1);
    for (;;) {
      const message = await (last === undefined
        ? this.#messages.first(recipientId)
        : this.#messages.next(recipientId, last));
      if (message === undefined) {
        return null;
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

  /** Removes messages that were delivered, the first `count`; they stay in `delivered`. */
  async remove(recipientId: string, { delivered }: Subscription, count: number): Promise<void> {
    await Promise.all(delivered.slice(0, count).map((id) => this.#messages.remove(recipientId, id)));
  }

  /** Delivers what the subscriber's window has room for. `since`: when a message came that may be among it. */
  async push(recipientId: string, since?: number): Promise<void> {
    const subscription = this.#subscriptions.get(recipientId);
    if (subscription === undefined) return;
    const { connection, window, delivered } = subscription;
    while (delivered.length < (window ?? 1)) {
      const message = await this.next(recipientId, connection, delivered);
      if (message === null) return;
      delivered.push(message.id);
      this.#metrics.messagesDelivered++;
      connection.notify(pushed(recipientId, message), since);
    }
  }
}

function messageResponse({ id, timestamp, body }: StoredMessage): ServerResponse {
  return { type: "MSG", messageId: id, timestamp, body };
}

function pushed(recipientId: string, message: StoredMessage): ServerTransmission {
  return { corrId: noCorrId, queueId: recipientId, response: messageResponse(message) };
}
