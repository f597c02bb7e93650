import type { BucketName, PourListener, ServerUsage } from "./server_usage.ts";

export interface Leak {
  /** 0: nothing is limited. */
  readonly perSecond: number;
  readonly capacity: number;
}

const mostClients = 100_000;

export class LeakyBucket {
  #level = 0;
  #at = 0;

  pour(amount: number, leak: Leak, now: number, most = Infinity): void {
    this.#level = Math.min(this.level(leak, now) + amount, most);
    this.#at = now;
  }

  level({ perSecond }: Leak, now: number): number {
    return Math.max(0, this.#level - (now - this.#at) / 1000 * perSecond);
  }

  delay(leak: Leak, now: number): number {
    const excess = this.level(leak, now) - leak.capacity;
    return excess > 0 ? excess / leak.perSecond * 1000 : 0;
  }
}

export class LeakyBuckets {
  readonly #buckets = new Map<string, LeakyBucket>();
  readonly #leak: () => Leak;
  readonly #now: () => number;
  readonly #poured: PourListener;

  constructor(
    leak: () => Leak,
    now: () => number,
    shared: { readonly usage: ServerUsage; readonly name: BucketName } | null = null,
  ) {
    this.#leak = leak;
    this.#now = now;
    this.#poured = shared === null
      ? () => {}
      : shared.usage.bucket(shared.name, (client, amount) => this.#pour(client, amount));
  }

  get size(): number {
    return this.#buckets.size;
  }

  take(client: string, amount = 1): boolean {
    const leak = this.#leak();
    if (leak.perSecond === 0) return true;
    const bucket = this.#use(client);
    const now = this.#now();
    const fits = bucket.level(leak, now) + amount <= leak.capacity;
    if (fits) {
      bucket.pour(amount, leak, now);
      this.#poured(client, amount, leak.capacity);
    }
    return fits;
  }

  pour(client: string, amount: number): void {
    const { perSecond, capacity } = this.#leak();
    if (perSecond > 0) this.#poured(client, amount, capacity);
    this.#pour(client, amount);
  }

  delay(client: string): number {
    const leak = this.#leak();
    if (leak.perSecond === 0) return 0;
    return this.#buckets.get(client)?.delay(leak, this.#now()) ?? 0;
  }

  sweep(): void {
    const [leak, now] = [this.#leak(), this.#now()];
    for (const [client, bucket] of this.#buckets) {
      if (leak.perSecond === 0 || bucket.level(leak, now) === 0) this.#buckets.delete(client);
    }
  }

  /** Up to twice the capacity, so that nobody waits longer than a full bucket takes. */
  #pour(client: string, amount: number): void {
    const leak = this.#leak();
    if (leak.perSecond > 0) this.#use(client).pour(amount, leak, this.#now(), 2 * leak.capacity);
  }

  #use(client: string): LeakyBucket {
    const bucket = this.#buckets.get(client) ?? new LeakyBucket();
    this.#buckets.delete(client);
    this.#buckets.set(client, bucket);
    if (this.#buckets.size > mostClients) {
      const [oldest] = this.#buckets.keys();
      this.#buckets.delete(oldest!);
    }
    return bucket;
  }
}
