import { assertEquals, assertRejects } from "@std/assert";
import { systemClock } from "../../../agent/clock.ts";
import { Output } from "../../../agent/service/output.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { soon, until } from "../../support/wait.ts";

const unused = { stalled: () => {}, deadline: 1000, clock: systemClock };

Deno.test("what is put at any moment is written, in order", async () => {
  let text = "";
  const write = async (bytes: Uint8Array) => {
    await Promise.resolve();
    // A socket takes as much as it likes.
    const count = Math.min(3, bytes.length);
    text += new TextDecoder().decode(bytes.subarray(0, count));
    return count;
  };
  const output = new Output({ ...unused, write });
  let expected = "";
  for (let turns = 0; turns < 30; turns++) {
    await soon(output.put(textBytes(`${turns};`)));
    for (let i = 0; i < turns; i++) await Promise.resolve();
    expected += `${turns};`;
  }
  await output.finish();
  assertEquals(text, expected);
});

Deno.test("what tells of a connection can be taken back until it is being written", async () => {
  let text = "";
  let taken = () => {};
  const write = async (bytes: Uint8Array) => {
    await new Promise<void>((resolve) => taken = resolve);
    text += new TextDecoder().decode(bytes);
    return bytes.length;
  };
  const output = new Output({ ...unused, write });
  const first = output.put(textBytes("a1 "), { about: "a" });
  const second = output.put(textBytes("a2 "), { about: "a" });
  const other = output.put(textBytes("b "), { about: "b" });
  output.drop("a");
  await assertRejects(() => second, Error, "another session");
  taken();
  await first;
  taken();
  await other;
  assertEquals(text, "a1 b ");
});

Deno.test("a client has its time to take something, and again for the rest", async () => {
  const clock = new FakeClock();
  let take = (_count: number) => {};
  let stalled = 0;
  const write = () => new Promise<number>((resolve) => take = resolve);
  const output = new Output({ write, stalled: () => void stalled++, deadline: 7, clock });
  const written = output.put(textBytes("ab"));
  await until(() => clock.pauses.size === 1);
  take(1);
  await until(() => clock.begun.length === 2);
  assertEquals([stalled, clock.pauses.size], [0, 1]);
  await clock.endPause();
  await until(() => stalled === 1);
  take(1);
  await written.catch(() => {});
  await assertRejects(() => output.put(textBytes("c")), Error, "does not read");
  await output.room();
});

Deno.test("a client that takes nothing is given up before it fills the memory", () => {
  let stalled = 0;
  const output = new Output({
    ...unused,
    write: () => new Promise(() => {}),
    stalled: () => void stalled++,
    clock: new FakeClock(),
  });
  const bytes = new Uint8Array(1 << 20);
  for (let i = 0; stalled === 0; i++) {
    assertEquals(i < 20, true);
    output.put(bytes).catch(() => {});
  }
  assertEquals(output.isFull, true);
});

Deno.test("what can wait may stay unread, until something comes behind it that cannot", async () => {
  const clock = new FakeClock();
  let stalled = 0;
  const output = new Output({
    write: () => new Promise<number>(() => {}),
    stalled: () => void stalled++,
    deadline: 7,
    clock,
  });
  output.put(textBytes("data"), { canWait: true }).catch(() => {});
  for (let waits = 1; waits <= 3; waits++) {
    await clock.endPause();
    await until(() => clock.begun.length === waits + 1);
    assertEquals(stalled, 0);
  }
  output.put(textBytes("message")).catch(() => {});
  await clock.endPause();
  await until(() => clock.begun.length === 5);
  assertEquals(stalled, 0);
  await clock.endPause();
  await until(() => stalled === 1);
});
