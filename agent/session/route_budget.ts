import type { RouteBudget } from "../store/store.ts";

/** Outbound routes that are added at once; enough to replace all of them. */
const mostAtOnce = 8;

/** Milliseconds after which one more may be. */
const interval = 10_000;

/** The budget after one more route; `null` when there may be none now. */
export function takeRoute(
  { left, at }: RouteBudget = { left: mostAtOnce, at: 0 },
  now: number,
): RouteBudget | null {
  // A clock that was set back gives one, so that nobody waits until it is where it was.
  const more = now < at ? 1 : Math.floor((now - at) / interval);
  const room = Math.min(mostAtOnce, left + more);
  if (room === 0) return null;
  return { left: room - 1, at: room === mostAtOnce ? now : Math.min(now, at + more * interval) };
}
