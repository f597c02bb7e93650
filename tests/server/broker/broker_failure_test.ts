import { assert, assertEquals } from "@std/assert";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { MemoryQueueStore } from "../../../server/store/memory.ts";
import { keys, sign, TestBroker, turn } from "../../support/broker.ts";

const permissions = "none";

/** Makes an operation of the stores fail once, and then work again. */
function failOnce(test: TestBroker, failing: string): void {
  let failed = false;
  test.around = (operation, run) => {
    if (failed || operation !== failing) return run();
    failed = true;
    return Promise.reject(new Error(`injected into ${operation}`));
  };
}

/** A queue with messages a and b, of which a was delivered to alice. */
async function waitingQueue() {
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  for (const body of ["a", "b"]) await alice.ask(queue, `SEND ${body}`);
  return { test, alice, bob, queue };
}

Deno.test(
  "a command whose store fails is answered INTERNAL, once, and has no effect",
  { permissions },
  async (t) => {
    // style.md Data: a store that rejects gives ERR INTERNAL and no OK; error.ts: the command had no effect
    const cases = [
      { command: "SUB", operation: "byRecipientId" },
      { command: "SUB", operation: "first" },
      { command: "KEY", operation: "byRecipientId" },
      { command: "KEY", operation: "secure" },
      { command: "ACK", operation: "byRecipientId" },
      { command: "ACK", operation: "remove" },
      { command: "ACK", operation: "first" },
      { command: "OFF", operation: "byRecipientId" },
      { command: "OFF", operation: "suspend" },
      { command: "DEL", operation: "byRecipientId" },
      { command: "SEND x", operation: "bySenderId" },
      { command: "SEND x", operation: "byRecipientId" },
      { command: "SEND x", operation: "append" },
    ];
    for (const { command, operation } of cases) {
      await t.step(`${command}, ${operation}`, async () => {
        const { test, alice, queue } = await waitingQueue();
        failOnce(test, operation);
        const corrId = `1 ${command.startsWith("SEND") ? "q.s" : "q"}`;
        assertEquals(await alice.ask(queue, command, { corrId: "1" }), [`${corrId} ERR INTERNAL`]);
        assertEquals(test.metrics.internalErrors, 1);
        assertEquals(test.logged, [`injected into ${operation}`]);
        assertEquals([test.metrics.messagesAccepted, test.brokers.counts.subscriptions], [2, 1]);
        assertEquals(await alice.ask(queue, "SEND c"), ["send q.s OK"]);
        assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
        assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG b"]);
        assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG c"]);
        assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
        assertEquals(await alice.ask(queue, "KEY"), ["key q OK"]);
        assertEquals(await alice.ask(queue, "OFF"), ["off q OK"]);
        assertEquals(await alice.ask(queue, "DEL"), ["del q OK"]);
        assertEquals([test.metrics.internalErrors, test.brokers.counts.subscriptions], [1, 0]);
      });
    }
  },
);

Deno.test("a SUB that fails takes nothing over", { permissions }, async (t) => {
  for (const operation of ["byRecipientId", "first"]) {
    await t.step(operation, async () => {
      const { test, alice, bob, queue } = await waitingQueue();
      alice.take();
      failOnce(test, operation);
      assertEquals(await bob.ask(queue, "SUB"), ["sub q ERR INTERNAL"]);
      assertEquals(alice.take(), []);
      assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
      assertEquals(bob.take(), []);
    });
  }
});

Deno.test("NEW whose store fails is answered INTERNAL and makes nothing", { permissions }, async (t) => {
  const command = { type: "NEW", recipientKey: keys.recipient.publicKey } as const;
  const queues = new MemoryQueueStore();
  const test = new TestBroker({ queues });
  const alice = test.connect();
  await t.step("because it rejects", async () => {
    failOnce(test, "create");
    await alice.submitTransmission(await sign("", command, { key: keys.recipient }));
    await test.idle();
    assertEquals([alice.take(), queues.size, test.brokers.counts.subscriptions], [
      ["new - ERR INTERNAL"],
      0,
      0,
    ]);
    await alice.create();
  });
  await t.step("because all random IDs are taken", async () => {
    test.around = (operation, run) => operation === "create" ? Promise.resolve(false) : run();
    await alice.submitTransmission(await sign("", command, { key: keys.recipient }));
    await test.idle();
    assertEquals([alice.take(), queues.size, test.brokers.counts.subscriptions], [
      ["new - ERR INTERNAL"],
      1,
      1,
    ]);
  });
  assertEquals(test.metrics.internalErrors, 2);
});

