import { assertEquals } from "@std/assert";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { TestBroker } from "../../support/broker.ts";
import { FaultyStream } from "../../support/faulty_stream.ts";
import { type LinkedBroker, linkedBroker, ServedOwner } from "../../support/link.ts";
import { until } from "../../support/wait.ts";

/** A linked broker whose process can be followed by another one, which has nothing but what was stored. */
async function mortal() {
  const streams: FaultyStream[] = [];
  const wrap = (stream: ConstructorParameters<typeof FaultyStream>[0]) => {
    streams.push(new FaultyStream(stream));
    return streams.at(-1)!;
  };
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore() };
  const linked: LinkedBroker = await linkedBroker({ broker: stores, remote: { wrap } });
  let next: ServedOwner | null = null;
  return {
    ...linked,
    /** What the owner says from now on is lost with it. */
    silence: () => streams.at(-1)!.hold(),
    /** The owner dies, and another one takes its place. */
    async replace(): Promise<TestBroker> {
      await linked.served[Symbol.asyncDispose]();
      streams.at(-1)!.close();
      await until(() => !linked.session.remote.isLinked);
      const test = new TestBroker(stores);
      next = new ServedOwner(linked.port, test.router);
      await linked.session.idle();
      return test;
    },
    async [Symbol.asyncDispose]() {
      await linked[Symbol.asyncDispose]();
      await next?.[Symbol.asyncDispose]();
    },
  };
}

