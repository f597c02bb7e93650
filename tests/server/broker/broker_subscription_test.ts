import { assertEquals } from "@std/assert";
import { keys, sign, TestBroker, transmissionTo, turn } from "../../support/broker.ts";

const permissions = "none";

Deno.test(
  "SUB takes a queue over: END to the former connection and nothing more",
  { permissions },
  async () => {
    // smp.md Queues and delivery: the former one gets END (empty corrId, the queue's rid) and nothing more for it
    const test = new TestBroker();
    const [alice, bob, carol] = [test.connect(), test.connect(), test.connect()];
    const queue = await alice.create();
    assertEquals(await bob.ask(queue, "SUB"), ["sub q OK"]);
    assertEquals([alice.take(), test.brokers.counts.subscriptions], [["- q END"], 1]);
    assertEquals(await carol.ask(queue, "SEND a"), ["send q.s OK"]);
    assertEquals([alice.take(), bob.take()], [[], ["- q MSG a"]]);
    assertEquals(await bob.ask(queue, "ACK"), ["ack q OK"]);
    await carol.ask(queue, "SEND b");
    assertEquals([alice.take(), bob.take()], [[], ["- q MSG b"]]);
  },
);

Deno.test(
  "who takes over gets the unacknowledged message, the former cannot acknowledge it",
  { permissions },
  async () => {
    const test = new TestBroker();
    const [alice, bob] = [test.connect(), test.connect()];
    const queue = await alice.create();
    for (const body of ["a", "b"]) await bob.ask(queue, `SEND ${body}`);
    assertEquals(alice.take(), ["- q MSG a"]);
    assertEquals(await bob.ask(queue, "SUB"), ["sub q MSG a"]);
    assertEquals(await alice.ask(queue, "ACK"), ["- q END", "ack q ERR NO_MSG"]);
    assertEquals(await bob.ask(queue, "ACK"), ["ack q MSG b"]);
  },
);

