import { setImmediate } from "node:timers";

export const recordsATurn = 1_000;

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