Deno.test("the next owner does not store a message again that the one before it has", async () => {
  await using linked = await mortal();
  const { session, test } = linked;
  const [alice, bob] = [session.connect(), session.connect()];
  const queue = await alice.create();
  linked.silence();
  for (const body of ["a", "b"]) await bob.submit(queue, `SEND ${body}`);
  await until(() => test.metrics.messagesAccepted === 2);
  await bob.submit(queue, "SEND c");
  const next = await linked.replace();
  assertEquals(bob.take(), ["send q.s OK", "send q.s OK", "send q.s OK"]);
  assertEquals(alice.take(), ["- q MSG a"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG c"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
  assertEquals(next.metrics.messagesAccepted, 1 - Number(test.metrics.messagesAccepted === 3));
});

Deno.test("an ACK that the owner before has executed does not remove the next message", async () => {
  await using linked = await mortal();
  const { session, test } = linked;
  const [alice, bob] = [session.connect(), session.connect()];
  const queue = await alice.create();
  for (const body of ["a", "b", "c"]) await bob.ask(queue, `SEND ${body}`);
  assertEquals(alice.take(), ["- q MSG a"]);
  linked.silence();
  await alice.submit(queue, "ACK");
  await until(() => test.metrics.commands.get("ACK MSG") === 1);
  await linked.replace();
  assertEquals(alice.take(), ["ack q MSG b"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG c"]);
});

Deno.test("the next owner delivers nothing beyond the window of a client whose ACKM was executed before", async () => {
  await using linked = await mortal();
  const { session, test } = linked;
  const [alice, bob] = [session.connect(), session.connect()];
  const queue = await alice.create();
  await alice.ask(queue, "SUBN 2");
  for (const body of ["a", "b", "c", "d"]) await bob.ask(queue, `SEND ${body}`);
  assertEquals(alice.take(), ["- q MSG a", "- q MSG b"]);
  linked.silence();
  await alice.submit(queue, "ACKM b");
  await until(() => test.metrics.commands.get("ACKM OK") === 1);
  await linked.replace();
  assertEquals(alice.take(), ["ackm q OK", "- q MSG c", "- q MSG d"]);
});

Deno.test("the next owner knows the key that the one before it has accepted, and no other", async () => {
  await using linked = await mortal();
  const { session, test } = linked;
  const alice = session.connect();
  const queue = await alice.create();
  linked.silence();
  await alice.submit(queue, "KEY");
  await until(() => test.metrics.commands.get("KEY OK") === 1);
  await linked.replace();
  assertEquals(alice.take(), ["key q OK"]);
  assertEquals(await alice.ask(queue, "KEY"), ["key q ERR AUTH"]);
});

Deno.test("subscriptions, windows and opened queues go over to the next owner", async () => {
  await using linked = await mortal();
  const { session } = linked;
  const [alice, bob] = [session.connect(), session.connect()];
  const queue = await alice.create();
  await alice.ask(queue, "KEY");
  await alice.ask(queue, "SUBN 2");
  await alice.ask(queue, "OPEN");
  await bob.ask(queue, "OPEN", { queueId: queue.senderId, key: queue.sender });
  for (const body of ["a", "b", "c"]) await bob.ask(queue, `SEND ${body}`);
  assertEquals(alice.take(), ["- q MSG a", "- q MSG b"]);
  const next = await linked.replace();
  assertEquals(next.brokers.counts, { subscriptions: 1, windows: 1, delivered: 2 });
  assertEquals(next.brokers.opened, 2);
  assertEquals(alice.take(), []);
  assertEquals(await alice.ask(queue, "ACKM a", { key: null }), ["ackm q OK", "- q MSG c"]);
  assertEquals(await bob.ask(queue, "SEND d"), ["send q.s OK"]);
  assertEquals(await alice.ask(queue, "ACKM c", { key: null }), ["ackm q OK", "- q MSG d"]);
});

Deno.test("of two subscribers that the next owner is told of the later one keeps the subscription", async () => {
  for (const order of [0, 1]) {
    await using linked = await mortal();
    const { session, test } = linked;
    const connections = [session.connect(), session.connect()];
    const queue = await connections[0]!.create();
    // Both believe that they are subscribed: the first does not hear of its END.
    linked.silence();
    await connections[1]!.submit(queue, "SUB");
    await until(() => test.metrics.commands.get("SUB OK") === 1);
    if (order === 1) await connections[0]!.submit(queue, "SUB");
    await linked.replace();
    const [former, latter] = order === 0 ? connections : [connections[1]!, connections[0]!];
    const ends = (texts: string[]) => texts.filter((text) => text === "- q END").length;
    assertEquals(ends(former!.take()), 1);
    assertEquals(ends(latter!.take()), order);
    const bob = session.connect();
    await bob.ask(queue, "SEND a");
    assertEquals([former!.take(), latter!.take()], [[], ["- q MSG a"]]);
  }
});

for (const [command, answer] of [["DEL", "DEL OK"], ["SEND a", "SEND OK"]] as const) {
  Deno.test(`${command} that is refused by the next owner as the queue is gone closes its connection`, async () => {
    await using linked = await mortal();
    const { session, test } = linked;
    const [alice, bob] = [session.connect(), session.connect()];
    const queue = await test.connect().create();
    linked.silence();
    await bob.submit(queue, command);
    await until(() => test.metrics.commands.get(answer) === 1);
    if (command !== "DEL") await test.connect().ask(queue, "DEL");
    await linked.replace();
    await until(() => session.closed.length === 1);
    // It was executed, and nobody can tell any more.
    assertEquals([session.closed, bob.take()], [[bob], []]);
    assertEquals(await alice.ask(queue, command), [
      `${command.split(" ")[0]!.toLowerCase()} ${command === "DEL" ? "q" : "q.s"} ERR AUTH`,
    ]);
    assertEquals(session.remote.pending, 0);
  });
}

Deno.test("NEW whose answer the owner before could not send makes another queue, and the first one stays unused", async () => {
  await using linked = await mortal();
  const { session, test } = linked;
  const [alice, bob] = [session.connect(), session.connect()];
  linked.silence();
  const making = alice.create();
  await until(() => test.metrics.commands.get("NEW IDS") === 1);
  const next = await linked.replace();
  const queue = await making;
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
  assertEquals(alice.take(), ["- q MSG a"]);
  // The other one has no subscriber and no key of a sender: it expires.
  const { queues } = next.brokers.kept;
  assertEquals([queues, next.brokers.counts.subscriptions], [2, 1]);
});
