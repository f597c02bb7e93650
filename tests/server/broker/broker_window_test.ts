import { assertEquals } from "@std/assert";
import { Clock } from "../../../server/broker/clock.ts";
import { checkLimits } from "../../../server/config/limits.ts";
import { TestBroker, type TestConnection, type TestQueue } from "../../support/broker.ts";

const permissions = "none";

/** A queue whose messages wait, and whom nobody subscribes to. */
async function waiting(bodies: string, parts: ConstructorParameters<typeof TestBroker>[0] = {}) {
  const test = new TestBroker(parts);
  const [alice, bob, carol] = [test.connect(), test.connect(), test.connect()];
  const queue = await carol.create();
  carol.disconnect();
  for (const body of bodies) await bob.ask(queue, `SEND ${body}`);
  return { test, alice, bob, queue };
}

/** What is pushed of a queue. */
function pushes(bodies: string): string[] {
  return [...bodies].map((body) => `- q MSG ${body}`);
}

async function send(connection: TestConnection, queue: TestQueue, bodies: string): Promise<void> {
  for (const body of bodies) assertEquals(await connection.ask(queue, `SEND ${body}`), ["send q.s OK"]);
}

Deno.test("SUBN is answered with the first message or OK, and the rest of the window is pushed", {
  permissions,
}, async () => {
  // extensions.md window1
  const { test, alice, bob, queue } = await waiting("abcd");
  assertEquals(await alice.ask(queue, "SUBN 3"), ["subn q MSG a", ...pushes("bc")]);
  assertEquals(test.brokers.counts, { subscriptions: 1, windows: 1, delivered: 3 });
  await send(bob, queue, "e");
  assertEquals(alice.take(), []);
  const empty = await alice.create("empty");
  assertEquals(await alice.ask(empty, "SUBN 2"), ["subn empty OK"]);
  assertEquals(await alice.ask(empty, "SUB"), ["sub empty OK"]);
  assertEquals(test.brokers.counts, { subscriptions: 2, windows: 1, delivered: 3 });
});

Deno.test("messages are pushed until the window is full", { permissions }, async () => {
  const { alice, bob, queue } = await waiting("");
  assertEquals(await alice.ask(queue, "SUBN 2"), ["subn q OK"]);
  await send(bob, queue, "abc");
  assertEquals(alice.take(), pushes("ab"));
});

Deno.test("ACKM acknowledges a message and all before it, and what has room is pushed", {
  permissions,
}, async (t) => {
  const { test, alice, bob, queue } = await waiting("abcdefgh");
  await alice.ask(queue, "SUBN 4");
  await t.step("one in the middle", async () => {
    assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q OK", ...pushes("ef")]);
  });
  await t.step("one that is acknowledged already", async () => {
    for (const body of "ba") assertEquals(await alice.ask(queue, `ACKM ${body}`), ["ackm q ERR NO_MSG"]);
  });
  await t.step("one that nobody has", async () => {
    assertEquals(await alice.ask(queue, "ACKM x"), ["ackm q ERR NO_MSG"]);
  });
  await t.step("by another connection", async () => {
    assertEquals(await bob.ask(queue, "ACKM c"), ["ackm q ERR NO_MSG"]);
    assertEquals(test.brokers.counts.delivered, 4);
  });
  await t.step("the last one", async () => {
    assertEquals(await alice.ask(queue, "ACKM f"), ["ackm q OK", ...pushes("gh")]);
    assertEquals(await alice.ask(queue, "ACKM h"), ["ackm q OK"]);
    assertEquals(await alice.ask(queue, "ACKM h"), ["ackm q ERR NO_MSG"]);
  });
  assertEquals(await alice.ask(queue, "SUB"), ["sub q OK"]);
});

