import { assert as untypedAssert } from "deno-std/assert/assert.js";
import { assertEquals as untypedEquals } from "deno-std/assert/equals.js";
import { assertInstanceOf as untypedInstanceOf } from "deno-std/assert/instance_of.js";
import { assertMatch as untypedMatch } from "deno-std/assert/match.js";
import { assertRejects as untypedRejects } from "deno-std/assert/rejects.js";
import { assertStringIncludes as untypedStringIncludes } from "deno-std/assert/string_includes.js";
import { assertThrows as untypedThrows } from "deno-std/assert/throws.js";

// deno-lint-ignore no-explicit-any -- any class will do, whatever its constructor takes
type Class<T> = abstract new (...args: any[]) => T;

/** See `@std/assert`. */
export const assert: (condition: unknown, message?: string) => asserts condition = untypedAssert;
/** See `@std/assert`. */
export const assertEquals: <T>(actual: T, expected: T, message?: string) => void = untypedEquals;
/** See `@std/assert`. */
export const assertInstanceOf: <T>(actual: unknown, type: Class<T>, message?: string) => asserts actual is T =
  untypedInstanceOf;
/** See `@std/assert`. */
export const assertMatch: (actual: string, expected: RegExp, message?: string) => void = untypedMatch;
/** See `@std/assert`. */
export const assertRejects: <E extends Error = Error>(
  task: () => PromiseLike<unknown>,
  type?: Class<E>,
  messageIncludes?: string,
) => Promise<E> = untypedRejects;
/** See `@std/assert`. */
export const assertStringIncludes: (actual: string, expected: string) => void = untypedStringIncludes;
/** See `@std/assert`. */
export const assertThrows: <E extends Error = Error>(
  task: () => unknown,
  type?: Class<E>,
  messageIncludes?: string,
) => E = untypedThrows;
