/** Milliseconds for which an agent that is closed waits for queues that are being made. */
const patience = 1_000;

/**
 * The queues that servers are being asked for. An agent that was closed before the answer comes would leave a queue at its
 * server that nobody knows, and that only its keys, which are gone, could delete.
 */
export class Making {
  readonly #pending = new Set<Promise<unknown>>();
  #isClosed = false;

  /** Asks for a queue. Rejects with an `AbortError` when the agent is being closed. */
  async ask<T>(create: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DOMException("The agent was closed", "AbortError");
    const asked = create();
    const settled = asked.then(() => {}, () => {}).finally(() => this.#pending.delete(settled));
    this.#pending.add(settled);
    return await asked;
  }

  /** Asks for no more; resolves when what was asked for has come or failed, or has taken too long. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#pending.size === 0) return;
    let timer;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, patience));
    await Promise.race([Promise.all(this.#pending), late]);
    clearTimeout(timer);
  }
}
