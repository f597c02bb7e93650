import { assert, assertEquals } from "@std/assert";
import { systemClock } from "../../agent/clock.ts";
import { soon } from "../support/wait.ts";

const permissions = "none";

Deno.test("a pause ends in time, or when it is aborted and leaves no timer", { permissions }, async () => {
  const control = new AbortController();
  const before = systemClock.now();
  await soon(systemClock.wait(10, control.signal));
  assert(systemClock.now() > before);
  const long = systemClock.wait(3_600_000, control.signal);
  control.abort();
  assertEquals(await soon(long), undefined);
  await soon(systemClock.wait(3_600_000, control.signal));
});
