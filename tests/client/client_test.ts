import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { generateKeyPair, SmpClient, SmpError, TransportError } from "../../mod.ts";
import { connect, startServer, transportNames } from "../support/server.ts";
import { next, soon, until } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const bytes = (text: string) => new TextEncoder().encode(text);

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return await soon(promise.then(() => "it resolved", (error) => error));
}

for (const transport of transportNames) {
  Deno.test(`over ${transport}, a message travels through a secured queue and is acknowledged`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const queue = await client.createQueue({ keyPair });
    const sender = await generateKeyPair("sign", 1024);
    await client.secureQueue(queue, sender.publicKey);
    const senderQueue = { senderId: queue.senderId, senderKey: sender.privateKey };
    await client.send(senderQueue, bytes("hello"));
    const events = client.events(queue);
    const event = await next(events);
    assertEquals(event.type === "MSG" && event.body, bytes("hello"));
    await client.acknowledge(queue);
    const unsigned = await rejection(client.send({ senderId: queue.senderId }, bytes("no")));
    assertInstanceOf(unsigned, SmpError);
    assertEquals(unsigned.code, "AUTH");
    const nothing = await rejection(client.acknowledge(queue));
    assertInstanceOf(nothing, SmpError);
    assertEquals(nothing.code, "NO_MSG");
    await client.suspendQueue(queue);
    assertInstanceOf(await rejection(client.send(senderQueue, bytes("late"))), SmpError);
    await client.deleteQueue(queue);
    assertEquals((await soon(events.next())).done, true);
  });

  Deno.test(`over ${transport}, messages sent at once arrive in the order of the calls`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const queue = await client.createQueue({ keyPair });
    const sent = Array.from({ length: 40 }, (_, i) => client.send(queue, bytes(`${i}`)));
    const received: string[] = [];
    for await (const event of client.events(queue)) {
      if (event.type === "MSG") received.push(new TextDecoder().decode(event.body));
      await client.acknowledge(queue);
      if (received.length === sent.length) break;
    }
    await soon(Promise.all(sent));
    assertEquals(received, sent.map((_, i) => `${i}`));
  });

  Deno.test(`over ${transport}, a second subscriber takes a queue over with what was not acknowledged`, async () => {
    await using server = await startServer();
    await using first = await connect(server, transport);
    await using second = await connect(server, transport);
    const queue = await first.createQueue({ keyPair });
    await first.send(queue, bytes("once"));
    const events = first.events(queue);
    const message = await next(events);
    await second.subscribe(queue);
    assertEquals(await next(events), { type: "END", recipientId: queue.recipientId });
    assertEquals((await soon(events.next())).done, true);
    assertEquals(await next(second.events()), message);
    await second.acknowledge(queue);
  });

  Deno.test(`over ${transport}, a server that goes ends commands, iterators and the client at once`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const queue = await client.createQueue({ keyPair });
    const waiting = [rejection(client.events().next()), rejection(client.events(queue).next())];
    await server.stop();
    const reason = await soon(client.closed);
    assertEquals(reason.code, "NETWORK");
    assertEquals(await Promise.all(waiting), [reason, reason]);
    const late = await rejection(client.ping());
    assertInstanceOf(late, TransportError);
    assert(late.message.includes("it was not sent"));
  });

  Deno.test(`over ${transport}, closing the client ends iterators and rejects commands`, async () => {
    await using server = await startServer();
    const client = await connect(server, transport);
    const waiting = client.events().next();
    const pings = Array.from({ length: 3 }, () => rejection(client.ping()));
    await client.close();
    assertEquals((await soon(waiting)).done, true);
    for (const error of await Promise.all(pings)) {
      assertInstanceOf(error, TransportError);
      assertEquals(error.code, "CLOSED");
    }
    await until(() => server.connections === 0);
  });
}

Deno.test("events of a queue go to its own iterator, else to the client's", async () => {
  await using server = await startServer();
  await using client = await connect(server);
  const [a, b] = [await client.createQueue({ keyPair }), await client.createQueue({ keyPair })];
  const own = client.events(a);
  const ofA = next(own);
  const ofAll = next(client.events());
  for (const queue of [a, b]) await client.send(queue, bytes("x"));
  assertEquals([(await ofA).recipientId, (await ofAll).recipientId], [a.recipientId, b.recipientId]);
  await own.return();
  await client.acknowledge(a);
  await client.send(a, bytes("y"));
  assertEquals((await next(client.events())).recipientId, a.recipientId);
});

Deno.test("a client that reads no events still gets its answers", async () => {
  await using server = await startServer();
  await using client = await connect(server);
  const queues = [];
  for (let i = 0; i < 100; i++) queues.push(await client.createQueue({ keyPair }));
  await soon(Promise.all(queues.map((queue) => client.send(queue, bytes("unread")))));
  await soon(Promise.all(queues.map((queue) => client.subscribe(queue))));
  const seen = new Set<string>();
  for await (const event of client.events()) {
    seen.add(event.recipientId);
    if (seen.size === queues.length) break;
  }
});

Deno.test("what cannot be sent or used is a RangeError, and the client goes on", async () => {
  await using server = await startServer();
  await using client = await connect(server);
  const queue = await client.createQueue({ keyPair });
  await assertRejects(() => client.send(queue, new Uint8Array(4096)), RangeError, "bytes too long");
  await assertRejects(() => connect(server, "tcp", { inFlight: 0 }), RangeError, "inFlight");
  await client.ping();
});

Deno.test("a server with another key than the address says is refused", async () => {
  await using server = await startServer();
  const keyHash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  const error = await assertRejects(
    () => SmpClient.connect({ host: "127.0.0.1", port: server.port, keyHash }),
    TransportError,
  );
  assertEquals(error.code, "BAD_HASH");
});
