import { assert, assertEquals } from "@std/assert";
import { decodeBase64 } from "../../../protocol/mod.ts";
import { Clock } from "../../../server/broker/clock.ts";
import { checkLimits } from "../../../server/config/limits.ts";
import { TestBroker, type TestConnection } from "../../support/broker.ts";

const permissions = "none";

/** The message that a connection was sent last. */
function lastMessage(connection: TestConnection) {
  const transmission = connection.received.at(-1);
  assert(transmission?.response.type === "MSG");
  return { ...transmission, response: transmission.response };
}

Deno.test("a message is pushed as soon as it arrives, without corrId", { permissions }, async () => {
  // smp.md Queues and delivery: otherwise a push with empty corrId as soon as one arrives
  const now = new Date("2021-05-09T09:36:08.123Z");
  const test = new TestBroker({ clock: new Clock(() => now.getTime(), () => now.getTime()) });
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  assertEquals(await bob.ask(queue, "SEND hello"), ["send q.s OK"]);
  const { corrId, queueId, response } = lastMessage(alice);
  assertEquals([corrId, queueId], [new Uint8Array(0), queue.recipientId]);
  assertEquals([response.timestamp, decodeBase64(response.messageId)?.length], [now, 6]);
  assertEquals(alice.take(), ["- q MSG hello"]);
});

Deno.test("every message has an ID of its own", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  const queue = await alice.create();
  const ids = new Set<string>();
  for (let i = 0; i < 50; i++) {
    await alice.submit(queue, "SEND same");
    await test.idle();
    ids.add(lastMessage(alice).response.messageId);
    await alice.ask(queue, "ACK");
  }
  assertEquals(ids.size, 50);
});

Deno.test("SUB is answered with the first message, or with OK", { permissions }, async () => {
  // smp.md Commands: first message as MSG with this corrId, else OK
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  alice.disconnect();
  const again = test.connect();
  assertEquals(await again.ask(queue, "SUB", { corrId: "1" }), ["1 q OK"]);
  again.disconnect();
  for (const body of ["a", "b"]) await bob.ask(queue, `SEND ${body}`);
  assertEquals(await test.connect().ask(queue, "SUB", { corrId: "2" }), ["2 q MSG a"]);
});

Deno.test("one message at a time is unacknowledged", { permissions }, async () => {
  // smp.md Queues and delivery: at most one message of a queue is unacknowledged at a time
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  for (const body of ["a", "b", "c"]) await bob.ask(queue, `SEND ${body}`);
  assertEquals(alice.take(), ["- q MSG a"]);
  assertEquals(await alice.ask(queue, "ACK", { corrId: "1" }), ["1 q MSG b"]);
  await bob.ask(queue, "SEND d");
  assertEquals(alice.take(), []);
  assertEquals(await alice.ask(queue, "ACK", { corrId: "2" }), ["2 q MSG c"]);
  assertEquals(await alice.ask(queue, "ACK", { corrId: "3" }), ["3 q MSG d"]);
  assertEquals(await alice.ask(queue, "ACK", { corrId: "4" }), ["4 q OK"]);
  await bob.ask(queue, "SEND e");
  assertEquals(alice.take(), ["- q MSG e"]);
});

Deno.test("messages come in the order in which they were accepted", { permissions }, async () => {
  // smp.md Queues and delivery: order within a queue is the order of acceptance, always
  const test = new TestBroker({ limits: () => checkLimits({ messagesPerQueue: 300 }) });
  const [alice, bob, carol] = [test.connect(), test.connect(), test.connect()];
  const queue = await alice.create();
  const bodies = Array.from({ length: 300 }, (_, i) => String(i));
  for (const body of bodies) {
    await (Number(body) % 2 ? bob : carol).submit(queue, `SEND ${body}`, { corrId: body });
  }
  await test.idle();
  const read = alice.take();
  for (let i = 0; i < bodies.length; i++) read.push(...await alice.ask(queue, "ACK"));
  assertEquals(read, [
    "- q MSG 0",
    ...bodies.slice(1).map((body) => `ack q MSG ${body}`),
    "ack q OK",
  ]);
  assertEquals([bob.take().length, carol.take().length, test.metrics.messagesAccepted], [150, 150, 300]);
});

