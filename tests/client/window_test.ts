import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  type ClientTransmission,
  encodeBase64,
  type ServerExtension,
  textBytes,
} from "../../protocol/mod.ts";
import {
  generateKeyPair,
  type QueueEvent,
  type RecipientQueue,
  type SmpClient,
  SmpError,
  TransportError,
} from "../../mod.ts";
import { type FakePeer, FakeServer, queueIds, rejection, turn } from "../support/fake_server.ts";
import { connect, startServer, transportNames } from "../support/server.ts";
import { next, soon, until } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const [queue, queueB] = [queueIds[0], queueIds[1]].map((recipientId) => ({
  recipientId,
  senderId: recipientId,
  recipientKey: keyPair.privateKey,
})) as [RecipientQueue, RecipientQueue];
const reason = new Error("never mind");

function textOf(event: QueueEvent): string {
  return event.type === "MSG" ? new TextDecoder().decode(event.body) : event.type;
}

function idOf(text: string): string {
  return encodeBase64(textBytes(text.padEnd(6)));
}

function message(text: string) {
  return { type: "MSG", messageId: idOf(text), timestamp: new Date(0), body: textBytes(text) } as const;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await rejection(promise);
  assert(error instanceof SmpError || error instanceof TransportError);
  return error.code;
}

function seen({ command }: ClientTransmission): string {
  return command.type === "SUBN"
    ? `SUBN ${command.window}`
    : command.type === "ACKM"
    ? `ACKM ${command.messageId}`
    : command.type;
}

/** A fake server's client that is subscribed to a queue. */
async function subscribed(
  server: FakeServer,
  window?: number,
  options = {},
): Promise<{ client: SmpClient; peer: FakePeer }> {
  const { client, peer } = await server.serve(options);
  await subscribe(client, peer, window);
  return { client, peer };
}

async function subscribe(client: SmpClient, peer: FakePeer, window?: number): Promise<void> {
  const subscribing = client.subscribe(queue, window === undefined ? {} : { window });
  await peer.answer(await peer.take(), { type: "OK" });
  await soon(subscribing);
}

/** The client has looked at all that was sent. */
async function caughtUp(client: SmpClient, peer: FakePeer): Promise<void> {
  const ping = client.ping();
  await peer.answer(await peer.take(), { type: "PONG" }, "");
  await soon(ping);
}

async function push(peer: FakePeer, ...texts: string[]): Promise<void> {
  for (const text of texts) await peer.push(queue.recipientId, message(text));
}

/** What waits to be read. */
async function unread(client: SmpClient): Promise<string[]> {
  const texts: string[] = [];
  const events = client.events(queue);
  const read = (async () => {
    for await (const event of events) texts.push(textOf(event));
  })();
  await turn();
  await turn();
  await client.close();
  await soon(read);
  return texts;
}

const lists: readonly (readonly ServerExtension[] | undefined)[] = [undefined, [], ["window1"], ["open1"]];

