import { encodeFrame, equalBytes, type Frame } from "../../protocol/mod.ts";
import type { ArrivedFrame } from "../session/arrival.ts";
import type { AgentStore, Connection, HeldFrame, MessageRecord } from "../store/store.ts";

/** Messages that are looked at, the newest first: as many as a sender can have on its way, and those of this side. */
const mostSearched = 2_000;
const batchSize = 100;

type Message = Frame & { readonly kind: "message" };

/**
 * The message of the other side that was made at the same time and says the same: a restored side sends again, with other
 * numbers, what it does not know to have come. `null` when there is none.
 */
export async function findCopy(
  store: AgentStore,
  connection: string,
  frame: Pick<Message, "time" | "body">,
): Promise<MessageRecord | null> {
  return await findMessage(store, connection, (message) => isSame(message, frame));
}

/** The reliable number of the same among messages that have come and are not stored yet; `null` when there is none. */
export function findArrived(
  arrived: readonly ArrivedFrame[],
  { time, body }: Pick<Message, "time" | "body">,
): number | null {
  const found = arrived.find(({ frame }) =>
    frame.kind === "message" && frame.time === time && equalBytes(frame.body, body)
  );
  return found?.frame.number ?? null;
}

/**
 * Whether a frame whose number has come is another one than that: its sender was restored, and gives its numbers again.
 * Of messages alone this can be told, and only of those that are not too old.
 */
export async function isOtherFrame(
  store: AgentStore,
  { record: { id, lastReceived } }: Connection,
  { frame, held, arrived }: {
    readonly frame: Frame;
    /** The frame of that number that waits for its turn. */
    readonly held: HeldFrame | null;
    /** Those that have come since the connection was stored. */
    readonly arrived: readonly ArrivedFrame[];
  },
): Promise<boolean> {
  if (held !== null) return !equalBytes(held.frame, encodeFrame(frame));
  if (frame.kind !== "message") return false;
  const { userNumber } = frame;
  const now = arrived.find(({ frame: { number } }) => number === frame.number);
  if (now !== undefined) return !equalBytes(encodeFrame(now.frame), encodeFrame(frame));
  // Had it come, this would be known.
  if (userNumber > lastReceived.id) return true;
  const found = await findMessage(store, id, ({ received }) => received?.senderId === userNumber);
  return found !== null && !isSame(found, frame);
}

function isSame({ received, body }: MessageRecord, frame: Pick<Message, "time" | "body">): boolean {
  return received?.senderAt === frame.time && equalBytes(body, frame.body);
}

async function findMessage(
  store: AgentStore,
  connection: string,
  isRight: (message: MessageRecord) => boolean,
): Promise<MessageRecord | null> {
  for (let searched = 0, before; searched < mostSearched; searched += batchSize) {
    const messages: MessageRecord[] = await store.messages(connection, {
      limit: batchSize,
      ...before !== undefined && { before },
    });
    const found = messages.find(isRight);
    if (found !== undefined) return found;
    if (messages.length < batchSize) return null;
    before = messages[0]!.id;
  }
  return null;
}
