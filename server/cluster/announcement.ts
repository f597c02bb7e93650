import type { Lease } from "./members.ts";

/** What a node tells the others with its lease, and how much of that is stored. */
export class Announcement {
  readonly #changed: () => void;
  readonly #owned = new Map<number, number>();
  readonly #unable = new Set<number>();
  #isDraining = false;
  /** Of what is said, and of what of it was stored last. */
  #changes = 0;
  #stored = -1;
  #progress = Promise.withResolvers<void>();

  /** `changed`: there is something to be stored. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get said(): Pick<Lease, "state" | "owned" | "unable"> {
    return { state: this.#isDraining ? "draining" : "live", owned: this.#owned, unable: this.#unable };
  }

  /** Which of all that was ever said is said now. */
  get number(): number {
    return this.#changes;
  }

  own(partition: number, epoch: number): void {
    this.#owned.set(partition, epoch);
    this.#unable.delete(partition);
    this.#change();
  }

  disown(partition: number): void {
    if (this.#owned.delete(partition)) this.#change();
  }

  isUnable(partition: number): boolean {
    return this.#unable.has(partition);
  }

  setUnable(partition: number, isUnable: boolean): void {
    if (isUnable === this.#unable.has(partition)) return;
    if (isUnable) this.#unable.add(partition);
    else this.#unable.delete(partition);
    this.#change();
  }

  /** Resolves when it is stored, or the signal aborts and {@linkcode end} is called. */
  async drain(isDraining: boolean, signal: AbortSignal): Promise<void> {
    this.#isDraining = isDraining;
    this.#change();
    const changes = this.#changes;
    while (this.#stored < changes && !signal.aborted) await this.#progress.promise;
  }

  /** What was said with this number is stored. */
  stored(number: number): void {
    this.#stored = number;
    this.end();
  }

  /** Lets those that wait look again. */
  end(): void {
    this.#progress.resolve();
    this.#progress = Promise.withResolvers();
  }

  #change(): void {
    this.#changes++;
    this.#changed();
  }
}