for (const transport of transportNames) {
  for (const extensions of lists) {
    const listed = extensions === undefined ? "all" : extensions.join() || "none";
    Deno.test(`over ${transport}, a window of 8 gives every message once, in order; extensions: ${listed}`, async () => {
      await using server = await startServer(extensions && { extensions });
      await using client = await connect(server, transport);
      const made = await client.createQueue({ keyPair });
      await client.subscribe(made, { window: 8 });
      const texts = Array.from({ length: 30 }, (_, i) => `${i}`);
      const sent = Promise.all(texts.map((text) => client.send(made, textBytes(text))));
      const every = client.extensions.includes("window1") ? 4 : 1;
      const received: string[] = [];
      for await (const event of client.events(made)) {
        assert(event.type === "MSG");
        assertEquals(event.sequence, 1);
        received.push(textOf(event));
        if (received.length % every === 0) await client.acknowledge(made, event.messageId);
        if (received.length === texts.length) break;
      }
      await soon(sent);
      assertEquals(received, texts);
      await until(() => server.gauges().messages === (every === 1 ? 0 : 2));
      assertEquals(await codeOf(client.acknowledge(made, idOf("other"))), "NO_MSG");
    });
  }

  Deno.test(`over ${transport}, a reader that does not read stops the server, whatever is sent`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const made = await client.createQueue({ keyPair });
    await client.subscribe(made, { window: 4 });
    for (let i = 0; i < 20; i++) await client.send(made, new Uint8Array(3000).fill(i));
    await client.ping();
    assertEquals([server.gauges().messages, server.metrics.messagesDelivered], [20, 4]);
    const events = client.events(made);
    const read = async () => {
      const event = await next(events);
      assert(event.type === "MSG");
      return [event.body[0], event.messageId] as const;
    };
    // To read is not to acknowledge.
    const ids = [];
    for (let i = 0; i < 4; i++) {
      const [first, id] = await read();
      assertEquals(first, i);
      ids.push(id);
    }
    await client.ping();
    assertEquals([server.gauges().messages, server.metrics.messagesDelivered], [20, 4]);
    await client.acknowledge(made, ids[2]!);
    await until(() => server.metrics.messagesDelivered === 7);
    assertEquals(server.gauges().messages, 17);
    for (let i = 4; i < 7; i++) assertEquals((await read())[0], i);
    // ACK is for the oldest.
    await client.acknowledge(made);
    assertEquals((await read())[0], 7);
    assertEquals(await codeOf(client.acknowledge(made, ids[3]!)), "NO_MSG");
  });
}

Deno.test("subscribing again delivers what was not acknowledged, once, whatever was read of it", async () => {
  await using server = await startServer();
  await using client = await connect(server, "memory");
  const made = await client.createQueue({ keyPair });
  await client.subscribe(made, { window: 6 });
  for (let i = 0; i < 8; i++) await client.send(made, textBytes(`${i}`));
  const events = client.events(made);
  const read = [await next(events), await next(events), await next(events)];
  assert(read[1]!.type === "MSG");
  await client.acknowledge(made, read[1]!.messageId);
  const sequence = await client.subscribe(made, { window: 3 });
  assertEquals(sequence, 2);
  for (const text of ["2", "3", "4"]) {
    const event = await next(events);
    assertEquals([textOf(event), event.sequence], [text, 2]);
    if (text === "4" && event.type === "MSG") await client.acknowledge(made, event.messageId);
  }
  for (const text of ["5", "6", "7"]) assertEquals(textOf(await next(events)), text);
});

Deno.test("subscribing again drops what was not read, also when nothing is delivered again", async () => {
  await using server = await FakeServer.start("memory", ["window1"]);
  const { client, peer } = await subscribed(server, 3);
  await push(peer, "a", "b");
  await subscribe(client, peer, 3);
  await push(peer, "c");
  await caughtUp(client, peer);
  assertEquals(await unread(client), ["c"]);
});

Deno.test("END comes behind the messages of a window", async () => {
  await using server = await startServer();
  await using client = await connect(server, "memory");
  await using other = await connect(server, "memory");
  const made = await client.createQueue({ keyPair });
  await client.subscribe(made, { window: 5 });
  for (let i = 0; i < 3; i++) await client.send(made, textBytes(`${i}`));
  await other.subscribe(made, { window: 5 });
  await client.ping();
  const texts = [];
  for await (const event of client.events(made)) {
    texts.push(`${textOf(event)} ${event.sequence}`);
  }
  assertEquals(texts, ["0 1", "1 1", "2 1", "END 2"]);
  assertEquals(textOf(await next(other.events(made))), "0");
  assertEquals(await codeOf(client.acknowledge(made, idOf("0"))), "NO_MSG");
});

Deno.test("the client's iterator has the messages of all windows, each queue's in its order", async () => {
  await using server = await startServer();
  await using client = await connect(server, "memory");
  const made = [await client.createQueue({ keyPair }), await client.createQueue({ keyPair })];
  for (const one of made) {
    await client.subscribe(one, { window: 10 });
    for (let i = 0; i < 5; i++) await client.send(one, textBytes(`${i}`));
  }
  await client.ping();
  const events = client.events();
  const texts = new Map<string, string>();
  for (let i = 0; i < 10; i++) {
    const event = await next(events);
    texts.set(event.recipientId, (texts.get(event.recipientId) ?? "") + textOf(event));
  }
  assertEquals([...texts.values()], ["01234", "01234"]);
});

