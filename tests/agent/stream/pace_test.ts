import { assertEquals } from "@std/assert";
import { Pace } from "../../../agent/stream/pace.ts";

const none = { permissions: "none" } as const;

/** What may be on its way after so many answers, of which each takes what it takes with so many on their way. */
function after(count: number, timeOf: (onWay: number) => number, pace = new Pace(1_000)): number {
  for (let answers = 0; answers < count; answers++) pace.answered(pace.most, timeOf(pace.most));
  return pace.most;
}

Deno.test("a far server has as many packets on their way as there may be", none, () => {
  assertEquals([after(0, () => 100), after(10, () => 100), after(500, () => 100)], [4, 14, 64]);
});

Deno.test("what takes turns waits no longer than it has to be there when its turn comes", none, () => {
  // A millisecond each, after the four at first: thirteen.
  const most = after(500, (onWay) => onWay);
  assertEquals(most >= 12 && most <= 14, true, `${most}`);
});

Deno.test("answers that come now and then do not leave a connection without work", none, () => {
  assertEquals(after(500, () => 100, paceAfter(1)), 8);
});

Deno.test("a slow connection has no more on its way than it carries in time, and one to try", none, () => {
  for (const [time, most] of [[100, 10], [200, 5], [400, 2], [600, 1], [5_000, 0]] as const) {
    const found = after(500, (onWay) => time * onWay);
    assertEquals(found >= 1 && found <= most + 1, true, `${found} of ${time} ms`);
  }
});

Deno.test("a new connection begins with one packet, and is measured anew", none, () => {
  const pace = paceAfter(1);
  pace.lost();
  assertEquals([pace.most, after(100, () => 100, pace)], [1, 64]);
});

/** One that was answered once in so many milliseconds. */
function paceAfter(time: number): Pace {
  const pace = new Pace(1_000);
  pace.answered(1, time);
  return pace;
}
