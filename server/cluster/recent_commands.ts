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
  readonly since: number;
  readonly commands: Map<string, DoneCommand>;
}

/** The commands of the last two minutes by their IDs; time is that of the log, so that every fold has the same. */
export class RecentCommands {
  readonly #slices: Slice[] = [];

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

  /** `at`: milliseconds since 1970; clocks of owners that follow each other may differ. */
  remember(commandId: string, done: DoneCommand, at: number): void {
    let last = this.#slices.at(-1);
    if (last === undefined || at >= last.since + step) {
      last = { since: at, commands: new Map() };
      this.#slices.push(last);
      const oldest = at - commandLifetime - step;
      while (this.#slices[0]!.since < oldest) this.#slices.shift();
    }
    last.commands.set(commandId, done);
  }

  /** All of them, oldest first. */
  *entries(): Generator<RecentCommand> {
    for (const { since, commands } of this.#slices) {
      for (const [commandId, done] of commands) yield { commandId, done, at: since };
    }
  }
}