Deno.test("a window is one of 1 to 128, whether the server has windows or not", async () => {
  for (const extensions of [[], ["window1"]] as const) {
    await using server = await startServer({ extensions });
    await using client = await connect(server, "memory");
    const made = await client.createQueue({ keyPair });
    for (const window of [0, -1, 1.5, 129, NaN, Infinity, "5", null] as unknown as number[]) {
      await assertRejects(() => client.subscribe(made, { window }), RangeError, "window");
    }
    for (const window of [1, 128]) await client.subscribe(made, { window });
  }
});

Deno.test("a server that lists window1 gets SUBN and ACKM, others SUB and ACK", async () => {
  for (
    const [listed, expected] of [
      [["unknown1", "window1"], ["SUBN 5", "SUB", `ACKM ${idOf("a")}`, "ACK"]],
      [["unknown1", "window2"], ["SUB", "SUB", "ACK", "ACK"]],
    ] as const
  ) {
    await using server = await FakeServer.start("memory", listed);
    const { client, peer } = await server.serve();
    const calls = [
      () => client.subscribe(queue, { window: 5 }),
      () => client.subscribe(queue),
      () => client.acknowledge(queue, idOf("a")),
      () => client.acknowledge(queue),
    ];
    const types = [];
    for (const [i, call] of calls.entries()) {
      if (i === 2) {
        await push(peer, "a");
        await caughtUp(client, peer);
      }
      const outcome: Promise<unknown> = call();
      const command = await peer.take();
      types.push(seen(command));
      await peer.answer(command, { type: "OK" });
      await soon(outcome);
    }
    assertEquals(types, [...expected]);
    await client.close();
  }
});

Deno.test("a server that sends more than the window takes is left, whether what it sent is read or not", async () => {
  for (const isRead of [false, true]) {
    await using server = await FakeServer.start("memory", ["window1"]);
    const { client, peer } = await subscribed(server, 3);
    const events = client.events(queue);
    await push(peer, "a", "b", "c");
    if (isRead) { for (const text of ["a", "b", "c"]) assertEquals(textOf(await next(events)), text); }
    await caughtUp(client, peer);
    const ping = codeOf(client.ping());
    await push(peer, "d");
    const error = await soon(client.closed);
    assertEquals(error.code, "UNEXPECTED");
    assert(error.message.includes("window"), error.message);
    assertEquals([await ping, await rejection(events.next())], ["UNEXPECTED", error]);
  }
});

Deno.test("what is acknowledged makes room in the window, from the answer on", async () => {
  await using server = await FakeServer.start("memory", ["window1"]);
  const { client, peer } = await subscribed(server, 3);
  await push(peer, "a", "b", "c");
  await caughtUp(client, peer);
  const acknowledging = client.acknowledge(queue, idOf("b"));
  const command = await peer.take();
  await peer.answer(command, { type: "OK" });
  // Before anything else could run, and unread as they are.
  await push(peer, "d", "e");
  await soon(acknowledging);
  await caughtUp(client, peer);
  assertEquals(await unread(client), ["c", "d", "e"]);
});

Deno.test("what a refused acknowledgement names still takes its room", async () => {
  await using server = await FakeServer.start("memory", ["window1"]);
  const { client, peer } = await subscribed(server, 2);
  await push(peer, "a", "b");
  await caughtUp(client, peer);
  const refused = codeOf(client.acknowledge(queue, idOf("b")));
  await peer.answer(await peer.take(), { type: "ERR", error: "AUTH" });
  assertEquals(await refused, "AUTH");
  await push(peer, "c");
  assertEquals((await soon(client.closed)).code, "UNEXPECTED");
});

for (const how of ["is aborted", "has no answer in time", "is answered INTERNAL"]) {
  Deno.test(`the room of a message whose acknowledgement ${how} may be used by the server`, async () => {
    await using server = await FakeServer.start("memory", ["window1"]);
    const options = how === "has no answer in time" ? { commandTimeout: 2000 } : {};
    const { client, peer } = await subscribed(server, 1, options);
    await push(peer, "a");
    await caughtUp(client, peer);
    const control = new AbortController();
    const given = rejection(client.acknowledge(queue, idOf("a"), { signal: control.signal }));
    const command = await peer.take();
    if (how === "is aborted") control.abort(reason);
    if (how === "is answered INTERNAL") await peer.answer(command, { type: "ERR", error: "INTERNAL" });
    await given;
    await push(peer, "b");
    await caughtUp(client, peer);
    assertEquals(await unread(client), ["b"]);
  });
}

