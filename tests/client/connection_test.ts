import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import fc from "fast-check";
import { textBytes } from "../../protocol/mod.ts";
import { type Channel, generateKeyPair, type SmpClient, TransportError } from "../../mod.ts";
import { corrIdOf, type FakePeer, FakeServer, queueIds, rejection, turn } from "../support/fake_server.ts";
import { connect, startServer, transportNames } from "../support/server.ts";
import { next, patience, soon, until } from "../support/wait.ts";

const { privateKey: recipientKey, publicKey } = await generateKeyPair("sign", 1024);
const [queueA, queueB] = queueIds.map((recipientId) => ({
  recipientId,
  senderId: recipientId,
  recipientKey,
}));
const message = { type: "MSG", messageId: "bXNnaWRt", timestamp: new Date(0), body: textBytes("x") } as const;
const reason = new Error("never mind");

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await rejection(promise);
  assertInstanceOf(error, TransportError);
  return error.code;
}

/** Everything that may wait for a server. */
function waitForAll(client: SmpClient): { settled: () => number; commands: Promise<unknown>[]; all: number } {
  let settled = 0;
  const keyPair = { privateKey: recipientKey, publicKey };
  const commands = [
    client.createQueue({ keyPair }),
    client.subscribe(queueA!),
    client.secureQueue(queueA!, publicKey),
    client.acknowledge(queueA!),
    client.suspendQueue(queueA!),
    client.deleteQueue(queueA!),
    client.send(queueA!, textBytes("x")),
    client.ping(),
  ].map(rejection);
  const iterators = [client.events().next(), client.events(queueA!).next()].map(rejection);
  const all = [...commands, ...iterators];
  for (const promise of all) promise.then(() => settled++);
  return { settled: () => settled, commands, all: all.length };
}

/** The ways in which a server may break a connection, and the error that each gives. */
const breaks: Readonly<Record<string, { code: string; run: (peer: FakePeer) => Promise<unknown> }>> = {
  "closes it": { code: "NETWORK", run: (peer) => peer.channel.close() },
  "ends it": { code: "NETWORK", run: (peer) => peer.channel.end() },
  "sends a block that is not authentic": {
    code: "AES_DECRYPT",
    run: (peer) => peer.channel.write([new Uint8Array(4096)]),
  },
};

/** How commands that a server does not take are given up. */
const waysToGiveUp = {
  "the deadline": { isAbort: false, options: { commandTimeout: 500 } },
  "a signal": { isAbort: true, options: {} },
} as const;

