import type { BucketName, UsageReport } from "../guard/server_usage.ts";
import { mostNetworks } from "./messages.ts";

interface Reported {
  connections: number;
  handshakes: number;
  held: number;
  readonly counts: Map<string, readonly [connections: number, handshakes: number]>;
  /** What this worker is to be told. */
  readonly changed: Set<string>;
  readonly poured: Map<string, [bucket: BucketName, network: string, amount: number]>;
  isTold: boolean;
}

/** Puts together what all workers use, and tells each what the others do. */
export class UsageBoard {
  readonly #workers = new Map<number, Reported>();
  readonly #tell: (worker: number, usage: UsageReport) => void;

  constructor(tell: (worker: number, usage: UsageReport) => void) {
    this.#tell = tell;
  }

  up(worker: number): void {
    const changed = new Set<string>();
    for (const { counts } of this.#workers.values()) {
      for (const network of counts.keys()) changed.add(network);
    }
    this.#workers.set(worker, {
      connections: 0,
      handshakes: 0,
      held: 0,
      counts: new Map(),
      changed,
      poured: new Map(),
      isTold: false,
    });
  }

  down(worker: number): void {
    const left = this.#workers.get(worker);
    if (left === undefined) return;
    this.#workers.delete(worker);
    for (const other of this.#workers.values()) {
      for (const network of left.counts.keys()) other.changed.add(network);
      other.isTold = false;
    }
  }

  take(worker: number, { connections, handshakes, held, counts, poured }: UsageReport): void {
    const reported = this.#workers.get(worker);
    if (reported === undefined) return;
    Object.assign(reported, { connections, handshakes, held });
    for (const [network, ...count] of counts) {
      if (count[0] === 0 && count[1] === 0) reported.counts.delete(network);
      else reported.counts.set(network, count);
    }
    for (const [other, { changed, poured: pouring }] of this.#workers) {
      if (other === worker) continue;
      for (const [network] of counts) changed.add(network);
      for (const [bucket, network, amount] of poured) {
        const key = `${bucket} ${network}`;
        pouring.set(key, [bucket, network, (pouring.get(key)?.[2] ?? 0) + amount]);
      }
      this.#workers.get(other)!.isTold = false;
    }
  }

  /** Tells all that is new. */
  flush(): void {
    for (const [worker, reported] of this.#workers) {
      while (!reported.isTold) this.#tell(worker, this.#othersOf(worker, reported));
    }
  }

  #othersOf(worker: number, reported: Reported): UsageReport {
    const others = [...this.#workers].filter(([other]) => other !== worker).map(([, other]) => other);
    const sum = (value: (other: Reported) => number) => others.reduce((all, other) => all + value(other), 0);
    const networks = [...reported.changed].slice(0, mostNetworks);
    const poured = [...reported.poured].slice(0, mostNetworks);
    for (const network of networks) reported.changed.delete(network);
    for (const [key] of poured) reported.poured.delete(key);
    reported.isTold = reported.changed.size === 0 && reported.poured.size === 0;
    return {
      connections: sum((other) => other.connections),
      handshakes: sum((other) => other.handshakes),
      held: sum((other) => other.held),
      counts: networks.map((network) => [
        network,
        sum((other) => other.counts.get(network)?.[0] ?? 0),
        sum((other) => other.counts.get(network)?.[1] ?? 0),
      ]),
      poured: poured.map(([, entry]) => entry),
    };
  }
}
