import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import fc from "fast-check";
import {
  type ClientTransmission,
  encodeBase64,
  type ServerResponse,
  smpErrorCodes,
  textBytes,
  verifyPss,
} from "../../protocol/mod.ts";
import { generateKeyPair, type SmpClient, SmpError, TransportError } from "../../mod.ts";
import { type FakePeer, FakeServer, queueIds, rejection, turn } from "../support/fake_server.ts";
import { connect, startServer, transportNames } from "../support/server.ts";
import { next, soon, until } from "../support/wait.ts";

const [keyPair, otherPair] = [await generateKeyPair("sign", 1024), await generateKeyPair("sign", 1024)];
const ok = { type: "OK" } as const;
const noAuth = { type: "ERR", error: "CMD NO_AUTH" } as const;
const reason = new Error("never mind");

function sender(senderId: string, { privateKey } = keyPair) {
  return { senderId, senderKey: privateKey };
}

function recipient(recipientId: string, { privateKey } = keyPair) {
  return { recipientId, senderId: recipientId, recipientKey: privateKey };
}

const body = textBytes("x");

/** A command in a word, with a sign if it is signed. */
function seen({ command, signature }: ClientTransmission): string {
  return signature.length > 0 ? `${command.type}*` : command.type;
}

/** Answers the next commands in order; gives what they were. */
async function answer(peer: FakePeer, ...responses: ServerResponse[]): Promise<string[]> {
  const types = [];
  for (const response of responses) {
    const command = await peer.take();
    types.push(seen(command));
    await peer.answer(command, response);
  }
  return types;
}

/** A client whose commands on a queue ID need no signature. */
async function opened(server: FakeServer, options = {}): Promise<{ client: SmpClient; peer: FakePeer }> {
  const { client, peer } = await server.serve(options);
  const first = client.send(sender(queueIds[0]), body);
  await answer(peer, ok);
  await soon(first);
  const second = client.send(sender(queueIds[0]), body);
  assertEquals(await answer(peer, ok, ok), ["OPEN*", "SEND*"]);
  await soon(second);
  return { client, peer };
}

for (const isLent of [true, false]) {
  Deno.test(`a body that is ${isLent ? "" : "not "}lent is ${isLent ? "written from where it is" : "copied at once"}`, async () => {
    await using server = await FakeServer.start("tcp", ["open1"]);
    const { client, peer } = await opened(server);
    const lent = textBytes("first");
    const sending = client.send(sender(queueIds[0]), lent, { isLent });
    lent.set(textBytes("other"));
    const command = await peer.take();
    assertEquals(command.command, { type: "SEND", body: textBytes(isLent ? "other" : "first") });
    assertEquals(command.signature.length, 0);
    await peer.answer(command, ok);
    await soon(sending);
  });
}

Deno.test("a body that is lent is copied where it is signed", async () => {
  await using server = await FakeServer.start("tcp", ["open1"]);
  const { client, peer } = await server.serve();
  const lent = textBytes("first");
  const sending = client.send(sender(queueIds[0]), lent, { isLent: true });
  lent.set(textBytes("other"));
  const command = await peer.take();
  assertEquals(command.command, { type: "SEND", body: textBytes("first") });
  assertEquals(await verifyPss(keyPair.publicKey, command.signature, command.signed), true);
  await peer.answer(command, ok);
  await soon(sending);
});

