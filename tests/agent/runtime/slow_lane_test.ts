import { assert, assertEquals, assertRejects } from "@std/assert";
import { SlowLane } from "../../../agent/runtime/slow_lane.ts";
import { rejection } from "../../support/fake_server.ts";
import { soon } from "../../support/wait.ts";

Deno.test("work is done one after the other, in its order, and each gets its own result", async () => {
  using lane = new SlowLane();
  let running = 0, most = 0;
  const done: number[] = [];
  const results = await Promise.all(Array.from({ length: 10 }, (_, i) =>
    lane.run(async () => {
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      done.push(i);
      return i * i;
    })));
  assertEquals([most, done, results], [1, [...Array(10).keys()], done.map((i) => i * i)]);
});

Deno.test("the lane rests as long as the work took, and others have the processor meanwhile", async () => {
  using lane = new SlowLane();
  const busy = async (milliseconds: number) => {
    const end = performance.now() + milliseconds;
    while (performance.now() < end);
    await Promise.resolve();
    return performance.now();
  };
  const first = await lane.run(() => busy(50));
  const began = await lane.run(() => Promise.resolve(performance.now()));
  // Timers are whole milliseconds.
  assertEquals(began - first >= 48, true, `it rested for ${began - first} ms`);
});

Deno.test("work that fails is told to whom it belongs, and holds up nobody", async () => {
  using lane = new SlowLane();
  const failed = lane.run(() => Promise.reject(new Error("no key")));
  const next = lane.run(() => Promise.resolve("next"));
  await assertRejects(() => failed, Error, "no key");
  assertEquals(await soon(next), "next");
});

Deno.test("when it is closed nobody waits for a rest, and nothing is begun", async () => {
  const lane = new SlowLane();
  const clock = performance.now.bind(performance);
  let isLong = false;
  // A work that seems to have taken an hour.
  performance.now = () => clock() + (isLong ? 3_600_000 : 0);
  try {
    await lane.run(() => {
      isLong = true;
      return Promise.resolve();
    });
  } finally {
    performance.now = clock;
  }
  let begun = 0;
  const waiting = [1, 2, 3].map(() => rejection(lane.run(() => Promise.resolve(begun++))));
  lane[Symbol.dispose]();
  for (const error of await Promise.all([...waiting, rejection(lane.run(() => Promise.resolve(begun++)))])) {
    assert(error instanceof DOMException && error.name === "AbortError");
  }
  assertEquals(begun, 0);
});

Deno.test("what was begun when it is closed is done", async () => {
  const lane = new SlowLane();
  const { promise, resolve } = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  const running = lane.run(() => (begun.resolve(), promise));
  await soon(begun.promise);
  lane[Symbol.dispose]();
  resolve("done");
  assertEquals(await soon(running), "done");
});
