import { assertEquals } from "@std/assert";
import { encodeBase64, randomBytes } from "../../../protocol/mod.ts";
import type { PartitionOwner } from "../../../server/broker/owner.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { AliasedOwner } from "../../../server/workers/aliased_owner.ts";
import { type Spread, workerOf } from "../../../server/workers/partition.ts";
import { keys, TestBroker, type TestQueue } from "../../support/broker.ts";
import { FaultyStream } from "../../support/faulty_stream.ts";
import { ServedOwner, SessionSide } from "../../support/link.ts";
import { steadyPort } from "../../support/ports.ts";
import { until } from "../../support/wait.ts";

const spread: Spread = { workers: 2, partitions: 2 };

function idOf(worker: number): string {
  for (;;) {
    const id = encodeBase64(randomBytes(12));
    if (workerOf(id, spread) === worker) return id;
  }
}

/** Two workers; the second one has a queue whose sender ID leads to the first, and sessions use both over links. */
async function twoWorkers() {
  const ports = [steadyPort(), steadyPort()] as const;
  const stores = [0, 1].map(() => ({ queues: new MemoryQueueStore(), messages: new MemoryMessageStore() }));
  const tests = stores.map((stores) => new TestBroker(stores, 1));
  const [first, second] = tests as [TestBroker, TestBroker];
  const [recipientId, senderId] = [idOf(1), idOf(0)];
  await stores[1]!.queues.create({
    recipientId,
    senderId,
    recipientKey: keys.recipient.publicKey,
    senderKey: null,
    suspended: false,
    changedAt: 0,
  });
  const queue: TestQueue = { recipientId, senderId, recipient: keys.recipient, sender: keys.sender };
  for (const { names } of tests) names.set(recipientId, "q").set(senderId, "q.s");
  const betweens: SessionSide[] = [];
  const streams: FaultyStream[] = [];
  const owner = (): PartitionOwner => {
    const between = new SessionSide(second, ports[1], {
      close: (connection) => connection.close?.(),
      wrap: (stream) => {
        streams.push(new FaultyStream(stream));
        return streams.at(-1)!;
      },
    });
    betweens.push(between);
    const aliased: PartitionOwner = new AliasedOwner({
      own: first.router,
      queues: stores[0]!.queues,
      aliases: new Map([[senderId, recipientId]]),
      others: [between.remote],
      ownerOf: (id) => workerOf(id, spread) === 0 ? aliased : between.remote,
    });
    return aliased;
  };
  const served = [new ServedOwner(ports[0], owner()), new ServedOwner(ports[1], second.router)];
  const sessions = [new SessionSide(first, ports[0]), new SessionSide(second, ports[1])] as const;
  await until(() => [...sessions, ...betweens].every(({ remote }) => remote.isLinked));
  return {
    queue,
    tests: [first, second] as const,
    sessions,
    /** What the second worker says to the first one from now on is lost. */
    silence: () => streams.at(-1)!.hold(),
    /** The first worker dies, and another process takes its place with what it has stored. */
    async replaceFirst() {
      // Nobody hears what it says in dying.
      sessions[0].cut();
      await served[0]![Symbol.asyncDispose]();
      served[0] = new ServedOwner(ports[0], owner());
      await until(() => sessions[0].remote.isLinked);
    },
    async [Symbol.asyncDispose]() {
      for (const side of [...sessions, ...betweens]) await side[Symbol.asyncDispose]();
      for (const side of served) await side[Symbol.asyncDispose]();
    },
  };
}

Deno.test("messages to a sender ID of an older log reach the worker that has the queue", async () => {
  await using workers = await twoWorkers();
  const { queue, sessions: [first, second], tests } = workers;
  const [bob, alice] = [first.connect(), second.connect()];
  assertEquals(await alice.ask(queue, "SUB"), ["sub q OK"]);
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
  await second.idle();
  assertEquals(alice.take(), ["- q MSG a"]);
  assertEquals(tests.map(({ metrics }) => metrics.messagesAccepted), [0, 1]);
});

Deno.test("a worker with aliases gives connections back what they had when their link is lost", async () => {
  await using workers = await twoWorkers();
  const [session] = workers.sessions;
  const [alice, bob] = [session.connect(), session.connect()];
  const queue = await alice.create();
  assertEquals(await alice.ask(queue, "OPEN"), ["open q OK"]);
  session.cut();
  await until(() => session.streams.length === 2 && session.remote.isLinked);
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
  assertEquals(alice.take(), ["- q MSG a"]);
  assertEquals(await alice.ask(queue, "ACK", { key: null }), ["ack q OK"]);
  assertEquals(session.closed, []);
});

Deno.test("a message that went on to another worker is stored once, even if the one between dies", async () => {
  await using workers = await twoWorkers();
  const { queue, sessions: [first], tests: [, second] } = workers;
  const bob = first.connect();
  workers.silence();
  await bob.submit(queue, "SEND a");
  await until(() => second.metrics.messagesAccepted === 1);
  await workers.replaceFirst();
  await until(() => bob.waiting === 0);
  assertEquals(bob.take(), ["send q.s OK"]);
  assertEquals(second.metrics.messagesAccepted, 1);
});
