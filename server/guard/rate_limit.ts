interface Bucket {
  tokens: number;
  /** When `tokens` was right, in milliseconds of the clock. */
  at: number;
}

/** Above this many clients those that have not been seen for longest are forgotten. */
const mostClients = 100_000;

/**
 * Limits how often each of many clients may do something: a token bucket a client.
 * What is kept of a client is forgotten when its bucket would be full again, or when there are too many.
 */
export class RateLimit {
  /** Least recently seen first. */
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** How many clients are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Whether `client` may do it once more, at `perSecond` on average and up to `burst` at once; counts it if so. */
  take(
    client: string,
    { perSecond, burst }: { readonly perSecond: number; readonly burst: number },
  ): boolean {
    const now = this.#now();
    const bucket = this.#buckets.get(client) ?? { tokens: burst, at: now };
    const tokens = Math.min(burst, bucket.tokens + (now - bucket.at) / 1000 * perSecond);
    const allowed = tokens >= 1;
    this.#buckets.delete(client);
    this.#buckets.set(client, { tokens: allowed ? tokens - 1 : tokens, at: now });
    if (this.#buckets.size > mostClients) {
      const [oldest] = this.#buckets.keys();
      this.#buckets.delete(oldest!);
    }
    return allowed;
  }

  /** Forgets the clients whose buckets are full after `milliseconds` without use. */
  forget(milliseconds: number): void {
    const before = this.#now() - milliseconds;
    for (const [client, { at }] of this.#buckets) {
      if (at > before) return;
      this.#buckets.delete(client);
    }
  }
}
