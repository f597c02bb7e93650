import { assert, assertEquals } from "@std/assert";
import { asciiText, encodeBase64 } from "../../../protocol/mod.ts";
import { type TestConnection, type TestQueue, transmissionTo } from "../../support/broker.ts";
import { FaultyStream } from "../../support/faulty_stream.ts";
import { type LinkedBroker, linkedBroker, type LinkedOptions, SessionSide } from "../../support/link.ts";
import { until } from "../../support/wait.ts";

/** A linked broker whose streams can be made to fail. */
async function faulty(options: LinkedOptions = {}) {
  const streams: FaultyStream[] = [];
  const wrap = (stream: ConstructorParameters<typeof FaultyStream>[0]) => {
    const faulty = new FaultyStream(stream);
    streams.push(faulty);
    return faulty;
  };
  const linked = await linkedBroker({ ...options, remote: { ...options.remote, wrap } });
  return Object.assign(linked, { streams, last: () => streams.at(-1)! });
}

/** Cuts the link and waits for the next one. */
async function cut(linked: LinkedBroker): Promise<void> {
  const { streams, remote } = linked.session;
  const before = streams.length;
  linked.session.cut();
  await until(() => streams.length > before && remote.isLinked);
}

/** The bodies of the messages that wait, oldest first. */
async function waitingBodies({ test }: LinkedBroker, queue: TestQueue): Promise<string[]> {
  const reader = test.connect();
  const bodies = (await reader.ask(queue, "SUBN 100")).filter((text) => text.includes("MSG"));
  reader.disconnect();
  return bodies.map((text) => text.split(" ").at(-1)!);
}

Deno.test("a command waits while there is no link and is executed when there is one", async () => {
  await using linked = await faulty();
  const { session } = linked;
  const alice = session.connect(), bob = session.connect();
  const queue = await alice.create();
  session.cut();
  await until(() => !session.remote.isLinked);
  assertEquals(await bob.ask(queue, "SEND one"), ["send q.s OK"]);
  assertEquals(alice.take(), ["- q MSG one"]);
});