for (const transport of transportNames) {
  for (const [name, { code, run }] of Object.entries(breaks)) {
    Deno.test(`over ${transport}, when the server ${name}, all that waits fails in one turn`, async () => {
      await using server = await FakeServer.start(transport);
      const { client, peer } = await server.serve();
      const { settled, commands, all } = waitForAll(client);
      const unknown = (await peer.takeAll(commands.length)).length;
      assertEquals(settled(), 0);
      await run(peer);
      const reason = await soon(client.closed);
      assertEquals(reason.code, code);
      await turn();
      assertEquals([unknown, settled()], [commands.length, all]);
      for (const error of await Promise.all(commands)) {
        assertInstanceOf(error, TransportError);
        assertEquals([error.code, error.cause, error.neverSent], [reason.code, reason, false]);
        assert(error.message.includes("whether it was executed is unknown"), error.message);
      }
      await client.close();
      assertEquals(await client.closed, reason);
    });
  }

  Deno.test(`over ${transport}, when the server stops, all that waits fails`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const iterators = [client.events().next(), client.events(queueA!).next()].map(rejection);
    await server.stop();
    const commands = Array.from({ length: 5 }, () => rejection(client.ping()));
    const reason = await soon(client.closed);
    assertEquals(reason.code, "NETWORK");
    assertEquals(await Promise.all(iterators), [reason, reason]);
    for (const error of await Promise.all(commands)) {
      assert(error instanceof TransportError && error.code === "NETWORK");
    }
  });

  Deno.test(`over ${transport}, closing rejects all commands with CLOSED, sent or not`, async () => {
    await using server = await FakeServer.start(transport);
    const { client, peer } = await server.serve({ inFlight: 1 });
    const sent = rejection(client.ping());
    const waiting = rejection(client.ping());
    await peer.take();
    await soon(client.close());
    const late = rejection(client.ping());
    const texts = ["whether it was executed is unknown", "it was not sent", "it was not sent"];
    for (const error of await soon(Promise.all([sent, waiting, late]))) {
      assertInstanceOf(error, TransportError);
      assertEquals([error.code, error.neverSent], ["CLOSED", texts.length < 3]);
      assert(error.message.includes(texts.shift()!), error.message);
    }
    assertEquals((await client.closed).code, "CLOSED");
    await soon(client.close());
  });

  Deno.test(`over ${transport}, a server that stops reading makes commands wait, and closing ends them`, async () => {
    await using server = await FakeServer.start(transport);
    const { client, peer } = await server.serve({ inFlight: 10_000, waiting: 5_000 });
    const sent = Array.from({ length: 5_000 }, () => client.send(queueA!, new Uint8Array(4000)));
    const outcomes = Promise.all(sent.map(codeOf));
    await peer.take();
    const closing = client.close();
    assertEquals(new Set(await soon(outcomes)), new Set(["CLOSED"]));
    await peer.channel.close();
    await soon(closing);
  });

  for (const [how, giveUp] of Object.entries(waysToGiveUp)) {
    Deno.test(`over ${transport}, what ${how} gave up before it was written is never written`, async () => {
      await using server = await FakeServer.start(transport);
      const { client, peer } = await server.serve({ inFlight: 3000, ...giveUp.options });
      // A server that talks, but does not read.
      let talking = true;
      const talk = (async () => {
        for (; talking; await turn()) await peer.push(queueIds[2], { type: "END" });
      })();
      const control = new AbortController();
      const outcomes = Array.from({ length: 4000 }, (_, i) => {
        const body = new Uint8Array(3900);
        new DataView(body.buffer).setUint32(0, i);
        return rejection(client.send(queueA!, body, { signal: control.signal }));
      });
      if (giveUp.isAbort) {
        for (let i = 0; i < 20; i++) await turn();
        control.abort(reason);
      }
      const errors = await Promise.all(outcomes);
      talking = false;
      await talk;
      const pinging = client.ping({ signal: AbortSignal.timeout(patience) }).catch((error) => error);
      const received: number[] = [];
      for (let command = await peer.take(); command.command.type !== "PING"; command = await peer.take()) {
        if (command.command.type !== "SEND") throw new Error(`${command.command.type} was not sent`);
        const { body } = command.command;
        received.push(new DataView(body.buffer, body.byteOffset).getUint32(0));
      }
      await client.close();
      await pinging;
      assert(received.length < errors.length, "everything was written");
      assertEquals(received, received.toSorted((a, b) => a - b));
      if (giveUp.isAbort) return assertEquals(new Set(errors), new Set([reason]));
      const written = new Set(received);
      for (const [i, error] of errors.entries()) {
        assertInstanceOf(error, TransportError);
        assertEquals([error.code, error.neverSent], ["TIMEOUT", !written.has(i)], `command ${i}`);
        assertEquals(error.message.includes("it was not sent"), error.neverSent, error.message);
      }
    });
  }
}

/** A client over a memory channel of which one operation can be replaced once it is connected. */
async function sabotage(
  server: FakeServer,
  breakUp: (real: Channel) => Partial<Channel>,
): Promise<{ client: SmpClient; peer: FakePeer }> {
  let isBroken = false;
  const transport = async (): Promise<Channel> => {
    const real = await server.transport(server.address, new AbortController().signal);
    const broken = breakUp(real);
    const pick = <K extends keyof Channel>(name: K) => isBroken && broken[name] ? broken : real;
    return {
      read: (size) => pick("read").read!(size),
      write: (units) => pick("write").write!(units),
      end: () => real.end(),
      close: () => real.close(),
    };
  };
  const served = await server.serve({ transport });
  isBroken = true;
  return served;
}

