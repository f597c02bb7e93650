import { assertEquals, assertThrows } from "@std/assert";
import { checkLimits, defaultLimits, type Limits } from "../../server/limits.ts";

const permissions = "none";
const names = Object.keys(defaultLimits) as (keyof Limits)[];

Deno.test("the defaults are those of the spec", { permissions }, () => {
  // smp.md Limits: 10 000 connections; transport.md Handshake: default 5 s
  const { connections, handshakeTimeout } = checkLimits();
  assertEquals([connections, handshakeTimeout], [10_000, 5_000]);
  assertEquals(checkLimits({}), defaultLimits);
});

Deno.test("each limit can be set alone", { permissions }, () => {
  for (const name of names) {
    for (const value of [1, 12_345, Number.MAX_SAFE_INTEGER]) {
      assertEquals(checkLimits({ [name]: value }), { ...defaultLimits, [name]: value });
    }
  }
});

Deno.test("a limit that is not a whole number of at least 1 is refused by name", { permissions }, () => {
  for (const name of names) {
    for (const value of [0, -1, 0.5, NaN, Infinity, 2 ** 53]) {
      const message = `Cannot use limit ${name}: ${value} is not`;
      assertThrows(() => checkLimits({ [name]: value }), RangeError, message);
    }
  }
});

Deno.test("limits that were set leave the defaults as they are", { permissions }, () => {
  const before = { ...defaultLimits };
  checkLimits({ connections: 1, inWork: 2 });
  assertEquals(defaultLimits, before);
});