Deno.test("queues deliver independently of each other", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  const [one, two] = [await alice.create("one"), await alice.create("two")];
  for (const queue of [one, two, one, two]) await alice.submit(queue, "SEND x");
  await test.idle();
  assertEquals(alice.take().filter((line) => line.startsWith("-")), ["- one MSG x", "- two MSG x"]);
  assertEquals(await alice.ask(two, "ACK"), ["ack two MSG x"]);
  assertEquals(await alice.ask(one, "DEL"), ["del one OK"]);
  assertEquals(await alice.ask(two, "ACK"), ["ack two OK"]);
});

Deno.test("ACK is NO_MSG when nothing was delivered to this connection", { permissions }, async (t) => {
  // smp.md Commands: ERR NO_MSG when nothing was delivered to this connection
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  const noMessage = ["ack q ERR NO_MSG"];
  await t.step("at all", async () => {
    assertEquals(await alice.ask(queue, "ACK"), noMessage);
  });
  await t.step("but to another one", async () => {
    await bob.ask(queue, "SEND a");
    assertEquals(alice.take(), ["- q MSG a"]);
    assertEquals(await bob.ask(queue, "ACK"), noMessage);
  });
  await t.step("since the last ACK", async () => {
    assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
    assertEquals(await alice.ask(queue, "ACK"), noMessage);
  });
  await t.step("but to one that is gone", async () => {
    await bob.ask(queue, "SEND b");
    alice.disconnect();
    const again = test.connect();
    assertEquals(await again.ask(queue, "ACK"), noMessage);
    assertEquals(await again.ask(queue, "SUB"), ["sub q MSG b"]);
  });
});

Deno.test("ACK deletes the delivered message and no other", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  const queue = await alice.create();
  for (const body of ["a", "b"]) await alice.ask(queue, `SEND ${body}`);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
  alice.disconnect();
  assertEquals(await test.connect().ask(queue, "SUB"), ["sub q MSG b"]);
});

Deno.test(
  "what was not acknowledged is delivered again to the next subscriber",
  { permissions },
  async () => {
    // smp.md Queues and delivery: a message not acknowledged when its connection goes is delivered again
    const test = new TestBroker();
    const queue = await test.connect().create();
    const bob = test.connect();
    for (const body of ["a", "b"]) await bob.ask(queue, `SEND ${body}`);
    const ids = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const alice = test.connect();
      await alice.submit(queue, "SUB");
      await test.idle();
      ids.add(lastMessage(alice).response.messageId);
      assertEquals(alice.take(), ["sub q MSG a"]);
      if (i < 2) alice.disconnect();
      else assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
    }
    assertEquals(ids.size, 1);
  },
);

Deno.test(
  "a repeated SUB delivers the unacknowledged message again, without END",
  { permissions },
  async () => {
    // smp.md Queues and delivery: a repeated SUB on the same connection gives no END
    const test = new TestBroker();
    const alice = test.connect();
    const queue = await alice.create();
    assertEquals(await alice.ask(queue, "SUB"), ["sub q OK"]);
    for (const body of ["a", "b"]) await alice.ask(queue, `SEND ${body}`);
    const { messageId } = (await alice.submit(queue, "SUB"), await test.idle(), lastMessage(alice).response);
    assertEquals(alice.take(), ["sub q MSG a"]);
    await alice.submit(queue, "SUB", { corrId: "2" });
    await test.idle();
    assertEquals(lastMessage(alice).response.messageId, messageId);
    assertEquals([alice.take(), test.brokers.counts.subscriptions], [["2 q MSG a"], 1]);
    assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
  },
);

Deno.test("who sends to its own queue gets OK before the message", { permissions }, async () => {
  const alice = new TestBroker().connect();
  const queue = await alice.create();
  for (const body of ["a", "b", "c"]) {
    assertEquals(await alice.ask(queue, `SEND ${body}`), ["send q.s OK", `- q MSG ${body}`]);
    assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
  }
});

Deno.test("bodies arrive as they were sent", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  const queue = await alice.create();
  const bodies = [
    new Uint8Array(0),
    Uint8Array.from({ length: 256 }, (_, i) => i),
    new Uint8Array(4015).fill(32),
  ];
  for (const body of bodies) {
    await alice.submit(queue, { type: "SEND", body });
    await test.idle();
    assertEquals(lastMessage(alice).response.body, body);
    await alice.ask(queue, "ACK");
  }
});