for (const name of ["read", "write"] as const) {
  Deno.test(`when a ${name} fails, everything fails with it, and the connection is closed`, async () => {
    const error = new Error("out of order");
    await using server = await FakeServer.start();
    const { client, peer } = await sabotage(server, () => ({ [name]: () => Promise.reject(error) }));
    // The read under way still is the real one: it ends with the first block.
    const { settled, commands, all } = waitForAll(client);
    const closed = soon(client.closed);
    if (name === "read") await peer.send(" x  PONG ");
    assertEquals((await closed).cause, error);
    await until(() => settled() === all);
    assertEquals(commands.length, 8);
    const readAll = async () => {
      while (await peer.takeLater().catch(() => null) !== null) { /* It was written before. */ }
    };
    await soon(readAll());
  });
}

Deno.test("when a write fails, what was answered before is still taken", async () => {
  await using server = await FakeServer.start();
  const failed = Promise.withResolvers<void>();
  const { client, peer } = await sabotage(server, (real) => ({
    // The first answer comes to the read that is under way already.
    async read(size) {
      await failed.promise;
      return await real.read(size);
    },
    async write(units) {
      try {
        await real.write(units);
      } catch (error) {
        failed.resolve();
        throw error;
      }
    },
  }));
  const answered = Array.from({ length: 3 }, () => client.ping());
  for (const command of await peer.takeAll(3)) await peer.answer(command, { type: "PONG" });
  await peer.channel.close();
  const late = rejection(client.ping());
  await soon(Promise.all(answered));
  const error = await late;
  assertInstanceOf(error, TransportError);
  assertEquals([error.code, error.neverSent], ["NETWORK", false]);
  assertEquals((await soon(client.closed)).code, "NETWORK");
});

/** Holds all signatures back until they are let go. */
function holdSignatures(): Disposable & { letGo(): void } {
  const { sign } = crypto.subtle;
  const { promise: released, resolve: letGo } = Promise.withResolvers<void>();
  const held = async (...parameters: Parameters<SubtleCrypto["sign"]>) => {
    await released;
    return await Reflect.apply(sign, crypto.subtle, parameters);
  };
  Object.defineProperty(crypto.subtle, "sign", { value: held, configurable: true });
  return {
    letGo,
    [Symbol.dispose]() {
      Reflect.deleteProperty(crypto.subtle, "sign");
      letGo();
    },
  };
}

/** The ways in which a connection ends while commands are being signed. */
const ends: Readonly<Record<string, (client: SmpClient, peer: FakePeer) => unknown>> = {
  "the client closes": (client) => void client.close(),
  "the server closes": (_, peer) => peer.channel.close(),
};

for (const [name, end] of Object.entries(ends)) {
  Deno.test(`when ${name}, what is being signed fails at once, and close waits for the signatures`, async () => {
    await using server = await FakeServer.start();
    const { client, peer } = await server.serve();
    using signatures = holdSignatures();
    const commands = [client.subscribe(queueA!), client.deleteQueue(queueA!)].map(rejection);
    await end(client, peer);
    await soon(client.closed);
    for (const error of await Promise.all(commands)) {
      assert(error instanceof TransportError && error.neverSent);
    }
    let isReleased = false;
    const closing = client.close().then(() => isReleased = true);
    for (let i = 0; i < 20; i++) await turn();
    assertEquals(isReleased, false);
    signatures.letGo();
    await soon(closing);
  });
}

/** How many turns later a command is given up. */
const abortion = fc.option(fc.nat({ max: 3 }), { nil: null });

