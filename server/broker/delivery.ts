import { defaultBlockSize, type ServerResponse, type ServerTransmission } from "../../protocol/mod.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { MessageStore, StoredMessage } from "../store/store.ts";
import { fits } from "./answer.ts";
import type { Reply } from "./command_runner.ts";
import { type BrokerConnection, type Subscription, Subscriptions } from "./subscriptions.ts";

const noCorrId = new Uint8Array(0);

/** Gives the messages of queues to the connections that subscribe to them, one at a time (smp.md Queues and delivery). */
export class Delivery {
  readonly #messages: MessageStore;
  readonly #metrics: Metrics;
  readonly #subscriptions = new Subscriptions();
  /** The block sizes that recipients last used, where they are not the default. */
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

  /** Subscribes a connection; the former one gets END and nothing more. */
  subscribe(recipientId: string, connection: BrokerConnection): Subscription {
    const former = this.#subscriptions.get(recipientId)?.connection;
    const subscription = this.#subscriptions.set(recipientId, connection);
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

  /** Whether a message fits the blocks that the queue's recipient last used. */
  fits(recipientId: string, message: StoredMessage): boolean {
    return fits(pushed(recipientId, message), this.#blockSizes.get(recipientId) ?? defaultBlockSize);
  }

  /** The oldest message of a queue that fits the blocks of a connection; older ones are dropped. */
  async next(recipientId: string, { blockSize }: BrokerConnection): Promise<StoredMessage | null> {
    for (;;) {
      const message = await this.#messages.first(recipientId);
      if (message === undefined) return null;
      if (fits(pushed(recipientId, message), blockSize)) return message;
      // smp.md Size of a message: it never blocks the queue
      await this.#messages.remove(recipientId, message.id);
      this.#metrics.messagesDropped++;
    }
  }

  /** Answers a subscriber with the next message, with OK when there is none. */
  answer(subscription: Subscription, message: StoredMessage | null, reply: Reply): void {
    subscription.delivered = message?.id ?? null;
    if (message !== null) this.#metrics.messagesDelivered++;
    reply(message === null ? { type: "OK" } : messageResponse(message));
  }

  /** Gives the next message to the subscriber, if there is one that has nothing to acknowledge; `since` is when it came. */
  async push(recipientId: string, since: number): Promise<void> {
    const subscription = this.#subscriptions.get(recipientId);
    if (subscription === undefined || subscription.delivered !== null) return;
    const message = await this.next(recipientId, subscription.connection);
    if (message === null) return;
    subscription.delivered = message.id;
    this.#metrics.messagesDelivered++;
    subscription.connection.notify(pushed(recipientId, message), since);
  }
}

function messageResponse({ id, timestamp, body }: StoredMessage): ServerResponse {
  return { type: "MSG", messageId: id, timestamp, body };
}

/** A message as it is pushed: with an empty corrId. */
function pushed(recipientId: string, message: StoredMessage): ServerTransmission {
  return { corrId: noCorrId, queueId: recipientId, response: messageResponse(message) };
}
