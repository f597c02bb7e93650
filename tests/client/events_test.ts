import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { textBytes } from "../../protocol/mod.ts";
import { generateKeyPair, type QueueEvent, SmpError, TransportError } from "../../mod.ts";
import { FakeServer, queueIds, rejection, turn } from "../support/fake_server.ts";
import { connect, startServer, transportNames } from "../support/server.ts";
import { next, soon, until } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const recipientKey = keyPair.privateKey;
const [queueA, queueB] = queueIds.map((recipientId) => ({
  recipientId,
  senderId: recipientId,
  recipientKey,
}));

function textOf(event: QueueEvent): string {
  return event.type === "MSG" ? new TextDecoder().decode(event.body) : event.type;
}

function message(text: string) {
  return { type: "MSG", messageId: "bXNnaWRt", timestamp: new Date(0), body: textBytes(text) } as const;
}

for (const transport of transportNames) {
  Deno.test(`over ${transport}, events come by queue or for the whole client`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const [a, b] = [await client.createQueue({ keyPair }), await client.createQueue({ keyPair })];
    const [ofA, all] = [client.events(a), client.events()];
    const first = [next(ofA), next(all)];
    await Promise.all([client.send(a, textBytes("1a")), client.send(b, textBytes("1b"))]);
    assertEquals((await Promise.all(first)).map(textOf), ["1a", "1b"]);
    await Promise.all([client.acknowledge(a), client.acknowledge(b)]);
    // Both wait unread; the client's iterator must still not get that of the queue that has one of its own.
    await Promise.all([client.send(a, textBytes("2a")), client.send(b, textBytes("2b"))]);
    assertEquals(textOf(await next(all)), "2b");
    assertEquals(textOf(await next(ofA)), "2a");
    await Promise.all([client.acknowledge(a), client.acknowledge(b)]);
    await ofA.return();
    await client.send(a, textBytes("3a"));
    assertEquals(textOf(await next(all)), "3a");
  });

  Deno.test(`over ${transport}, messages sent at once arrive in the order of the calls`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const queue = await client.createQueue({ keyPair });
    const texts = Array.from({ length: 40 }, (_, i) => `${i}`);
    const sent = texts.map((text) => client.send(queue, textBytes(text)));
    const received: string[] = [];
    for await (const event of client.events(queue)) {
      received.push(textOf(event));
      await client.acknowledge(queue);
      if (received.length === sent.length) break;
    }
    await soon(Promise.all(sent));
    assertEquals(received, texts);
  });

  Deno.test(`over ${transport}, breaking off and iterating again loses nothing and doubles nothing`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const queue = await client.createQueue({ keyPair });
    const texts = Array.from({ length: 12 }, (_, i) => `${i}`);
    for (const text of texts) await client.send(queue, textBytes(text));
    const seen: string[] = [];
    while (seen.length < texts.length) {
      for await (const event of client.events(seen.length % 2 ? queue : undefined)) {
        seen.push(textOf(event));
        await client.acknowledge(queue);
        if (seen.length % 3 === 0 || seen.length === texts.length) break;
      }
    }
    assertEquals(seen, texts);
    assertInstanceOf(await rejection(client.acknowledge(queue)), SmpError);
  });

  Deno.test(`over ${transport}, END comes after what was delivered, then the iterator ends`, async () => {
    await using server = await startServer();
    await using first = await connect(server, transport);
    await using second = await connect(server, transport);
    const queue = await first.createQueue({ keyPair });
    const iterator = first.events(queue);
    const waiting = next(iterator);
    await second.subscribe(queue);
    assertEquals(await waiting, { type: "END", recipientId: queue.recipientId, sequence: 1 });
    assertEquals(await soon(iterator.next()), { done: true, value: undefined });
    await second.send(queue, textBytes("for the second"));
    assertEquals(textOf(await next(second.events(queue))), "for the second");
    // Subscribed again, the first client has it back.
    await first.subscribe(queue);
    assertEquals(textOf(await next(first.events(queue))), "for the second");
  });

  Deno.test(`over ${transport}, closing the client ends every iterator`, async () => {
    await using server = await startServer();
    const client = await connect(server, transport);
    const queue = await client.createQueue({ keyPair });
    const waiting = [client.events().next(), client.events().next(), client.events(queue).next()];
    await soon(client.close());
    for (const result of await soon(Promise.all(waiting))) assertEquals(result.done, true);
    for (const events of [client.events(), client.events(queue)]) {
      assertEquals((await soon(events.next())).done, true);
    }
  });

  Deno.test(`over ${transport}, iterators throw the error that ended the connection`, async () => {
    await using server = await FakeServer.start(transport);
    const { client, peer } = await server.serve();
    const waiting = [client.events(), client.events(queueA!)].map((events) => rejection(events.next()));
    await turn();
    await peer.channel.close();
    const error = await soon(client.closed);
    assertInstanceOf(error, TransportError);
    assertEquals(error.code, "NETWORK");
    assertEquals(await Promise.all(waiting), [error, error]);
    for (const events of [client.events(), client.events(queueB!)]) {
      assertEquals(await rejection(events.next()), error);
    }
    await client.close();
  });
}

