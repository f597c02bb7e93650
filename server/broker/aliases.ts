import { nextTurn, recordsATurn } from "../next_turn.ts";
import type { PartitionStores } from "../store/store.ts";
import { partitionOf } from "./partition.ts";

/**
 * The recipient IDs of queues by sender IDs that are of another partition: those of logs from before there were any.
 * Throws `RangeError` when a queue is kept where nobody looks for it.
 */
export async function aliasesOf(stores: readonly PartitionStores[]): Promise<ReadonlyMap<string, string>> {
  const aliases = new Map<string, string>();
  const count = stores.length;
  if (count === 1) return aliases;
  let looked = 0;
  for (const [index, { queues }] of stores.entries()) {
    for await (const { recipientId, senderId } of queues.records()) {
      if (++looked % recordsATurn === 0) await nextTurn();
      const partition = partitionOf(recipientId, count);
      if (partition !== index) {
        throw new RangeError(`Cannot use partition ${index}: it keeps a queue of partition ${partition}`);
      }
      if (partitionOf(senderId, count) !== partition) aliases.set(senderId, recipientId);
    }
  }
  return aliases;
}
