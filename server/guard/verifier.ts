import { type CryptoHelper, type PublicKey, startCryptoHelper, verifyPss } from "../../protocol/mod.ts";
import { FairQueue } from "./fair_queue.ts";
import type { Source } from "./client_network.ts";

interface Job {
  readonly key: PublicKey;
  readonly number: Uint8Array;
  readonly resolve: (result: Uint8Array<ArrayBuffer>) => void;
  readonly reject: (error: unknown) => void;
}

/** What programs use, unless they use random ones. */
const largestSmallExponent = 65537n;

export type ExponentClass = "small" | "large";

export function exponentClass(key: Pick<PublicKey, "exponent">): ExponentClass {
  return key.exponent > largestSmallExponent ? "large" : "small";
}

/** Small exponents at once, as that is faster than telling another thread; others on threads, in turn. */
export class Verifier implements AsyncDisposable {
  readonly #most: number;
  readonly #startHelper: () => CryptoHelper;
  readonly #idle: CryptoHelper[] = [];
  readonly #helpers = new Set<CryptoHelper>();
  readonly #waiting = new FairQueue<Job>();
  #isClosed = false;

  constructor(
    most: number = Math.min(Math.max(navigator.hardwareConcurrency - 1, 1), 4),
    startHelper: () => CryptoHelper = startCryptoHelper,
  ) {
    this.#most = most;
    this.#startHelper = startHelper;
  }

  verify(
    key: PublicKey,
    signature: Uint8Array<ArrayBuffer>,
    data: Uint8Array<ArrayBuffer>,
    source: Source,
  ): Promise<boolean> {
    if (exponentClass(key) === "small") return verifyPss(key, signature, data);
    return verifyPss(key, signature, data, (key, number) => this.#queue(source, key, number));
  }

  /**
   * Waiting signatures are found invalid: nobody waits for the answers any more. Resolves when no thread computes any
   * more.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const closing = [...this.#helpers].map((helper) => helper.close());
    for (let job = this.#waiting.take(); job !== null; job = this.#waiting.take()) giveUp(job);
    await Promise.all(closing);
  }

  #rejectAll(error: unknown): void {
    for (let job = this.#waiting.take(); job !== null; job = this.#waiting.take()) job.reject(error);
  }

  #queue(source: Source, key: PublicKey, number: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return new Promise((resolve, reject) => {
      const job = { key, number, resolve, reject };
      if (this.#isClosed) return giveUp(job);
      this.#waiting.push(source, job);
      const helper = this.#idle.pop() ?? this.#start();
      if (helper !== null) void this.#work(helper);
    });
  }

  #start(): CryptoHelper | null {
    if (this.#helpers.size >= this.#most) return null;
    try {
      const helper = this.#startHelper();
      this.#helpers.add(helper);
      return helper;
    } catch (error) {
      // Running helpers do what waits; without any it would wait for ever.
      if (this.#helpers.size === 0) this.#rejectAll(error);
      return null;
    }
  }

  async #work(helper: CryptoHelper): Promise<void> {
    for (let job = this.#waiting.take(); job !== null; job = this.#waiting.take()) {
      try {
        job.resolve(await helper.publicOperation(job.key, job.number));
      } catch (error) {
        if (this.#isClosed) return giveUp(job);
        job.reject(error);
        this.#helpers.delete(helper);
        void helper.close();
        const next = !this.#waiting.isEmpty ? this.#start() : null;
        return next === null ? undefined : await this.#work(next);
      }
    }
    if (!this.#isClosed) this.#idle.push(helper);
  }
}

function giveUp({ number, resolve }: Job): void {
  resolve(new Uint8Array(number.length));
}
