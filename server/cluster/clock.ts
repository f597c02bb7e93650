/** The time by which nodes are taken for dead. */
export interface ClusterClock {
  /** Milliseconds since some moment; they never go back. */
  now(): number;
  /** Resolves after `milliseconds`, or at once when `signal` aborts. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** The machine's. */
export const steadyClock: ClusterClock = {
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
