import { assertEquals } from "@std/assert";
import { deadline } from "@std/async/deadline";

/** Milliseconds that a test waits for anything before it fails: only what never comes takes so long, on any machine. */
export const patience = 90_000;

/** For clients whose commands are to be answered, or given up by something else, however slow the machine is. */
export const patient = { connectTimeout: patience, commandTimeout: patience } as const;

/** Waits for something that is bound to happen. */
export function soon<T>(promise: Promise<T>): Promise<T> {
  return deadline(promise, patience);
}

/** Takes the next value of an iterator, which must have one. */
export async function next<T>(iterator: AsyncIterator<T>): Promise<T> {
  const result = await soon(iterator.next());
  if (result.done) throw new Error("the iterator has ended");
  return result.value;
}

/** Milliseconds between two looks at a condition, at first and at most: a look takes a tenth of one, which adds up. */
const firstPause = 1, longestPause = 10;

/** Waits until a condition holds that no event tells of, looking again and again: the longer it waits, the less often. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const begin = performance.now();
  while (!await condition()) {
    const waited = performance.now() - begin;
    if (waited > patience) throw new Error("the condition did not come to hold");
    const pause = Math.min(Math.max(waited / 16, firstPause), longestPause);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Waits until what is seen is what is expected; throws as {@linkcode assertEquals} does when it never is. */
export async function untilEqual<T>(look: () => T | Promise<T>, expected: T): Promise<void> {
  let difference: unknown = null;
  await until(async () => {
    const seen = await look();
    try {
      assertEquals(seen, expected);
      return true;
    } catch (error) {
      difference = error;
      return false;
    }
  }).catch((error) => {
    throw difference ?? error;
  });
}
