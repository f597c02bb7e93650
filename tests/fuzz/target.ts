import { type Channel, terminatedError } from "../../protocol/mod.ts";

/** Something that takes bytes from outside. */
export interface Target {
  readonly name: string;
  /** Valid inputs, from which others are made. */
  readonly seeds: readonly Uint8Array[];
  /** Words of the format, which are put into inputs. */
  readonly words: readonly string[];
  /** Takes one input; rejects when a promise is broken, for instance by an error that no caller expects. */
  run(input: Uint8Array<ArrayBuffer>): void | Promise<void>;
}

/** Runs `parse`; `null` when it throws one of the errors that it is documented to throw. */
export function expecting<T>(kind: abstract new (...args: never[]) => Error, parse: () => T): T | null {
  try {
    return parse();
  } catch (error) {
    if (error instanceof kind) return null;
    throw error;
  }
}

/** Waits for `work`; `null` when it rejects with one of the errors that it is documented to reject with. */
export async function expectingAsync<T>(
  kind: abstract new (...args: never[]) => Error,
  work: () => Promise<T>,
): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof kind) return null;
    throw error;
  }
}

/** A connection whose peer sends `input` and ends it; what is written is dropped. */
export function channelOf(input: Uint8Array<ArrayBuffer>): Channel {
  let at = 0;
  return {
    read(size) {
      const unit = input.slice(at, at + size);
      at += unit.length;
      if (unit.length === 0) return Promise.resolve(null);
      return unit.length < size ? Promise.reject(terminatedError(unit.length, size)) : Promise.resolve(unit);
    },
    write: () => Promise.resolve(),
    end: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
