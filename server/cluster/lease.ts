import { Announcement } from "./announcement.ts";
import { BehindLeader } from "./behind_leader.ts";
import type { BucketEntry } from "./bucket.ts";
import { type ClusterClock, steadyClock } from "./clock.ts";
import { checkCluster } from "./cluster_identity.ts";
import type { EngineEvent } from "./engine.ts";
import { EngineError } from "./error.ts";
import type { LeaseOptions } from "./lease_options.ts";
import {
  formatLease,
  isNodeName,
  type Lease,
  leaseTimes,
  type Member,
  Members,
  parseLease,
} from "./members.ts";
import { Unseen } from "./unseen.ts";

const prefix = "node.";

/** How long joining is tried, milliseconds. */
const patience = 60_000;

/**
 * A node's part in its cluster: its lease, which it renews each second, and its view of the other nodes. It takes those
 * for dead whose leases have not changed for 4 s while its own renewals were seen, by storing that they are gone, which
 * fails when they have renewed meanwhile. So who still has its lease was not taken for dead.
 */
export class NodeLease implements AsyncDisposable {
  readonly #options: LeaseOptions;
  readonly #clock: ClusterClock;
  readonly #members: Members;
  readonly #process = crypto.randomUUID();
  readonly #announcement = new Announcement(() => this.#wake.abort());
  readonly #ending = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #burials = new Set<string>();
  readonly #unseen = new Unseen();
  readonly #stops: (() => void)[] = [];
  #wake = new AbortController();
  #backAgain = new AbortController();
  /** Since when there is no connection, until that has been told. */
  #lostAt: number | null = null;
  /** How often a connection was lost. */
  #losses = 0;
  #revision = 0;
  /** That of the last lease of this process that was stored. */
  #highest = 0;
  readonly #behind = new BehindLeader();
  #incarnation = 0;
  #nextIncarnation: number;
  #renewedAt = -Infinity;
  #isPaused = true;
  #wasGone = false;
  #isSuperseded = false;
  #isFailing = false;

  private constructor(options: LeaseOptions) {
    this.#options = options;
    this.#clock = options.clock ?? steadyClock;
    this.#members = new Members(options.node);
    // Also greater than before where the bucket was lost.
    this.#nextIncarnation = Date.now();
  }

  /**
   * Joins the cluster: resolves when the lease is stored. Throws `RangeError` for a name that cannot be one,
   * `EngineError` (`OTHER_CLUSTER`, `NAME_IN_USE`), the reason of the signal, or after a minute what the bucket throws.
   */
  static async join(options: LeaseOptions): Promise<NodeLease> {
    const { node, signal } = options;
    if (!isNodeName(node)) {
      throw new RangeError(
        `Cannot join the cluster: the node's name ${JSON.stringify(node.slice(0, 50))} is not made of ` +
          "1 to 32 letters, digits, _ and -",
      );
    }
    const lease = new NodeLease(options);
    try {
      await lease.#start();
      signal.throwIfAborted();
      return lease;
    } catch (error) {
      await lease.#stop();
      throw error;
    }
  }

  /** That of the lease that is held, or was held last. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** Whether answers may be given now. To be asked for each, as an event comes late when the process was stopped. */
  get holds(): boolean {
    return !this.#isPaused && !this.#isSuperseded && this.#isFresh();
  }

  /** All nodes that were seen, by name, this one too. */
  get members(): readonly Member[] {
    return this.#members.list;
  }

  /** Names of those that may own partitions. */
  get live(): readonly string[] {
    return this.#members.live;
  }

  /** Names of the nodes that own the partitions, as they say; `null` where nobody does. */
  get owners(): (string | null)[] {
    return this.#members.owners(this.#options.cluster.partitions);
  }

  /** How long ago the last renewal was sent that succeeded, milliseconds. */
  get age(): number {
    return this.#clock.now() - this.#renewedAt;
  }

  /** Tells the others of a partition that was claimed. */
  own(partition: number, epoch: number): void {
    this.#announcement.own(partition, epoch);
  }

