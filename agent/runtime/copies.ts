import { equalBytes } from "../../protocol/mod.ts";
import type { AgentStore, MessageRecord } from "../store/store.ts";

/** Messages that are looked at, the newest first: as many as a sender can have on its way, and those of this side. */
const mostSearched = 2_000;
const batchSize = 100;

/**
 * The message of the other side that was made at the same time and says the same: a restored side sends again, with other
 * numbers, what it does not know to have come. `null` when there is none.
 */
export async function findCopy(
  store: AgentStore,
  connection: string,
  { time, body }: { readonly time: number; readonly body: Uint8Array },
): Promise<MessageRecord | null> {
  for (let searched = 0, before; searched < mostSearched; searched += batchSize) {
    const messages: MessageRecord[] = await store.messages(connection, {
      limit: batchSize,
      ...before !== undefined && { before },
    });
    const found = messages.find((message) =>
      message.received?.senderAt === time && equalBytes(message.body, body)
    );
    if (found !== undefined) return found;
    if (messages.length < batchSize) return null;
    before = messages[0]!.id;
  }
  return null;
}
