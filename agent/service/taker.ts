import type { Agent } from "../agent.ts";
import { type Backoff, backoffDelay } from "../backoff.ts";
import type { Clock } from "../clock.ts";

const takeAgain: Backoff = { first: 100, most: 30_000 };

/** Takes events of an agent, however often that fails. */
export class Taker implements AsyncDisposable {
  readonly #agent: Agent;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  /** Events that are held, or being taken. */
  readonly #busy = new Set<number>();
  readonly #work = new Set<Promise<void>>();

  /** Tries again until `signal` aborts. */
  constructor(agent: Agent, { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }) {
    this.#agent = agent;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Whether an event, which may be told once more, is dealt with already. */
  isBusy(eventId: number | undefined): boolean {
    return eventId !== undefined && this.#busy.has(eventId);
  }

  /** An event is dealt with: it will be taken or let go. */
  hold(eventId: number | undefined): void {
    if (eventId !== undefined) this.#busy.add(eventId);
  }

  /** An event is not taken after all. */
  letGo(eventId: number | undefined): void {
    if (eventId !== undefined) this.#busy.delete(eventId);
  }

  /** Takes an event, if it is a stored one. */
  take(eventId: number | undefined): void {
    if (eventId === undefined) return;
    this.#busy.add(eventId);
    const work = this.#takeSurely(eventId).finally(() => {
      this.#busy.delete(eventId);
      this.#work.delete(work);
    });
    this.#work.add(work);
  }

  /** Waits for what is being taken. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#work);
  }

  async #takeSurely(eventId: number): Promise<void> {
    for (let failures = 1;; failures++) {
      try {
        return await this.#agent.take(eventId);
      } catch {
        if (this.#signal.aborted) return;
        await this.#clock.wait(backoffDelay(takeAgain, failures), this.#signal);
      }
    }
  }
}