  /** Tells the others of a partition that is given away, or was lost. */
  disown(partition: number): void {
    this.#announcement.disown(partition);
  }

  /** Whether it was told that this node cannot take a partition. */
  isUnable(partition: number): boolean {
    return this.#announcement.isUnable(partition);
  }

  /** Tells the others that this node cannot take a partition, or may be able to again. */
  setUnable(partition: number, isUnable: boolean): void {
    this.#announcement.setUnable(partition, isUnable);
  }

  /** The time of this lease's clock, milliseconds. */
  get now(): number {
    return this.#clock.now();
  }

  /**
   * Tells the others to take the partitions, or that this node takes some again; resolves when that is stored, or this
   * lease has ended.
   */
  async drain(isDraining = true): Promise<void> {
    await this.#announcement.drain(isDraining, this.#ending.signal);
  }

  /** Leaves: the others hear of it at once, where the engine can be reached. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    if (this.#isSuperseded || this.#revision === 0 || this.#options.connectivity.lostAt !== null) return;
    try {
      await this.#options.bucket.write(this.#key, this.#text("gone"), this.#revision);
    } catch (error) {
      this.#options.log("warn", "could not tell the other nodes that this one leaves", error);
    }
  }

  get #key(): string {
    return prefix + this.#options.node;
  }

  async #start(): Promise<void> {
    const { bucket, cluster, connectivity, signal } = this.#options;
    if (signal.aborted) throw signal.reason;
    const end = () => this.#ending.abort();
    signal.addEventListener("abort", end);
    this.#stops.push(() => signal.removeEventListener("abort", end));
    this.#stops.push(bucket.watch((entry) => this.#see(entry)));
    this.#stops.push(connectivity.listen((event) => this.#connectivityChanged(event)));
    await this.#persist(() => checkCluster(bucket, cluster));
    this.#revision = await this.#persist(() => this.#takeOver());
    await this.#persist(async () => {
      for (const entry of await bucket.readAll(prefix)) this.#see(entry);
    });
    await this.#persist(() => this.#writeFirst());
    this.#run(this.#renewing());
    this.#run(this.#watching());
  }

  /**
   * Waits whether another process renews the lease of this name, as long as one may hold it, as whatever it owns is
   * nobody's from then on; gives the revision that is to be replaced.
   */
  async #takeOver(): Promise<number> {
    const { bucket, signal } = this.#options;
    const entry = await bucket.read(this.#key);
    const lease = entry === null ? null : parseLease(entry.value);
    if (entry === null || lease === null) return entry?.revision ?? 0;
    this.#nextIncarnation = Math.max(this.#nextIncarnation, lease.incarnation + 1);
    if (lease.state === "gone") return entry.revision;
    await this.#clock.wait(leaseTimes.silence, signal);
    signal.throwIfAborted();
    const later = await bucket.read(this.#key);
    if (later === null) return 0;
    // Another node may have taken it for dead meanwhile.
    if (later.revision !== entry.revision && parseLease(later.value)?.state !== "gone") {
      throw this.#nameInUse();
    }
    return later.revision;
  }

  async #writeFirst(): Promise<void> {
    if (await this.#write(this.#revision) !== null) return;
    const entry = await this.#options.bucket.read(this.#key);
    const lease = entry === null ? null : parseLease(entry.value);
    // It may be what it has written itself, if it did not hear of it.
    if (lease !== null && lease.process !== this.#process && lease.state !== "gone") throw this.#nameInUse();
    this.#revision = entry?.revision ?? 0;
    if (await this.#write(this.#revision) === null) throw this.#nameInUse();
  }

  /** Does again what fails while the engine elects its leaders, or by another server when it fails for longer. */
  async #persist<T>(action: () => Promise<T>): Promise<T> {
    const { signal, log } = this.#options;
    let lastAt = this.#clock.now();
    const end = lastAt + patience;
    for (;;) {
      try {
        return await action();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof EngineError || this.#clock.now() > end) throw error;
        log("warn", "could not join the cluster yet, trying again", error);
      }
      await this.#changeSilentServer(this.#clock.now() - lastAt);
      lastAt = this.#clock.now();
      await this.#clock.wait(leaseTimes.renewal, signal);
    }
  }

  #nameInUse(): EngineError {
    return new EngineError(
      "NAME_IN_USE",
      `Cannot join the cluster: another node runs under the name ${this.#options.node}: give each its own`,
    );
  }

  async #renewing(): Promise<void> {
    const { signal } = this.#ending;
    for (let lastBegunAt = this.#clock.now(); !signal.aborted;) {
      const begunAt = this.#clock.now();
      await this.#changeSilentServer(begunAt - lastBegunAt);
      lastBegunAt = begunAt;
      this.#wake = new AbortController();
      await this.#renew();
      const rest = begunAt + leaseTimes.renewal - this.#clock.now();
      if (rest > 0) await this.#clock.wait(rest, AbortSignal.any([signal, this.#wake.signal]));
    }
  }

