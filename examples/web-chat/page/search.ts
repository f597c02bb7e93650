import type { Agent, MessageQuery } from "@simplexmq/smp/agent";

/** Messages that are read from the store at a time. */
const pageSize = 500;
/** Messages that are found at most, the newest. */
export const mostFound = 1_000;

/** The numbers of a conversation's messages that have a text in them, newest first. Throws `AgentError`, and when aborted. */
export async function findMessages(
  agent: Pick<Agent, "messages">,
  name: string,
  { text, signal }: { readonly text: string; readonly signal: AbortSignal },
): Promise<number[]> {
  const wanted = plain(text);
  const found: number[] = [];
  const decoder = new TextDecoder();
  let query: MessageQuery = { limit: pageSize };
  while (found.length < mostFound) {
    const records = await agent.messages(name, query);
    signal.throwIfAborted();
    const here = records.filter(({ body }) => plain(decoder.decode(body)).includes(wanted));
    found.push(...here.map(({ id }) => id).reverse());
    if (records.length < pageSize) break;
    query = { limit: pageSize, before: records[0]!.id };
  }
  return found.slice(0, mostFound);
}

/** Letters as they are compared: whether they are large or small, or how they are put together, does not matter. */
function plain(text: string): string {
  return text.normalize("NFKC").toLowerCase();
}
