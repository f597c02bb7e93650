import { assert, assertEquals } from "@std/assert";
import { LeakyBuckets } from "../../../server/guard/leaky_bucket.ts";

const permissions = "none";

/** Buckets whose clock and leak a test changes. */
function timed(perSecond: number, capacity: number) {
  const test = { now: 0, perSecond };
  const buckets = new LeakyBuckets(() => ({ perSecond: test.perSecond, capacity }), () => test.now);
  const takeAll = (client: string) => {
    let count = 0;
    while (buckets.take(client)) count++;
    return count;
  };
  return { test, buckets, takeAll };
}

Deno.test("a bucket takes what it holds at once, then what leaks", { permissions }, () => {
  const { test, buckets, takeAll } = timed(2, 5);
  assertEquals(takeAll("a"), 5);
  test.now += 499;
  assertEquals(takeAll("a"), 0);
  test.now += 1;
  assertEquals(takeAll("a"), 1);
  test.now += 1_000_000;
  assertEquals(takeAll("a"), 5);
  assert(buckets.take("b"));
});

Deno.test("who pours too much waits, but no longer than a full bucket takes", { permissions }, () => {
  const { test, buckets } = timed(2, 10);
  buckets.pour("a", 10);
  assertEquals(buckets.delay("a"), 0);
  buckets.pour("a", 1);
  assertEquals(buckets.delay("a"), 500);
  test.now += 250;
  assertEquals(buckets.delay("a"), 250);
  buckets.pour("a", 1_000_000);
  assertEquals([buckets.delay("a"), buckets.delay("b")], [5_000, 0]);
});

Deno.test("clients are forgotten when their bucket is empty, or when there are too many", {
  permissions,
}, () => {
  const { test, buckets } = timed(1, 2);
  for (let i = 0; i < 100_500; i++) buckets.take(`${i}`);
  assertEquals(buckets.size, 100_000);
  test.now = 1_000;
  buckets.take("late");
  buckets.sweep();
  assertEquals(buckets.size, 1);
});

Deno.test("a bucket that leaks nothing limits nothing", { permissions }, () => {
  const { test, buckets } = timed(1, 1);
  buckets.pour("a", 2);
  assert(!buckets.take("a"));
  test.perSecond = 0;
  assert(buckets.take("a"));
  assertEquals(buckets.delay("a"), 0);
  buckets.sweep();
  assertEquals(buckets.size, 0);
});
