import { MemoryMessageStore, type StoredMessage } from "../../server/mod.ts";

/** Messages of a server that takes some of them and forgets them. */
export class ForgetfulMessages extends MemoryMessageStore {
  /** How many it has forgotten. */
  forgotten = 0;
  /** Whether it forgets the next one. */
  isForgetting: (recipientId: string, count: number) => boolean = () => false;
  readonly #counts = new Map<string, number>();

  override append(recipientId: string, message: StoredMessage): Promise<void> {
    const count = (this.#counts.get(recipientId) ?? 0) + 1;
    this.#counts.set(recipientId, count);
    if (!this.isForgetting(recipientId, count)) return super.append(recipientId, message);
    this.forgotten++;
    return Promise.resolve();
  }
}
