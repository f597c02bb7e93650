/** How work is repeated that fails because the engine, or the way to it, does. */
export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Milliseconds until the second attempt; each wait is twice the last one, up to a second. @default 20 */
  readonly first?: number;
  readonly log?: (message: string, error?: unknown) => void;
}

const longest = 1_000;
/** Failures in a row after which they are told. */
const telling = 8;

/** Waits between attempts: longer each time, by chance a little less. */
export class Backoff {
  readonly #options: RetryOptions;
  #attempts = 0;

  constructor(options: RetryOptions) {
    this.#options = options;
  }

  /** Waits after a failure of `what`; rejects with the signal's reason as soon as it is aborted. */
  async wait(what: string, cause?: unknown): Promise<void> {
    const { signal, first = 20, log } = this.#options;
    if (++this.#attempts === telling) log?.(`Cannot ${what} yet`, cause);
    const delay = Math.min(longest, first * 2 ** Math.min(this.#attempts - 1, 10)) *
      (0.75 + Math.random() / 4);
    await pause(delay, signal);
  }
}

/** Repeats `work` until it succeeds; rejects with the signal's reason when that is aborted. */
export async function retrying<T>(what: string, work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const backoff = new Backoff(options);
  for (;;) {
    options.signal.throwIfAborted();
    let failure: unknown;
    try {
      return await unlessAborted(work(), options.signal);
    } catch (error) {
      failure = error;
    }
    await backoff.wait(what, failure);
  }
}

/** Gives what a promise gives, unless the signal is aborted before. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
    promise.catch(() => {});
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal.aborted) return Promise.reject(signal.reason);
  const abort = () => {
    clearTimeout(timer);
    reject(signal.reason);
  };
  const timer = setTimeout(() => {
    signal.removeEventListener("abort", abort);
    resolve();
  }, milliseconds);
  signal.addEventListener("abort", abort, { once: true });
  return promise;
}