Deno.test("an ACKM that refers to a message which waits is NO_MSG", { permissions }, async () => {
  const { alice, bob, queue } = await waiting("abc");
  await bob.ask(queue, "SUBN 3");
  // Now bob knows all IDs; alice has been given the first.
  assertEquals(await alice.ask(queue, "SUBN 1"), ["subn q MSG a"]);
  assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q ERR NO_MSG"]);
  assertEquals(await alice.ask(queue, "ACKM a"), ["ackm q OK", ...pushes("b")]);
});

Deno.test("ACK in a window acknowledges the oldest and is answered OK", { permissions }, async () => {
  const { alice, queue } = await waiting("abc");
  await alice.ask(queue, "SUBN 2");
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK", ...pushes("c")]);
  assertEquals(await alice.ask(queue, "ACKM a"), ["ackm q ERR NO_MSG"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q ERR NO_MSG"]);
});

Deno.test("ACKM in an ordinary subscription is answered OK, and the next message is pushed", {
  permissions,
}, async () => {
  const { alice, queue } = await waiting("ab");
  assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG a"]);
  assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG a"]);
  assertEquals(await alice.ask(queue, "ACKM a"), ["ackm q OK", ...pushes("b")]);
  // It cannot delete what its giver has not seen.
  assertEquals(await alice.ask(queue, "ACKM a"), ["ackm q ERR NO_MSG"]);
  assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q OK"]);
});

Deno.test("the last of SUB and SUBN counts, and delivers from the oldest unacknowledged message", {
  permissions,
}, async () => {
  const { test, alice, queue } = await waiting("abcd");
  await alice.ask(queue, "SUBN 3");
  await alice.ask(queue, "ACKM a");
  assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG b"]);
  assertEquals(test.brokers.counts, { subscriptions: 1, windows: 0, delivered: 1 });
  assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG c"]);
  assertEquals(await alice.ask(queue, "SUBN 2"), ["subn q MSG c", ...pushes("d")]);
  assertEquals(await alice.ask(queue, "SUBN 1"), ["subn q MSG c"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK", ...pushes("d")]);
});

Deno.test("another subscriber gets all that is unacknowledged, in order, and the former one END", {
  permissions,
}, async () => {
  const { alice, bob, queue, test } = await waiting("abcde");
  await alice.ask(queue, "SUBN 3");
  await alice.ask(queue, "ACKM a");
  assertEquals(await bob.ask(queue, "SUBN 128"), ["subn q MSG b", ...pushes("cde")]);
  assertEquals(alice.take(), ["- q END"]);
  for (const command of ["ACKM b", "ACK"]) {
    const corrId = command.split(" ")[0]!.toLowerCase();
    assertEquals(await alice.ask(queue, command), [`${corrId} q ERR NO_MSG`]);
  }
  await send(alice, queue, "f");
  assertEquals(bob.take(), pushes("f"));
  assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG b"]);
  assertEquals(bob.take(), ["- q END"]);
  assertEquals(test.brokers.counts, { subscriptions: 1, windows: 0, delivered: 1 });
});

Deno.test(
  "what was not acknowledged when the connection ended is delivered again",
  { permissions },
  async () => {
    const { test, alice, bob, queue } = await waiting("abc");
    await alice.ask(queue, "SUBN 3");
    await alice.ask(queue, "ACKM b");
    alice.disconnect();
    assertEquals(test.brokers.counts, { subscriptions: 0, windows: 0, delivered: 0 });
    await send(bob, queue, "d");
    assertEquals(await test.connect().ask(queue, "SUBN 5"), ["subn q MSG c", ...pushes("d")]);
  },
);

Deno.test(
  "messages of a window count for the quota until they are acknowledged",
  { permissions },
  async () => {
    const limits = checkLimits({ messagesPerQueue: 3 });
    const { alice, bob, queue } = await waiting("", { limits: () => limits });
    await alice.ask(queue, "KEY");
    await alice.ask(queue, "SUBN 128");
    const sendSigned = (body: string) => bob.ask(queue, `SEND ${body}`, { key: queue.sender });
    for (const body of "abc") assertEquals(await sendSigned(body), ["send q.s OK"]);
    assertEquals(await sendSigned("d"), ["send q.s ERR QUOTA"]);
    alice.take();
    assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q OK"]);
    for (const body of "ef") assertEquals(await sendSigned(body), ["send q.s OK"]);
    assertEquals(await sendSigned("g"), ["send q.s ERR QUOTA"]);
    assertEquals(alice.take(), pushes("ef"));
  },
);

Deno.test("in a window messages are dropped that do not fit the blocks", { permissions }, async () => {
  // smp.md Size of a message: it never blocks the queue
  const test = new TestBroker();
  const [large, bob] = [test.connect(8192), test.connect()];
  const queue = await large.create();
  large.disconnect();
  const long = "x".repeat(5000);
  for (const body of ["a", long, "b", long, long, "c", long]) await bob.ask(queue, `SEND ${body}`);
  const alice = test.connect();
  assertEquals(await alice.ask(queue, "SUBN 2"), ["subn q MSG a", ...pushes("b")]);
  assertEquals(test.metrics.messagesDropped, 1);
  assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q OK", ...pushes("c")]);
  assertEquals(await alice.ask(queue, "ACKM c"), ["ackm q OK"]);
  assertEquals([test.metrics.messagesDropped, await alice.ask(queue, "SUB")], [4, ["sub q OK"]]);
});

Deno.test("what expires after it was delivered can be acknowledged, and the rest goes on", {
  permissions,
}, async () => {
  const now = { time: Date.now() };
  const limits = checkLimits({ messageLifetime: 1000 });
  const clock = new Clock(() => now.time, () => now.time);
  const { test, alice, bob, queue } = await waiting("abc", { clock, limits: () => limits });
  await alice.ask(queue, "SUBN 4");
  now.time += 900;
  await send(bob, queue, "de");
  assertEquals(alice.take(), pushes("d"));
  now.time += 200;
  await test.brokers.sweep();
  assertEquals([test.metrics.messagesExpired, test.brokers.counts.delivered], [3, 4]);
  await send(bob, queue, "f");
  assertEquals(await alice.ask(queue, "ACKM a"), ["ackm q OK", ...pushes("e")]);
  now.time += 1001;
  await test.brokers.sweep();
  // Nothing that was delivered is there any more.
  await send(bob, queue, "g");
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK", ...pushes("g")]);
  assertEquals(await alice.ask(queue, "ACKM g"), ["ackm q OK"]);
  assertEquals([await alice.ask(queue, "SUB"), test.metrics.internalErrors], [["sub q OK"], 0]);
});

Deno.test("a queue that is deleted or suspended with a full window", { permissions }, async () => {
  const { test, alice, bob, queue } = await waiting("abc");
  await alice.ask(queue, "SUBN 2");
  assertEquals(await alice.ask(queue, "OFF"), ["off q OK"]);
  assertEquals(await bob.ask(queue, "SEND d"), ["send q.s ERR AUTH"]);
  assertEquals(await alice.ask(queue, "ACKM a"), ["ackm q OK", ...pushes("c")]);
  assertEquals(await alice.ask(queue, "DEL"), ["del q OK"]);
  assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q ERR AUTH"]);
  assertEquals(test.brokers.counts, { subscriptions: 0, windows: 0, delivered: 0 });
});

Deno.test("a window gives the messages of one queue, whatever others do", { permissions }, async () => {
  const { alice, bob, queue } = await waiting("ab");
  const other = await alice.create("o");
  await alice.ask(queue, "SUBN 2");
  await alice.ask(other, "SUBN 2");
  for (const body of "xyz") await bob.ask(other, `SEND ${body}`);
  assertEquals(alice.take(), ["- o MSG x", "- o MSG y"]);
  assertEquals(await alice.ask(queue, "ACKM y"), ["ackm q ERR NO_MSG"]);
  assertEquals(await alice.ask(other, "ACKM y"), ["ackm o OK", "- o MSG z"]);
  assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q OK"]);
});
