import { assertEquals } from "@std/assert";
import { type ServerEvents, Servers, type SubscribedQueue } from "../../agent/servers.ts";
import { generateKeyPair } from "../../mod.ts";
import { FakePeer, FakeServer, queueIds, turn } from "../support/fake_server.ts";
import { soon, until } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign");

/** Connections to a fake server, and in a row what is told of them. */
async function start() {
  const server = await FakeServer.start();
  const told: string[] = [];
  const tell = (name: string) => () => void told.push(name);
  const tellWith = (name: string) => (_: unknown, queues: readonly SubscribedQueue[]) =>
    void told.push([name, ...queues.map(({ recipientId }) => recipientId)].join(" "));
  const events: ServerEvents = {
    message: tell("message"),
    ended: tell("ended"),
    refused: tell("refused"),
    connected: tell("connected"),
    down: tellWith("down"),
    up: tellWith("up"),
  };
  const client = { transport: server.transport };
  const servers = new Servers({ client, reconnect: { first: 1, most: 5 }, events });
  return {
    server,
    servers,
    told,
    queue(recipientId: string): SubscribedQueue {
      const loadKey = () => Promise.resolve(keyPair.privateKey);
      return { server: server.address, recipientId, senderId: queueIds[2], loadKey };
    },
    /** Connects as a command does that needs a server. */
    async connect() {
      const connecting = servers.client(server.address);
      const peer = await FakePeer.handshake(await server.accept());
      return { client: await soon(connecting), peer };
    },
    async [Symbol.asyncDispose]() {
      await servers[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Makes a queue; its connection ends before it is stored. */
async function createdAndLost({ connect }: Started, recipientId: string) {
  const { client, peer } = await connect();
  const creating = client.createQueue({ keyPair });
  await peer.answer(await peer.take(), { type: "IDS", recipientId, senderId: queueIds[2] }, "");
  await creating;
  await peer.channel.close();
  await client.closed;
  await turn();
  return client;
}

/** Answers a subscription that must come. */
async function subscribe(peer: FakePeer): Promise<string> {
  const command = await peer.take();
  assertEquals(command.command.type, "SUB");
  await peer.answer(command, { type: "OK" });
  return command.queueId;
}

Deno.test("a queue whose connection ends while it is stored is subscribed to on the next one", async () => {
  await using all = await start();
  const { servers, server, told, queue } = all;
  const [id] = queueIds;
  const client = await createdAndLost(all, id);
  servers.created(queue(id), client);
  assertEquals(await subscribe(await FakePeer.handshake(await server.accept())), id);
  await until(() => told.includes(`up ${id}`));
  assertEquals(told, ["connected", `down ${id}`, "connected", `up ${id}`]);
});

Deno.test("a queue is subscribed to on the connection that has replaced its own while it was stored", async () => {
  await using all = await start();
  const { servers, told, queue, connect } = all;
  const [id, other] = queueIds;
  const client = await createdAndLost(all, id);
  const { peer } = await connect();
  servers.created(queue(id), client);
  assertEquals(await subscribe(peer), id);
  await until(() => told.includes(`up ${id}`));
  assertEquals(told, ["connected", "connected", `down ${id}`, `up ${id}`]);
  // Not so one that was made through this connection.
  servers.created(queue(other), await servers.client(all.server.address));
  const subscribing = servers.subscribe(queue(queueIds[2]));
  assertEquals(await subscribe(peer), queueIds[2]);
  await subscribing;
});

Deno.test("a connection that ends as soon as it is there is made again", async () => {
  await using all = await start();
  const { servers, server, told, queue, connect } = all;
  const [id] = queueIds;
  const { peer } = await connect();
  const subscribing = servers.subscribe(queue(id));
  await subscribe(peer);
  await subscribing;
  await peer.channel.close();
  for (let i = 0; i < 5; i++) await (await FakePeer.handshake(await server.accept())).channel.close();
  await subscribe(await FakePeer.handshake(await server.accept()));
  await until(() => told.includes(`up ${id}`));
  assertEquals(told.filter((what) => what === `down ${id}`).length, 6);
});
