import type { LimitSource } from "../config/limits.ts";
import type { CountedNetwork } from "./client_network.ts";

/** The leaky buckets by network whose levels count for all processes of a server. */
export const bucketNames = ["handshakes", "displaced", "newQueues", "refused", "extra"] as const;

export type BucketName = typeof bucketNames[number];

/** What one process of a server uses, or all others do. The counts are those of networks that have changed. */
export interface UsageReport {
  readonly connections: number;
  readonly handshakes: number;
  /** Bytes. */
  readonly held: number;
  readonly counts: readonly (readonly [network: string, connections: number, handshakes: number])[];
  /** What has been poured into buckets since the last report. */
  readonly poured: readonly (readonly [bucket: BucketName, network: string, amount: number])[];
}

/** Above, the oldest is left out: what a flood has poured from ever new networks must not grow. */
const mostPoured = 100_000;

/** Counts of this process by network, to which those of the others are added where a limit is applied. */
export class SharedCounts {
  readonly #own = new Map<string, number>();
  readonly #others = new Map<string, number>();
  readonly #changed: (network: string) => void;
  /** Of this process. */
  all = 0;
  ofOthers = 0;

  constructor(changed: (network: string) => void = () => {}) {
    this.#changed = changed;
  }

  get sum(): number {
    return this.all + this.ofOthers;
  }