Deno.test(
  "an ACK that fails to read the next message loses and repeats nothing",
  { permissions },
  async () => {
    const { test, alice, queue } = await waitingQueue();
    await alice.ask(queue, "SEND c");
    failOnce(test, "first");
    const [answer, ...more] = await alice.ask(queue, "ACK");
    assertEquals([answer, more, test.metrics.internalErrors], ["ack q ERR INTERNAL", [], 1]);
    assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG b"]);
    assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG c"]);
  },
);

Deno.test("a DEL that fails half-way can be given again", { permissions }, async (t) => {
  // smp.md Commands: queue and messages are gone before the answer
  for (const operation of ["delete", "deleteQueue"]) {
    await t.step(operation, async () => {
      const { test, alice, bob, queue } = await waitingQueue();
      failOnce(test, operation);
      assertEquals(await alice.ask(queue, "DEL"), ["del q ERR INTERNAL"]);
      assertEquals(await alice.ask(queue, "DEL"), ["del q OK"]);
      assertEquals([test.brokers.counts.subscriptions, test.metrics.internalErrors], [0, 1]);
      assertEquals(await bob.ask(queue, "SUB"), ["sub q ERR AUTH"]);
    });
  }
});

Deno.test(
  "a SEND that is accepted but cannot be pushed yet is answered OK once",
  { permissions },
  async () => {
    const test = new TestBroker();
    const [alice, bob] = [test.connect(), test.connect()];
    const queue = await alice.create();
    failOnce(test, "first");
    assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
    assertEquals([test.metrics.internalErrors, test.metrics.messagesAccepted], [1, 1]);
    assertEquals(await bob.ask(queue, "SEND b"), ["send q.s OK"]);
    assertEquals(alice.take(), ["- q MSG a"]);
    assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
  },
);

Deno.test("a message that cannot be dropped is not lost for a bigger block", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect(8192);
  const queue = await alice.create();
  await alice.ask(queue, `SEND ${"x".repeat(5000)}`);
  alice.disconnect();
  failOnce(test, "remove");
  assertEquals(await test.connect().ask(queue, "SUB"), ["sub q ERR INTERNAL"]);
  assertEquals(test.metrics.messagesDropped, 0);
  assertEquals((await test.connect(8192).ask(queue, "SUB"))[0]?.length, "sub q MSG ".length + 5000);
});

Deno.test("a verification that throws is answered INTERNAL", { permissions }, async () => {
  let broken = false;
  const verify = () => broken ? Promise.reject(new Error("no crypto")) : Promise.resolve(true);
  const test = new TestBroker({ authorizer: new Authorizer(verify) });
  const alice = test.connect();
  const queue = await alice.create();
  broken = true;
  assertEquals(await alice.ask(queue, "SUB"), ["sub q ERR INTERNAL"]);
  assertEquals(await alice.ask(queue, "SEND x", { key: keys.other }), ["send q.s ERR INTERNAL"]);
  assertEquals([test.metrics.internalErrors, test.logged], [2, ["no crypto", "no crypto"]]);
});

Deno.test(
  "a lookup that fails is answered in the order of the queue's commands",
  { permissions },
  async () => {
    // smp.md Queues and delivery: answers to one queue's commands keep the order of the commands
    const { test, alice, queue } = await waitingQueue();
    alice.take();
    const gate = Promise.withResolvers<void>();
    let failing = false;
    test.around = (operation, run) => {
      if (operation === "suspend") return gate.promise.then(run);
      return failing ? Promise.reject(new Error("injected")) : run();
    };
    await alice.submit(queue, "OFF", { corrId: "1" });
    await turn();
    failing = true;
    await alice.submit(queue, "SUB", { corrId: "2" });
    await turn();
    gate.resolve();
    await test.idle();
    const answers = alice.take();
    assert(answers.includes("2 q ERR INTERNAL"));
    assertEquals(answers, ["1 q OK", "2 q ERR INTERNAL"]);
  },
);
