import type { Member } from "./members.ts";

/** Who has claimed a partition last. */
export interface Ownership {
  readonly node: string;
  /** The sequence of its claim. */
  readonly epoch: number;
}

/** The owner of each partition, by what the nodes say; `null` where nobody who lives has one. */
export function ownershipOf(members: readonly Member[], partitions: number): (Ownership | null)[] {
  const found: (Ownership | null)[] = new Array(partitions).fill(null);
  for (const { node, state, owned } of members) {
    if (state === "gone") continue;
    for (const [partition, epoch] of owned) {
      if (partition < partitions && epoch > (found[partition]?.epoch ?? -1)) {
        found[partition] = { node, epoch };
      }
    }
  }
  return found;
}
