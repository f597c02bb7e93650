import { encodeBase64, encodeFrame, equalBytes, type Frame, sha256 } from "../../protocol/mod.ts";
import type { ArrivedFrame } from "../session/arrival.ts";
import type { AgentStore, Connection, HeldFrame, MessageRecord } from "../store/store.ts";

/** Messages that are looked at, the newest first: as many as a sender can have on its way, and those of this side. */
const mostSearched = 2_000;
const batchSize = 100;

type Message = Frame & { readonly kind: "message" };

/**
 * The messages of the other side that may come again: a restored side sends with other numbers what it does not know to have
 * come. What is stored is looked through once, the newest first, as far as it has to be, and each message has one copy.
 */
export class Copies {
  readonly #store: AgentStore;
  readonly #connection: string;
  /** The IDs of stored messages, and the reliable numbers of those that are not stored yet, by what they say. */
  readonly #stored = new Map<string, number[]>();
  readonly #arrived = new Map<string, number[]>();
  #searched = 0;
  #before: number | undefined;

  /** Has read nothing yet. */
  constructor(store: AgentStore, connection: string) {
    this.#store = store;
    this.#connection = connection;
  }

  /** A message has come that is no copy, and is not stored yet. */
  async arrived({ number, time, body }: Pick<Message, "number" | "time" | "body">): Promise<void> {
    add(this.#arrived, await nameOf(time, body), number);
  }

  /**
   * The message that was made at the same time and says the same; of one that is not stored yet its reliable number; `null`
   * when there is none. It is not found again.
   */
  async take({ time, body }: Pick<Message, "time" | "body">): Promise<MessageRecord | number | null> {
    const name = await nameOf(time, body);
    const arrived = this.#arrived.get(name)?.shift();
    if (arrived !== undefined) return arrived;
    for (;;) {
      const id = this.#stored.get(name)?.shift();
      if (id === undefined && !await this.#search()) return null;
      const message = id === undefined ? null : await this.#store.message(this.#connection, id);
      if (message !== null) return message;
    }
  }

  /** Looks at some more; `false`: there are none, or enough. */
  async #search(): Promise<boolean> {
    if (this.#searched >= mostSearched) return false;
    const messages: MessageRecord[] = await this.#store.messages(this.#connection, {
      limit: batchSize,
      ...this.#before !== undefined && { before: this.#before },
    });
    this.#searched = messages.length < batchSize ? mostSearched : this.#searched + batchSize;
    this.#before = messages[0]?.id;
    // One that has got a number by a copy before has a greater one than those that have not.
    const number = ({ received }: MessageRecord) => received?.senderId ?? 0;
    for (const { id, received, body } of messages.toSorted((a, b) => number(a) - number(b))) {
      if (received !== null) add(this.#stored, await nameOf(received.senderAt, body), id);
    }
    return messages.length > 0;
  }
}

function add(known: Map<string, number[]>, name: string, number: number): void {
  known.set(name, [...known.get(name) ?? [], number]);
}

async function nameOf(time: number, body: Uint8Array<ArrayBuffer>): Promise<string> {
  return `${time} ${encodeBase64(await sha256(body))}`;
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
