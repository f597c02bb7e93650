import type { PublicKey } from "../../protocol/mod.ts";
import type { LimitSource } from "../config/limits.ts";

/** Whom work is done for: a connection, whose `client` is what limits per address count it by. */
export interface Source {
  readonly client: string | null;
}

interface Debt {
  /** Milliseconds of work at the time `at`. */
  amount: number;
  at: number;
}

/** How many seconds' worth of refusals may come at once. */
const burstSeconds = 10;
/** The part of a client's budget that one of its connections has. */
const connectionShare = 1 / 2;
/** Above this many clients those that have caused nothing for longest are forgotten. */
const mostClients = 100_000;

/**
 * Bounds the work that wrongly signed commands cause: whoever has caused too much waits before its next command is
 * taken. A connection none of whose commands was refused never waits, whatever others of its address do.
 */
export class RefusalBudget {
  readonly #limits: LimitSource;
  readonly #now: () => number;
  readonly #connections = new WeakMap<Source, Debt>();
  /** The one that has caused nothing for longest first. */
  readonly #clients = new Map<string, Debt>();

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(limits: LimitSource, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Counts a refusal that took a verification with `key`, or one that takes as long. */
  charge(source: Source, key: PublicKey): void {
    const rate = this.#limits().refusedTimePerSecondPerIp / 1000;
    if (rate === 0) return;
    const cost = verificationCost(key);
    this.#connections.set(
      source,
      this.#increased(this.#connections.get(source), cost, rate * connectionShare),
    );
    const { client } = source;
    if (client === null) return;
    const debt = this.#increased(this.#clients.get(client), cost, rate);
    this.#clients.delete(client);
    this.#clients.set(client, debt);
    if (this.#clients.size > mostClients) {
      const [oldest] = this.#clients.keys();
      this.#clients.delete(oldest!);
    }
  }

  /** Milliseconds that `source` has to wait before its next command is taken. */
  delay(source: Source): number {
    const own = this.#connections.get(source);
    const rate = this.#limits().refusedTimePerSecondPerIp / 1000;
    if (own === undefined || rate === 0) return 0;
    const clients = source.client === null ? undefined : this.#clients.get(source.client);
    return Math.max(this.#excess(own, rate * connectionShare), this.#excess(clients, rate));
  }

  /** Forgets the clients that owe nothing any more. */
  sweep(): void {
    const before = this.#now() - 2 * burstSeconds * 1000;
    for (const [client, { at }] of this.#clients) {
      if (at > before) return;
      this.#clients.delete(client);
    }
  }

  #increased(debt: Debt | undefined, cost: number, rate: number): Debt {
    const now = this.#now();
    const amount = debt === undefined ? 0 : Math.max(0, debt.amount - (now - debt.at) * rate);
    // Bounded, so that nobody waits longer than a burst takes.
    return { amount: Math.min(amount + cost, 2 * rate * burstSeconds * 1000), at: now };
  }

  #excess(debt: Debt | undefined, rate: number): number {
    if (debt === undefined) return 0;
    return Math.max(0, debt.amount / rate - (this.#now() - debt.at) - burstSeconds * 1000);
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