/** The text of the next message, whatever ends of subscriptions come before it. */
async function nextMessage(events: AsyncIterator<QueueEvent>): Promise<string> {
  for (;;) {
    const text = textOf(await next(events));
    if (text !== "END") return text;
  }
}

Deno.test("a queue that is subscribed again is heard although its END was not read", async () => {
  await using server = await startServer();
  await using first = await connect(server, "memory");
  await using second = await connect(server, "memory");
  const queue = await first.createQueue({ keyPair });
  await second.subscribe(queue);
  await first.subscribe(queue);
  const read = nextMessage(first.events());
  await turn();
  await second.send(queue, textBytes("back again"));
  assertEquals(await read, "back again");
});

Deno.test("a queue is heard whose END comes while it is subscribed again", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  const read = nextMessage(client.events());
  for (let i = 0; i < 2; i++) {
    const subscribing = client.subscribe(queueA!);
    const command = await peer.take();
    if (i === 1) await peer.push(queueA!.recipientId, { type: "END" });
    await peer.answer(command, { type: "OK" });
    await soon(subscribing);
  }
  await turn();
  await peer.push(queueA!.recipientId, message("back again"));
  try {
    assertEquals(await read, "back again");
  } finally {
    await client.close();
  }
});

for (const order of ["END, OK", "OK, END"]) {
  Deno.test(`the numbers of an END and of a subscription tell their order on the wire: ${order}`, async () => {
    await using server = await FakeServer.start();
    const { client, peer } = await server.serve();
    const first = client.subscribe(queueA!);
    await peer.answer(await peer.take(), { type: "OK" });
    const ended = next(client.events());
    const second = client.subscribe(queueA!);
    const command = await peer.take();
    for (const type of order.split(", ")) {
      if (type === "END") await peer.push(queueA!.recipientId, { type });
      else await peer.answer(command, { type: "OK" });
    }
    const [one, two, end] = await soon(Promise.all([first, second, ended]));
    assert(end.type === "END");
    assert(one < end.sequence);
    assertEquals(end.sequence < two, order === "END, OK");
    await client.close();
  });
}

Deno.test("a deleted queue's iterator ends", async () => {
  await using server = await startServer();
  await using client = await connect(server, "memory");
  const queue = await client.createQueue({ keyPair });
  const waiting = client.events(queue).next();
  await turn();
  await client.deleteQueue(queue);
  assertEquals((await soon(waiting)).done, true);
});