Deno.test("a SUBN that was given up may have begun a subscription, with its window", async () => {
  await using server = await FakeServer.start("memory", ["window1"]);
  const { client, peer } = await subscribed(server, 2);
  await push(peer, "a", "b");
  const control = new AbortController();
  const given = rejection(client.subscribe(queue, { window: 4, signal: control.signal }));
  const command = await peer.take();
  control.abort(reason);
  assertEquals(await given, reason);
  await peer.answer(command, message("a"));
  await push(peer, "b", "c", "d");
  await caughtUp(client, peer);
  assertEquals(await unread(client), ["a", "b", "c", "d"]);
});

Deno.test("a smaller window counts from its answer on", async () => {
  await using server = await FakeServer.start("memory", ["window1"]);
  const { client, peer } = await subscribed(server, 4);
  const subscribing = client.subscribe(queue, { window: 2 });
  const command = await peer.take();
  await push(peer, "a", "b", "c");
  await peer.answer(command, message("a"));
  await soon(subscribing);
  await push(peer, "b");
  await caughtUp(client, peer);
  await push(peer, "c");
  assertEquals((await soon(client.closed)).code, "UNEXPECTED");
});

Deno.test("a refused SUBN leaves the subscription that was there, and its messages", async () => {
  await using server = await FakeServer.start("memory", ["window1"]);
  const { client, peer } = await subscribed(server, 2);
  await push(peer, "a");
  const refused = codeOf(client.subscribe(queue, { window: 3 }));
  await peer.answer(await peer.take(), { type: "ERR", error: "INTERNAL" });
  assertEquals(await refused, "INTERNAL");
  await push(peer, "b");
  await caughtUp(client, peer);
  assertEquals(await unread(client), ["a", "b"]);
});

Deno.test("whatever a server sends again and again, no more than a window is kept of a queue", async () => {
  await using server = await FakeServer.start("memory", ["window1"]);
  const { client, peer } = await subscribed(server, 3);
  for (let i = 0; i < 100; i++) await push(peer, "a", "b");
  for (let i = 0; i < 100; i++) await peer.push(queue.recipientId, { type: "END" });
  await caughtUp(client, peer);
  for (let i = 0; i < 50; i++) {
    await push(peer, "c", "d", "e");
    await peer.push(queue.recipientId, { type: "END" });
  }
  await caughtUp(client, peer);
  assertEquals(await unread(client), ["c", "d", "e", "END"]);
});

Deno.test("without window1 ACK goes out only for the message that was delivered last and is not acknowledged", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await subscribed(server, 10);
  assertEquals(await codeOf(client.acknowledge(queue, idOf("a"))), "NO_MSG");
  await push(peer, "a");
  await caughtUp(client, peer);
  for (const wrong of [queueB, queue]) {
    assertEquals(await codeOf(client.acknowledge(wrong, idOf("b"))), "NO_MSG");
  }
  const first = client.acknowledge(queue, idOf("a"));
  const command = await peer.take();
  assertEquals(seen(command), "ACK");
  // While it is under way, and when it is done, a second one would be for the next message.
  assertEquals(await codeOf(client.acknowledge(queue, idOf("a"))), "NO_MSG");
  await peer.answer(command, message("b"));
  await soon(first);
  assertEquals(await codeOf(client.acknowledge(queue, idOf("a"))), "NO_MSG");
  // One that had no effect can be given again.
  const refused = codeOf(client.acknowledge(queue, idOf("b")));
  await peer.answer(await peer.take(), { type: "ERR", error: "AUTH" });
  assertEquals(await refused, "AUTH");
  const again = client.acknowledge(queue, idOf("b"));
  await peer.answer(await peer.take(), { type: "OK" });
  await soon(again);
  await caughtUp(client, peer);
  await client.close();
});

