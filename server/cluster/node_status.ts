import type { SessionCounts } from "./cluster_sessions.ts";
import type { MemberState } from "./members.ts";
import type { OwnedStatus } from "./owned_partition.ts";
import type { Ownership } from "./ownership.ts";

/** What a node knows of its cluster, for those who look after it. */
export interface NodeStatus {
  readonly node: string;
  readonly incarnation: number;
  /** Whether it may answer. */
  readonly holds: boolean;
  /** Milliseconds since its lease was renewed. */
  readonly leaseAge: number;
  readonly nodes: readonly {
    readonly node: string;
    readonly state: MemberState;
    readonly incarnation: number;
    readonly partitions: number;
    /** Milliseconds since this node saw its lease change. */
    readonly leaseAge: number;
  }[];
  readonly partitions: readonly {
    readonly partition: number;
    readonly owner: Ownership | null;
    /** How often this node has seen it change its owner. */
    readonly ownerChanges: number;
    /** When this node owns it. */
    readonly own: OwnedStatus | null;
    readonly isClaimed: boolean;
    /** Why this node leaves it to others: it has failed to take it again and again. */
    readonly unable: string | null;
    readonly sessions: SessionCounts | null;
  }[];
  /** Streams to and from other nodes. */
  readonly streams: number;
}
