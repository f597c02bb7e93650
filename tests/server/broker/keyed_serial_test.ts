import { assert, assertEquals, assertRejects } from "@std/assert";
import { KeyedSerial } from "../../../server/broker/keyed_serial.ts";
import { turn } from "../../support/broker.ts";

const permissions = "none";

Deno.test("a task starts at once when its key has nothing to do", { permissions }, async () => {
  const serial = new KeyedSerial();
  let runs = 0;
  const task = () => Promise.resolve(++runs);
  const first = serial.run("a", task);
  assertEquals(runs, 1);
  assertEquals(await first, 1);
  await turn();
  const second = serial.run("a", task);
  assertEquals(runs, 2);
  assertEquals(await second, 2);
});

Deno.test(
  "tasks of one key run one after the other, in the order of the calls",
  { permissions },
  async () => {
    const serial = new KeyedSerial();
    const events: string[] = [];
    const gates = Array.from({ length: 10 }, () => Promise.withResolvers<void>());
    const results = gates.map(({ promise }, i) =>
      serial.run("a", async () => {
        events.push(`start ${i}`);
        await promise;
        events.push(`end ${i}`);
        return i;
      })
    );
    for (const gate of gates.toReversed()) {
      assertEquals(events.length, 1);
      gate.resolve();
    }
    assertEquals(await Promise.all(results), gates.map((_, i) => i));
    assertEquals(events, gates.flatMap((_, i) => [`start ${i}`, `end ${i}`]));
  },
);

Deno.test("tasks of different keys overlap", { permissions }, async () => {
  const serial = new KeyedSerial();
  const gate = Promise.withResolvers<void>();
  const stuck = serial.run("a", () => gate.promise);
  assertEquals(await serial.run("b", () => Promise.resolve("done")), "done");
  let ended = false;
  stuck.then(() => ended = true);
  await turn();
  assert(!ended);
  gate.resolve();
  await stuck;
});

Deno.test("a task that fails does not stop those after it", { permissions }, async () => {
  const serial = new KeyedSerial();
  const failing = serial.run("a", () => Promise.reject(new Error("broken")));
  const next = serial.run("a", () => Promise.resolve(1));
  await assertRejects(() => failing, Error, "broken");
  assertEquals(await next, 1);
  assertEquals(await serial.run("a", () => Promise.resolve(2)), 2);
});

Deno.test("a task added while another ends still waits for those before it", { permissions }, async () => {
  const serial = new KeyedSerial();
  const order: number[] = [];
  let running = 0;
  const task = (i: number) => async () => {
    assertEquals(++running, 1);
    await null;
    order.push(i);
    running--;
  };
  const all: Promise<void>[] = [];
  for (let i = 0; i < 50; i++) {
    all.push(serial.run("a", task(i)));
    for (let turns = i % 7; turns > 0; turns--) await null;
  }
  await Promise.all(all);
  assertEquals(order, Array.from({ length: 50 }, (_, i) => i));
});

Deno.test("the end of the last task of a key is told", { permissions }, async () => {
  const idle: string[] = [];
  const serial = new KeyedSerial((key) => idle.push(key));
  const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const [first, failing, last] = gates.map(({ promise }) => serial.run("a", () => promise));
  await serial.run("b", () => Promise.resolve());
  await turn();
  assertEquals(idle, ["b"]);
  gates[0]!.resolve();
  await first;
  gates[1]!.reject(new Error("broken"));
  await assertRejects(() => failing!, Error, "broken");
  await turn();
  assertEquals(idle, ["b"]);
  gates[2]!.resolve();
  await last;
  await turn();
  assertEquals(idle, ["b", "a"]);
});
