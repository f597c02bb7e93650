import type { MessageStore, QueueStore } from "../store/store.ts";
import type { CommandRunner } from "./command_runner.ts";
import type { Delivery } from "./delivery.ts";
import type { OpenedQueues } from "./opened_queues.ts";
import { type BrokerConnection, isLater, type KnownSubscription, type Rank } from "./subscriptions.ts";

/** What another process tells with a command of one of its sessions. */
export interface Forwarded {
  /** 16 bytes that no other command has; a command that is given again after a link was lost has the same. */
  readonly commandId: Uint8Array<ArrayBuffer>;
  /** With ACK: the ID of the message that the client has, if it has one; with SEND: the ID that the message gets. */
  readonly messageId: string | null;
  /** It may have been executed before. */
  readonly isRepeated: boolean;
}

/**
 * What an owner gives a connection back without a signature, as it, or the owner before it, has accepted the command:
 * a connection whose link was lost comes again as another object.
 */
export interface Restoring {
  /** The rank of the subscription of a connection; `null`: it has none. */
  rankOf(connection: BrokerConnection, recipientId: string): Rank | null;
  /**
   * Subscribes, unless there is a later subscription: then the connection gets END. What was delivered and is gone or
   * still first counts as delivered, the rest of the window is pushed. Resolves when it has its place in the order of the queue;
   * `connection.ended` follows when the queue is gone.
   */
  subscribe(connection: BrokerConnection, subscription: KnownSubscription): Promise<void>;
  /** Opens a queue ID with the key that belongs to it. Resolves when it is opened, or after `connection.ended`. */
  open(connection: BrokerConnection, queueId: string): Promise<void>;
}

export interface RestoringParts {
  readonly queues: QueueStore;
  readonly messages: MessageStore;
  readonly delivery: Delivery;
  readonly opened: OpenedQueues;
  readonly runner: CommandRunner;
}

/** Gives connections back what they had at the broker of this process or the one before it. */
export class RestoredConnections implements Restoring {
  readonly #parts: RestoringParts;

  constructor(parts: RestoringParts) {
    this.#parts = parts;
  }

  rankOf(connection: BrokerConnection, recipientId: string): Rank | null {
    const subscription = this.#parts.delivery.subscription(recipientId);
    return subscription?.connection === connection ? subscription.rank : null;
  }

  subscribe(connection: BrokerConnection, known: KnownSubscription): Promise<void> {
    void this.#parts.runner.continue(known.recipientId, () => this.#subscribe(connection, known));
    return Promise.resolve();
  }

  async open(connection: BrokerConnection, queueId: string): Promise<void> {
    const { queues, opened, runner } = this.#parts;
    const sent = await queues.bySenderId(queueId);
    const recipientId = sent?.recipientId ?? queueId;
    await runner.continue(recipientId, async () => {
      const queue = await queues.byRecipientId(recipientId);
      const key = sent === undefined ? queue?.recipientKey : queue?.senderKey;
      if (key === undefined || key === null) connection.ended?.(queueId);
      // What was accepted once was within the limit.
      else opened.add(connection, queueId, { key, most: Infinity });
    });
  }

  async #subscribe(connection: BrokerConnection, known: KnownSubscription): Promise<void> {
    const { queues, messages, delivery } = this.#parts;
    const { recipientId, window, rank } = known;
    if (await queues.byRecipientId(recipientId) === undefined) return connection.ended?.(recipientId);
    const other = delivery.subscription(recipientId);
    if (other !== undefined && isLater(other.rank, rank)) {
      return connection.notify({ corrId: noCorrId, queueId: recipientId, response: { type: "END" } });
    }
    let last: string | undefined;
    let message = await messages.first(recipientId);
    while (message !== undefined && known.delivered.includes(message.id)) {
      last = message.id;
      message = await messages.next(recipientId, last);
    }
    // Those that are gone have an ACK whose answer was lost: until it comes again the client's window is as full as it was.
    const count = last === undefined ? known.delivered.length : known.delivered.indexOf(last) + 1;
    const delivered = known.delivered.slice(0, count);
    await delivery.rememberBlockSize(recipientId, connection);
    delivery.subscribe(recipientId, connection, window, rank).delivered.push(...delivered);
    await delivery.push(recipientId);
  }
}

const noCorrId = new Uint8Array(0);
