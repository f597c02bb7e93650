/** The time by which something is retried. */
export interface Clock {
  /** Milliseconds since some moment; they never go back. */
  now(): number;
  /** Resolves after `milliseconds`, or at once when `signal` aborts. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** The system's. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wait(milliseconds, signal) {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      signal.addEventListener("abort", end);
    });
  },
};