Deno.test("without window1 a message whose ACK has an unknown outcome is not acknowledged before it is delivered again", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await subscribed(server);
  await push(peer, "a");
  await caughtUp(client, peer);
  const failed = codeOf(client.acknowledge(queue, idOf("a")));
  await peer.answer(await peer.take(), { type: "ERR", error: "INTERNAL" });
  assertEquals(await failed, "INTERNAL");
  assertEquals(await codeOf(client.acknowledge(queue, idOf("a"))), "NO_MSG");
  const subscribing = client.subscribe(queue);
  await peer.answer(await peer.take(), message("a"));
  await soon(subscribing);
  const again = client.acknowledge(queue, idOf("a"));
  await peer.answer(await peer.take(), { type: "OK" });
  await soon(again);
  await client.close();
});

Deno.test("without window1 a copy that a SUB brings before the answer to ACK is acknowledged with it", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await subscribed(server);
  await push(peer, "a");
  await caughtUp(client, peer);
  const subscribing = client.subscribe(queue);
  const acknowledging = client.acknowledge(queue, idOf("a"));
  const [sub, ack] = await peer.takeAll(2);
  await peer.answer(sub!, message("a"));
  await soon(subscribing);
  assertEquals(await codeOf(client.acknowledge(queue, idOf("a"))), "NO_MSG");
  await peer.answer(ack!, { type: "OK" });
  await soon(acknowledging);
  assertEquals(await codeOf(client.acknowledge(queue, idOf("a"))), "NO_MSG");
  await client.close();
});

Deno.test("ACKM on an ordinary subscription deletes no message but the one it names", async () => {
  await using server = await startServer();
  await using client = await connect(server, "memory");
  const made = await client.createQueue({ keyPair });
  for (const text of ["0", "1"]) await client.send(made, textBytes(text));
  const events = client.events(made);
  const first = await next(events);
  assert(first.type === "MSG");
  const outcomes = [0, 1, 2].map(() =>
    client.acknowledge(made, first.messageId).then(() => "OK", ({ code }) => code)
  );
  assertEquals(await soon(Promise.all(outcomes)), ["OK", "NO_MSG", "NO_MSG"]);
  assertEquals(textOf(await next(events)), "1");
  assertEquals(server.gauges().messages, 1);
});

Deno.test("an acknowledgement that could not be sent leaves the message to be acknowledged", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await subscribed(server, 1, { inFlight: 1, waiting: 1 });
  await push(peer, "a");
  await caughtUp(client, peer);
  const ping = client.ping();
  const taken = await peer.take();
  const waiting = client.ping();
  const busy = await rejection(client.acknowledge(queue, idOf("a")));
  assertInstanceOf(busy, TransportError);
  assertEquals(busy.code, "BUSY");
  await peer.answer(taken, { type: "PONG" }, "");
  await peer.answer(await peer.take(), { type: "PONG" }, "");
  await soon(Promise.all([ping, waiting]));
  const again = client.acknowledge(queue, idOf("a"));
  await peer.answer(await peer.take(), { type: "OK" });
  await soon(again);
  await client.close();
});

for (const extensions of [[], ["window1"]] as const) {
  const name = extensions.length > 0 ? "with window1" : "of 0.3";
  Deno.test(`an acknowledgement that was given up before it was sent can be given again (server ${name})`, async () => {
    await using server = await FakeServer.start("memory", extensions);
    const { client, peer } = await server.serve();
    const subscribing = client.subscribe(queue);
    await peer.answer(await peer.take(), message("one"));
    await subscribing;
    for (const abort of [() => AbortSignal.abort(reason), abortedSoon]) {
      const error = await rejection(client.acknowledge(queue, idOf("one"), { signal: abort() }));
      assertEquals(error, reason);
    }
    const acknowledging = client.acknowledge(queue, idOf("one"));
    const command = await peer.take();
    assertEquals(command.command.type, extensions.length > 0 ? "ACKM" : "ACK");
    await peer.answer(command, { type: "OK" });
    await soon(acknowledging);
  });
}

/** Aborts while the command is signed. */
function abortedSoon(): AbortSignal {
  const controller = new AbortController();
  queueMicrotask(() => controller.abort(reason));
  return controller.signal;
}
