import { assertEquals } from "@std/assert";
import { fakeSigner, fakeVerify, TestBroker, transmissionTo, turn } from "../../support/broker.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";

const permissions = "none";

function fastBroker() {
  return new TestBroker({ authorizer: new Authorizer(fakeVerify) });
}

const signers = { recipient: fakeSigner(), sender: fakeSigner() };

/** Numbers from 0 to 1 that look random and are the same each time. */
function* numbers(seed: number): Generator<number, never> {
  for (let x = seed;;) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    yield x / 2 ** 32;
  }
}

/** Makes all operations of the stores take a random while, before and after they are done. */
function slow(test: TestBroker, seed: number): void {
  const random = numbers(seed);
  const wait = async () => {
    const turns = random.next().value * 20;
    for (let i = 0; i < turns; i++) await null;
    if (random.next().value < 0.1) await turn();
  };
  test.around = async (_operation, run) => {
    await wait();
    const result = await run();
    await wait();
    return result;
  };
}

Deno.test("pipelined commands of one queue are answered in their order", { permissions }, async (t) => {
  // smp.md Queues and delivery: answers to one queue's commands keep the order of the commands
  const commands = [
    "SEND x",
    "SUB",
    "ACK",
    "SEND x",
    "SEND x",
    "ACK",
    "ACK",
    "ACK",
    "OFF",
    "KEY",
    "SUB",
    "SEND x",
  ];
  for (const seed of [0, 1, 2, 3]) {
    await t.step(seed === 0 ? "with stores in memory" : `with slow stores (seed ${seed})`, async () => {
      const test = fastBroker();
      const alice = test.connect();
      const queue = await alice.create("q", signers);
      if (seed > 0) slow(test, seed);
      const corrIds = Array.from({ length: 120 }, (_, i) => String(i));
      for (const corrId of corrIds) {
        await alice.submit(queue, commands[Number(corrId) % commands.length]!, { corrId });
      }
      await test.idle();
      const answers = alice.take().map((line) => line.split(" ")[0]).filter((corrId) => corrId !== "-");
      assertEquals(answers, corrIds);
    });
  }
});

Deno.test("pipelined messages are read in their order while they are sent", { permissions }, async (t) => {
  // smp.md Queues and delivery: order within a queue is the order of acceptance, always
  for (const seed of [1, 2, 3]) {
    await t.step(`with slow stores (seed ${seed})`, async () => {
      const test = fastBroker();
      const [alice, bob] = [test.connect(), test.connect()];
      const queue = await alice.create("q", signers);
      slow(test, seed);
      const random = numbers(seed);
      for (let i = 0; i < 150; i++) {
        await bob.submit(queue, `SEND ${i}`);
        if (random.next().value < 0.3) await alice.submit(queue, "ACK");
        if (random.next().value < 0.1) await alice.submit(queue, "SUB");
      }
      await test.idle();
      const read = alice.take();
      for (let i = 0; i < 150; i++) read.push(...await alice.ask(queue, "ACK"));
      const bodies = read.filter((line) => line.includes("MSG ")).map((line) =>
        Number(line.split(" ").at(-1))
      );
      assertEquals([...new Set(bodies)], Array.from({ length: 150 }, (_, i) => i));
      assertEquals(bodies, bodies.toSorted((a, b) => a - b));
    });
  }
});

Deno.test("nothing is answered before the stores have done it", { permissions }, async (t) => {
  // style.md Data: the store's promise resolves, then OK goes out
  const cases = [
    { command: "KEY", operation: "secure", answer: "key q OK" },
    { command: "SEND b", operation: "append", answer: "send q.s OK" },
    { command: "ACK", operation: "remove", answer: "ack q OK" },
    { command: "OFF", operation: "suspend", answer: "off q OK" },
    { command: "DEL", operation: "delete", answer: "del q OK" },
    { command: "DEL", operation: "deleteQueue", answer: "del q OK" },
  ];
  for (const { command, operation: slow, answer } of cases) {
    await t.step(`${command}, ${slow}`, async () => {
      const test = fastBroker();
      const alice = test.connect();
      const queue = await alice.create("q", signers);
      assertEquals(await alice.ask(queue, "SEND a"), ["send q.s OK", "- q MSG a"]);
      const gate = Promise.withResolvers<void>();
      test.around = (operation, run) => operation === slow ? gate.promise.then(run) : run();
      await alice.submit(queue, command);
      await turn();
      assertEquals(alice.take(), []);
      gate.resolve();
      await test.idle();
      assertEquals(alice.take(), [answer]);
    });
  }
});

