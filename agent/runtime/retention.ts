import type { AgentStore } from "../store/store.ts";

const interval = 3_600_000;

/** Removes old messages that are done with from a store. */
export class Retention implements Disposable {
  readonly #store: AgentStore;
  readonly #retention: number;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `retention`: milliseconds for which messages are kept. */
  constructor(store: AgentStore, retention: number) {
    this.#store = store;
    this.#retention = retention;
  }

  /** Removes what is too old now. Throws what the store throws. */
  async prune(): Promise<void> {
    await this.#store.prune(steadyNow() - this.#retention);
  }

  /** Does so each hour. */
  begin(): void {
    this.#timer = setInterval(() => void this.prune().catch(() => {}), interval);
  }

  /** Removes nothing any more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** The system's clock, but no later than when it would be had nobody set it: no history is dropped because a clock jumps. */
function steadyNow(): number {
  return Math.min(Date.now(), performance.timeOrigin + performance.now());
}
