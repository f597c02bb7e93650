import { assert, assertEquals } from "@std/assert";
import { encodeBase64, randomBytes } from "../../protocol/mod.ts";
import { PartitionLostError } from "../../server/cluster/error.ts";
import type { PartitionLog } from "../../server/cluster/partition_log.ts";
import type { PartitionState } from "../../server/cluster/partition_state.ts";

/** Where load appends: a log, or something that answers otherwise. */
export type Appender = Pick<PartitionLog, "append">;

/** How many queues load is put on. */
const queues = 8;

/**
 * Puts load on a partition and keeps what was answered, so that what the partition has afterwards can be compared: each
 * queue is used in order, as a broker uses it.
 */
export class PartitionHistory {
  /** Messages that were answered, and of those what was acknowledged or may have been, by queue. */
  readonly #stored = new Map<string, string[]>();
  readonly #acknowledged = new Set<string>();
  readonly #doubtful = new Set<string>();
  #answers = 0;

  get answers(): number {
    return this.#answers;
  }

  /** Appends to `log` until `signal` is aborted or the partition is lost; answers are kept in the order they come. */
  async load(log: Appender, signal: AbortSignal, bodyLength = 500): Promise<void> {
    await Promise.all(
      Array.from({ length: queues }, (_, i) => this.#use(log, `q${i}`, { signal, bodyLength })),
    );
  }

  async #use(
    log: Appender,
    recipientId: string,
    { signal, bodyLength }: { readonly signal: AbortSignal; readonly bodyLength: number },
  ): Promise<void> {
    const waiting: string[] = [];
    while (!signal.aborted) {
      const id = encodeBase64(randomBytes(9));
      const body = randomBytes(bodyLength);
      if (!await this.#try(id, log.append([{ type: "MESSAGE", recipientId, id, at: Date.now(), body }]))) {
        return;
      }
      this.#stored.set(recipientId, [...this.#stored.get(recipientId) ?? [], id]);
      waiting.push(id);
      if (waiting.length < 3) continue;
      const oldest = waiting.shift()!;
      this.#doubtful.add(oldest);
      const appended = log.append([{ type: "ACKNOWLEDGE", recipientId, messageIds: [oldest] }]);
      if (!await this.#try(oldest, appended)) return;
      this.#acknowledged.add(oldest);
      this.#doubtful.delete(oldest);
    }
  }

  /** Whether it was answered; what may have been stored is doubtful. */
  async #try(id: string, appended: Promise<unknown>): Promise<boolean> {
    try {
      await appended;
      this.#answers++;
      return true;
    } catch (error) {
      if (!(error instanceof PartitionLostError)) throw error;
      if (error.neverStored) this.#doubtful.delete(id);
      else this.#doubtful.add(id);
      return false;
    }
  }

  /** Checks that a partition has what was answered, in its order, and nothing more than what may have been stored. */
  check(state: PartitionState): void {
    const found = new Map<string, string[]>();
    for (const [recipientId, { id }] of state.messages.messages()) {
      found.set(recipientId, [...found.get(recipientId) ?? [], id]);
    }
    for (const recipientId of new Set([...found.keys(), ...this.#stored.keys()])) {
      const known = new Set(this.#stored.get(recipientId));
      const has = found.get(recipientId) ?? [];
      const [expected, actual] = [[...known].filter((id) => !this.#acknowledged.has(id)), has].map((ids) =>
        ids.filter((id) => !this.#doubtful.has(id))
      );
      assertEquals(actual, expected, `${recipientId} has other messages than were answered`);
      for (const id of has) assert(known.has(id) || this.#doubtful.has(id), `${id} was never sent`);
    }
  }
}