Deno.test("a queue has at most one iterator of its own", async () => {
  await using server = await FakeServer.start();
  const { client } = await server.serve();
  const first = client.events(queueA!).next();
  await assertRejects(() => client.events(queueA!).next(), TypeError, "another iterator");
  await client.close();
  assertEquals((await soon(first)).done, true);
});

Deno.test("what waits unread in a returned iterator goes to the client's", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  const own = client.events(queueA!);
  const taken = next(own);
  await peer.push(queueA!.recipientId, message("taken"));
  assertEquals(textOf(await taken), "taken");
  const all = next(client.events());
  await peer.push(queueA!.recipientId, message("left"));
  // The answer comes after the message, which is then in the queue's mailbox.
  const ping = client.ping();
  await peer.answer(await peer.take(), { type: "PONG" });
  await soon(ping);
  await own.return();
  assertEquals(textOf(await all), "left");
  await client.close();
});

Deno.test("what a server sends for queues that nobody subscribed to is dropped", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  const all = next(client.events());
  await peer.push(queueA!.recipientId, message("not wanted"));
  await peer.push(queueA!.recipientId, { type: "END" });
  const subscribing = client.subscribe(queueB!);
  await peer.answer(await peer.take(), message("wanted"));
  await soon(subscribing);
  assertEquals(textOf(await all), "wanted");
  await client.close();
});

Deno.test("what a server sends for a queue whose SUB it refused is dropped, as if nobody had asked", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  const refused = rejection(client.subscribe(queueA!));
  const ended = client.events(queueA).next();
  await peer.answer(await peer.take(), { type: "ERR", error: "AUTH" });
  assertInstanceOf(await refused, SmpError);
  assertEquals((await soon(ended)).done, true);
  // One that was heard before goes on being heard.
  const heard = client.events(queueB);
  const first = next(heard);
  const again = rejection(client.subscribe(queueB!));
  await peer.answer(await peer.take(), { type: "ERR", error: "INTERNAL" });
  await again;
  const all = next(client.events());
  await peer.push(queueA!.recipientId, message("to nobody"));
  await peer.push(queueB!.recipientId, message("heard"));
  assertEquals(textOf(await first), "heard");
  const subscribed = client.subscribe({ ...queueA!, recipientId: queueIds[2] });
  await peer.answer(await peer.take(), message("the first of all"));
  await soon(subscribed);
  assertEquals(textOf(await all), "the first of all");
  await client.close();
});

Deno.test("an unread event is replaced by the next of its queue, so that their number is bounded", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  for (const queue of [queueA!, queueB!]) {
    const subscribing = client.subscribe(queue);
    await peer.answer(await peer.take(), { type: "OK" });
    await soon(subscribing);
  }
  for (let i = 0; i < 200; i++) {
    for (const { recipientId } of [queueA!, queueB!]) await peer.push(recipientId, message(`${i}`));
  }
  const ping = client.ping();
  await peer.answer(await peer.take(), { type: "PONG" });
  await soon(ping);
  const events = client.events();
  assertEquals([textOf(await next(events)), textOf(await next(events))], ["199", "199"]);
  let more = false;
  const third = events.next().then(({ done }) => more = !done);
  await turn();
  assert(!more);
  await client.close();
  await soon(third);
});

Deno.test("commands work while hundreds of queues have events that nobody reads", async () => {
  await using server = await startServer();
  await using client = await connect(server, "tcp");
  const queues = await soon(Promise.all(Array.from({ length: 200 }, () => client.createQueue({ keyPair }))));
  await soon(Promise.all(queues.map((queue) => client.send(queue, new Uint8Array(3000)))));
  await until(() => server.metrics.messagesAccepted === queues.length);
  await soon(client.ping());
  await soon(Promise.all(queues.map((queue) => client.subscribe(queue))));
  const seen = new Set<string>();
  const events = client.events();
  while (seen.size < queues.length) seen.add((await next(events)).recipientId);
  await soon(Promise.all(queues.map((queue) => client.acknowledge(queue))));
});