for (const transport of transportNames) {
  Deno.test(`over ${transport}, the second command on a queue brings an OPEN, and further ones no signature`, async () => {
    await using server = await FakeServer.start(transport, ["open1", "unknown1"]);
    const { client, peer } = await server.serve();
    const contents: string[] = [];
    for (let i = 0; i < 4; i++) {
      const subscribing = client.subscribe(recipient(queueIds[0]));
      for (let n = i === 1 ? 2 : 1; n > 0; n--) {
        const content = new TextDecoder().decode((await soon(peer.blocks.read()))!);
        contents.push(content.replace(/ #*$/, ""));
        await peer.send(` ${content.split(" ")[1]} ${queueIds[0]} OK `);
      }
      await soon(subscribing);
    }
    assertEquals(contents.map((content) => content.split(" ").slice(2).join(" ")), [
      `${queueIds[0]} SUB`,
      `${queueIds[0]} OPEN ${encodeBase64(peer.blocks.binding)}`,
      `${queueIds[0]} SUB`,
      `${queueIds[0]} SUB`,
      `${queueIds[0]} SUB`,
    ]);
    assertEquals(contents.map((content) => content.indexOf(" ")), [172, 172, 172, 0, 0]);
    await client.close();
  });

  for (const extensions of [undefined, [], ["open1"]] as const) {
    const listed = extensions === undefined ? "all" : extensions.join() || "none";
    Deno.test(`over ${transport}, commands do the same signed and unsigned; extensions: ${listed}`, async () => {
      await using server = await startServer(extensions && { extensions });
      await using client = await connect(server, transport);
      const queue = await client.createQueue({ keyPair });
      await client.secureQueue(queue, otherPair.publicKey);
      const events = client.events(queue);
      for (let i = 0; i < 5; i++) {
        await client.send(sender(queue.senderId, otherPair), textBytes(`${i}`));
        const event = await next(events);
        assertEquals(event.type === "MSG" && event.body, textBytes(`${i}`));
        await client.acknowledge(queue);
      }
      const wrongs = [
        () => client.send(sender(queue.senderId), body),
        () => client.acknowledge(recipient(queue.recipientId, otherPair)),
      ];
      for (const wrong of [...wrongs, ...wrongs, ...wrongs]) {
        const error = await rejection(wrong());
        assertInstanceOf(error, SmpError);
        assertEquals(error.code, "AUTH");
      }
      await client.suspendQueue(queue);
      await client.deleteQueue(queue);
      for (let i = 0; i < 3; i++) {
        for (const gone of [client.subscribe(queue), client.send(sender(queue.senderId, otherPair), body)]) {
          const error = await rejection(gone);
          assertInstanceOf(error, SmpError);
          assertEquals(error.code, "AUTH");
        }
      }
      assertEquals((server.metrics.commands.get("OPEN OK") ?? 0) > 0, extensions?.length !== 0);
      // Whoever sends may be told that its own queue is gone.
      await client.ping();
    });
  }
}

Deno.test("a server that does not list open1 gets no OPEN", async () => {
  await using server = await FakeServer.start("memory", ["window1", "open2"]);
  const { client, peer } = await server.serve();
  for (let i = 0; i < 4; i++) {
    const sending = client.send(sender(queueIds[0]), body);
    assertEquals(await answer(peer, ok), ["SEND*"]);
    await soon(sending);
  }
  await client.close();
});

Deno.test("commands are signed until OPEN is answered, and a message without a key never", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await server.serve();
  const sent = Array.from({ length: 4 }, () => client.send(sender(queueIds[0]), body));
  sent.push(client.send({ senderId: queueIds[1] }, body), client.send({ senderId: queueIds[1] }, body));
  const commands = await peer.takeAll(7);
  assertEquals(commands.map(seen), ["SEND*", "OPEN*", "SEND*", "SEND*", "SEND*", "SEND", "SEND"]);
  for (const command of commands) {
    if (command.signature.length === 0) continue;
    assert(await verifyPss(keyPair.publicKey, command.signature, command.signed));
    await peer.answer(command, ok);
  }
  for (const command of commands.slice(5)) await peer.answer(command, ok);
  await soon(Promise.all(sent));
  const last = client.send(sender(queueIds[0]), body);
  assertEquals(await answer(peer, ok), ["SEND"]);
  await soon(last);
  await client.close();
});

const refusals: readonly ServerResponse[] = [
  ...smpErrorCodes.map((error) => ({ type: "ERR", error }) as const),
  { type: "END" },
  { type: "MSG", messageId: "bXNnaWRt", timestamp: new Date(0), body },
];

for (const refusal of refusals) {
  const name = refusal.type === "ERR" ? refusal.error : refusal.type;
  Deno.test(`an OPEN that is answered ${name} leaves the queue's commands signed, and fails none`, async () => {
    await using server = await FakeServer.start("memory", ["open1"]);
    const { client, peer } = await server.serve();
    for (
      const [queue, answers, expected] of [
        [0, [ok], ["SEND*"]],
        [0, [refusal, ok], ["OPEN*", "SEND*"]],
        [0, [ok], ["SEND*"]],
        [0, [ok], ["SEND*"]],
        // Another queue is another matter.
        [1, [ok], ["SEND*"]],
        [1, [ok, ok], ["OPEN*", "SEND*"]],
        [1, [ok], ["SEND"]],
      ] as const
    ) {
      const sending = client.send(sender(queueIds[queue]), body);
      assertEquals(await answer(peer, ...answers), [...expected]);
      await soon(sending);
    }
    await client.close();
  });
}

Deno.test("an OPEN that cannot be read, or is not answered in time, leaves the queue's commands signed", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await server.serve({ commandTimeout: 5000 });
  for (const isAnswered of [true, false]) {
    const queue = sender(queueIds[isAnswered ? 0 : 1]);
    const first = client.send(queue, body);
    await answer(peer, ok);
    await soon(first);
    const second = client.send(queue, body);
    const open = await peer.take();
    if (isAnswered) await peer.send(` ${new TextDecoder().decode(open.corrId)} ${open.queueId} NONSENSE `);
    assertEquals(await answer(peer, ok), ["SEND*"]);
    await soon(second);
    if (!isAnswered) {
      // It is given up a little later than this one.
      const late = rejection(client.ping());
      assertEquals((await peer.take()).command.type, "PING");
      await late;
      await peer.answer(open, ok);
    }
    const third = client.send(queue, body);
    assertEquals(await answer(peer, ok), ["SEND*"]);
    await soon(third);
  }
  await client.close();
});

