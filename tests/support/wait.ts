import { deadline } from "@std/async/deadline";

/** Milliseconds that a test waits for anything before it fails: only what never comes takes so long, on any machine. */
export const patience = 90_000;

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

/** Waits until a condition holds that no event tells of, looking again each turn of the event loop. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + patience;
  while (!await condition()) {
    if (performance.now() > end) throw new Error("the condition did not come to hold");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