Deno.test("whatever is aborted, late, refused or closed when, neverSent is true of nothing that was written", async () => {
  const commands = fc.array(fc.record({ abortion, pause: fc.nat({ max: 2 }) }), {
    minLength: 1,
    maxLength: 20,
  });
  const options = fc.record({
    inFlight: fc.constantFrom(1, 2, 256),
    waiting: fc.constantFrom(1, 4, 4096),
    commandTimeout: fc.integer({ min: 1, max: 40 }),
  });
  await fc.assert(
    fc.asyncProperty(commands, options, fc.nat({ max: 20 }), async (commands, options, closedAt) => {
      await using server = await FakeServer.start();
      const { client, peer } = await server.serve(options);
      const written = new Set<string>();
      const reading = (async () => {
        for (let taken = await peer.takeLater(); taken !== null; taken = await peer.takeLater()) {
          if (taken.command.type === "SEND") written.add(new TextDecoder().decode(taken.command.body));
        }
      })();
      const outcomes: Promise<unknown>[] = [];
      const abortions: Promise<void>[] = [];
      for (const [i, { abortion, pause }] of commands.entries()) {
        if (i === closedAt) void client.close();
        const control = new AbortController();
        outcomes.push(rejection(client.send(queueA!, textBytes(`${i}`), { signal: control.signal })));
        const giveUp = async () => {
          for (let turns = 0; turns < abortion!; turns++) await turn();
          control.abort(reason);
        };
        if (abortion !== null) abortions.push(giveUp());
        for (let turns = 0; turns < pause; turns++) await turn();
      }
      const errors = await Promise.all(outcomes);
      await Promise.all(abortions);
      await client.close();
      await reading;
      for (const [i, error] of errors.entries()) {
        if (error === reason) continue;
        assertInstanceOf(error, TransportError);
        if (error.neverSent) assert(!written.has(`${i}`), `command ${i} was written: ${error.message}`);
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("an answer that cannot be read, or is for another queue, fails its command alone", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  const answers = [
    ["RESPONSE", (corrId: string) => ` ${corrId} ${queueIds[0]} NONSENSE `],
    ["RESPONSE", (corrId: string) => ` ${corrId} ${queueIds[0]} ERR NEVER_HEARD `],
    ["RESPONSE", (corrId: string) => ` ${corrId} ${queueIds[0]} SUB `],
    ["RESPONSE", (corrId: string) => ` ${corrId}  OK `],
    ["RESPONSE", (corrId: string) => ` ${corrId} *** OK `],
    ["UNEXPECTED", (corrId: string) => ` ${corrId} ${queueIds[1]} OK `],
    ["UNEXPECTED", (corrId: string) => ` ${corrId} ${queueIds[1]} ERR AUTH `],
  ] as const;
  for (const [code, answer] of answers) {
    const failing = codeOf(client.subscribe(queueA!));
    const going = client.send(queueB!, textBytes("x"));
    const [first, second] = await peer.takeAll(2);
    await peer.send(answer(corrIdOf(first!)));
    await peer.answer(second!, { type: "OK" });
    assertEquals(await failing, code, answer(""));
    await soon(going);
  }
  await client.close();
});

Deno.test("what answers no command is ignored", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  for (const text of ["", " ", "no transmission", " x  PONG ", `  ${queueIds[0]} OK `, "   ERR BLOCK "]) {
    await peer.send(text);
  }
  const ping = client.ping();
  const command = await peer.take();
  await peer.answer(command, { type: "PONG" });
  await peer.answer(command, { type: "PONG" });
  await soon(ping);
  await client.close();
});

Deno.test("a command is given up when its signal aborts, and the connection goes on", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve({ inFlight: 2 });
  assertEquals(await rejection(client.ping({ signal: AbortSignal.abort(reason) })), reason);
  const [early, late] = [new AbortController(), new AbortController()];
  const sent = rejection(client.subscribe(queueA!, { signal: early.signal }));
  const kept = client.subscribe(queueB!);
  const unsent = rejection(client.send(queueA!, textBytes("x"), { signal: late.signal }));
  const commands = await peer.takeAll(2);
  late.abort(reason);
  assertEquals(await unsent, reason);
  early.abort(reason);
  assertEquals(await sent, reason);
  const ping = client.ping();
  const third = await peer.take();
  assertEquals(third.command.type, "PING");
  await peer.answer(third, { type: "PONG" });
  await soon(ping);
  // The late answer carries a message, which is not lost.
  await peer.answer(commands[0]!, message);
  await peer.answer(commands[1]!, { type: "OK" });
  await soon(kept);
  assertEquals((await next(client.events(queueA!))).type, "MSG");
  await client.close();
});

Deno.test("a command without an answer in commandTimeout is TIMEOUT, and the connection goes on", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve({ commandTimeout: 2_000 });
  const error = await rejection(client.send(queueA!, textBytes("x")));
  assertInstanceOf(error, TransportError);
  assertEquals(error.code, "TIMEOUT");
  assert(error.message.includes("whether it was executed is unknown"), error.message);
  await peer.answer(await peer.take(), { type: "OK" });
  const answering = peer.take().then((command) => peer.answer(command, { type: "PONG" }));
  await soon(Promise.all([client.ping(), answering]));
  await client.close();
});

Deno.test("a command that is one too many to wait is BUSY, until another is sent or given up", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve({ inFlight: 1, waiting: 2 });
  const control = new AbortController();
  const first = client.ping();
  const firstTaken = await peer.take();
  const second = client.ping();
  const third = rejection(client.ping({ signal: control.signal }));
  const refused = async () => {
    const error = await rejection(client.send(queueA!, textBytes("refused")));
    assertInstanceOf(error, TransportError);
    assertEquals([error.code, error.neverSent], ["BUSY", true]);
  };
  await refused();
  control.abort(reason);
  assertEquals(await third, reason);
  const fourth = client.subscribe(queueA!);
  await refused();
  await peer.answer(firstTaken, { type: "PONG" });
  await soon(first);
  await peer.answer(await peer.take(), { type: "PONG" });
  await soon(second);
  const last = client.send(queueA!, textBytes("x"));
  await peer.answer(await peer.take(), { type: "OK" });
  await soon(fourth);
  const command = await peer.take();
  assert(command.command.type === "SEND");
  assertEquals(command.command.body, textBytes("x"));
  await peer.answer(command, { type: "OK" });
  await soon(last);
  await client.close();
});

Deno.test("a command that is too long is RangeError at once, whatever waits before it", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve({ inFlight: 1 });
  const first = client.ping();
  const taken = await peer.take();
  assertInstanceOf(await rejection(client.send(queueA!, new Uint8Array(5000))), RangeError);
  await peer.answer(taken, { type: "PONG" });
  await soon(first);
  await client.close();
});

