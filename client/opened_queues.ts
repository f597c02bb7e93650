import type { PrivateKey } from "../protocol/mod.ts";

/** What is known of a queue ID and the key that commands on it are signed with. */
interface UsedQueue {
  readonly key: CryptoKey;
  state: "used" | "opening" | "opened" | "refused";
}

/** The most queue IDs that are remembered, those used last: as many as a server keeps open unless told another number. */
const mostQueues = 4096;

/**
 * The queue IDs on which a connection's commands need no signature, and those on the way there (extensions.md open1). An
 * ID that is forgotten is signed for again, which is always right.
 */
export class OpenedQueues {
  readonly #queues = new Map<string, UsedQueue>();

  /**
   * What to do with a command on a queue ID that `key` signs: `open` it first, as it is the second one with that key. A
   * command with another key than an opened ID's is signed, and changes nothing: at most one of the two is right.
   */
  use(queueId: string, { cryptoKey }: PrivateKey): "sign" | "open" | "no signature" {
    const known = this.#queues.get(queueId);
    if (known !== undefined && known.key !== cryptoKey && isOpen(known)) return "sign";
    const used = known?.key === cryptoKey ? known : { key: cryptoKey, state: "used" as const };
    this.#queues.delete(queueId);
    this.#queues.set(queueId, used);
    if (this.#queues.size > mostQueues) this.#queues.delete(this.#queues.keys().next().value!);
    if (used !== known) return "sign";
    return used.state === "opened" ? "no signature" : used.state === "used" ? "open" : "sign";
  }

  /** OPEN is sent for an ID that was used before; what is given takes whether the server has done it. */
  opening(queueId: string): (isOpened: boolean) => void {
    const used = this.#queues.get(queueId);
    if (used !== undefined) used.state = "opening";
    return (isOpened) => {
      if (used?.state === "opening") used.state = isOpened ? "opened" : "refused";
    };
  }

  /** The server wants signatures again. */
  refused(queueId: string): void {
    const used = this.#queues.get(queueId);
    if (used?.state === "opened") used.state = "refused";
  }

  /** The queue is gone. */
  forget(queueId: string): void {
    this.#queues.delete(queueId);
  }
}

function isOpen({ state }: UsedQueue): boolean {
  return state === "opening" || state === "opened";
}
