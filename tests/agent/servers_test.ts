import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { type ServerEvents, Servers, type SubscribedQueue } from "../../agent/servers.ts";
import type { SmpClient, SmpClientOptions } from "../../client/mod.ts";
import { SmpError, TransportError } from "../../mod.ts";
import { networkError } from "../../protocol/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakePeer, FakeServer, queueIds, rejection, turn } from "../support/fake_server.ts";
import { keyOf } from "../support/test_keys.ts";
import { soon, until } from "../support/wait.ts";

const keyPair = await keyOf("client", "sign");
const [idA, idB, idC] = queueIds;

/** Connections to a fake server, and in a row what is told of them. */
async function start(
  options: {
    readonly clock?: FakeClock;
    readonly client?: SmpClientOptions;
    readonly isNeeded?: () => boolean;
  } = {},
) {
  const server = await FakeServer.start();
  const told: string[] = [];
  const name = ({ id }: SubscribedQueue) => id.slice("route ".length);
  const many = (kind: string) => (_: unknown, queues: readonly SubscribedQueue[]) =>
    void told.push([kind, ...queues.map(name)].join(" "));
  const events: ServerEvents = {
    message: (queue, { messageId }) => void told.push(`message ${name(queue)} ${messageId}`),
    ended: (queue) => void told.push(`ended ${name(queue)}`),
    refused: (queue, error) => void told.push(`refused ${name(queue)} ${error.message}`),
    connected: () => void told.push("connected"),
    down: many("down"),
    up: many("up"),
  };
  let attempts = 0, isReachable = true;
  const transport: NonNullable<SmpClientOptions["transport"]> = (address, signal) => {
    attempts++;
    return isReachable
      ? server.transport(address, signal)
      : Promise.reject(networkError("connect", new Error("refused")));
  };
  const { clock, isNeeded } = options;
  const servers = new Servers({
    client: { transport, ...options.client },
    reconnect: clock ? { first: 100, most: 1000, factor: 2 } : { first: 1, most: 5 },
    events,
    ...(clock && { clock }),
    ...(isNeeded && { isNeeded }),
  });
  return {
    server,
    servers,
    told,
    /** Wants a queue that was created on a connection which is gone; that it is down is told at once, and left out here. */
    want(queue: SubscribedQueue): void {
      const { length } = told;
      servers.created(queue, {} as SmpClient);
      told.splice(length);
    },
    /** Tries to connect. */
    attempts: () => attempts,
    /** Makes it reachable or not. */
    setReachable(is: boolean) {
      isReachable = is;
    },
    queue(recipientId: string, loadKey = () => Promise.resolve(keyPair.privateKey)): SubscribedQueue {
      return { id: `route ${recipientId}`, server: server.address, recipientId, senderId: idC, loadKey };
    },
    /** The server's side of the next connection. */
    accept: async () => await FakePeer.handshake(await server.accept()),
    /** Connects as a command does that needs a server. */
    async connect() {
      const connecting = servers.client(server.address);
      const peer = await FakePeer.handshake(await server.accept());
      return { client: await soon(connecting), peer };
    },
    /** Subscribes to queues on a connection that it makes or is given. */
    async subscribe(recipientIds: readonly string[], peer?: FakePeer): Promise<FakePeer> {
      const all = recipientIds.map((id) => servers.subscribe(this.queue(id)));
      peer ??= await this.accept();
      for (const _ of all) await answerSub(peer);
      await soon(Promise.all(all));
      return peer;
    },
    async [Symbol.asyncDispose]() {
      await servers[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Makes a queue. */
async function create(client: SmpClient, peer: FakePeer, recipientId: string): Promise<void> {
  const creating = client.createQueue({ keyPair });
  await peer.answer(await peer.take(), { type: "IDS", recipientId, senderId: idC }, "");
  await soon(creating);
}

/** Makes a queue; its connection ends before it is stored. */
async function createdAndLost({ connect }: Started, recipientId: string) {
  const { client, peer } = await connect();
  await create(client, peer, recipientId);
  await peer.channel.close();
  await client.closed;
  await turn();
  return client;
}

/** Answers a subscription that must come. */
async function answerSub(
  peer: FakePeer,
  response: Parameters<FakePeer["answer"]>[1] = { type: "OK" },
): Promise<string> {
  const command = await peer.take();
  assertEquals(command.command.type, "SUB");
  await peer.answer(command, response);
  return command.queueId;
}

/** Waits until a client and its owner have seen all that was sent to it. */
async function settle({ servers, server }: Started, peer: FakePeer): Promise<void> {
  const ping = (await servers.client(server.address)).ping();
  await peer.answer(await peer.take(), { type: "PONG" }, "");
  await soon(ping);
  await turn();
}

function message(messageId: string) {
  return { type: "MSG", messageId, timestamp: new Date(0), body: new Uint8Array(3) } as const;
}

Deno.test("a queue whose connection ends while it is stored is subscribed to on the next one", async () => {
  await using all = await start();
  const { servers, told, queue, accept } = all;
  const client = await createdAndLost(all, idA);
  servers.created(queue(idA), client);
  assertEquals(await answerSub(await accept()), idA);
  await until(() => told.includes(`up ${idA}`));
  assertEquals(told, ["connected", `down ${idA}`, "connected", `up ${idA}`]);
});

Deno.test("a queue is subscribed to on the connection that has replaced its own while it was stored", async () => {
  await using all = await start();
  const { servers, told, queue, connect } = all;
  const client = await createdAndLost(all, idA);
  const { client: current, peer } = await connect();
  servers.created(queue(idA), client);
  assertEquals(await answerSub(peer), idA);
  await until(() => told.includes(`up ${idA}`));
  assertEquals(told, ["connected", "connected", `down ${idA}`, `up ${idA}`]);
  // Not so one that was made through this connection.
  await create(current, peer, idB);
  servers.created(queue(idB), current);
  await all.subscribe([idC], peer);
  // It is heard, and told of when the connection is lost.
  await peer.push(idB, message("AAAA"));
  await until(() => told.includes(`message ${idB} AAAA`));
  await peer.channel.close();
  await until(() => told.includes(`down ${idA} ${idB} ${idC}`));
});

Deno.test("a connection that ends as soon as it is there is made again, and the queue is said to be down once", async () => {
  await using all = await start();
  const { told, accept } = all;
  const peer = await all.subscribe([idA]);
  await peer.channel.close();
  for (let i = 0; i < 5; i++) await (await accept()).channel.close();
  await answerSub(await accept());
  await until(() => told.includes(`up ${idA}`));
  assertEquals(told.filter((what) => what !== "connected"), [`down ${idA}`, `up ${idA}`]);
});

Deno.test("a server that cannot be reached is tried again after longer and longer pauses", async () => {
  const clock = new FakeClock();
  await using all = await start({ clock });
  all.setReachable(false);
  all.want(all.queue(idA));
  for (const [i, longest] of [100, 200, 400, 800, 1000, 1000].entries()) {
    await until(() => clock.pauses.size > 0);
    await turn();
    assertEquals(all.attempts(), i + 1);
    const waited = await clock.endPause();
    assert(waited <= longest && waited >= longest * 3 / 4, `${waited} of ${longest}`);
  }
  all.setReachable(true);
  await answerSub(await all.accept());
  await until(() => all.told.includes(`up ${idA}`));
  assertEquals([all.attempts(), clock.pauses.size], [7, 0]);
});

Deno.test("a server that closes each connection at once is tried again after longer and longer pauses", async () => {
  const clock = new FakeClock();
  await using all = await start({ clock });
  all.want(all.queue(idA));
  for (const [i, longest] of [100, 200, 400, 800, 1000, 1000].entries()) {
    await (await all.accept()).channel.close();
    const waited = await clock.endPause();
    assert(waited <= longest && waited >= longest * 3 / 4, `${waited} of ${longest}`);
    assertEquals(clock.begun.length, i + 1);
  }
  assertEquals(await answerSub(await all.accept()), idA);
});

Deno.test("a connection that has worked is made again at once, one that has not after a pause", async () => {
  const clock = new FakeClock();
  await using all = await start({ clock });
  let peer = await all.subscribe([idA]);
  for (let i = 0; i < 3; i++) {
    clock.advance(10_001);
    await peer.channel.close();
    peer = await all.accept();
    await answerSub(peer);
    await until(() => all.told.filter((what) => what === `up ${idA}`).length === i + 1);
  }
  assertEquals(clock.begun, []);
  clock.advance(10_000);
  await peer.channel.close();
  await clock.endPause();
  await answerSub(await all.accept());
});

Deno.test("a command connects at once while the next try waits, and then nothing waits any more", async () => {
  const clock = new FakeClock();
  await using all = await start({ clock });
  all.setReachable(false);
  all.want(all.queue(idA));
  await until(() => clock.pauses.size > 0);
  assertInstanceOf(await rejection(all.servers.client(all.server.address)), TransportError);
  assertInstanceOf(await rejection(all.servers.subscribe(all.queue(idB))), TransportError);
  all.servers.forget(`route ${idB}`);
  assertEquals([all.attempts(), all.servers.isConnected(all.server.address)], [3, false]);
  all.setReachable(true);
  const { peer } = await all.connect();
  await answerSub(peer);
  await until(() => all.told.includes(`up ${idA}`));
  assertEquals([clock.pauses.size, all.servers.isConnected(all.server.address)], [0, true]);
  // So that a pause of before does not hold up what follows.
  clock.advance(10_001);
  await peer.channel.close();
  await answerSub(await all.accept());
  assertEquals(clock.pauses.size, 0);
});

Deno.test("whoever needs a server shares one try to connect", async () => {
  await using all = await start();
  const { servers, queue, server, want } = all;
  want(queue(idA));
  const subscribing = servers.subscribe(queue(idB));
  const clients = [servers.client(server.address), servers.client(server.address)];
  want(queue(idC));
  const peer = await all.accept();
  for (let i = 0; i < 3; i++) await answerSub(peer);
  await soon(subscribing);
  const [one, other] = await soon(Promise.all(clients));
  assert(one === other);
  assertEquals(all.attempts(), 1);
});

Deno.test("a server that does not answer holds up no other one", async () => {
  await using stuck = await start();
  const queue = { ...stuck.queue(idB), server: { ...stuck.server.address, port: 2 } };
  // Both are reached by the same transport; the first connection falls silent before the handshake.
  const first = rejection(stuck.servers.subscribe(stuck.queue(idA)));
  await stuck.server.accept();
  const subscribing = stuck.servers.subscribe(queue);
  await answerSub(await stuck.accept());
  await soon(subscribing);
  await stuck[Symbol.asyncDispose]();
  assertEquals((await first as Error).name, "AbortError");
});

Deno.test("a queue that is wanted while its server is down comes up with it", async () => {
  await using all = await start();
  all.setReachable(false);
  all.want(all.queue(idA));
  const error = await rejection(all.servers.subscribe(all.queue(idB)));
  assertInstanceOf(error, TransportError);
  await until(() => all.attempts() > 3);
  assertEquals(all.told, []);
  all.setReachable(true);
  const peer = await all.accept();
  for (let i = 0; i < 2; i++) await answerSub(peer);
  await until(() => all.told.length > 1);
  assertEquals(all.told, ["connected", `up ${idA} ${idB}`]);
});

/** What a server says to SUB that is no answer for ever. */
const passing: Readonly<Record<string, (peer: FakePeer, command: Command) => Promise<void>>> = {
  "ERR INTERNAL": (peer, command) => peer.answer(command, { type: "ERR", error: "INTERNAL" }),
  "PONG": (peer, command) => peer.answer(command, { type: "PONG" }, ""),
  "what cannot be read": (peer, { corrId }) => peer.send(` ${new TextDecoder().decode(corrId)}  BOGUS `),
};
type Command = Awaited<ReturnType<FakePeer["take"]>>;

for (const [what, answer] of Object.entries(passing)) {
  Deno.test(`a server that answers SUB with ${what} is asked again, for this queue alone and after longer and longer pauses`, async () => {
    const clock = new FakeClock();
    await using all = await start({ clock });
    let peer = await all.subscribe([idA, idB, idC]);
    clock.advance(10_001);
    await peer.channel.close();
    peer = await all.accept();
    // All come at once; the first one fails, which does not touch the others.
    const [bad, ...others] = await peer.takeAll(3);
    await answer(peer, bad!);
    for (const command of others) await peer.answer(command, { type: "OK" });
    await until(() => all.told.includes(`up ${idB} ${idC}`));
    for (const longest of [100, 200, 400, 800, 1000, 1000]) {
      const waited = await clock.endPause();
      assert(waited <= longest && waited >= longest * 3 / 4, `${waited} of ${longest}`);
      const again = await peer.take();
      assertEquals([again.command.type, again.queueId], ["SUB", idA]);
      await answer(peer, again);
    }
    await clock.endPause();
    assertEquals(await answerSub(peer), idA);
    await until(() => all.told.includes(`up ${idA}`));
    // The next failure is a first one.
    all.servers.resubscribe(`route ${idA}`);
    await answer(peer, await peer.take());
    assert(await clock.endPause() <= 100);
    await answerSub(peer);
    await settle(all, peer);
    assertEquals([all.attempts(), clock.pauses.size], [2, 0]);
    assertEquals(all.told, [
      "connected",
      `down ${idA} ${idB} ${idC}`,
      "connected",
      `up ${idB} ${idC}`,
      `up ${idA}`,
    ]);
  });
}

Deno.test("a SUB without an answer is sent again on the same connection, and the others are not held up", async () => {
  await using all = await start({ client: { commandTimeout: 200 } });
  for (const id of [idA, idB]) all.want(all.queue(id));
  const peer = await all.accept();
  let asked = 0;
  const answering = (async () => {
    for (let command; (command = await peer.takeLater()) !== null;) {
      if (command.queueId !== idA || ++asked > 2) await peer.answer(command, { type: "OK" });
    }
  })();
  await until(() => all.told.some((what) => what.startsWith("up") && what.includes(idA)));
  assertEquals(all.attempts(), 1);
  assert(asked > 2);
  await all.servers[Symbol.asyncDispose]();
  await answering;
  assert(!all.told.some((what) => what.startsWith("down")));
});

Deno.test("subscribe rejects with what fails first, and up follows", async () => {
  await using all = await start();
  const { peer } = await all.connect();
  const subscribing = rejection(all.servers.subscribe(all.queue(idA)));
  await answerSub(peer, { type: "ERR", error: "INTERNAL" });
  const error = await subscribing;
  assert(error instanceof SmpError && error.code === "INTERNAL");
  assertEquals(await answerSub(peer), idA);
  await until(() => all.told.includes(`up ${idA}`));
  // The connection is lost before the answer.
  const other = rejection(all.servers.subscribe(all.queue(idB)));
  await peer.take();
  await peer.channel.close();
  assertInstanceOf(await other, TransportError);
  const next = await all.accept();
  for (let i = 0; i < 2; i++) await answerSub(next);
  await until(() => all.told.includes(`up ${idA} ${idB}`));
  assertEquals(all.told, ["connected", `up ${idA}`, `down ${idA}`, "connected", `up ${idA} ${idB}`]);
});

Deno.test("subscribe does not wait for a pause", async () => {
  const clock = new FakeClock();
  await using all = await start({ clock });
  const { peer } = await all.connect();
  all.want(all.queue(idA));
  await answerSub(peer, { type: "ERR", error: "INTERNAL" });
  await until(() => clock.pauses.size > 0);
  const subscribing = all.servers.subscribe(all.queue(idA));
  await answerSub(peer);
  await soon(subscribing);
  await settle(all, peer);
  assertEquals(clock.pauses.size, 0);
});

Deno.test("a queue that its server refuses is told of once and not asked for again; the others come back", async () => {
  await using all = await start();
  let peer = await all.subscribe([idA, idB]);
  await peer.channel.close();
  peer = await all.accept();
  assertEquals(await answerSub(peer, { type: "ERR", error: "AUTH" }), idA);
  await answerSub(peer);
  await until(() => all.told.includes(`up ${idB}`));
  await peer.channel.close();
  peer = await all.accept();
  assertEquals(await answerSub(peer), idB);
  await until(() => all.told.at(-1) === `up ${idB}`);
  const refused = all.told.filter((what) => what.startsWith("refused"));
  assertEquals(refused, [`refused ${idA} ${new SmpError("AUTH").message}`]);
  assertEquals(all.told.filter((what) => what.startsWith("down")), [`down ${idA} ${idB}`, `down ${idB}`]);
  // Whoever asks is told by the promise alone.
  const subscribing = rejection(all.servers.subscribe(all.queue(idA)));
  await answerSub(peer, { type: "ERR", error: "AUTH" });
  assertInstanceOf(await subscribing, SmpError);
  await settle(all, peer);
  assertEquals(all.told.filter((what) => what.startsWith("refused")).length, 1);
});

Deno.test("a key that cannot be loaded is told of once, and concerns its own queue alone", async () => {
  await using all = await start();
  const broken = (how: () => never) => all.queue(idA, how);
  all.want(broken(() => {
    throw new TypeError("no key");
  }));
  all.want(all.queue(idB));
  const peer = await all.accept();
  assertEquals(await answerSub(peer), idB);
  await until(() => all.told.includes(`up ${idB}`));
  assertEquals(all.told, ["connected", `refused ${idA} no key`, `up ${idB}`]);
  const error = await rejection(
    all.servers.subscribe(all.queue(idA, () => Promise.reject(new TypeError("still none")))),
  );
  assertEquals((error as Error).message, "still none");
  await peer.channel.close();
  assertEquals(await answerSub(await all.accept()), idB);
  assertEquals(all.told.filter((what) => what.includes(idA)).length, 1);
});

Deno.test("resubscribing sends SUB again, so that a message comes again, and nothing is told of it", async () => {
  await using all = await start();
  const peer = await all.subscribe([idA]);
  for (const id of ["AAAA", "AAAA"]) {
    all.servers.resubscribe(`route ${idA}`);
    await answerSub(peer, message(id));
    await settle(all, peer);
  }
  // Two more while one is under way: one follows, as the answer under way may be older than the calls.
  all.servers.resubscribe(`route ${idA}`);
  const command = await peer.take();
  all.servers.resubscribe(`route ${idA}`);
  all.servers.resubscribe(`route ${idA}`);
  await peer.answer(command, { type: "OK" });
  assertEquals(await answerSub(peer), idA);
  await settle(all, peer);
  all.servers.resubscribe("unknown");
  assertEquals(all.told, ["connected", `message ${idA} AAAA`, `message ${idA} AAAA`]);
});

Deno.test("an END that comes before the answer to SUB is of an earlier subscription", async () => {
  await using all = await start();
  const peer = await all.subscribe([idA]);
  const again = all.servers.subscribe(all.queue(idA));
  const command = await peer.take();
  await peer.push(idA, { type: "END" });
  await turn();
  await peer.answer(command, { type: "OK" });
  await soon(again);
  await peer.push(idA, message("AAAA"));
  await until(() => all.told.includes(`message ${idA} AAAA`));
  assertEquals(all.told, ["connected", `message ${idA} AAAA`]);
  // It is still kept up.
  await peer.channel.close();
  assertEquals(await answerSub(await all.accept()), idA);
});

Deno.test("an END that comes after the answer to SUB ends the subscription, and it is not made again", async () => {
  await using all = await start();
  const peer = await all.subscribe([idA, idB]);
  const again = all.servers.subscribe(all.queue(idA));
  const command = await peer.take();
  await Promise.all([peer.answer(command, { type: "OK" }), peer.push(idA, { type: "END" })]);
  await soon(again);
  await until(() => all.told.includes(`ended ${idA}`));
  await peer.channel.close();
  assertEquals(await answerSub(await all.accept()), idB);
  await until(() => all.told.includes(`up ${idB}`));
  assertEquals(all.told, ["connected", `ended ${idA}`, `down ${idB}`, "connected", `up ${idB}`]);
});

Deno.test("a queue that is forgotten is not told of and not subscribed to", async () => {
  await using all = await start();
  let peer = await all.subscribe([idA, idB, idC]);
  all.servers.forget(`route ${idA}`);
  await peer.push(idA, message("AAAA"));
  await peer.push(idA, { type: "END" });
  await peer.channel.close();
  peer = await all.accept();
  const [b, c] = await peer.takeAll(2);
  assertEquals([b!.queueId, c!.queueId], [idB, idC]);
  all.servers.forget(`route ${idB}`);
  for (const command of [b!, c!]) await peer.answer(command, { type: "OK" });
  await until(() => all.told.includes(`up ${idC}`));
  assertEquals(all.told, ["connected", `down ${idB} ${idC}`, "connected", `up ${idC}`]);
  const subscribing = rejection(all.servers.subscribe(all.queue(idA)));
  await peer.take();
  all.servers.forget(`route ${idA}`);
  assertEquals((await subscribing as Error).name, "AbortError");
  // Without a wanted queue there is no reason to connect.
  all.servers.forget(`route ${idC}`);
  await peer.channel.close();
  await until(() => !all.servers.isConnected(all.server.address));
  await turn();
  assertEquals(all.attempts(), 2);
});

Deno.test("a queue that is forgotten while its SUB is under way and wanted again is subscribed to again", async () => {
  await using all = await start();
  const { peer } = await all.connect();
  all.want(all.queue(idA));
  const first = await peer.take();
  all.servers.forget(`route ${idA}`);
  const subscribing = all.servers.subscribe(all.queue(idA));
  await peer.answer(first, { type: "ERR", error: "AUTH" });
  assertEquals(await answerSub(peer), idA);
  await soon(subscribing);
  await peer.push(idA, message("AAAA"));
  await until(() => all.told.includes(`message ${idA} AAAA`));
  assertEquals(all.told, ["connected", `message ${idA} AAAA`]);
});

/** Moments at which everything may be closed. */
const moments: Readonly<Record<string, (all: Started, clock: FakeClock) => Promise<void>>> = {
  "nothing was done": () => Promise.resolve(),
  "it connects": async ({ queue, server, want }) => {
    want(queue(idA));
    await server.accept();
  },
  "it waits to connect": async ({ queue, setReachable, want }, clock) => {
    setReachable(false);
    want(queue(idA));
    await until(() => clock.pauses.size > 0);
  },
  "a key is loaded": async ({ queue, connect, want }) => {
    await connect();
    want(queue(idA, async () => (await turn(), keyPair.privateKey)));
  },
  "SUB is under way": async ({ queue, connect, want }) => {
    const { peer } = await connect();
    want(queue(idA));
    await peer.take();
  },
  "it waits to subscribe": async ({ queue, connect, want }, clock) => {
    const { peer } = await connect();
    want(queue(idA));
    await answerSub(peer, { type: "ERR", error: "INTERNAL" });
    await until(() => clock.pauses.size > 0);
  },
  "all is well": async (all) => void await all.subscribe([idA]),
  "the connection is lost": async (all) => await (await all.subscribe([idA])).channel.close(),
};

for (const [moment, reach] of Object.entries(moments)) {
  Deno.test(`after closing nothing goes on and nothing is told, when ${moment}`, async () => {
    const clock = new FakeClock();
    await using all = await start({ clock });
    await reach(all, clock);
    const waiting = rejection(all.servers.subscribe(all.queue(idB)));
    const before = all.told.length;
    await soon(all.servers[Symbol.asyncDispose]());
    assertEquals((await waiting as Error).name, "AbortError");
    const attempts = all.attempts();
    all.want(all.queue(idC));
    all.servers.resubscribe(`route ${idA}`);
    for (const error of [all.servers.subscribe(all.queue(idC)), all.servers.client(all.server.address)]) {
      assertEquals((await rejection(error) as Error).name, "AbortError");
    }
    all.servers.forget(`route ${idA}`);
    await turn();
    assertEquals([all.told.slice(before), clock.pauses.size, all.attempts()], [[], 0, attempts]);
  });
}

Deno.test("a connection that nothing needs any more is closed", async () => {
  const clock = new FakeClock();
  await using all = await start({ clock });
  const { servers, connect, queue, server } = all;
  const { client, peer } = await connect();
  const id = queueIds[0];
  const subscribing = servers.subscribe(queue(id));
  await answerSub(peer);
  await subscribing;
  // A queue is wanted, then the connection is asked for again.
  await clock.endPause(clock.looks);
  await turn();
  servers.forget(queue(id).id);
  await servers.client(server.address);
  clock.advance(-1);
  await clock.endPause(clock.looks);
  await turn();
  assert(servers.isConnected(server.address));
  await clock.endPause(clock.looks);
  await soon(client.closed);
  await until(() => !servers.isConnected(server.address));
  await turn();
  assertEquals([clock.looks.size, all.attempts()], [0, 1]);
});

Deno.test("a connection that nobody needs any more is closed soon, and its server forgotten", async () => {
  const clock = new FakeClock();
  let isNeeded = true;
  await using all = await start({ clock, isNeeded: () => isNeeded });
  const { servers, server } = all;
  const { client } = await all.connect();
  servers.tidy();
  assertEquals(clock.pauses.size, 0);
  isNeeded = false;
  servers.tidy();
  servers.tidy();
  // Somebody asks for it in time.
  await servers.client(server.address);
  assertEquals(clock.pauses.size, 1);
  clock.advance(1);
  await servers.client(server.address);
  await clock.endPause();
  await turn();
  assert(servers.isConnected(server.address));
  servers.tidy();
  await clock.endPause();
  await soon(client.closed);
  await until(() => !servers.isConnected(server.address));
});
