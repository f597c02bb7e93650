import type { Agent, MessageQuery } from "@simplexmq/smp/agent";
import type { FileEntry } from "./file_store.ts";
import { withFewMarks } from "./shown_text.ts";

/** Messages that are read from the store at a time: each can have a MiB. */
const pageSize = 50;
/** Messages and files that are found at most, the newest. */
export const mostFound = 1_000;

/** A message, or the file with a key behind the message with that number. */
export interface Found {
  readonly number: number;
  readonly file: string | null;
}

/** What is searched for. */
interface Search {
  readonly text: string;
  /** The conversation's files, the oldest first. */
  readonly files: readonly Pick<FileEntry, "key" | "name" | "after">[];
  readonly signal: AbortSignal;
}

/** The messages of a conversation and names of its files with a text in them, newest first. Throws `AgentError`, and when aborted. */
export async function find(
  agent: Pick<Agent, "messages">,
  conversation: string,
  { text, files, signal }: Search,
): Promise<Found[]> {
  const wanted = plain(text);
  const messages: Found[] = [];
  const decoder = new TextDecoder();
  let query: MessageQuery = { limit: pageSize };
  while (messages.length < mostFound) {
    const records = await agent.messages(conversation, query);
    signal.throwIfAborted();
    const here = records.filter(({ body }) => plain(decoder.decode(body)).includes(wanted));
    messages.push(...here.map(({ id }) => ({ number: id, file: null })).reverse());
    if (records.length < pageSize) break;
    query = { limit: pageSize, before: records[0]!.id };
  }
  const named = files.filter(({ name }) => plain(name).includes(wanted)).reverse()
    .map(({ key, after }): Found => ({ number: after, file: key }));
  // Of one number the files are first, as they came after the message.
  return [...named, ...messages].sort((a, b) => b.number - a.number).slice(0, mostFound);
}

/** Letters as they are compared: whether they are large or small, or how they are put together, does not matter. */
function plain(text: string): string {
  return withFewMarks(text).normalize("NFKC").toLowerCase();
}
