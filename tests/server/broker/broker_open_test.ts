import { assertEquals } from "@std/assert";
import { encodeBase64 } from "../../../protocol/mod.ts";
import { checkLimits } from "../../../server/config/limits.ts";
import { keys, TestBroker, type TestConnection, type TestQueue, turn } from "../../support/broker.ts";

const permissions = "none";
const unsigned = { key: null };

/** A secured queue; both are connected. */
async function securedQueue(parts: ConstructorParameters<typeof TestBroker>[0] = {}) {
  const test = new TestBroker(parts);
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  await alice.ask(queue, "KEY");
  return { test, alice, bob, queue };
}

/** Opens the sender's ID of a queue. */
function openSender(connection: TestConnection, queue: TestQueue): Promise<string[]> {
  return connection.ask(queue, "OPEN", { queueId: queue.senderId, key: queue.sender });
}

Deno.test(
  "with a recipient ID opened, the recipient's commands need no signature",
  { permissions },
  async () => {
    // extensions.md open1
    const { test, alice, bob, queue } = await securedQueue();
    const all = ["SUB", "ACK", "KEY", "SUBN 2", "ACKM x", "OFF", "DEL"];
    for (const command of all) {
      const corrId = command.split(" ")[0]!.toLowerCase();
      assertEquals(await alice.ask(queue, command, unsigned), [`${corrId} q ERR CMD NO_AUTH`]);
    }
    assertEquals(await alice.ask(queue, "OPEN"), ["open q OK"]);
    assertEquals([test.router.isOpened(alice, queue.recipientId), test.brokers.opened], [true, 1]);
    assertEquals(await alice.ask(queue, "SUB", unsigned), ["sub q OK"]);
    await bob.ask(queue, "SEND a", { key: queue.sender });
    assertEquals(alice.take(), ["- q MSG a"]);
    assertEquals(await alice.ask(queue, "ACK", unsigned), ["ack q OK"]);
    assertEquals(await alice.ask(queue, "KEY", unsigned), ["key q ERR AUTH"]);
    assertEquals(await alice.ask(queue, "SUBN 2", unsigned), ["subn q OK"]);
    assertEquals(await alice.ask(queue, "ACKM x", unsigned), ["ackm q ERR NO_MSG"]);
    assertEquals(await alice.ask(queue, "OFF", unsigned), ["off q OK"]);
    assertEquals(await alice.ask(queue, "DEL", unsigned), ["del q OK"]);
  },
);

Deno.test(
  "with the sender ID of a secured queue opened, SEND needs no signature",
  { permissions },
  async () => {
    const { alice, bob, queue } = await securedQueue();
    assertEquals(await bob.ask(queue, "SEND a"), ["send q.s ERR AUTH"]);
    assertEquals(await openSender(bob, queue), ["open q.s OK"]);
    assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
    assertEquals(alice.take(), ["- q MSG a"]);
    assertEquals(await bob.ask(queue, "SEND b", { key: queue.sender }), ["send q.s OK"]);
    await alice.ask(queue, "OFF");
    // smp.md Authorization: a suspended queue takes nothing
    assertEquals(await bob.ask(queue, "SEND c"), ["send q.s ERR AUTH"]);
  },
);

Deno.test("a key can be set without signature", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  const queue = await alice.create();
  await alice.ask(queue, "OPEN");
  assertEquals(await alice.ask(queue, "KEY", unsigned), ["key q OK"]);
  assertEquals(await test.connect().ask(queue, "SEND a"), ["send q.s ERR AUTH"]);
});

