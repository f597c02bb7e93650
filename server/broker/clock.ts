/** A clock that was set back by more than this is not believed: lifetimes are days. */
const believable = 86_400_000;

/** The time, as a server needs it while the system's clock may be set. Milliseconds since 1970. */
export class Clock {
  readonly #system: () => number;
  readonly #steady: () => number;

  /** `steady` is the time that it would be had nobody set the clock since the process began. */
  constructor(
    system: () => number = Date.now,
    steady: () => number = () => performance.timeOrigin + performance.now(),
  ) {
    this.#system = system;
    this.#steady = steady;
  }

  /** The time for messages and queues: they must not look as if they were old already. */
  stamp(): number {
    const [system, steady] = [this.#system(), this.#steady()];
    return system < steady - believable ? steady : system;
  }

  /** The time that tells what is too old: nothing may be dropped because a clock was set. */
  age(): number {
    return Math.min(this.#system(), this.#steady());
  }
}