Deno.test("a command with another key than the opened queue's is signed, and changes nothing", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await opened(server);
  for (const [pair, expected] of [[otherPair, "SEND*"], [otherPair, "SEND*"], [keyPair, "SEND"]] as const) {
    const sending = client.send(sender(queueIds[0], pair), body);
    assertEquals(await answer(peer, ok), [expected]);
    await soon(sending);
  }
  await client.close();
});

Deno.test("a queue with a key that was wrong is opened with the right one", async () => {
  await using server = await startServer();
  await using client = await connect(server, "memory");
  const queue = await client.createQueue({ keyPair });
  await client.secureQueue(queue, otherPair.publicKey);
  const wrong = sender(queue.senderId, keyPair);
  for (let i = 0; i < 3; i++) assertInstanceOf(await rejection(client.send(wrong, body)), SmpError);
  for (let i = 0; i < 3; i++) await client.send(sender(queue.senderId, otherPair), body);
  const { commands } = server.metrics;
  assertEquals([commands.get("OPEN ERR AUTH"), commands.get("OPEN OK")], [1, 1]);
});

Deno.test("an unsigned command that is answered NO_AUTH is given again once, signed, in the order of the calls", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await opened(server, { inFlight: 3 });
  const sent = Promise.allSettled(
    Array.from({ length: 5 }, (_, i) => client.send(sender(queueIds[0]), textBytes(`${i}`))),
  );
  const texts: string[] = [];
  const take = async () => {
    const command = await peer.take();
    assert(command.command.type === "SEND");
    texts.push(`${seen(command)} ${new TextDecoder().decode(command.command.body)}`);
    return command;
  };
  const first = [await take(), await take(), await take()];
  for (const command of first) await peer.answer(command, noAuth);
  const again = [await take(), await take(), await take()];
  for (const command of again) {
    assert(await verifyPss(keyPair.publicKey, command.signature, command.signed));
    assert(!first.some(({ corrId }) => corrId.join() === command.corrId.join()));
  }
  await peer.answer(again[0]!, ok);
  await peer.answer(again[1]!, noAuth);
  await peer.answer(again[2]!, ok);
  for (let i = 0; i < 2; i++) await peer.answer(await take(), noAuth);
  for (let i = 0; i < 2; i++) await peer.answer(await take(), ok);
  const outcomes = await soon(sent);
  assertEquals(outcomes.map(({ status }) => status === "fulfilled"), [true, false, true, true, true]);
  const second = outcomes[1]!;
  assert(second.status === "rejected" && second.reason instanceof SmpError);
  assertEquals(second.reason.code, "CMD NO_AUTH");
  assertEquals(texts.slice(0, 6), ["SEND 0", "SEND 1", "SEND 2", "SEND* 0", "SEND* 1", "SEND* 2"]);
  assertEquals(texts.slice(-2), ["SEND* 3", "SEND* 4"]);
  // From then on it is signed.
  const later = client.send(sender(queueIds[0]), body);
  assertEquals(await answer(peer, ok), ["SEND*"]);
  await soon(later);
  await client.close();
});

