import { leaseTimes } from "./members.ts";

/** Where another server did not help, that is waited for twice as long before the next one is tried; so often. */
const mostDoublings = 4;

/**
 * For how long a node has not seen its own renewals while it was connected: its server may be alive, but cut off from
 * those that store leases, or from what they send.
 */
export class Unseen {
  #milliseconds = 0;
  #changes = 0;

  /** A renewal was seen: all is well. */
  end(): void {
    this.#milliseconds = 0;
    this.#changes = 0;
  }

  /** The node has connected anew. */
  beginAgain(): void {
    this.#milliseconds = 0;
  }

  /** Adds time that has passed; gives for how many seconds it was in all when another server is to be tried. */
  add(milliseconds: number): number | null {
    // A process that was stopped could not see anything meanwhile.
    this.#milliseconds += Math.min(milliseconds, leaseTimes.gap);
    if (this.#milliseconds < leaseTimes.unseen * 2 ** Math.min(this.#changes, mostDoublings)) return null;
    const seconds = Math.round(this.#milliseconds / 1000);
    this.#milliseconds = 0;
    this.#changes++;
    return seconds;
  }
}
