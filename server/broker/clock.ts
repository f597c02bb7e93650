/** A clock that was set back by more than this is not believed: lifetimes are days. */
const believable = 86_400_000;

/** Milliseconds in which the clock of a machine that has just started is set right. */
const settling = 3_600_000;

/** What the system's clock would say had nobody set it since the process began. */
const steadyTime = () => performance.timeOrigin + performance.now();

export class Clock {
  readonly #system: () => number;
  readonly #steady: () => number;
  readonly #settledAt: number;

  /** `settling`: milliseconds from now on in which nothing is too old. */
  constructor(system: () => number = Date.now, steady: () => number = steadyTime, settling = 0) {
    this.#system = system;
    this.#steady = steady;
    this.#settledAt = steady() + settling;
  }

  /** The machine's, which may be wrong when a program starts, and set right soon. */
  static ofMachine(system?: () => number, steady?: () => number): Clock {
    return new Clock(system, steady, settling);
  }

  /** For messages and queues: they must not look as if they were old already. */
  stamp(): number {
    const [system, steady] = [this.#system(), this.#steady()];
    return system < steady - believable ? steady : system;
  }

  /** Tells what is too old: nothing may be dropped because a clock was set. */
  age(): number {
    if (this.#steady() < this.#settledAt) return 0;
    return Math.min(this.#system(), this.#steady());
  }
}
