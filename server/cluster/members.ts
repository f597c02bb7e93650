/** Milliseconds. */
export const leaseTimes = {
  /** From one renewal to the next. */
  renewal: 1000,
  /** After its last renewal was sent, an owner answers only for so long. */
  hold: 3000,
  /** So long a lease must have been unchanged for its node to be taken for dead: longer than any node holds. */
  silence: 4000,
  /** Renewals of one's own further apart than this do not show that those of others would have been seen. */
  gap: 2000,
  /** A node without any server for so long closes its sessions and comes back as another incarnation. */
  cut: 5000,
  /**
   * A node that is connected, but has not seen renewals of its own for so long, connects to another server: its own one
   * may be cut off from the others. Longer than an election.
   */
  unseen: 15_000,
};

const mostMembers = 1000;
const longestLease = 16_384;
const mostOwned = 1024;

/**
 * `draining`: it gives its partitions away and takes none. `gone`: it has left, or was taken for dead; what its
 * incarnation had is void.
 */
export type MemberState = "live" | "draining" | "gone";

/** What a node says of itself each second. */
export interface Lease {
  /** Greater than those that the node had before. */
  readonly incarnation: number;
  /** Random, of the process that writes it: two with one name notice each other. */
  readonly process: string;
  readonly state: MemberState;
  /** The epochs of the partitions that it owns. */
  readonly owned: ReadonlyMap<number, number>;
  /** Partitions that it has failed to take again and again: others are to have them. Older nodes do not say so. */
  readonly unable: ReadonlySet<number>;
}

/** A node as it was last seen. */
export interface Member extends Lease {
  readonly node: string;
  /** Of its lease, in the bucket. */
  readonly revision: number;
  /** When the lease changed, milliseconds by the clock of who sees it. */
  readonly seenAt: number;
}

/** Names of nodes: they are parts of subjects. */
export function isNodeName(name: string): boolean {
  return /^[A-Za-z0-9_-]{1,32}$/.test(name);
}

export function formatLease({ incarnation, process, state, owned, unable }: Lease): string {
  const said = { incarnation, process, state, owned: [...owned] };
  return JSON.stringify(unable.size === 0 ? said : { ...said, unable: [...unable] });
}

/** `null` for what is no lease. */
export function parseLease(text: string): Lease | null {
  if (text.length > longestLease) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { incarnation, process, state, owned, unable = [] } = value as Record<string, unknown>;
  if (!isCount(incarnation) || typeof process !== "string" || process.length > 64) return null;
  if (state !== "live" && state !== "draining" && state !== "gone") return null;
  if (!Array.isArray(owned) || owned.length > mostOwned || !owned.every(isPair)) return null;
  if (!Array.isArray(unable) || unable.length > mostOwned || !unable.every(isCount)) return null;
  return { incarnation, process, state, owned: new Map(owned), unable: new Set(unable) };
}

function isPair(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(isCount);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * What a node knows of all nodes, and whom it takes for dead. Entries come in the order in which they were stored, its
 * own among them: so whoever sees its own renewals would see those of others.
 */
export class Members {
  readonly #self: string;
  readonly #members = new Map<string, Member>();
  /** Since when its own renewals were seen without a gap. */
  #healthySince = Infinity;
  #healthyAt = -Infinity;

  constructor(self: string) {
    this.#self = self;
  }

  /** By name. */
  get list(): readonly Member[] {
    return [...this.#members.values()].sort((a, b) => a.node < b.node ? -1 : 1);
  }

  get(node: string): Member | undefined {
    return this.#members.get(node);
  }

  /** Takes an entry; whether it says more than that its node lives. */
  see(node: string, revision: number, lease: Lease, now: number): boolean {
    const before = this.#members.get(node);
    if (before !== undefined && before.revision >= revision) return false;
    if (before === undefined && this.#members.size >= mostMembers) return false;
    this.#members.set(node, { ...lease, node, revision, seenAt: now });
    return before === undefined || before.incarnation !== lease.incarnation ||
      before.process !== lease.process || before.state !== lease.state ||
      !isSame(before.owned, lease.owned) || before.unable.symmetricDifference(lease.unable).size > 0;
  }

  /** Takes a renewal of its own that has just been seen; gives those that are to be taken for dead. */
  renewed(now: number): readonly Member[] {
    if (now - this.#healthyAt > leaseTimes.gap) this.#healthySince = now;
    this.#healthyAt = now;
    return [...this.#members.values()].filter(({ node, state, seenAt }) =>
      node !== this.#self && state !== "gone" &&
      now - Math.max(seenAt, this.#healthySince) >= leaseTimes.silence
    );
  }

  /** Nodes that may own partitions. */
  get live(): readonly string[] {
    return this.list.filter(({ state }) => state === "live").map(({ node }) => node);
  }

  /** The owner of each partition: who has claimed it last of those that are not gone. */
  owners(partitions: number): (string | null)[] {
    const owners: (string | null)[] = new Array(partitions).fill(null);
    const epochs: number[] = new Array(partitions).fill(-1);
    for (const { node, state, owned } of this.list) {
      if (state === "gone") continue;
      for (const [partition, epoch] of owned) {
        if (partition >= partitions || epoch <= epochs[partition]!) continue;
        epochs[partition] = epoch;
        owners[partition] = node;
      }
    }
    return owners;
  }
}

function isSame(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean {
  return a.size === b.size && [...a].every(([partition, epoch]) => b.get(partition) === epoch);
}