Deno.test("commands of one queue wait for each other", { permissions }, async () => {
  const test = fastBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create("q", signers);
  const gate = Promise.withResolvers<void>();
  test.around = (operation, run) => operation === "append" ? gate.promise.then(run) : run();
  await bob.submit(queue, "SEND a");
  await alice.submit(queue, "OFF");
  await bob.submit(queue, "SEND b");
  await turn();
  assertEquals([alice.take(), bob.take()], [[], []]);
  gate.resolve();
  await test.idle();
  assertEquals(alice.take(), ["- q MSG a", "off q OK"]);
  assertEquals(bob.take(), ["send q.s OK", "send q.s ERR AUTH"]);
});

Deno.test(
  "commands of other queues, NEW and PING do not wait for a stuck queue",
  { permissions },
  async () => {
    // smp.md Queues and delivery: a slow or stuck client must not hold up another one
    const test = fastBroker();
    const [alice, bob] = [test.connect(), test.connect()];
    const [stuck, other] = [await alice.create("stuck", signers), await alice.create("other", signers)];
    const gate = Promise.withResolvers<void>();
    test.around = (operation, run) => operation === "suspend" ? gate.promise.then(run) : run();
    await alice.submit(stuck, "OFF");
    await alice.submit(other, "SEND x");
    await alice.submit(other, "ACK");
    await bob.submit(other, "SUB");
    for (const connection of [alice, bob]) {
      const ping = { type: "PING" } as const;
      const nobody = { recipientId: "", senderId: "", ...signers };
      await connection.submitTransmission(await transmissionTo(nobody, ping, { queueId: "", key: null }));
    }
    await turn();
    assertEquals(alice.take().toSorted(), [
      "- other END",
      "- other MSG x",
      "ack other OK",
      "ping - PONG",
      "send other.s OK",
    ]);
    assertEquals(bob.take().toSorted(), ["ping - PONG", "sub other OK"]);
    gate.resolve();
    await test.idle();
    assertEquals(alice.take(), ["off stuck OK"]);
  },
);

Deno.test("commands after DEL are answered after it", { permissions }, async (t) => {
  // smp.md Queues and delivery: answers to one queue's commands keep the order of the commands
  const cases = ["delete", "deleteQueue"].flatMap((slow) =>
    ["SUB", "DEL", "SEND x"].flatMap((command) => [true, false].map((done) => ({ slow, command, done })))
  );
  for (const { slow, command, done } of cases) {
    await t.step(`${command} while DEL waits ${done ? "after" : "before"} ${slow}`, async () => {
      const test = fastBroker();
      const alice = test.connect();
      const queue = await alice.create("q", signers);
      const gate = Promise.withResolvers<void>();
      test.around = async (operation, run) => {
        if (operation !== slow) return await run();
        if (done) await run();
        await gate.promise;
        if (!done) await run();
      };
      await alice.submit(queue, "DEL", { corrId: "1" });
      await turn();
      await alice.submit(queue, command, { corrId: "2" });
      await turn();
      gate.resolve();
      await test.idle();
      assertEquals(alice.take().map((line) => line.replace(" q.s ", " q ")), ["1 q OK", "2 q ERR AUTH"]);
    });
  }
});

Deno.test(
  "commands of a queue that does not exist are answered in their order",
  { permissions },
  async () => {
    // smp.md Queues and delivery: answers to one queue's commands keep the order of the commands
    const test = new TestBroker();
    const alice = test.connect();
    const queue = await alice.create();
    await alice.ask(queue, "DEL");
    const lengths = [512, 128, 384, 256, 128, 512, 128];
    for (const [i, length] of lengths.entries()) {
      await alice.submit(queue, "SUB", { corrId: String(i), signature: new Uint8Array(length).fill(1) });
    }
    await test.idle();
    assertEquals(alice.take(), lengths.map((_, i) => `${i} q ERR AUTH`));
  },
);