Deno.test("OPEN is AUTH for everything but the right key and session", { permissions }, async (t) => {
  const { test, alice, bob, queue } = await securedQueue();
  const plain = await alice.create("plain");
  const { recipientId, senderId, recipient, sender } = queue;
  const unknown = encodeBase64(new Uint8Array(12));
  const cases: Record<string, Parameters<TestConnection["ask"]>> = {
    "the sender's key with the recipient's ID": [queue, "OPEN", { key: sender }],
    "the recipient's key with the sender's ID": [queue, "OPEN", { queueId: senderId, key: recipient }],
    "a foreign key": [queue, "OPEN", { key: keys.other }],
    "an unsecured queue": [plain, "OPEN", { queueId: plain.senderId, key: sender }],
    "an unsecured queue and its recipient's key": [plain, "OPEN", {
      queueId: plain.senderId,
      key: recipient,
    }],
    "an unknown queue": [queue, "OPEN", { queueId: unknown }],
    "the binding of another session": [queue, {
      type: "OPEN",
      binding: encodeBase64(bob.binding),
    }, {}],
    "a shorter binding": [queue, {
      type: "OPEN",
      binding: encodeBase64(alice.binding.subarray(0, 31)),
    }, {}],
    "a longer binding": [queue, {
      type: "OPEN",
      binding: encodeBase64(new Uint8Array([...alice.binding, 0])),
    }, {}],
  };
  for (const [name, [asked, command, options]] of Object.entries(cases)) {
    await t.step(name, async () => {
      const [answer, ...more] = await alice.ask(asked, command, options);
      assertEquals([answer!.replace(/^open \S+ /, ""), more], ["ERR AUTH", []]);
      for (const queueId of [recipientId, senderId, plain.senderId]) {
        assertEquals(test.router.isOpened(alice, queueId), false);
      }
    });
  }
  assertEquals(test.brokers.opened, 0);
});

Deno.test("an OPEN that was recorded is AUTH on another session", { permissions }, async () => {
  const { alice, bob, queue, test } = await securedQueue();
  const recorded = { type: "OPEN", binding: encodeBase64(alice.binding) } as const;
  assertEquals(await alice.ask(queue, recorded), ["open q OK"]);
  assertEquals(await alice.ask(queue, recorded), ["open q OK"]);
  assertEquals(await bob.ask(queue, recorded), ["open q ERR AUTH"]);
  assertEquals(test.brokers.opened, 1);
  assertEquals(await bob.ask(queue, "SUB", unsigned), ["sub q ERR CMD NO_AUTH"]);
});

Deno.test("a signature that is there decides alone", { permissions }, async () => {
  const { alice, bob, queue } = await securedQueue();
  await alice.ask(queue, "OPEN");
  await openSender(bob, queue);
  assertEquals(await alice.ask(queue, "SUB", { key: keys.other }), ["sub q ERR AUTH"]);
  assertEquals(await bob.ask(queue, "SEND a", { key: keys.other }), ["send q.s ERR AUTH"]);
  assertEquals(await alice.ask(queue, "SUB", unsigned), ["sub q OK"]);
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
  assertEquals(alice.take(), ["- q MSG a"]);
});

Deno.test("an opened ID gives no rights of the other role, and stays open", { permissions }, async () => {
  const { alice, bob, queue } = await securedQueue();
  const { recipientId, senderId } = queue;
  await alice.ask(queue, "OPEN");
  await openSender(bob, queue);
  assertEquals(await alice.ask(queue, "SEND a", { queueId: recipientId }), ["send q ERR AUTH"]);
  assertEquals(await alice.ask(queue, "SEND a"), ["send q.s ERR AUTH"]);
  for (const command of ["SUB", "ACK", "DEL", "OFF", "KEY"]) {
    const [answer] = await bob.ask(queue, command, { key: null, queueId: senderId });
    assertEquals(answer, `${command.toLowerCase()} q.s ERR CMD NO_AUTH`);
  }
  assertEquals(await alice.ask(queue, "SUB", unsigned), ["sub q OK"]);
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
});

Deno.test("what is opened is opened for one connection until that ends", { permissions }, async () => {
  const { test, alice, bob, queue } = await securedQueue();
  await alice.ask(queue, "OPEN");
  await openSender(alice, queue);
  assertEquals(test.brokers.opened, 2);
  assertEquals(await bob.ask(queue, "SUB", unsigned), ["sub q ERR CMD NO_AUTH"]);
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s ERR AUTH"]);
  await bob.ask(queue, "SUB");
  assertEquals(await alice.ask(queue, "ACK", unsigned), ["- q END", "ack q ERR NO_MSG"]);
  alice.disconnect();
  assertEquals(test.brokers.opened, 0);
});

Deno.test(
  "a connection that ends while its OPEN is verified leaves nothing behind",
  { permissions },
  async () => {
    const { test, alice, queue } = await securedQueue();
    const gate = Promise.withResolvers<void>();
    test.around = async (operation, run) => {
      if (operation === "byRecipientId") await gate.promise;
      return await run();
    };
    await alice.submit(queue, "OPEN");
    await turn();
    alice.disconnect();
    gate.resolve();
    await test.idle();
    await test.brokers.idle();
    assertEquals(test.brokers.opened, 0);
  },
);

