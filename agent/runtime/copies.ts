import { encodeBase64, encodeFrame, equalBytes, type Frame, sha256 } from "../../protocol/mod.ts";
import type { ArrivedFrame } from "../session/arrival.ts";
import type { AgentStore, Connection, HeldFrame, MessageRecord } from "../store/store.ts";
import type { ReceivedSearch } from "./received_search.ts";

/** Messages that are looked at, the newest first: as many as a sender can have on its way, and those of this side. */
const mostSearched = 2_000;
const batchSize = 100;

type Message = Frame & { readonly kind: "message" };

/** Messages of the other side that may come again, by the times at which they were made; nothing of it is stored. */
export type CopyIndex = ReadonlyMap<number, readonly number[]>;

/**
 * The messages of the other side that may come again: a restored side sends with other numbers what it does not know to have
 * come. What is stored is looked through once, and each message has one copy.
 */
export class Copies {
  readonly #store: AgentStore;
  readonly #connection: string;
  /** The greatest user number that may have a copy: who has one has a greater number by that. */
  readonly #last: number;
  /** What is stored, when it was looked through; it stays when what is taken is not stored. */
  index: CopyIndex | undefined;
  readonly #taken = new Set<number>();
  /** The reliable numbers of messages that are not stored yet, by what they say. */
  readonly #arrived = new Map<string, number[]>();

  /** Has read nothing yet; `last`: the greatest user number that may have a copy. */
  constructor(
    store: AgentStore,
    connection: string,
    { last = Infinity, index }: {
      readonly last?: number | undefined;
      readonly index?: CopyIndex | undefined;
    },
  ) {
    this.#store = store;
    this.#connection = connection;
    this.#last = last;
    this.index = index;
  }

  /** A message has come that is no copy, and is not stored yet. */
  async arrived({ number, time, body }: Pick<Message, "number" | "time" | "body">): Promise<void> {
    const name = await nameOf(time, body);
    this.#arrived.set(name, [...this.#arrived.get(name) ?? [], number]);
  }

  /**
   * The message that was made at the same time and says the same; of one that is not stored yet its reliable number; `null`
   * when there is none. It is not found again.
   */
  async take({ time, body }: Pick<Message, "time" | "body">): Promise<MessageRecord | number | null> {
    const arrived = this.#arrived.get(await nameOf(time, body))?.shift();
    if (arrived !== undefined) return arrived;
    this.index ??= await this.#read();
    let found: MessageRecord | null = null;
    for (const id of this.index.get(time) ?? []) {
      const message = this.#taken.has(id) ? null : await this.#store.message(this.#connection, id);
      const number = message === null ? NaN : numberOf(message);
      // One that has got a number by a copy before has a greater one than those that have not.
      const isBetter = found === null || number < numberOf(found);
      if (number <= this.#last && isBetter && equalBytes(message!.body, body)) found = message;
    }
    if (found !== null) this.#taken.add(found.id);
    return found;
  }

  async #read(): Promise<CopyIndex> {
    const index = new Map<number, number[]>();
    let before: number | undefined;
    for (let searched = 0; searched < mostSearched; searched += batchSize) {
      const messages: MessageRecord[] = await this.#store.messages(this.#connection, {
        limit: batchSize,
        ...before !== undefined && { before },
      });
      for (const { id, received } of messages) {
        if (received === null || received.senderId > this.#last) continue;
        index.set(received.senderAt, [...index.get(received.senderAt) ?? [], id]);
      }
      if (messages.length < batchSize) break;
      before = messages[0]!.id;
    }
    return index;
  }
}

function numberOf({ received }: MessageRecord): number {
  return received?.senderId ?? Infinity;
}

async function nameOf(time: number, body: Uint8Array<ArrayBuffer>): Promise<string> {
  return `${time} ${encodeBase64(await sha256(body))}`;
}

/**
 * Whether a frame whose number has come is another one than that: its sender was restored, and gives its numbers again.
 * Of messages alone this can be told, and only of those that are not too old.
 */
export async function isOtherFrame(
  search: Pick<ReceivedSearch, "find">,
  { record: { lastReceived } }: Connection,
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
  const found = await search.find(userNumber);
  return found !== null && !isSame(found, frame);
}

function isSame({ received, body }: MessageRecord, frame: Pick<Message, "time" | "body">): boolean {
  return received?.senderAt === frame.time && equalBytes(body, frame.body);
}
