import type { PublicKey } from "../../protocol/mod.ts";
import type { LimitSource } from "../config/limits.ts";
import { type Leak, LeakyBucket, LeakyBuckets } from "./leaky_bucket.ts";

/** Whom work is done for: a connection, whose `client` is what limits per address count it by. */
export interface Source {
  readonly client: string | null;
}

/** How many seconds' worth of refusals may come at once. */
const burstSeconds = 10;
/** The part of a client's budget that one of its connections has. */
const connectionShare = 1 / 2;

/**
 * Bounds the work that wrongly signed commands cause: whoever has caused too much waits before its next command is
 * taken. A connection none of whose commands was refused never waits, whatever others of its address do.
 */
export class RefusalBudget {
  readonly #limits: LimitSource;
  readonly #now: () => number;
  readonly #connections = new WeakMap<Source, LeakyBucket>();
  readonly #clients: LeakyBuckets;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(limits: LimitSource, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#clients = new LeakyBuckets(() => this.#leak(1), now);
  }

  /** Counts a refusal that took a verification with `key`, or one that takes as long. */
  charge(source: Source, key: PublicKey): void {
    const leak = this.#leak(connectionShare);
    if (leak.perSecond === 0) return;
    const cost = verificationCost(key);
    const own = this.#connections.get(source) ?? new LeakyBucket();
    own.pour(cost, leak, this.#now(), 2 * leak.capacity);
    this.#connections.set(source, own);
    if (source.client !== null) this.#clients.pour(source.client, cost);
  }

  /** Milliseconds that `source` has to wait before its next command is taken. */
  delay(source: Source): number {
    const own = this.#connections.get(source);
    const leak = this.#leak(connectionShare);
    if (own === undefined || leak.perSecond === 0) return 0;
    const clients = source.client === null ? 0 : this.#clients.delay(source.client);
    return Math.max(own.delay(leak, this.#now()), clients);
  }

  /** Forgets the clients that owe nothing any more. */
  sweep(): void {
    this.#clients.sweep();
  }

  #leak(share: number): Leak {
    const perSecond = this.#limits().refusedTimePerSecondPerIp * share;
    return { perSecond, capacity: perSecond * burstSeconds };
  }
}

/**
 * About how many milliseconds it costs to refuse a command: blocks and answer, and the multiplications that the key's
 * exponent and size ask for. Not measured, as that would depend on what else the machine does.
 */
function verificationCost({ bits, exponent }: PublicKey): number {
  const multiplications = 1.5 * exponent.toString(2).length;
  return 0.1 + multiplications * 0.0015 * (bits / 2048) ** 2;
}
