import type { Gate } from "../link/gated_stream.ts";
import { steadyClock } from "./clock.ts";

/** Milliseconds after which whoever waits looks again: an event may not come when the process was stopped. */
const lookAgain = 100;

/** Open while the lease of this node holds, and no other node may have claimed its partitions meanwhile. */
export class LeaseGate implements Gate {
  readonly #holds: () => boolean;
  #isShut = false;
  #changed = Promise.withResolvers<void>();

  constructor(holds: () => boolean) {
    this.#holds = holds;
  }

  get isOpen(): boolean {
    return !this.#isShut && this.#holds();
  }

  /** Nothing passes until {@linkcode open}, whatever the lease says. */
  shut(): void {
    this.#isShut = true;
  }

  open(): void {
    this.#isShut = false;
    this.look();
  }

  /** The lease may hold again. */
  look(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async opened(signal: AbortSignal): Promise<void> {
    const looking = new AbortController();
    const either = AbortSignal.any([signal, looking.signal]);
    await Promise.race([this.#changed.promise, steadyClock.wait(lookAgain, either)]);
    looking.abort();
  }
}
