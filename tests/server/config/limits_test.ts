import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkLimits, defaultLimits, type Limits, limitTable } from "../../../server/config/limits.ts";

const permissions = "none";
const names = Object.keys(limitTable) as (keyof Limits)[];
const day = 86_400_000;

Deno.test("the defaults are those of the spec", { permissions }, () => {
  // smp.md Limits; transport.md Handshake: default 5 s
  const limits = checkLimits();
  assertEquals([limits.messagesPerQueue, limits.messageLifetime], [128, 21 * day]);
  assertEquals([limits.suspendedLifetime, limits.idleTimeout], [7 * day, 15 * 60_000]);
  assertEquals([limits.connections, limits.handshakeTimeout], [10_000, 5_000]);
  assertEquals(checkLimits({}), defaultLimits);
  assertEquals(new Set(Object.keys(defaultLimits)), new Set<string>(names));
});

Deno.test("each limit can be set alone, and to no limit where that is said", { permissions }, () => {
  for (const name of names) {
    for (const value of limitTable[name].zeroIsNone ? [0, 1, 12_345] : [1]) {
      assertEquals(checkLimits({ [name]: value }), { ...defaultLimits, [name]: value });
    }
  }
});

Deno.test("a limit that cannot be is refused by name", { permissions }, () => {
  for (const name of names) {
    const { unit, zeroIsNone } = limitTable[name];
    const bad = [-1, 0.5, NaN, Infinity, 2 ** 53];
    if (!zeroIsNone && unit !== "on/off") bad.push(0);
    if (unit === "on/off") bad.push(2);
    if (unit === "seconds") bad.push(2 ** 31);
    for (const value of bad) {
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

Deno.test("every limit has a key of its own", { permissions }, () => {
  const keys = names.map((name) => limitTable[name].key);
  assertEquals(new Set(keys).size, keys.length);
  for (const key of keys) assert(/^[a-z][a-z0-9_]*$/.test(key));
});