  async #changeSilentServer(elapsed: number): Promise<void> {
    const { connectivity, log } = this.#options;
    if (connectivity.lostAt !== null) return;
    const seconds = this.#unseen.add(elapsed);
    if (seconds === null) return;
    log("warn", `saw no renewal of this node's lease for ${seconds} s: trying another NATS server`);
    try {
      await connectivity.changeServer();
    } catch (error) {
      if (!this.#ending.signal.aborted) log("warn", "could not leave the NATS server", error);
    }
  }

  async #renew(): Promise<void> {
    // The client would keep what is written until it is connected again.
    if (this.#options.connectivity.lostAt !== null) return;
    try {
      if (await this.#write(this.#revision) !== null) return;
      await this.#lookWhatHappened();
    } catch (error) {
      if (!this.#ending.signal.aborted) {
        this.#options.log("warn", "could not renew the lease of this node", error);
      }
    }
  }

  async #write(expected: number): Promise<number | null> {
    const [sentAt, incarnation, losses] = [this.#clock.now(), this.#nextIncarnation, this.#losses];
    const { said, number } = this.#announcement;
    const revision = await this.#options.bucket.write(this.#key, this.#text(said.state), expected);
    if (revision === null) return null;
    this.#revision = revision;
    this.#highest = revision;
    this.#announcement.stored(number);
    if (this.#isFailing) this.#options.log("info", "renewed the lease of this node again");
    this.#isFailing = false;
    this.#renewedAt = sentAt;
    this.#incarnation = incarnation;
    const counts = losses === this.#losses && this.#isFresh() && !this.#ending.signal.aborted;
    if (this.#isPaused && counts) this.#resume();
    return revision;
  }

  #text(state: Lease["state"]): string {
    const { said } = this.#announcement;
    return formatLease({ ...said, incarnation: this.#nextIncarnation, process: this.#process, state });
  }

  /** Something else is stored than what was written last, as far as is known. */
  async #lookWhatHappened(): Promise<void> {
    const entry = await this.#options.bucket.read(this.#key);
    const lease = entry === null ? null : parseLease(entry.value);
    const revision = entry?.revision ?? 0;
    if (revision < this.#highest) return await this.#lookBehind(revision);
    this.#behind.end();
    this.#revision = revision;
    const isOwn = lease === null || lease.process === this.#process || lease.state === "gone";
    if (!isOwn) return this.#supersede();
    if (lease?.state === "gone" || lease === null) {
      this.#pause();
      this.#wasGone = true;
      this.#nextIncarnation = Math.max(this.#nextIncarnation, lease?.incarnation ?? 0) + 1;
      this.#options.log("warn", "other nodes took this one for dead");
    }
    // Else it is one of its own, whose acknowledgement was lost.
    if (await this.#write(this.#revision) === null) this.#wake.abort();
  }

  /** The bucket has an older lease of this process than one that was stored. */
  async #lookBehind(revision: number): Promise<void> {
    const what = `the lease of this node is number ${revision} there, and was ${this.#highest} before`;
    const next = this.#behind.look(this.#clock.now());
    if (next === "wait") return;
    if (next === "ask") {
      this.#options.log("warn", `the leader of the bucket is behind, asking for another one: ${what}`);
      if (await this.#options.bucket.stepDown()) return;
    }
    this.#pause();
    this.#ending.abort();
    this.#options.onEvent({ type: "restored", at: this.#clock.now(), what });
  }

  /** Pauses in time when renewals do not come. */
  async #watching(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const rest = this.#renewedAt + leaseTimes.hold - this.#clock.now();
      if (rest <= 0) this.#pause();
      await this.#clock.wait(rest > 0 ? rest : leaseTimes.hold, signal);
    }
  }

  #see({ key, revision, value }: BucketEntry): void {
    if (!key.startsWith(prefix)) return;
    const node = key.slice(prefix.length);
    const lease = isNodeName(node) ? parseLease(value) : null;
    if (lease === null) return;
    const now = this.#clock.now();
    const hasChanged = this.#members.see(node, revision, lease, now);
    if (hasChanged) this.#options.onEvent({ type: "members", at: now });
    if (node !== this.#options.node || lease.process !== this.#process) return;
    if (lease.state === "gone") {
      if (revision > this.#revision) {
        this.#pause();
        this.#wake.abort();
      }
      return;
    }
    this.#unseen.end();
    for (const member of this.#members.renewed(now)) this.#bury(member);
  }

  /** Stores that a node is gone, unless it has renewed its lease or somebody else was faster. */
  async #bury(member: Member): Promise<void> {
    const { bucket, log } = this.#options;
    if (this.#burials.has(member.node) || this.#ending.signal.aborted) return;
    this.#burials.add(member.node);
    const key = prefix + member.node;
    try {
      const text = formatLease({ ...member, state: "gone" });
      if (await bucket.write(key, text, member.revision) === null) {
        // It may be that what was stored last was left out of what is seen.
        const entry = await bucket.read(key);
        if (entry !== null) this.#see(entry);
      } else log("warn", `node ${member.node} is taken for dead: it has not renewed its lease`);
    } catch (error) {
      if (!this.#ending.signal.aborted) {
        log("warn", `could not store that node ${member.node} is gone`, error);
      }
    } finally {
      this.#burials.delete(member.node);
    }
  }

  #connectivityChanged({ type, at }: EngineEvent): void {
    if (type === "lost") {
      this.#lostAt = at;
      this.#losses++;
      // Others may have taken this node for dead: its clock does not run while its machine is paused.
      this.#pause();
      this.#run(this.#cutting(at));
      return;
    }
    // A process that was stopped may hear of it before its timer.
    if (this.#lostAt !== null && at - this.#lostAt >= leaseTimes.cut) this.#cut();
    this.#lostAt = null;
    this.#unseen.beginAgain();
    this.#backAgain.abort();
    this.#backAgain = new AbortController();
    this.#wake.abort();
  }

  async #cutting(lostAt: number): Promise<void> {
    const signal = AbortSignal.any([this.#backAgain.signal, this.#ending.signal]);
    await this.#clock.wait(lostAt + leaseTimes.cut - this.#clock.now(), signal);
    if (!signal.aborted) this.#cut();
  }

  #cut(): void {
    this.#lostAt = null;
    this.#nextIncarnation++;
    this.#pause();
    this.#options.onEvent({ type: "cut", at: this.#clock.now() });
  }

  #run(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }

  #isFresh(): boolean {
    return this.age < leaseTimes.hold;
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#options.onEvent({ type: "pause", at: this.#clock.now() });
  }

  #resume(): void {
    this.#isPaused = false;
    const wasGone = this.#wasGone;
    this.#wasGone = false;
    this.#options.onEvent({ type: "resume", at: this.#clock.now(), incarnation: this.#incarnation, wasGone });
  }

  #supersede(): void {
    this.#pause();
    this.#isSuperseded = true;
    this.#ending.abort();
    this.#options.onEvent({ type: "superseded", at: this.#clock.now() });
  }

  async #stop(): Promise<void> {
    this.#ending.abort();
    this.#isPaused = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#announcement.end();
    await Promise.all(this.#tasks);
  }
}