Deno.test("a queue that is gone is open for nobody", { permissions }, async (t) => {
  const { test, alice, bob, queue } = await securedQueue();
  await alice.ask(queue, "OPEN");
  await openSender(bob, queue);
  await t.step("when it was deleted", async () => {
    assertEquals(await alice.ask(queue, "DEL"), ["del q OK"]);
    assertEquals(test.brokers.opened, 0);
    assertEquals(await alice.ask(queue, "SUB", unsigned), ["sub q ERR CMD NO_AUTH"]);
    assertEquals(await bob.ask(queue, "SEND a"), ["send q.s ERR AUTH"]);
    assertEquals(await alice.ask(queue, "OPEN"), ["open q ERR AUTH"]);
    assertEquals(await openSender(bob, queue), ["open q.s ERR AUTH"]);
  });
  await t.step("when it is being deleted", async () => {
    const next = await alice.create("next");
    await alice.ask(next, "OPEN");
    await alice.submit(next, "DEL", { corrId: "1" });
    await alice.submit(next, "SUB", { corrId: "2", key: null });
    await test.idle();
    assertEquals(alice.take(), ["1 next OK", "2 next ERR CMD NO_AUTH"]);
  });
  assertEquals(test.brokers.opened, 0);
});

Deno.test(
  "a connection that opens, uses and deletes queues never reaches its limit",
  { permissions },
  async () => {
    const limits = checkLimits({ openedPerConnection: 2 });
    const { alice, bob, test } = await securedQueue({ limits: () => limits });
    for (let i = 0; i < 5; i++) {
      const queue = await alice.create(String(i));
      await alice.ask(queue, "KEY");
      assertEquals(await alice.ask(queue, "OPEN"), [`open ${i} OK`]);
      assertEquals(await openSender(bob, queue), [`open ${i}.s OK`]);
      await alice.ask(queue, "DEL", unsigned);
    }
    assertEquals(test.metrics.refusals("opened"), 0);
  },
);

Deno.test("OPEN beyond the limit is QUOTA, and only for whoever has the key", { permissions }, async () => {
  const limits = checkLimits({ openedPerConnection: 1 });
  const { test, alice, bob, queue } = await securedQueue({ limits: () => limits });
  const more = await alice.create("more");
  assertEquals(await alice.ask(queue, "OPEN"), ["open q OK"]);
  assertEquals(await alice.ask(more, "OPEN"), ["open more ERR QUOTA"]);
  assertEquals(await alice.ask(more, "OPEN", { key: keys.other }), ["open more ERR AUTH"]);
  assertEquals(await alice.ask(more, "SUB", unsigned), ["sub more ERR CMD NO_AUTH"]);
  assertEquals(await alice.ask(more, "SUB"), ["sub more OK"]);
  assertEquals(await alice.ask(queue, "OPEN"), ["open q OK"]);
  assertEquals(await bob.ask(more, "OPEN"), ["open more OK"]);
  assertEquals([test.metrics.refusals("opened"), test.brokers.opened], [1, 2]);
});

Deno.test("while memory is short OPEN is QUOTA, and what is open stays so", { permissions }, async () => {
  let isShort = false;
  const { test, alice, bob, queue } = await securedQueue({ isMemoryShort: () => isShort });
  await alice.ask(queue, "OPEN");
  isShort = true;
  assertEquals(await openSender(bob, queue), ["open q.s ERR QUOTA"]);
  assertEquals(await alice.ask(queue, "SUB", unsigned), ["sub q OK"]);
  assertEquals([test.metrics.refusals("memory"), test.brokers.opened], [1, 1]);
});

Deno.test("an OPEN whose store fails is INTERNAL and opens nothing", { permissions }, async (t) => {
  for (const failing of ["bySenderId", "byRecipientId"]) {
    await t.step(failing, async () => {
      const { test, alice, queue } = await securedQueue();
      test.around = (operation, run) => operation === failing ? Promise.reject(new Error("injected")) : run();
      assertEquals(await alice.ask(queue, "OPEN"), ["open q ERR INTERNAL"]);
      assertEquals([test.brokers.opened, test.metrics.internalErrors], [0, 1]);
    });
  }
});