Deno.test("no more than inFlight commands wait for answers at a time, and all are sent in the end", async () => {
  const inFlight = 5;
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve({ inFlight });
  const commands = Array.from({ length: 40 }, () => client.ping());
  const unanswered: (() => Promise<void>)[] = [];
  const reading = (async () => {
    for (let command; (command = await peer.takeLater()) !== null;) {
      const taken = command;
      unanswered.push(() => peer.answer(taken, { type: "PONG" }));
    }
  })();
  for (let answered = 0; answered < commands.length; answered++) {
    const expected = Math.min(inFlight, commands.length - answered);
    await until(() => unanswered.length >= expected);
    await turn();
    assertEquals(unanswered.length, expected);
    await unanswered.shift()!();
  }
  await soon(Promise.all(commands));
  await client.close();
  await soon(reading);
});

Deno.test("a signal given to connect closes the client when it aborts later", async () => {
  const control = new AbortController();
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve({ signal: control.signal });
  const [ping, events] = [codeOf(client.ping()), client.events().next()];
  await peer.take();
  control.abort(reason);
  assertEquals((await soon(client.closed)).code, "CLOSED");
  assertEquals(await ping, "CLOSED");
  assertEquals((await soon(events)).done, true);
  assertEquals(await soon(peer.takeLater()), null);
});
