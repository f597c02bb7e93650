import { encodeBase64, randomBytes } from "../../protocol/mod.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { MessageStore, Origin, QueueRecord } from "../store/store.ts";
import type { Access } from "./access.ts";
import type { Clock } from "./clock.ts";
import { failure, type Reply, type Submitted } from "./command_runner.ts";
import type { Delivery } from "./delivery.ts";
import { type RoomParts, takeRoom, trimRoom } from "./message_room.ts";
import type { Place } from "./paired_serial.ts";

const messageIdLength = 6;

export interface SendParts {
  readonly messages: MessageStore;
  readonly delivery: Delivery;
  readonly access: Access;
  readonly room: RoomParts;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

interface Asked {
  readonly body: Uint8Array;
  /** By `performance.now`. */
  readonly since: number;
  readonly origin: Origin | undefined;
  readonly reply: Reply;
  readonly place: Place;
}

/** Stores a message in a queue, answers when that is done, and delivers it (smp.md Queues and delivery). */
export async function send(
  { messages, delivery, access, room: roomParts, clock, metrics }: SendParts,
  { queue, submitted }: { readonly queue: QueueRecord; readonly submitted: Submitted },
  { body, since, origin, reply, place }: Asked,
): Promise<void> {
  if (!await access.maySend(queue, submitted)) {
    await place.alone();
    return reply(failure("AUTH"));
  }
  const { recipientId } = queue;
  const { connection, forwarded } = submitted;
  const id = forwarded?.messageId ?? encodeBase64(randomBytes(messageIdLength));
  if (forwarded?.isRepeated === true) {
    await place.alone();
    // It was stored before the link of its sender was lost, with this broker or the one before it.
    if (await hasMessage(messages, recipientId, id)) return reply({ type: "OK" });
  }
  const message = { id, timestamp: new Date(clock.stamp()), body };
  if (!delivery.fits(recipientId, message)) {
    await place.alone();
    return reply(failure("SIZE"));
  }
  const { isBeside } = place;
  delivery.arrives(recipientId, id);
  try {
    const take = (count: number) => takeRoom(roomParts, queue, { connection, length: body.length, count });
    const count = await messages.count(recipientId);
    // What is being acknowledged may make room: no place of the reserve is taken before that is known.
    let room = place.isBeside && count >= roomParts.limits().messagesPerQueue ? "quota" : take(count);
    if (typeof room === "string" && place.isBeside) {
      await place.alone();
      room = take(await messages.count(recipientId));
    }
    if (typeof room === "string") {
      metrics.refuse(room);
      return reply(failure("QUOTA"));
    }
    try {
      await place.store(() => messages.append(recipientId, message, origin));
    } catch (error) {
      room();
      throw error;
    }
  } finally {
    delivery.arrived(recipientId);
    // An ACK beside it has left that to this.
    if (isBeside) trimRoom(roomParts, queue, await messages.count(recipientId));
  }
  metrics.messagesAccepted++;
  reply({ type: "OK" });
  await delivery.push(recipientId, since);
}

/** Behind one that does not wait any more the store has the oldest. */
async function hasMessage(messages: MessageStore, recipientId: string, messageId: string): Promise<boolean> {
  // Asked at once: nothing can expire between the two.
  const [first, behind] = await Promise.all([
    messages.first(recipientId),
    messages.next(recipientId, messageId),
  ]);
  return first !== undefined && (first.id === messageId || behind?.id !== first.id);
}