Deno.test("a command that was written but not read is given again", async () => {
  await using linked = await faulty();
  const { session } = linked;
  const alice = session.connect(), bob = session.connect();
  const queue = await alice.create();
  linked.last().losesWrites = true;
  await bob.submit(queue, "SEND one");
  await bob.submit(queue, "SEND two");
  await until(() => session.remote.pending === 2);
  await cut(linked);
  await session.idle();
  assertEquals(bob.take(), ["send q.s OK", "send q.s OK"]);
  assertEquals(alice.take(), ["- q MSG one"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG two"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
});

Deno.test("a message whose answer was lost with the link is not stored again", async () => {
  await using linked = await faulty();
  const { session, test } = linked;
  const alice = session.connect(), bob = session.connect();
  const queue = await alice.create();
  linked.last().hold();
  await bob.submit(queue, "SEND one");
  await until(() => test.metrics.messagesAccepted === 1);
  await cut(linked);
  await session.idle();
  assertEquals(bob.take(), ["send q.s OK"]);
  assertEquals(test.metrics.messagesAccepted, 1);
  assertEquals(await waitingBodies(linked, queue), ["one"]);
});

Deno.test("a command that is in work while the link is lost is answered on the next one", async () => {
  await using linked = await faulty();
  const { session, test } = linked;
  const alice = session.connect(), bob = session.connect();
  const queue = await alice.create();
  const stored = Promise.withResolvers<void>();
  test.around = async (operation, run) => {
    if (operation === "append") await stored.promise;
    return await run();
  };
  await bob.submit(queue, "SEND one");
  await until(() => linked.served.links.counts.inWork === 1);
  await cut(linked);
  await until(() => linked.served.links.counts.links === 1);
  stored.resolve();
  await session.idle();
  assertEquals(bob.take(), ["send q.s OK"]);
  assertEquals(test.metrics.messagesAccepted, 1);
});

Deno.test("a queue whose IDs were lost with the link is not made again, and is subscribed to", async () => {
  await using linked = await faulty();
  const { session, test } = linked;
  const alice = session.connect(), bob = session.connect();
  linked.last().hold();
  const making = alice.create();
  await until(() => test.metrics.commands.get("NEW IDS") === 1);
  await cut(linked);
  const queue = await making;
  assertEquals(test.metrics.commands.get("NEW IDS"), 1);
  await bob.ask(queue, "SEND one");
  assertEquals(alice.take(), ["- q MSG one"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
});

for (const command of ["KEY", "OFF", "DEL"]) {
  Deno.test(`${command} whose answer was lost with the link is answered OK, not executed again`, async () => {
    await using linked = await faulty();
    const { session, test } = linked;
    const alice = session.connect();
    const queue = await alice.create();
    linked.last().hold();
    await alice.submit(queue, command);
    await until(() => test.metrics.commands.get(`${command} OK`) === 1);
    await cut(linked);
    await session.idle();
    assertEquals(alice.take(), [`${command.toLowerCase()} q OK`]);
    assertEquals(test.metrics.commands.get(`${command} OK`), 1);
  });
}

for (const window of [null, 3]) {
  const subscribed = window === null ? "SUB" : `SUBN ${window}`;
  Deno.test(`after ${subscribed} nothing is delivered twice or lost when the link is`, async () => {
    await using linked = await faulty();
    const { session, test } = linked;
    const alice = session.connect(), bob = test.connect();
    const queue = await alice.create();
    await alice.ask(queue, subscribed);
    for (const body of ["a", "b", "c", "d"]) await bob.ask(queue, `SEND ${body}`);
    await session.idle();
    const pushed = window === null ? ["a"] : ["a", "b", "c"];
    assertEquals(alice.take(), pushed.map((body) => `- q MSG ${body}`));
    await cut(linked);
    await session.idle();
    assertEquals(alice.take(), []);
    assertEquals(test.brokers.counts.delivered, pushed.length);
    if (window === null) assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG b"]);
    else assertEquals(await alice.ask(queue, "ACKM b"), ["ackm q OK", "- q MSG d"]);
  });

  Deno.test(`after ${subscribed} an ACK whose answer was lost does not remove the message after it`, async () => {
    await using linked = await faulty();
    const { session, test } = linked;
    const alice = session.connect(), bob = test.connect();
    const queue = await alice.create();
    await alice.ask(queue, subscribed);
    for (const body of ["a", "b", "c", "d", "e"]) await bob.ask(queue, `SEND ${body}`);
    await session.idle();
    alice.take();
    linked.last().hold();
    await alice.submit(queue, window === null ? "ACK" : "ACKM b");
    const name = window === null ? "ACK MSG" : "ACKM OK";
    await until(() => test.metrics.commands.get(name) === 1);
    await cut(linked);
    await session.idle();
    // No message comes before the answer: the client's window would be too full.
    assertEquals(
      alice.take(),
      window === null ? ["ack q MSG b"] : ["ackm q OK", "- q MSG d", "- q MSG e"],
    );
    const left = window === null ? ["b", "c", "d", "e"] : ["c", "d", "e"];
    assertEquals(await waitingBodies(linked, queue), left);
  });
}

Deno.test("a message that was delivered on the lost link but did not come is delivered again", async () => {
  await using linked = await faulty();
  const { session, test } = linked;
  const alice = session.connect(), bob = test.connect();
  const queue = await alice.create();
  linked.last().hold();
  await bob.ask(queue, "SEND a");
  assertEquals(test.metrics.messagesDelivered, 1);
  await cut(linked);
  await session.idle();
  assertEquals(alice.take(), ["- q MSG a"]);
});

Deno.test("what was opened stays open when the link is lost", async () => {
  await using linked = await faulty();
  const { session } = linked;
  const alice = session.connect(), bob = session.connect();
  const queue = await alice.create();
  await alice.ask(queue, "KEY");
  await alice.ask(queue, "OPEN");
  assertEquals(await bob.ask(queue, "OPEN", { queueId: queue.senderId, key: queue.sender }), ["open q.s OK"]);
  await cut(linked);
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
  assertEquals(alice.take(), ["- q MSG a"]);
  assertEquals(await alice.ask(queue, "ACK", { key: null }), ["ack q OK"]);
});

Deno.test("a later subscriber keeps its subscription, and the one that is restored gets END", async () => {
  await using linked = await faulty();
  const { session, test } = linked;
  const alice = session.connect(), carol = test.connect();
  const queue = await alice.create();
  // While alice does not hear of it.
  linked.last().hold();
  assertEquals(await carol.ask(queue, "SUB"), ["sub q OK"]);
  await cut(linked);
  await session.idle();
  assertEquals(alice.take(), ["- q END"]);
  assertEquals(carol.take(), []);
  assertEquals(session.remote.isSubscribed(alice), false);
  assertEquals(test.router.isSubscribed(carol), true);
});

Deno.test("a queue that went while there was no link is known to be gone after it", async () => {
  await using linked = await faulty();
  const { session, test } = linked;
  const alice = session.connect(), carol = test.connect();
  const queue = await alice.create();
  await alice.ask(queue, "OPEN");
  linked.last().hold();
  await carol.ask(queue, "DEL");
  await cut(linked);
  await session.idle();
  assertEquals(session.remote.isSubscribed(alice), false);
  assertEquals(session.remote.isOpened(alice, queue.recipientId), false);
});

Deno.test("a subscriber of another process gets END when a connection of this one subscribes", async () => {
  await using linked = await linkedBroker();
  await using other = new SessionSide(linked.test, linked.port);
  const alice = linked.session.connect(), bob = other.connect();
  const queue = await alice.create();
  assertEquals(await bob.ask(queue, "SUB"), ["sub q OK"]);
  await linked.session.idle();
  assertEquals(alice.take(), ["- q END"]);
});

Deno.test("the broker forgets the connections of a link that was lost", async () => {
  await using linked = await linkedBroker();
  const alice = linked.session.connect();
  const queue = await alice.create();
  await alice.ask(queue, "OPEN");
  await linked.session.remote[Symbol.asyncDispose]();
  await until(() => linked.served.links.counts.links === 0);
  assertEquals(linked.test.brokers.counts.subscriptions, 0);
  assertEquals(linked.test.brokers.opened, 0);
  assertEquals(linked.served.links.counts.connections, 0);
});

/** Numbers from 0 to 1, always the same ones for a seed. */
function chance(seed: number): () => number {
  let state = seed * 2_654_435_761 >>> 0;
  return () => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 >>> 0;
    return (state >>> 0) / 2 ** 32;
  };
}

Deno.test("wherever links are cut, each command is answered once, and each message comes once and in order", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = chance(seed);
    let cuts = 0;
    const wrap = (stream: ConstructorParameters<typeof FaultyStream>[0]) => {
      const faulty = new FaultyStream(stream);
      if (++cuts > 8) return faulty;
      if (random() < 0.5) faulty.readsLeft = 10 + Math.floor(random() * 1500);
      else faulty.writesLeft = 40 + Math.floor(random() * 3000);
      return faulty;
    };
    await using linked = await linkedBroker();
    await using far = new SessionSide(linked.test, linked.port, { wrap, mostAttempts: 100 });
    const alice = far.connect(), bob = far.connect();
    const queue = await alice.create();
    const sent = Array.from({ length: 20 }, (_, i) => `m${i}`);
    const window = seed % 2 === 0 ? null : 3;
    if (window !== null) await alice.ask(queue, `SUBN ${window}`);
    const came = new Set<string>();
    const got: string[] = [];
    const acknowledging = (async () => {
      while (got.length < sent.length) {
        await until(() => alice.received.length > 0);
        for (const { response } of alice.received.splice(0)) {
          if (response.type !== "MSG") continue;
          assert(!came.has(response.messageId), `seed ${seed}: a message came twice`);
          came.add(response.messageId);
          got.push(asciiText(response.body));
          await alice.submit(queue, window === null ? "ACK" : `ACKM ${got.at(-1)}`);
        }
      }
    })();
    for (const body of sent) await bob.submit(queue, `SEND ${body}`);
    await acknowledging;
    await until(() => alice.waiting === 0 && bob.waiting === 0);
    assertEquals(got, sent, `seed ${seed}`);
    assertEquals(bob.take(), sent.map(() => "send q.s OK"), `seed ${seed}`);
    assertEquals(linked.test.metrics.messagesAccepted, sent.length, `seed ${seed}`);
    assertEquals(await waitingBodies(linked, queue), [], `seed ${seed}`);
    assertEquals(far.closed, [], `seed ${seed}`);
  }
});

Deno.test("commands of a connection that ends are answered to it, whoever has them", async () => {
  await using linked = await faulty();
  const { session } = linked;
  const alice = session.connect();
  const queue = await alice.create();
  linked.last().losesWrites = true;
  const answered: string[] = [];
  const connection: TestConnection = Object.create(alice, {
    closed: { value: false, writable: true },
    answer: { value: ({ response }: { response: { type: string } }) => answered.push(response.type) },
  });
  await session.remote.submit(connection, await transmissionTo(queue, "SEND a"));
  Object.assign(connection, { closed: true });
  session.remote.disconnect(connection);
  assertEquals(answered, ["ERR"]);
  assertEquals(session.remote.pending, 0);
  assertEquals(encodeBase64(connection.binding), encodeBase64(alice.binding));
});
