/** A clock that was set back by more than this is not believed: lifetimes are days. */
const believable = 86_400_000;

export class Clock {
  readonly #system: () => number;
  readonly #steady: () => number;

  constructor(
    system: () => number = Date.now,
    steady: () => number = () => performance.timeOrigin + performance.now(),
  ) {
    this.#system = system;
    this.#steady = steady;
  }

  /** For messages and queues: they must not look as if they were old already. */
  stamp(): number {
    const [system, steady] = [this.#system(), this.#steady()];
    return system < steady - believable ? steady : system;
  }

  /** Tells what is too old: nothing may be dropped because a clock was set. */
  age(): number {
    return Math.min(this.#system(), this.#steady());
  }
}
