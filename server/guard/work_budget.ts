import type { PublicKey } from "../../protocol/mod.ts";
import { type BudgetName, countedNetworks, type Source } from "./client_network.ts";
import { type Leak, LeakyBucket, LeakyBuckets } from "./leaky_bucket.ts";
import type { ServerUsage } from "./server_usage.ts";
import { exponentClass } from "./verifier.ts";

const burstSeconds = 10;
/** The part of a client's budget that one of its connections has. */
const connectionShare = 1 / 2;

/** A connection that has caused no work never waits, whatever others of its address do. */
export class WorkBudget {
  readonly #perSecond: () => number;
  readonly #now: () => number;
  readonly #connections = new WeakMap<Source, LeakyBucket>();
  readonly #clients: LeakyBuckets;

  constructor(
    perSecond: () => number,
    { now = () => performance.now(), shared = null }: {
      readonly now?: () => number;
      readonly shared?: { readonly usage: ServerUsage; readonly name: BudgetName } | null;
    } = {},
  ) {
    this.#perSecond = perSecond;
    this.#now = now;
    this.#clients = new LeakyBuckets(() => this.#leak(1), now, shared);
  }

  charge(source: Source, work: number): void {
    this.chargeConnection(source, work);
    this.chargeClient(source, work);
  }

  chargeConnection(source: Source, work: number): void {
    const leak = this.#leak(connectionShare);
    if (leak.perSecond === 0 || work === 0) return;
    const own = this.#connections.get(source) ?? new LeakyBucket();
    own.pour(work, leak, this.#now(), 2 * leak.capacity);
    this.#connections.set(source, own);
  }

  chargeClient({ client }: Source, work: number): void {
    if (this.#perSecond() === 0 || work === 0) return;
    for (const { network, share } of countedNetworks(client)) this.#clients.pour(network, work / share);
  }

  delay(source: Source): number {
    const own = this.#connections.get(source);
    const leak = this.#leak(connectionShare);
    if (own === undefined || leak.perSecond === 0) return 0;
    const networks = countedNetworks(source.client);
    return Math.max(
      own.delay(leak, this.#now()),
      ...networks.map(({ network }) => this.#clients.delay(network)),
    );
  }

  /** Milliseconds until the address has a budget again, whatever its connection has done. */
  clientDelay({ client }: Source): number {
    const delays = countedNetworks(client).map(({ network }) => this.#clients.delay(network));
    return Math.max(0, ...delays);
  }

  sweep(): void {
    this.#clients.sweep();
  }

  #leak(share: number): Leak {
    const perSecond = this.#perSecond() * share;
    return { perSecond, capacity: perSecond * burstSeconds };
  }
}

export interface WorkBudgets {
  readonly refused: WorkBudget;
  /** What rightly signed commands take beyond those with usual keys. */
  readonly extra: WorkBudget;
}

/** What a wrong password costs, milliseconds: far more than the work that it makes, as it may be a guess. */
export const wrongPasswordWork = 1_000;

type KeyNumbers = Pick<PublicKey, "bits" | "exponent">;

const standardBits = 2048;
const standardExponent = 65537n, standardExponentBits = 17, mostExponentBits = 1024;
/** Blocks and answer, milliseconds. */
const otherWork = 0.1;

/** Estimated in milliseconds: what is measured depends on what else the machine does. */
export function commandWork({ bits, exponent }: KeyNumbers): number {
  return workOf(bits, exponent <= standardExponent ? standardExponentBits : exponent.toString(2).length);
}

/** That of a command that is refused: by what a dummy has, too, or who counts it would know that there is a queue. */
export function refusedWork({ bits, exponent }: KeyNumbers): number {
  return workOf(bits, exponentClass({ exponent }) === "small" ? standardExponentBits : mostExponentBits);
}

export function extraWork(key: KeyNumbers): number {
  return Math.max(0, commandWork(key) - usualWork);
}

function workOf(bits: number, exponentBits: number): number {
  return otherWork + 1.5 * exponentBits * 0.0015 * (bits / standardBits) ** 2;
}

const usualWork = commandWork({ bits: standardBits, exponent: standardExponent });
