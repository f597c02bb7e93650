import type { Bucket } from "./bucket.ts";
import { findBucket } from "./bucket.ts";
import { readCluster } from "./cluster_identity.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { EngineError } from "./error.ts";
import { isNodeName, type Member, type MemberState, parseLease } from "./members.ts";
import { type OperatorAnswer, type OperatorQuestion, operatorSubject } from "./operator_questions.ts";
import { ownershipOf } from "./ownership.ts";

/** What is known of a cluster, from its bucket and from its nodes. Times are milliseconds. */
export interface ClusterPicture {
  readonly cluster: string;
  readonly nodes: readonly NodePicture[];
  readonly partitions: readonly PartitionPicture[];
}

/** What is only known from the node itself is `null` where it does not answer. */
export interface NodePicture {
  readonly node: string;
  readonly state: MemberState;
  readonly answers: boolean;
  /** Since its lease was renewed, as it says itself, else as others have seen it. */
  readonly leaseAge: number | null;
  readonly partitions: number;
  /** Commands of its sessions that were given to the owners of partitions. */
  readonly forwarded: number | null;
  /** Of those, commands that are not answered yet. */
  readonly pending: number | null;
  /** Why no client should be sent there. */
  readonly notReady: string | null;
}

/** What is only known from the owner is `null` where there is none, or it does not answer. */
export interface PartitionPicture {
  readonly partition: number;
  readonly owner: string | null;
  readonly epoch: number | null;
  /** Of the last batch of its log. */
  readonly sequence: number | null;
  /** Bytes that wait until they are stored, and how long the oldest have. */
  readonly waiting: number | null;
  readonly lag: number | null;
  /** Since the last snapshot was taken. */
  readonly snapshotAge: number | null;
  /** As seen by the node that has seen most. */
  readonly ownerChanges: number | null;
  /** Commands that the sessions of all nodes have given to its owners. */
  readonly forwarded: number;
  /** Nodes that leave it to others, as they have failed to take it. */
  readonly unable: readonly { readonly node: string; readonly why: string | null }[];
}

export interface OperatorOptions {
  readonly engine: Omit<EngineOptions, "name" | "log" | "signal">;
  /** The cluster's name. */
  readonly cluster: string;
  /** Milliseconds that partitions may take to move from a node to the others. @default 60000 */
  readonly patience?: number;
  readonly log: (level: "info" | "warn", message: string, error?: unknown) => void;
}

/** Milliseconds. */
const times = { answer: 2_000, look: 250 };

/** Looks at a cluster and changes it, without being a node of it. */
export class ClusterOperator implements AsyncDisposable {
  readonly #cluster: string;
  readonly #engine: Engine;
  readonly #bucket: Bucket;
  readonly #patience: number;

  private constructor(
    { cluster, patience = 60_000 }: OperatorOptions,
    { engine, bucket }: { readonly engine: Engine; readonly bucket: Bucket },
  ) {
    this.#cluster = cluster;
    this.#patience = patience;
    this.#engine = engine;
    this.#bucket = bucket;
  }

  /** Throws `RangeError` for options that are wrong, and `EngineError` (`BUCKET`: there is no such cluster). */
  static async connect(options: OperatorOptions): Promise<ClusterOperator> {
    const { cluster, log } = options;
    await using resources = new AsyncDisposableStack();
    const engine = resources.use(await Engine.connect({ ...options.engine, name: "smp operator", log }));
    const bucket = await findBucket(engine.connection, cluster);
    resources.move();
    return new ClusterOperator(options, { engine, bucket });
  }

