import { assertEquals } from "@std/assert";
import { Pace } from "../../../agent/stream/pace.ts";
import { FakeClock } from "../../support/fake_clock.ts";

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

/** What was most on its way while answers came for so many seconds, and what may be at the end. */
function during(
  seconds: number,
  timeOf: (onWay: number) => number,
  { pace, clock }: { readonly pace: Pace; readonly clock: FakeClock },
): readonly [most: number, last: number] {
  let most = 0;
  for (const end = clock.now() + seconds * 1_000; clock.now() < end;) {
    const time = timeOf(pace.most);
    clock.advance(time / pace.most);
    pace.answered(pace.most, time);
    most = Math.max(most, pace.most);
  }
  return [most, pace.most];
}

Deno.test("a server that has become farther is measured anew after some seconds", none, () => {
  const clock = new FakeClock();
  const pace = new Pace(1_000, () => clock.now());
  assertEquals(during(1, () => 1, { pace, clock })[1], 64);
  assertEquals(during(8, () => 100, { pace, clock })[1], 8);
  assertEquals(during(3, () => 100, { pace, clock })[1], 64);
  // Or nearer: then they take turns.
  assertEquals(during(1, (onWay) => onWay, { pace, clock })[1], 64);
  assertEquals(during(12, (onWay) => onWay, { pace, clock })[1] <= 14, true);
});

Deno.test(
  "what takes turns waits no longer however long it does, nor when it has become slower",
  none,
  () => {
    const clock = new FakeClock();
    const pace = new Pace(1_000, () => clock.now());
    during(1, (onWay) => onWay, { pace, clock });
    for (const [milliseconds, least, most] of [[1, 12, 14], [20, 8, 10], [1, 12, 14]] as const) {
      during(15, (onWay) => milliseconds * onWay, { pace, clock });
      const found = during(60, (onWay) => milliseconds * onWay, { pace, clock });
      assertEquals(found[0] >= least && found[0] <= most, true, `${found} of ${milliseconds} ms`);
    }
  },
);

Deno.test("a far server is measured anew rarely: few are on their way meanwhile", none, () => {
  const clock = new FakeClock();
  const pace = new Pace(60_000, () => clock.now());
  during(1, () => 1_000, { pace, clock });
  let few = 0, answers = 0;
  for (; clock.now() < 600_000; answers++) {
    // Quick only when few are on their way.
    const onWay = pace.most, time = onWay <= 4 ? 1_000 : 3_000;
    clock.advance(time / onWay);
    pace.answered(onWay, time);
    if (pace.most <= 4) few++;
  }
  assertEquals(few > 0 && few / answers < 0.1, true, `${few} of ${answers}`);
});
