import { setImmediate } from "node:timers";

/** Records that are looked at in one turn of the event loop, before all other work has its turn. */
export const recordsATurn = 1_000;

/** Resolves when all other work has had its turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
