/** Milliseconds: a new leader may not have come so far yet, and an election takes some time. */
const times = { patience: 3_000, again: 10_000, belief: 60_000 };

/**
 * What to do about a leader that does not have what was stored. It may be one that NATS elected although it lacks that,
 * as after its disk was full, while others have it; or older files were put back.
 */
export class BehindLeader {
  #since: number | null = null;
  #askAt = 0;

  /** To be asked each time that it is so: wait, ask for another leader, or believe that it is gone. */
  look(now: number): "wait" | "ask" | "believe" {
    if (this.#since === null) {
      this.#since = now;
      this.#askAt = now + times.patience;
    }
    if (now - this.#since >= times.belief) return "believe";
    if (now < this.#askAt) return "wait";
    this.#askAt = now + times.again;
    return "ask";
  }

  /** A leader has it. */
  end(): void {
    this.#since = null;
  }
}
