import { deadline as untyped } from "deno-std/async/deadline.js";

/** Rejects when a promise is not settled within `ms` milliseconds; see `@std/async/deadline`. */
export const deadline: <T>(
  promise: Promise<T>,
  ms: number,
  options?: { signal?: AbortSignal },
) => Promise<T> = untyped;
