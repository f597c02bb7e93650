import { MemoryStore, type StoreChange } from "../../agent/mod.ts";
import { deferred } from "../../protocol/mod.ts";

/** The store of an agent that learns, at first, of no queue to send to: what it would do there waits until it is let go on. */
export class HeldStore extends MemoryStore {
  readonly #asked = deferred<void>();
  readonly #going = deferred<void>();
  /** Resolves when the agent stores such a queue. */
  readonly asked = this.#asked.promise;

  /** Lets it go on. */
  goOn(): void {
    this.#going.resolve();
  }

  override async commit(changes: readonly StoreChange[]): Promise<void> {
    if (changes.some(({ type }) => type === "put sending")) {
      this.#asked.resolve();
      await this.#going.promise;
    }
    await super.commit(changes);
  }
}
