import type { Ownership } from "./ownership.ts";

/** How often each partition was seen with another owner than before, from when this node joined. */
export class OwnerChanges {
  readonly counts: number[];
  readonly #epochs: (number | null)[];

  constructor(partitions: number) {
    this.counts = new Array(partitions).fill(0);
    this.#epochs = new Array(partitions).fill(null);
  }

  /** Takes who owns the partitions now. The first owner that is seen is no change; the same node again is one. */
  look(ownership: readonly (Ownership | null)[]): void {
    ownership.forEach((owner, partition) => {
      const before = this.#epochs[partition] ?? null;
      if (owner === null || before !== null && owner.epoch <= before) return;
      if (before !== null) this.counts[partition]!++;
      this.#epochs[partition] = owner.epoch;
    });
  }
}
