import { largestBody } from "../../protocol/mod.ts";
import type { AgentStore, MessageRecord } from "../store/store.ts";

/** Messages that are looked at for one, the newest first, and that are read at first. */
const mostSearched = 2_000, firstTogether = 8;

/** Bytes of messages that are read for all that is looked for, and one message more: each packet can ask for them again. */
const mostBytes = 16 * 1024 * 1024;

/** What a message takes beside its body. */
const overhead = 256;

/** Looks for messages of the other side by their numbers, as far as what is read for that is not too much. */
export class ReceivedSearch {
  readonly #store: Pick<AgentStore, "messages">;
  readonly #connection: string;
  #left = mostBytes;

  /** Has read nothing yet. */
  constructor(store: Pick<AgentStore, "messages">, connection: string) {
    this.#store = store;
    this.#connection = connection;
  }

  /** The message with a user number; `null` when it is not among those that were read. Throws what the store throws. */
  async find(userNumber: number): Promise<MessageRecord | null> {
    let before: number | undefined, most = firstTogether;
    for (let searched = 0; searched < mostSearched && this.#left > 0;) {
      // As many as there is room for, also when they are as large as may be.
      const limit = Math.min(most, 1 + Math.floor(this.#left / largestBody));
      const messages = await this.#store.messages(this.#connection, {
        limit,
        ...before !== undefined && { before },
      });
      this.#left -= messages.reduce((sum, { body }) => sum + body.length + overhead, 0);
      const found = messages.find(({ received }) => received?.senderId === userNumber);
      if (found !== undefined) return found;
      if (messages.length < limit) return null;
      searched += limit;
      before = messages[0]!.id;
      most = mostSearched - searched;
    }
    return null;
  }
}
