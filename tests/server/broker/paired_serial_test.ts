import { assertEquals, assertRejects } from "@std/assert";
import { PairedSerial, type Place, type Side } from "../../../server/broker/paired_serial.ts";
import { turn } from "../../support/broker.ts";

const permissions = "none";

/** Tasks of one key that are stored when the test says so, and what has happened. */
class Tasks {
  readonly idle: string[] = [];
  readonly serial = new PairedSerial((key) => this.idle.push(key));
  readonly events: string[] = [];
  readonly stored = new Map<string, PromiseWithResolvers<void>>();

  run(
    name: string,
    side?: Side,
    work: (place: Place) => Promise<void> = (place) => this.#store(name, place),
  ) {
    this.serial.run("a", async (place) => {
      this.events.push(`${name} begins${place.isBeside ? " beside" : ""}`);
      await work(place);
      this.events.push(`${name} ends`);
    }, side);
  }

  async #store(name: string, place: Place): Promise<void> {
    const stored = Promise.withResolvers<void>();
    this.stored.set(name, stored);
    await place.store(() => stored.promise);
  }

  /** What has happened since the last call. */
  async take(): Promise<string[]> {
    await turn();
    return this.events.splice(0);
  }

  /** What happens when a task is stored. */
  after(name: string): Promise<string[]> {
    this.stored.get(name)!.resolve();
    return this.take();
  }
}

Deno.test(
  "a task begins while one of the other side is being stored, and ends after it",
  { permissions },
  async () => {
    const tasks = new Tasks();
    tasks.run("send", "sender");
    tasks.run("ack", "recipient");
    assertEquals(await tasks.take(), ["send begins", "ack begins beside"]);
    assertEquals(await tasks.after("ack"), []);
    assertEquals(await tasks.after("send"), ["send ends", "ack ends"]);
    assertEquals(tasks.idle, ["a"]);
  },
);

Deno.test(
  "no more than two tasks are in work, each of another side, and others wait for both",
  { permissions },
  async () => {
    const tasks = new Tasks();
    const sides = ["sender", "recipient", "sender", "sender", undefined, "recipient", "sender"] as const;
    for (const [i, side] of sides.entries()) tasks.run(`${i}`, side);
    assertEquals(await tasks.take(), ["0 begins", "1 begins beside"]);
    assertEquals(await tasks.after("0"), ["0 ends", "2 begins beside"]);
    assertEquals(await tasks.after("2"), []);
    assertEquals(await tasks.after("1"), ["1 ends", "2 ends", "3 begins"]);
    assertEquals(await tasks.after("3"), ["3 ends", "4 begins"]);
    assertEquals(await tasks.after("4"), ["4 ends", "5 begins", "6 begins beside"]);
    assertEquals(tasks.idle, []);
    await tasks.after("5");
    assertEquals(await tasks.after("6"), ["6 ends"]);
    assertEquals(tasks.idle, ["a"]);
  },
);

Deno.test("a task that stores nothing lets none begin beside it", { permissions }, async () => {
  const tasks = new Tasks();
  const gate = Promise.withResolvers<void>();
  tasks.run("0", "sender", () => gate.promise);
  tasks.run("1", "recipient");
  assertEquals(await tasks.take(), ["0 begins"]);
  gate.resolve();
  assertEquals(await tasks.take(), ["0 ends", "1 begins"]);
  await tasks.after("1");
});

Deno.test(
  "a task that waits to be alone goes on when the one before it has ended",
  { permissions },
  async () => {
    const tasks = new Tasks();
    tasks.run("0", "sender");
    tasks.run("1", "recipient", async (place) => {
      await place.alone();
      tasks.events.push(`1 is alone: ${!place.isBeside}`);
    });
    assertEquals(await tasks.take(), ["0 begins", "1 begins beside"]);
    assertEquals(await tasks.after("0"), ["0 ends", "1 is alone: true", "1 ends"]);
  },
);

Deno.test("what fails to be stored fails after the task before it has ended", { permissions }, async () => {
  const tasks = new Tasks();
  tasks.run("0", "sender");
  tasks.run("1", "recipient", async (place) => {
    await assertRejects(() => place.store(() => Promise.reject(new Error("full"))), Error, "full");
  });
  assertEquals(await tasks.take(), ["0 begins", "1 begins beside"]);
  assertEquals(await tasks.after("0"), ["0 ends", "1 ends"]);
  assertEquals(tasks.idle, ["a"]);
});

Deno.test("a task that gives up beside another has not ended before it", { permissions }, async () => {
  const tasks = new Tasks();
  tasks.run("0", "sender");
  tasks.run("1", "recipient", () => Promise.resolve());
  tasks.run("2");
  assertEquals(await tasks.take(), ["0 begins", "1 begins beside", "1 ends"]);
  assertEquals(await tasks.after("0"), ["0 ends", "2 begins"]);
  await tasks.after("2");
});

Deno.test("what comes after a task that fails is done", { permissions }, async () => {
  const tasks = new Tasks();
  tasks.run("0", "sender");
  tasks.run("1", "recipient", () => Promise.reject(new Error("broken")));
  tasks.run("2");
  assertEquals(await tasks.take(), ["0 begins", "1 begins beside"]);
  assertEquals(await tasks.after("0"), ["0 ends", "2 begins"]);
  await tasks.after("2");
  assertEquals(tasks.idle, ["a"]);
});
