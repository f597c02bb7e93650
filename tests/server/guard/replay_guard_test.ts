import { assert, assertEquals } from "@std/assert";
import { cpuUsage } from "node:process";
import { ReplayGuard } from "../../../server/guard/replay_guard.ts";

const count = 6_000, rounds = 3;

/** Numbers of handshakes whose keys a client has chosen for that. */
const chosen: Record<string, (i: number) => number> = {
  "the same last 32 bits": (i) => i * 2 ** 32 + 12_345,
  "the same first 21 bits": (i) => 12_345 * 2 ** 32 + i * 2 ** 16,
  "last bits that follow each other": (i) => (i % 1024) * 2 ** 32 + i,
};

for (const [what, number] of Object.entries(chosen)) {
  Deno.test(`handshakes whose numbers have ${what} take no longer to remember than others`, () => {
    const [times, usual] = [[Infinity], [Infinity]];
    for (let round = 0; round < rounds; round++) {
      usual.push(timeOf(() => Math.floor(Math.random() * 2 ** 53)));
      times.push(timeOf(number));
    }
    const ratio = Math.min(...times) / Math.min(...usual);
    assert(ratio < 10, `${ratio} times as long`);
  });
}

Deno.test("all handshakes that are remembered are told, whatever their numbers are", () => {
  const guard = new ReplayGuard();
  const numbers = [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 1, 2 ** 53 - 2, 2 ** 53 - 1];
  for (const number of numbers) assert(guard.remember(number));
  for (const number of numbers) assert(!guard.remember(number));
  assertEquals([...guard.digests()].sort((a, b) => a - b), numbers);
});

/** CPU time that it takes to remember so many, and to look for them again; microseconds. */
function timeOf(number: (i: number) => number): number {
  const numbers = Array.from({ length: count }, (_, i) => number(i));
  const guard = new ReplayGuard();
  const before = cpuUsage();
  for (const digest of numbers) guard.remember(digest);
  for (const digest of numbers) guard.remember(digest);
  const { user, system } = cpuUsage(before);
  return user + system;
}