  /** Asks all nodes. Throws what NATS answers, and `EngineError` (`BUCKET`) when no node has ever joined. */
  async status(): Promise<ClusterPicture> {
    const { partitions: count } = await readCluster(this.#bucket);
    const members = await this.#members();
    const asked = members.filter(({ state }) => state !== "gone");
    const answers = new Map(
      await Promise.all(asked.map(async ({ node }) => [node, await this.#ask(node, "status")] as const)),
    );
    const known = [...answers.values()].filter((answer) => answer !== null);
    return {
      cluster: this.#cluster,
      nodes: members.map((member) => nodePicture(member, answers.get(member.node) ?? null, known)),
      partitions: ownershipOf(members, count).map((owner, partition) => {
        const answer = owner === null ? null : answers.get(owner.node) ?? null;
        const own = answer?.status.partitions[partition]?.own ?? null;
        const seen = known.map(({ status }) => status.partitions[partition]);
        return {
          partition,
          owner: owner?.node ?? null,
          epoch: owner?.epoch ?? null,
          sequence: own?.sequence ?? null,
          waiting: own?.waiting ?? null,
          lag: own?.lag ?? null,
          snapshotAge: own?.snapshot?.age ?? null,
          ownerChanges: seen.length === 0 ? null : Math.max(...seen.map((one) => one?.ownerChanges ?? 0)),
          forwarded: seen.reduce((sum, one) => sum + (one?.sessions?.forwarded ?? 0), 0),
          unable: asked.filter(({ unable }) => unable.has(partition)).map(({ node }) => ({
            node,
            why: answers.get(node)?.status.partitions[partition]?.unable ?? null,
          })),
        };
      }),
    };
  }

  /**
   * Moves the partitions of a node away, and keeps it from taking any until it is undrained or started again. Resolves
   * when others have them. Throws `EngineError` (`NODE`) when there is no such node, nobody could take them, or it does
   * not come to an end.
   */
  async drain(node: string, moved: (left: number) => void = () => {}): Promise<void> {
    const had = await this.#drainable(node);
    await this.#change(node, "drain");
    const { partitions } = await readCluster(this.#bucket);
    const end = performance.now() + this.#patience;
    for (let before = -1;;) {
      const members = await this.#members();
      const { state = "gone", owned } = members.find((member) => member.node === node) ?? {};
      if (state === "gone") throw new EngineError("NODE", `Cannot drain ${node} any more: it is gone`);
      const left = owned?.size ?? 0;
      if (left !== before) moved(before = left);
      const owners = ownershipOf(members, partitions);
      const nobodys = had.filter((partition) => owners[partition] === null).length;
      if (left === 0 && nobodys === 0) return;
      if (performance.now() > end) throw late(node, { left, nobodys });
      await new Promise((resolve) => setTimeout(resolve, times.look));
    }
  }

  /** Lets a node take partitions again. Throws as {@linkcode drain} does. */
  async undrain(node: string): Promise<void> {
    await this.#running(node);
    await this.#change(node, "undrain");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#engine[Symbol.asyncDispose]();
  }

  /** The partitions of a node. Throws where nobody else answers: one that has just died is live until its lease ends. */
  async #drainable(node: string): Promise<readonly number[]> {
    const members = await this.#running(node);
    const live = members.filter((other) => other.node !== node && other.state === "live").map((other) =>
      other.node
    );
    const answers = await Promise.all(live.map((other) => this.#ask(other, "status")));
    if (answers.every((answer) => answer === null)) {
      const silent = live.length === 0 ? "" : `: ${live.join(", ")} does not answer`;
      throw new EngineError("NODE", `Cannot drain ${node}: no other node could take its partitions${silent}`);
    }
    return [...members.find((member) => member.node === node)!.owned.keys()];
  }

  async #running(node: string): Promise<readonly Member[]> {
    const members = await this.#members();
    const names = members.filter(({ state }) => state !== "gone").map((member) => member.node);
    if (names.includes(node)) return members;
    const isGone = members.some((member) => member.node === node);
    throw new EngineError(
      "NODE",
      `There is no node ${JSON.stringify(node.slice(0, 50))} in cluster ${this.#cluster}` +
        `${isGone ? ": it is gone" : ""}; running: ${names.join(", ") || "none"}`,
    );
  }

  async #change(node: string, question: OperatorQuestion): Promise<void> {
    if (await this.#ask(node, question) === null) {
      throw new EngineError("NODE", `Cannot ${question} ${node}: it does not answer`);
    }
  }

  async #ask(node: string, question: OperatorQuestion): Promise<OperatorAnswer | null> {
    const subject = operatorSubject(`smp-link.${this.#cluster}`, node);
    try {
      const answer = await this.#engine.connection.request(subject, question, { timeout: times.answer });
      return answer.json<OperatorAnswer>();
    } catch {
      return null;
    }
  }

  async #members(): Promise<readonly Member[]> {
    const entries = await this.#bucket.readAll(prefix);
    const members = entries.map(memberOf).filter((member) => member !== null);
    return members.sort((a, b) => a.node < b.node ? -1 : 1);
  }
}

const prefix = "node.";

function late(
  node: string,
  { left, nobodys }: { readonly left: number; readonly nobodys: number },
): EngineError {
  return new EngineError(
    "NODE",
    left > 0
      ? `Cannot drain ${node} yet: it still has ${left} partitions`
      : `${node} has no partition any more, but nobody has taken ${nobodys} that it had: see who runs, or undrain it`,
  );
}

function memberOf(
  { key, value, revision }: { readonly key: string; readonly value: string; readonly revision: number },
): Member | null {
  const node = key.slice(prefix.length);
  const lease = isNodeName(node) ? parseLease(value) : null;
  return lease && { ...lease, node, revision, seenAt: 0 };
}

function nodePicture(
  { node, state, owned }: Member,
  answer: OperatorAnswer | null,
  others: readonly OperatorAnswer[],
): NodePicture {
  const seen = others.flatMap(({ status }) =>
    status.nodes.filter((other) => other.node === node).map(({ leaseAge }) => leaseAge)
  );
  const sum = (what: "forwarded" | "pending") =>
    answer && answer.status.partitions.reduce((all, { sessions }) => all + (sessions?.[what] ?? 0), 0);
  return {
    node,
    state,
    answers: answer !== null,
    leaseAge: answer?.status.leaseAge ?? (seen.length === 0 ? null : Math.min(...seen)),
    partitions: state === "gone" ? 0 : owned.size,
    forwarded: sum("forwarded"),
    pending: sum("pending"),
    notReady: answer?.notReady ?? null,
  };
}
