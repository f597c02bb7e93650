import { delay as untyped } from "deno-std/async/delay.js";

/** Resolves after `ms` milliseconds; see `@std/async/delay`. */
export const delay: (ms: number, options?: { signal?: AbortSignal }) => Promise<void> = untyped;
