import type { Ownership } from "./ownership.ts";

/** Milliseconds: a former owner that lives knows long before that another one has followed. */
const patience = 60_000;

interface Seen {
  readonly highest: number;
  /** Since when the last claim that anybody tells of is an older one. */
  readonly olderSince: number | null;
}

/** Notices logs that were put back to an older state: their owners' claims come before those that there were. */
export class OlderClaims {
  readonly #seen = new Map<number, Seen>();

  /** To be asked again and again; says what is wrong, when it has been for a minute. */
  look(ownership: readonly (Ownership | null)[], now: number): string | null {
    for (const [partition, owner] of ownership.entries()) {
      if (owner === null) continue;
      const { epoch } = owner;
      const { highest, olderSince } = this.#seen.get(partition) ?? { highest: -1, olderSince: null };
      if (epoch >= highest) {
        this.#seen.set(partition, { highest: epoch, olderSince: null });
        continue;
      }
      const since = olderSince ?? now;
      this.#seen.set(partition, { highest, olderSince: since });
      if (now - since < patience) continue;
      return `partition ${partition} is owned by a claim at message ${epoch} of its log, though it had one at ${highest}`;
    }
    return null;
  }
}
