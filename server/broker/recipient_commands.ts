import { type ClientCommand, equalBytes, isKeySize, type PublicKey } from "../../protocol/mod.ts";
import type { UnsecuredReserve } from "../guard/unsecured_reserve.ts";
import type { WaitingShares } from "../guard/waiting_shares.ts";
import type { MessageStore, Origin, QueueRecord, QueueStore } from "../store/store.ts";
import type { Clock } from "./clock.ts";
import { type CommandRunner, failure, type Reply } from "./command_runner.ts";
import type { Delivery } from "./delivery.ts";
import type { Forwarded } from "./restoring.ts";
import { trimRoom } from "./message_room.ts";
import type { OpenedQueues } from "./opened_queues.ts";
import type { Place } from "./paired_serial.ts";
import type { BrokerConnection } from "./subscriptions.ts";

export type RecipientCommand = Exclude<
  ClientCommand,
  { type: "NEW" | "PING" | "SEND" | "OPEN" | "PASS" | "REKEY" }
>;

export interface RecipientParts {
  readonly queues: QueueStore;
  readonly messages: MessageStore;
  readonly delivery: Delivery;
  readonly opened: OpenedQueues;
  readonly runner: CommandRunner;
  readonly reserve: UnsecuredReserve;
  readonly shares: WaitingShares;
  readonly clock: Clock;
}

interface Asked {
  readonly queue: QueueRecord;
  readonly connection: BrokerConnection;
  readonly reply: Reply;
  readonly place: Place;
  readonly forwarded: Forwarded | undefined;
  readonly origin: Origin | undefined;
}

/** What a queue's recipient can do with it, once it is known to be its recipient (smp.md Commands). */
export class RecipientCommands {
  readonly #parts: RecipientParts;

  constructor(parts: RecipientParts) {
    this.#parts = parts;
  }

  async execute(command: RecipientCommand, asked: Asked): Promise<void> {
    const { queue, reply, origin } = asked;
    const remembering = this.#parts.delivery.rememberBlockSize(queue.recipientId, asked.connection);
    if (remembering !== null) await remembering;
    switch (command.type) {
      case "SUB":
        return await this.#subscribe(asked, null);
      case "SUBN":
        return await this.#subscribe(asked, command.window);
      case "KEY":
        return await this.#secure(asked, command.senderKey);
      case "ACK":
        return await this.#acknowledge(asked, null);
      case "ACKM":
        return await this.#acknowledge(asked, command.messageId);
      case "OFF":
        if (!queue.suspended) {
          await this.#parts.queues.suspend(queue.recipientId, this.#parts.clock.stamp(), origin);
        }
        return reply({ type: "OK" });
      case "DEL":
        await this.remove(queue, origin);
        return reply({ type: "OK" });
      default:
        return command satisfies never;
    }
  }

  /** Removes a queue with all that belongs to it. */
  async remove({ recipientId, senderId }: QueueRecord, origin?: Origin): Promise<void> {
    const { queues, messages, delivery, opened, runner, reserve, shares } = this.#parts;
    runner.order.link(recipientId, senderId);
    // In this order: if the second fails, the client can give the command again.
    await messages.deleteQueue(recipientId);
    shares.trim(recipientId, 0);
    await queues.delete(recipientId, origin);
    delivery.delete(recipientId);
    reserve.delete(recipientId);
    for (const queueId of [recipientId, senderId]) opened.delete(queueId);
  }

  async #subscribe({ queue, connection, reply }: Asked, window: number | null): Promise<void> {
    const { delivery } = this.#parts;
    const { recipientId } = queue;
    const next = await delivery.next(recipientId, connection);
    delivery.answer(delivery.subscribe(recipientId, connection, window), next, reply);
    if (window !== null) await delivery.push(recipientId);
  }

  async #secure({ queue, reply, forwarded, origin }: Asked, senderKey: PublicKey): Promise<void> {
    if (!isKeySize(senderKey.bits)) return reply(failure("CMD KEY_SIZE"));
    if (queue.senderKey !== null) {
      const isDone = forwarded?.isRepeated === true && equalBytes(queue.senderKey.der, senderKey.der);
      return reply(isDone ? { type: "OK" } : failure("AUTH"));
    }
    await this.#parts.queues.secure(queue.recipientId, senderKey, origin);
    this.#parts.reserve.delete(queue.recipientId);
    reply({ type: "OK" });
  }

  /** `messageId`: the last message that is acknowledged; `null`: the oldest one that was delivered. */
  async #acknowledge(
    { queue, connection, reply, place, forwarded }: Asked,
    messageId: string | null,
  ): Promise<void> {
    const { messages, delivery } = this.#parts;
    const { recipientId } = queue;
    if (place.isBeside) {
      const subscription = delivery.subscription(recipientId);
      const isDelivered = subscription?.connection === connection &&
        acknowledgedBy(messageId, subscription.delivered) > 0;
      // A message that is being stored may be the next that is delivered.
      if (!isDelivered) await place.alone();
    }
    const subscription = delivery.subscription(recipientId);
    if (subscription?.connection !== connection) return reply(failure("NO_MSG"));
    const { delivered, window } = subscription;
    // It was executed before its answer was lost: what it does is done, what it answers is not.
    const isDone = forwarded?.isRepeated === true && isGone(messageId ?? forwarded.messageId, delivered);
    const acknowledged = isDone ? 0 : acknowledgedBy(messageId, delivered);
    if (acknowledged === 0 && !isDone) return reply(failure("NO_MSG"));
    await place.store(() => delivery.remove(recipientId, subscription, acknowledged));
    const count = await messages.count(recipientId);
    if (!delivery.isArriving(recipientId)) trimRoom(this.#parts, queue, count);
    if (messageId === null && window === null && delivered.length === acknowledged) {
      const next = await delivery.next(recipientId, connection);
      delivered.splice(0, acknowledged);
      return delivery.answer(subscription, next, reply);
    }
    delivered.splice(0, acknowledged);
    reply({ type: "OK" });
    await delivery.push(recipientId);
  }
}

/** How many of the messages that were delivered, the first ones. */
function acknowledgedBy(messageId: string | null, delivered: readonly string[]): number {
  return messageId === null ? Math.min(1, delivered.length) : delivered.indexOf(messageId) + 1;
}

function isGone(messageId: string | null, delivered: readonly string[]): boolean {
  return messageId !== null && !delivered.includes(messageId);
}
