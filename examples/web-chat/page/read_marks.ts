import { type Agent, AgentError } from "@simplexmq/smp/agent";
import type { Conversation } from "./conversation.ts";

/** Messages that are read from the store at a time. */
const pageSize = 25;
/** Bytes of messages that are read to count those of a conversation: of more than that there are so many at least. */
const mostBytes = 32 * 1024 * 1024;
/** What the keys of marks begin with; behind it is the conversation's ID. */
const prefix = "smp-web-chat read ";

/**
 * Stores that the messages of a conversation were seen up to a number. At once, unlike what the agent stores: an event
 * that was told is told again when the page is left before that was stored.
 */
export function markRead(id: string, number: number): void {
  try {
    localStorage.setItem(prefix + id, String(number));
  } catch {
    // There is no room: then they count as new after the next start.
  }
}

/** Forgets a conversation that was deleted. */
export function forgetRead(id: string): void {
  localStorage.removeItem(prefix + id);
}

/** Forgets all conversations but those that are there, by their IDs. */
export function forgetOthersRead(there: readonly string[] = []): void {
  const kept = new Set(there.map((id) => prefix + id));
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith(prefix) && !kept.has(key)) localStorage.removeItem(key);
  }
}

/**
 * A stored conversation with its messages counted that nobody has seen: none where nothing says what was seen, as in a
 * backup of another browser.
 */
export async function withUnread(
  conversation: Conversation,
  agent: Pick<Agent, "messages">,
): Promise<Conversation> {
  const { id, name } = conversation;
  try {
    const [last] = await agent.messages(name, { limit: 1 });
    const newest = last?.id ?? 0;
    const mark = localStorage.getItem(prefix + id);
    if (mark === null) {
      markRead(id, newest);
      return { ...conversation, newest };
    }
    let unread = 0, bytes = 0;
    for (let before = newest + 1; before > Number(mark) + 1 && bytes < mostBytes;) {
      const records = await agent.messages(name, { limit: pageSize, before });
      bytes += records.reduce((sum, { body }) => sum + body.length, 0);
      unread += records.filter((record) => record.id > Number(mark) && record.received !== null).length;
      before = records.length < pageSize ? 0 : records[0]!.id;
    }
    return { ...conversation, newest, unread };
  } catch (error) {
    // The agent was closed meanwhile, or cannot read them: opening the conversation says why.
    if (error instanceof AgentError) return conversation;
    throw error;
  }
}