Deno.test("a queue can be taken over and back", { permissions }, async () => {
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  await bob.ask(queue, "SEND a");
  assertEquals(alice.take(), ["- q MSG a"]);
  for (const [now, former] of [[bob, alice], [alice, bob], [bob, alice], [alice, bob]] as const) {
    assertEquals([await now.ask(queue, "SUB"), former.take()], [["sub q MSG a"], ["- q END"]]);
  }
  assertEquals(await bob.ask(queue, "ACK"), ["ack q ERR NO_MSG"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
  assertEquals(test.brokers.counts.subscriptions, 1);
});

Deno.test("taking over one queue leaves the others of a connection", { permissions }, async () => {
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const [one, two] = [await alice.create("one"), await alice.create("two")];
  await bob.ask(one, "SUB");
  for (const queue of [one, two]) await bob.submit(queue, "SEND x");
  await test.idle();
  assertEquals(alice.take(), ["- one END", "- two MSG x"]);
  assertEquals(bob.take().filter((line) => line.includes("MSG")), ["- one MSG x"]);
});

Deno.test("commands other than SUB take nothing over", { permissions }, async (t) => {
  for (const command of ["ACK", "KEY", "OFF"]) {
    await t.step(command, async () => {
      const test = new TestBroker();
      const [alice, bob] = [test.connect(), test.connect()];
      const queue = await alice.create();
      await alice.ask(queue, "SEND a");
      await alice.ask(queue, "SEND b");
      await bob.ask(queue, command);
      assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
    });
  }
});

Deno.test("DEL ends a subscription without END", { permissions }, async () => {
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  assertEquals(await bob.ask(queue, "DEL"), ["del q OK"]);
  assertEquals([alice.take(), test.brokers.counts.subscriptions], [[], 0]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q ERR AUTH"]);
});

Deno.test("a connection that goes gives up its queues and nobody else's", { permissions }, async () => {
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const [one, two, three] = [await alice.create("1"), await alice.create("2"), await bob.create("3")];
  await bob.ask(two, "SUB");
  assertEquals([alice.take(), test.brokers.counts.subscriptions], [["- 2 END"], 3]);
  alice.disconnect();
  assertEquals(test.brokers.counts.subscriptions, 2);
  for (const queue of [one, two, three]) await bob.submit(queue, "SEND x");
  await test.idle();
  const messages = bob.take().filter((line) => line.includes("MSG"));
  assertEquals(messages, ["- 2 MSG x", "- 3 MSG x"]);
  bob.disconnect();
  assertEquals(test.brokers.counts.subscriptions, 0);
  const carol = test.connect();
  for (const queue of [one, two, three]) await carol.ask(queue, "SUB");
  assertEquals([alice.take(), bob.take(), test.brokers.counts.subscriptions], [[], [], 3]);
});

Deno.test(
  "a connection that goes in the middle of a command leaves no subscription",
  { permissions },
  async (t) => {
    // smp.md Queues and delivery: a message not acknowledged when its connection goes is delivered to the next subscriber
    const cases = [
      { command: "SUB", operation: "byRecipientId", next: "a" },
      { command: "SUB", operation: "first", next: "a" },
      { command: "ACK", operation: "byRecipientId", next: "a" },
      { command: "ACK", operation: "remove", next: "b" },
      { command: "ACK", operation: "first", next: "b" },
      { command: "SEND c", operation: "append", next: "a" },
    ];
    for (const { command, operation: slow, next } of cases) {
      for (const back of [false, true]) {
        await t.step(`${command}, ${back ? "after" : "before"} ${slow}`, async () => {
          const test = new TestBroker();
          const alice = test.connect();
          const queue = await alice.create();
          for (const body of ["a", "b"]) await alice.ask(queue, `SEND ${body}`);
          const gate = Promise.withResolvers<void>();
          test.around = async (operation, run) => {
            if (operation !== slow) return await run();
            if (!back) await gate.promise;
            const result = await run();
            if (back) await gate.promise;
            return result;
          };
          alice.take();
          const transmission = await transmissionTo(queue, command);
          const submitted = alice.submitTransmission(transmission);
          await turn();
          assertEquals(alice.take(), []);
          alice.disconnect();
          assertEquals(test.brokers.counts.subscriptions, 0);
          const bob = test.connect();
          test.around = (_operation, run) => run();
          const waiting = bob.submit(queue, "SUB");
          gate.resolve();
          await Promise.all([submitted, waiting]);
          await test.idle();
          assertEquals(test.brokers.counts.subscriptions, 1);
          assertEquals(bob.take(), [`sub q MSG ${next}`]);
          bob.disconnect();
          assertEquals([test.brokers.counts.subscriptions, test.metrics.internalErrors], [0, 0]);
        });
      }
    }
  },
);

Deno.test("NEW of a connection that has gone leaves no subscription", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  const gate = Promise.withResolvers<void>();
  let operations = 0;
  test.around = (_operation, run) => {
    operations++;
    return gate.promise.then(run);
  };
  const command = { type: "NEW", recipientKey: keys.recipient.publicKey } as const;
  await alice.submitTransmission(await sign("", command, { key: keys.recipient }));
  await turn();
  assertEquals([alice.waiting, operations], [1, 1]);
  alice.disconnect();
  gate.resolve();
  await test.idle();
  assertEquals(test.brokers.counts.subscriptions, 0);
});

Deno.test("a message on its way to a connection that goes waits for the next", { permissions }, async () => {
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  const gate = Promise.withResolvers<void>();
  test.around = (operation, run) => operation === "first" ? gate.promise.then(run) : run();
  await bob.submit(queue, "SEND a");
  await turn();
  assertEquals(bob.take(), ["send q.s OK"]);
  alice.disconnect();
  gate.resolve();
  await test.idle();
  assertEquals([alice.take(), await bob.ask(queue, "SUB")], [[], ["sub q MSG a"]]);
});