Deno.test("a command that is given again has the time and the signal of its call", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await opened(server, { commandTimeout: 5000 });
  const control = new AbortController();
  const late = rejection(client.send(sender(queueIds[0]), body));
  const aborted = rejection(client.send(sender(queueIds[0]), body, { signal: control.signal }));
  for (const command of await peer.takeAll(2)) await peer.answer(command, noAuth);
  assertEquals((await peer.takeAll(2)).map(seen), ["SEND*", "SEND*"]);
  control.abort(reason);
  assertEquals(await aborted, reason);
  const error = await late;
  assertInstanceOf(error, TransportError);
  assertEquals([error.code, error.neverSent], ["TIMEOUT", false]);
  await client.close();
});

for (const code of ["CLOSED", "TIMEOUT"]) {
  Deno.test(`neverSent is not said of a command that waits to be given again when it is ${code}`, async () => {
    await using server = await FakeServer.start("memory", ["open1"]);
    const { client, peer } = await opened(server, { commandTimeout: code === "TIMEOUT" ? 3000 : 60_000 });
    const sent = rejection(client.send(sender(queueIds[0]), body));
    const command = await peer.take();
    // More than the channel takes: nothing further is written.
    const others = Array.from({ length: 100 }, () => rejection(client.ping()));
    await turn();
    await peer.answer(command, noAuth);
    // With its answer the one before has been looked at.
    const ended = next(client.events(recipient(queueIds[1])));
    await peer.push(queueIds[1], { type: "END" });
    await ended;
    if (code === "CLOSED") await client.close();
    const error = await sent;
    assertInstanceOf(error, TransportError);
    assertEquals([error.code, error.neverSent], [code, false]);
    await client.close();
    await Promise.all(others);
  });
}

Deno.test("an OPEN takes no place of the commands that may wait, and one of those in flight", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await server.serve({ inFlight: 1, waiting: 3 });
  for (const id of queueIds) {
    const first = client.send(sender(id), body);
    await answer(peer, ok);
    await soon(first);
  }
  const ping = client.ping();
  const taken = await peer.take();
  const sent = queueIds.map((id) => client.send(sender(id), body));
  const busy = await rejection(client.send(sender(queueIds[0]), body));
  assertInstanceOf(busy, TransportError);
  assertEquals([busy.code, busy.neverSent], ["BUSY", true]);
  await peer.answer(taken, { type: "PONG" }, "");
  await soon(ping);
  const types = await answer(peer, ok, ok, ok, ok, ok, ok);
  assertEquals(types, ["OPEN*", "SEND*", "OPEN*", "SEND*", "OPEN*", "SEND*"]);
  await soon(Promise.all(sent));
  await client.close();
});

Deno.test("commands that are given up again and again leave no more OPENs than commands may wait", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await server.serve({ inFlight: 1, waiting: 2 });
  const ids = Array.from({ length: 8 }, (_, i) => encodeBase64(textBytes(`queue ${i}`)));
  for (const id of ids) {
    const first = client.send(sender(id), body);
    await answer(peer, ok);
    await soon(first);
  }
  const ping = client.ping();
  const taken = await peer.take();
  for (const id of ids) {
    const control = new AbortController();
    const sending = rejection(client.send(sender(id), body, { signal: control.signal }));
    for (let i = 0; i < 3; i++) await turn();
    control.abort(reason);
    assertEquals(await sending, reason);
  }
  await peer.answer(taken, { type: "PONG" }, "");
  await soon(ping);
  const last = client.ping();
  assertEquals(await answer(peer, ok, ok), ["OPEN*", "OPEN*"]);
  await peer.answer(await peer.take(), { type: "PONG" }, "");
  await soon(last);
  await client.close();
});

Deno.test("DEL brings no OPEN, and a deleted queue is forgotten", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await server.serve();
  const queue = recipient(queueIds[0]);
  for (let round = 0; round < 2; round++) {
    const subscribing = client.subscribe(queue);
    assertEquals(await answer(peer, ok), ["SUB*"]);
    await soon(subscribing);
    const deleting = client.deleteQueue(queue);
    assertEquals(await answer(peer, ok), ["DEL*"]);
    await soon(deleting);
  }
  await client.close();
});