  add(networks: readonly CountedNetwork[], change: 1 | -1): void {
    this.all += change;
    for (const { network } of networks) {
      setCount(this.#own, network, this.own(network) + change);
      this.#changed(network);
    }
  }

  own(network: string): number {
    return this.#own.get(network) ?? 0;
  }

  setOthers(network: string, count: number): void {
    setCount(this.#others, network, count);
  }

  full(networks: readonly CountedNetwork[], limit: number): string | undefined {
    if (limit === 0) return undefined;
    return networks.find(({ network, share }) =>
      this.own(network) + (this.#others.get(network) ?? 0) >= limit * share
    )?.network;
  }
}

/** Part of a limit, divided by the processes, above which a change is told at once. */
const untoldShare = 1 / 16;
const mostInReport = 4096;

export interface UsageOptions {
  /** Processes of the server. @default 1 */
  readonly processes?: number;
  /** Is called when a report should not wait. */
  readonly onUrgent?: () => void;
}

/** What a process is bounded by, and what it holds. */
export interface UsageSource {
  readonly limits: LimitSource;
  /** Bytes. */
  readonly held: () => number;
}

/**
 * What the limits of one server count that runs as several processes: each adds what it knows of the others to its
 * own, and tells them in {@linkcode ServerUsage.report}, which is asked for at least every 100 ms, and at once when
 * what is untold makes up a 16th of a limit, divided by the processes. So together they exceed a limit by a 16th, and
 * by what comes in the milliseconds that a report takes.
 *
 * Connections and handshakes are told as counts, so that a report that is repeated does no harm; what was poured into
 * leaky buckets as amounts, which the others pour into theirs. Who is displaced when there is no place is chosen among
 * the connections of the process that has none: the system spreads connections evenly, so that each process has its
 * part of those of any address.
 */
export class ServerUsage {
  /** Processes of the server. */
  readonly processes: number;
  readonly connections: SharedCounts;
  readonly handshakes: SharedCounts;
  readonly #onUrgent: () => void;
  readonly #changed = new Set<string>();
  readonly #poured = new Map<string, [bucket: BucketName, network: string, amount: number]>();
  readonly #buckets = new Map<BucketName, (network: string, amount: number) => void>();
  #source: UsageSource | null = null;
  readonly #untold = { connections: 0, handshakes: 0 };
  #toldHeld = 0;
  #heldByOthers = 0;

  constructor({ processes = 1, onUrgent = () => {} }: UsageOptions = {}) {
    this.processes = processes;
    this.#onUrgent = onUrgent;
    const changed = (kind: CountKind) =>
      processes === 1 ? () => {} : (network: string) => this.#change(kind, network);
    this.connections = new SharedCounts(changed("connections"));
    this.handshakes = new SharedCounts(changed("handshakes"));
  }

  /** Bytes that the other processes hold. */
  get heldByOthers(): number {
    return this.#heldByOthers;
  }

  /** Says what the reports are made from. */
  serve(source: UsageSource): void {
    this.#source = source;
  }

  /** Says where goes what others have poured; gives where to tell what this process does. */
  bucket(name: BucketName, pourOthers: (network: string, amount: number) => void): PourListener {
    if (this.processes === 1) return () => {};
    this.#buckets.set(name, pourOthers);
    return (network, amount, capacity) => this.#pour(name, { network, amount, capacity });
  }

  /** What has changed since the last one, of at most some thousand networks; `null` when nothing has. */
  report(): UsageReport | null {
    const held = this.#source?.held() ?? 0;
    const isHeldTold = Math.abs(held - this.#toldHeld) <= this.#leastHeld();
    if (this.#changed.size === 0 && this.#poured.size === 0 && isHeldTold) return null;
    this.#untold.connections = this.#untold.handshakes = 0;
    this.#toldHeld = held;
    const networks = takeSome(this.#changed.keys(), (network) => this.#changed.delete(network));
    const poured = takeSome(this.#poured.entries(), ([key]) => this.#poured.delete(key));
    return {
      connections: this.connections.all,
      handshakes: this.handshakes.all,
      held,
      counts: networks.map((
        network,
      ) => [network, this.connections.own(network), this.handshakes.own(network)]),
      poured: poured.map(([, entry]) => entry),
    };
  }

  /** Takes what the other processes have told, summed. */
  setOthers({ connections, handshakes, held, counts, poured }: UsageReport): void {
    this.connections.ofOthers = connections;
    this.handshakes.ofOthers = handshakes;
    this.#heldByOthers = held;
    for (const [network, ofConnections, ofHandshakes] of counts) {
      this.connections.setOthers(network, ofConnections);
      this.handshakes.setOthers(network, ofHandshakes);
    }
    for (const [bucket, network, amount] of poured) this.#buckets.get(bucket)?.(network, amount);
  }

  #change(kind: CountKind, network: string): void {
    this.#changed.add(network);
    const untold = ++this.#untold[kind];
    if (untold >= this.#leastLimit(kind) * untoldShare / this.processes) this.#onUrgent();
  }

  #pour(
    bucket: BucketName,
    { network, amount, capacity }: {
      readonly network: string;
      readonly amount: number;
      readonly capacity: number;
    },
  ): void {
    const key = `${bucket} ${network}`;
    const sum = (this.#poured.get(key)?.[2] ?? 0) + amount;
    this.#poured.set(key, [bucket, network, sum]);
    if (this.#poured.size > mostPoured) this.#poured.delete(this.#poured.keys().next().value!);
    if (sum >= capacity * untoldShare / this.processes) this.#onUrgent();
  }

  #leastLimit(kind: CountKind): number {
    if (this.#source === null) return Infinity;
    const limits = this.#source.limits();
    return Math.min(limits[kind], limits[`${kind}PerIp`] || Infinity);
  }

  #leastHeld(): number {
    const limit = this.#source?.limits().memory ?? 0;
    return limit === 0 ? Infinity : limit * untoldShare / this.processes / 16;
  }
}

type CountKind = "connections" | "handshakes";

export type PourListener = (network: string, amount: number, capacity: number) => void;

function takeSome<T>(values: Iterable<T>, take: (value: T) => void): readonly T[] {
  const taken: T[] = [];
  for (const value of values) {
    if (taken.length === mostInReport) break;
    taken.push(value);
    take(value);
  }
  return taken;
}

function setCount(counts: Map<string, number>, network: string, count: number): void {
  if (count === 0) counts.delete(network);
  else counts.set(network, count);
}
