import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { type SmpClient, type SmpClientOptions, TransportError } from "../../mod.ts";
import { type FakePeer, FakeServer, queueIds, rejection, turn } from "../support/fake_server.ts";
import { transportNames } from "../support/server.ts";
import { soon } from "../support/wait.ts";

/** A client and its peer with a clock that goes on only by `tick`, one keep-alive interval at a time. */
async function withClock(
  options: SmpClientOptions,
  run: (parts: { client: SmpClient; peer: FakePeer; tick: () => void }) => Promise<void>,
): Promise<void> {
  const { setInterval, clearInterval } = globalThis;
  const intervals = new Map<number, () => void>();
  const delays: number[] = [];
  Object.assign(globalThis, {
    setInterval(callback: () => void, delay: number) {
      delays.push(delay);
      intervals.set(delays.length, callback);
      return delays.length;
    },
    clearInterval: (id: number) => intervals.delete(id),
  });
  try {
    await using server = await FakeServer.start();
    const { client, peer } = await server.serve(options);
    assertEquals(delays, [options.keepAliveInterval ?? 30_000]);
    await run({
      client,
      peer,
      tick: () => {
        for (const callback of intervals.values()) callback();
      },
    });
    await client.close();
    assertEquals(intervals.size, 0);
  } finally {
    Object.assign(globalThis, { setInterval, clearInterval });
  }
}

/** Which command comes next; there must be one. */
async function typeOfNext(peer: FakePeer): Promise<string> {
  return (await peer.take()).command.type;
}

Deno.test("a PING is sent after an interval without anything from the server", async () => {
  await withClock({ keepAliveInterval: 1234 }, async ({ peer, tick }) => {
    tick(); // the welcome was in this interval
    tick();
    const command = await peer.take();
    assertEquals([command.command.type, command.queueId, command.signature.length], ["PING", "", 0]);
    await peer.answer(command, { type: "PONG" });
  });
});

Deno.test("no PING is sent while the server sends anything in each interval", async () => {
  await withClock({}, async ({ client, peer, tick }) => {
    for (let i = 0; i < 5; i++) {
      await peer.push(queueIds[0], { type: "END" });
      await turn();
      tick();
    }
    const sending = client.send({ senderId: queueIds[0] }, new Uint8Array(1));
    const command = await peer.take();
    assertEquals(command.command.type, "SEND");
    await peer.answer(command, { type: "OK" });
    await soon(sending);
  });
});

for (const keepAliveCount of [1, 2, 3]) {
  Deno.test(`the connection is dead after ${keepAliveCount} unanswered PINGs`, async () => {
    await withClock({ keepAliveCount }, async ({ client, peer, tick }) => {
      const waiting = [client.events().next(), client.ping()].map(rejection);
      assertEquals(await typeOfNext(peer), "PING");
      tick();
      for (let i = 0; i < keepAliveCount; i++) {
        tick();
        assertEquals(await typeOfNext(peer), "PING");
      }
      let closed = false;
      client.closed.then(() => closed = true);
      await turn();
      assert(!closed);
      tick();
      const error = await soon(client.closed);
      assertEquals(error.code, "TIMEOUT");
      const [ofEvents, ofCommand] = await soon(Promise.all(waiting));
      assertEquals(ofEvents, error);
      assertInstanceOf(ofCommand, TransportError);
      assertEquals(ofCommand.code, "TIMEOUT");
      assertEquals(await soon(peer.takeLater()), null);
    });
  });
}

Deno.test("a PONG that comes late keeps the connection alive", async () => {
  await withClock({ keepAliveCount: 2 }, async ({ client, peer, tick }) => {
    tick();
    for (let round = 0; round < 3; round++) {
      tick();
      const first = await peer.take();
      tick();
      await peer.take();
      await peer.answer(first, { type: "PONG" });
      await turn();
      tick(); // the PONG was in this interval
    }
    const ping = client.ping();
    await peer.answer(await peer.take(), { type: "PONG" });
    await soon(ping);
  });
});

for (const transport of transportNames) {
  Deno.test(`over ${transport}, a server that falls silent is given up`, async () => {
    await using server = await FakeServer.start(transport);
    const { client, peer } = await server.serve({ keepAliveInterval: 100, keepAliveCount: 2 });
    const waiting = rejection(client.events().next());
    const error = await soon(client.closed);
    assertEquals(error.code, "TIMEOUT");
    assertEquals(await waiting, error);
    // On a busy machine the last one is not written before the end.
    assertEquals(await typeOfNext(peer), "PING");
    const last = await soon(peer.takeLater().catch(() => null));
    if (last !== null) {
      assertEquals(last.command.type, "PING");
      assertEquals(await soon(peer.takeLater().catch(() => null)), null);
    }
    await client.close();
  });
}

for (const keepAliveCount of [1, 2, 3]) {
  Deno.test(`a server that talks but takes nothing for ${keepAliveCount} intervals is dead`, async () => {
    await withClock({ keepAliveCount, inFlight: 1000 }, async ({ client, peer, tick }) => {
      const sends = Array.from(
        { length: 100 },
        () => rejection(client.send({ senderId: queueIds[0] }, new Uint8Array(10))),
      );
      // The writer is stuck: what has been written by now is all that a reader finds.
      await turn();
      let isClosed = false;
      client.closed.then(() => isClosed = true);
      for (let i = 0; i <= keepAliveCount; i++) {
        assertEquals(isClosed, false, `after ${i} intervals`);
        await peer.push(queueIds[0], { type: "END" });
        await turn();
        tick();
        await turn();
      }
      const error = await soon(client.closed);
      assertEquals(error.code, "TIMEOUT");
      for (const refused of await Promise.all(sends)) {
        assert(refused instanceof TransportError && refused.code === "TIMEOUT");
      }
    });
  });
}

Deno.test("a server that takes something in each interval, however little, lives", async () => {
  await withClock({ keepAliveCount: 1, inFlight: 1000 }, async ({ client, peer, tick }) => {
    const sends = Array.from(
      { length: 100 },
      () => client.send({ senderId: queueIds[0] }, new Uint8Array(10)),
    );
    const settled = Promise.allSettled(sends);
    for (let taken = 0; taken < 96; taken += 16) {
      for (const command of await peer.takeAll(16)) await peer.answer(command, { type: "OK" });
      await turn();
      tick();
    }
    for (const command of await peer.takeAll(4)) await peer.answer(command, { type: "OK" });
    assertEquals(new Set((await soon(settled)).map(({ status }) => status)), new Set(["fulfilled"]));
  });
});