Deno.test("whether a body fits does not depend on whether its queue is opened", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const { client, peer } = await opened(server);
  const longest = 4096 - 16 - 1 - `${"x".repeat(172)} ${"x".repeat(16)} ${queueIds[0]} SEND 3800   `.length;
  const error = await rejection(client.send(sender(queueIds[0]), new Uint8Array(longest + 1)));
  assertInstanceOf(error, RangeError);
  const sending = client.send(sender(queueIds[0]), new Uint8Array(longest));
  assertEquals(await answer(peer, ok), ["SEND"]);
  await soon(sending);
  await client.close();
});

Deno.test("more queues than a server keeps open work as well", async () => {
  await using server = await startServer({ limits: { openedPerConnection: 2 } });
  await using client = await connect(server, "memory");
  const queues = await Promise.all(Array.from({ length: 5 }, () => client.createQueue({ keyPair })));
  for (let i = 0; i < 4; i++) await soon(Promise.all(queues.map((queue) => client.subscribe(queue))));
  const { commands } = server.metrics;
  await until(() => commands.get("OPEN ERR QUOTA") === 3);
  assertEquals(commands.get("OPEN OK"), 2);
});

Deno.test("whatever a server answers to OPEN and unsigned commands, each is executed once at most, and none lost", async () => {
  const command = fc.record({
    queue: fc.nat({ max: 1 }),
    pause: fc.nat({ max: 2 }),
    abortion: fc.option(fc.nat({ max: 3 }), { nil: null }),
  });
  const commands = fc.array(command, { minLength: 1, maxLength: 25 });
  const options = fc.record({
    inFlight: fc.constantFrom(1, 2, 256),
    waiting: fc.constantFrom(1, 4, 4096),
    commandTimeout: fc.constantFrom(5, 200),
  });
  const answers = fc.infiniteStream(fc.constantFrom("right", "refused", "unanswered"));
  await fc.assert(
    fc.asyncProperty(commands, options, answers, async (commands, options, answers) => {
      await using server = await FakeServer.start("memory", ["open1"]);
      const { client, peer } = await server.serve(options);
      const written = new Map<string, string[]>();
      const executed = new Map<string, number>();
      const serving = (async () => {
        for (let taken = await peer.takeLater(); taken !== null; taken = await peer.takeLater()) {
          const answer = answers.next().value;
          const isSigned = taken.signature.length > 0;
          const isOpen = taken.command.type === "OPEN";
          if (taken.command.type === "SEND") {
            const text = new TextDecoder().decode(taken.command.body);
            written.set(text, [...written.get(text) ?? [], isSigned ? "signed" : "unsigned"]);
            if (isSigned || answer !== "refused") executed.set(text, (executed.get(text) ?? 0) + 1);
          }
          if (answer === "refused" && (isOpen || !isSigned)) await peer.answer(taken, noAuth);
          else if (answer !== "unanswered" || !isOpen) await peer.answer(taken, ok);
        }
      })().catch(() => {});
      const outcomes: Promise<unknown>[] = [];
      for (const [i, { queue, pause, abortion }] of commands.entries()) {
        const control = new AbortController();
        const sending = client.send(sender(queueIds[queue]!), textBytes(`${i}`), { signal: control.signal });
        outcomes.push(sending.then(() => "done", (error) => error));
        if (abortion !== null) {
          for (let turns = 0; turns < abortion; turns++) await turn();
          control.abort(reason);
        }
        for (let turns = 0; turns < pause; turns++) await turn();
      }
      const results = await soon(Promise.all(outcomes));
      await client.close();
      await serving;
      for (const [i, result] of results.entries()) {
        const ways = written.get(`${i}`) ?? [];
        assert(["", "signed", "unsigned", "unsigned,signed"].includes(ways.join()), ways.join());
        assert((executed.get(`${i}`) ?? 0) <= 1, `command ${i} was executed twice`);
        if (result === "done") assert(ways.length > 0);
        else if (result !== reason) {
          assertInstanceOf(result, TransportError);
          if (result.neverSent) assertEquals(ways, [], result.message);
        }
      }
    }),
    { numRuns: 60 },
  );
});
