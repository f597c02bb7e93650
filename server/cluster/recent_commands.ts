import type { DoneCommand } from "./records.ts";

/** Milliseconds for which a command is answered that is given again. */
export const commandLifetime = 120_000;
/** Milliseconds of commands that are forgotten together. */
const step = 10_000;

/** A command that was executed, about `at` (milliseconds since 1970). */
export interface RecentCommand {
  readonly commandId: string;
  readonly done: DoneCommand;
  readonly at: number;
}

interface Slice {
  /** By the clock of its owner. */
  readonly at: number;
  /** By the time of the log. */
  readonly since: number;
  readonly commands: Map<string, DoneCommand>;
}

/**
 * The commands of the last two minutes by their IDs. Time is that of the log, so that every fold has the same: owners that
 * follow each other have clocks of their own, so that what one was set back by is none, and a leap is a step.
 */
export class RecentCommands {
  readonly #slices: Slice[] = [];
  #time = 0;
  #lastAt: number | null = null;

  get size(): number {
    return this.#slices.reduce((sum, { commands }) => sum + commands.size, 0);
  }

  /** What a command has done; `undefined` when it was not executed, or long ago. */
  get(commandId: string): DoneCommand | undefined {
    for (const { commands } of this.#slices) {
      const done = commands.get(commandId);
      if (done !== undefined) return done;
    }
  }

  /** `at`: milliseconds since 1970, by the clock of the owner. */
  remember(commandId: string, done: DoneCommand, at: number): void {
    this.#time += Math.min(step, Math.max(0, at - (this.#lastAt ?? at)));
    this.#lastAt = at;
    let last = this.#slices.at(-1);
    if (last === undefined || this.#time >= last.since + step) {
      last = { at, since: this.#time, commands: new Map() };
      this.#slices.push(last);
      const oldest = this.#time - commandLifetime - step;
      while (this.#slices[0]!.since < oldest) this.#slices.shift();
    }
    last.commands.set(commandId, done);
  }

  /** All of them, oldest first. */
  *entries(): Generator<RecentCommand> {
    for (const { at, commands } of this.#slices) {
      for (const [commandId, done] of commands) yield { commandId, done, at };
    }
  }
}
