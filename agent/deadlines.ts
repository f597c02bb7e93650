import type { Clock } from "./clock.ts";

/**
 * Milliseconds for which something is tried that was overdue when the program started: its clock may be wrong, or may
 * have been when the deadline was stored.
 */
const grace = 3_600_000;

/** Times until which something is tried. */
export interface Deadlines {
  /** The time that comes in so many milliseconds, to be stored: milliseconds since 1970. */
  after(milliseconds: number): number;
  /** Whether a time is over that was to come in so many milliseconds when it was stored, also by another program. */
  isOver(deadline: number, milliseconds: number): boolean;
  /** Whether the program has run so long that the system's clock is set by now, if it ever is. */
  isSettled(): boolean;
}

/**
 * Deadlines of a program that has started at a time (milliseconds since 1970): from then on they go by a steady clock,
 * whatever becomes of the system's. Over restarts there is only that one: a deadline that is further away than it can be
 * is counted from the start, and one that was over by then is not over at once.
 */
export function deadlinesFrom(startedAt: number, clock: Clock): Deadlines {
  const began = clock.now();
  const running = () => clock.now() - began;
  return {
    isSettled: () => running() > grace,
    after: (milliseconds) => startedAt + running() + milliseconds,
    isOver(deadline, milliseconds) {
      const ran = running();
      const left = deadline - (startedAt + ran);
      return left > milliseconds ? ran > milliseconds : left < 0 && ran > Math.min(grace, milliseconds);
    },
  };
}
