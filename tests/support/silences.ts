/** Milliseconds of the silences after which streams look again whether something is missing. */
const shortest = 5_000, longest = 60_000;

/** Until it is disposed of, what waits for a silence waits longer than a test does: nothing is made good by time alone. */
export function withoutSilences(): Disposable {
  const { setTimeout } = globalThis;
  const slow = (run: () => void, delay = 0) =>
    setTimeout(run, delay >= shortest && delay <= longest ? 10 * longest : delay);
  globalThis.setTimeout = slow as typeof setTimeout;
  return { [Symbol.dispose]: () => void (globalThis.setTimeout = setTimeout) };
}

/** Until it is disposed of, the first three silences are over in a moment. */
export function shortSilences(): Disposable {
  const { setTimeout } = globalThis;
  const silences = [shortest, 2 * shortest, 4 * shortest];
  const fast = (run: () => void, delay = 0) =>
    setTimeout(run, silences.includes(delay) ? delay / 200 : delay);
  globalThis.setTimeout = fast as typeof setTimeout;
  return { [Symbol.dispose]: () => void (globalThis.setTimeout = setTimeout) };
}
