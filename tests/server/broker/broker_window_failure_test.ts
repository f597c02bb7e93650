import { assertEquals } from "@std/assert";
import { TestBroker } from "../../support/broker.ts";

const permissions = "none";

/** A window of three, full, with more messages behind it. */
async function fullWindow() {
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  for (const body of "abcde") await bob.ask(queue, `SEND ${body}`);
  alice.take();
  assertEquals(await alice.ask(queue, "SUBN 3"), ["subn q MSG a", "- q MSG b", "- q MSG c"]);
  return { test, alice, bob, queue };
}

/** Makes the `turn`th time of an operation fail, counted from now. */
function failAt(test: TestBroker, failing: string, turn: number): void {
  let count = 0;
  test.around = (operation, run) =>
    operation === failing && ++count === turn ? Promise.reject(new Error("injected")) : run();
}

Deno.test("an ACKM that fails to remove a message can be given again, and loses and skips nothing", {
  permissions,
}, async (t) => {
  for (const turn of [1, 2, 3]) {
    await t.step(`message ${turn} of three`, async () => {
      const { test, alice, bob, queue } = await fullWindow();
      failAt(test, "remove", turn);
      assertEquals(await alice.ask(queue, "ACKM c"), ["ackm q ERR INTERNAL"]);
      assertEquals(await bob.ask(queue, "SEND f"), ["send q.s OK"]);
      assertEquals(alice.take(), []);
      assertEquals(await alice.ask(queue, "ACKM c"), ["ackm q OK", "- q MSG d", "- q MSG e", "- q MSG f"]);
      assertEquals(await alice.ask(queue, "ACKM f"), ["ackm q OK"]);
      assertEquals([await alice.ask(queue, "SUB"), test.metrics.internalErrors], [["sub q OK"], 1]);
    });
  }
});

Deno.test(
  "what could not be removed is delivered again to the next subscriber alone",
  { permissions },
  async (t) => {
    for (const [turn, left] of [[1, "a"], [2, "b"], [3, "c"]] as const) {
      await t.step(`message ${turn} of three`, async () => {
        const { test, alice, bob, queue } = await fullWindow();
        failAt(test, "remove", turn);
        await alice.ask(queue, "ACKM c");
        assertEquals(await bob.ask(queue, "SUBN 9"), [`subn q MSG ${left}`, "- q MSG d", "- q MSG e"]);
      });
    }
  },
);

Deno.test("after a failure, what is acknowledged one by one makes room without a repetition", {
  permissions,
}, async () => {
  const { test, alice, queue } = await fullWindow();
  failAt(test, "remove", 2);
  assertEquals(await alice.ask(queue, "ACKM c"), ["ackm q ERR INTERNAL"]);
  // Message b waits although it was delivered, before the ones that were not.
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK", "- q MSG d"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK", "- q MSG e"]);
  assertEquals(await alice.ask(queue, "ACKM e"), ["ackm q OK"]);
  assertEquals(await alice.ask(queue, "SUB"), ["sub q OK"]);
});

Deno.test(
  "an acknowledgement whose next message cannot be read is answered OK once",
  { permissions },
  async () => {
    const { test, alice, bob, queue } = await fullWindow();
    failAt(test, "next", 1);
    assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q OK"]);
    assertEquals(test.metrics.internalErrors, 1);
    await bob.ask(queue, "SEND f");
    assertEquals(alice.take(), ["- q MSG d", "- q MSG e"]);
  },
);

Deno.test("a SUBN that fails takes nothing over, and one that fails half-way goes on later", {
  permissions,
}, async () => {
  const { test, alice, bob, queue } = await fullWindow();
  failAt(test, "first", 1);
  assertEquals(await bob.ask(queue, "SUBN 9"), ["subn q ERR INTERNAL"]);
  assertEquals([alice.take(), await alice.ask(queue, "ACKM a")], [[], ["ackm q OK", "- q MSG d"]]);
  failAt(test, "next", 2);
  assertEquals(await bob.ask(queue, "SUBN 9"), ["subn q MSG b", "- q MSG c"]);
  assertEquals(await bob.ask(queue, "ACKM b"), ["ackm q OK", "- q MSG d", "- q MSG e"]);
});

Deno.test(
  "what is pushed waits while the peer does not read, and then goes on in order",
  { permissions },
  async () => {
    const { test, alice, bob, queue } = await fullWindow();
    const other = await alice.create("o");
    alice.isFull = true;
    assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q OK"]);
    await bob.ask(other, "SEND x");
    assertEquals(alice.take(), []);
    test.router.resume(alice);
    await test.idle();
    assertEquals(alice.take(), []);
    alice.isFull = false;
    test.router.resume(alice);
    await test.idle();
    assertEquals(alice.take().sort(), ["- o MSG x", "- q MSG d", "- q MSG e"]);
    assertEquals(test.brokers.counts.delivered, 4);
  },
);

Deno.test("what was held back for a peer goes to whoever subscribes then", { permissions }, async () => {
  const { test, alice, bob, queue } = await fullWindow();
  alice.isFull = true;
  await alice.ask(queue, "ACKM c");
  assertEquals(await bob.ask(queue, "SUBN 9"), ["subn q MSG d", "- q MSG e"]);
  alice.take();
  alice.isFull = false;
  test.router.resume(alice);
  await test.idle();
  assertEquals([alice.take(), bob.take()], [[], []]);
  alice.disconnect();
  test.router.resume(alice);
  await test.idle();
  assertEquals(test.metrics.internalErrors, 0);
});

Deno.test("a store that fails while held back messages are pushed is logged, and others go on", {
  permissions,
}, async () => {
  const { test, alice, bob, queue } = await fullWindow();
  const other = await alice.create("o");
  alice.isFull = true;
  await alice.ask(queue, "ACKM c");
  await bob.ask(other, "SEND x");
  alice.isFull = false;
  failAt(test, "first", 1);
  test.router.resume(alice);
  await test.idle();
  assertEquals([alice.take(), test.logged], [["- o MSG x"], ["injected"]]);
  await bob.ask(queue, "SEND f");
  assertEquals(alice.take(), ["- q MSG d", "- q MSG e", "- q MSG f"]);
});
