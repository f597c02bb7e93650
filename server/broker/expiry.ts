import type { Limits } from "../config/limits.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { QueueOrder } from "./queue_order.ts";
import { nextTurn, recordsATurn } from "../next_turn.ts";
import type { MessageStore, QueueRecord, QueueStore } from "../store/store.ts";

export interface ExpiryParts {
  readonly queues: QueueStore;
  readonly messages: MessageStore;
  readonly limits: Limits;
  readonly metrics: Metrics;
  readonly order: QueueOrder;
  readonly isSubscribed: (recipientId: string) => boolean;
  readonly remove: (queue: QueueRecord) => Promise<void>;
}

/** smp.md Limits. `now` is in milliseconds since 1970. */
export async function removeExpired(parts: ExpiryParts, now: number): Promise<void> {
  const { queues, messages, limits: { messageLifetime }, limits, metrics } = parts;
  // Read when it is known: `+= await` would take away what others add meanwhile.
  const expired = messageLifetime > 0 ? await messages.expire(now - messageLifetime) : 0;
  metrics.messagesExpired += expired;
  let looked = 0;
  for await (const queue of queues.records()) {
    if (++looked % recordsATurn === 0) await nextTurn();
    if (isTooOld(queue, limits, now)) await expire(parts, queue.recipientId, now);
  }
}

function isTooOld(
  { senderKey, suspended, changedAt }: QueueRecord,
  { suspendedLifetime, unsecuredLifetime }: Limits,
  now: number,
): boolean {
  const lifetime = suspended ? suspendedLifetime : senderKey === null ? unsecuredLifetime : 0;
  return lifetime > 0 && changedAt < now - lifetime;
}

function expire(parts: ExpiryParts, recipientId: string, now: number): Promise<void> {
  const { queues, limits, metrics, order, remove } = parts;
  return new Promise((resolve, reject) =>
    order.run(recipientId, async () => {
      try {
        const queue = await queues.byRecipientId(recipientId);
        if (queue !== undefined && isTooOld(queue, limits, now) && await isUnused(parts, queue)) {
          await remove(queue);
          metrics.queuesExpired++;
        }
        resolve();
      } catch (error) {
        reject(error);
      }
    })
  );
}

async function isUnused(
  { messages, isSubscribed }: ExpiryParts,
  { recipientId, suspended }: QueueRecord,
): Promise<boolean> {
  return suspended || !isSubscribed(recipientId) && await messages.count(recipientId) === 0;
}
