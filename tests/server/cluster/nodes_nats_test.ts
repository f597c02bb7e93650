import { assert, assertEquals, assertRejects } from "@std/assert";
import { type QueueEvent, SmpClient } from "../../../client/mod.ts";
import {
  asciiText,
  type Channel,
  connectTcp,
  generateKeyPair,
  SmpError,
  textBytes,
} from "../../../protocol/mod.ts";
import { balanced, startNode } from "../../support/cluster_nodes.ts";
import { Load } from "../../support/load.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { RawClient, readServerKey } from "../../support/raw_client.ts";
import { requiring } from "../../support/requires.ts";
import { next, soon, until } from "../../support/wait.ts";

const test = requiring(natsLack);
const keyPair = await generateKeyPair("sign", 1024);

function textOf(event: QueueEvent): string {
  return event.type === "MSG" ? asciiText(event.body) : event.type;
}

test("one node alone serves all partitions, and has everything when it is started again", async () => {
  await using nats = await Nats.start();
  const a = await startNode(nats, "a", { snapshotAfter: 500 });
  const client = await a.connect();
  const queues = [];
  for (let i = 0; i < 16; i++) {
    const queue = await client.createQueue({ keyPair });
    for (const text of [`${i}`, "again"]) await client.send(queue, textBytes(text));
    queues.push(queue);
  }
  a.server.setCreate({ password: "p" });
  await assertRejects(() => soon(client.createQueue({ keyPair })), SmpError, "AUTH");
  await using passing = await SmpClient.connect(`p@${a.server.address}`);
  await passing.createQueue({ keyPair });
  await until(() => a.node.status.partitions.some(({ own }) => own?.snapshot));
  assertEquals(a.node.notReady(), null);
  await client.close();
  await a.stop();
  await using again = await startNode(nats, "a");
  await using reader = await again.connect();
  for (const [i, queue] of queues.entries()) {
    const events = reader.events(queue);
    await reader.subscribe(queue);
    assertEquals(textOf(await next(events)), `${i}`);
    await reader.acknowledge(queue);
    assertEquals(textOf(await next(events)), "again");
    await events.return();
  }
});

for (const servers of [1, 3] as const) {
  test(`with ${servers} NATS servers a queue can be used at every node, wherever it is`, async () => {
    await using nats = await Nats.start({ servers });
    await using a = await startNode(nats, "a");
    await using b = await startNode(nats, "b");
    await using c = await startNode(nats, "c");
    await balanced([a, b, c]);
    await using creator = await a.connect();
    await using sender = await b.connect();
    await using reader = await c.connect();
    for (let i = 0; i < 12; i++) {
      const queue = await creator.createQueue({ keyPair });
      const [first, second] = [creator.events(queue), reader.events(queue)];
      await sender.send(queue, textBytes("one"));
      assertEquals(textOf(await next(first)), "one");
      await reader.subscribe(queue);
      assertEquals(textOf(await next(first)), "END");
      assertEquals(textOf(await next(second)), "one");
      await reader.acknowledge(queue);
      await sender.send(queue, textBytes("two"));
      assertEquals(textOf(await next(second)), "two");
      await reader.acknowledge(queue);
      await reader.secureQueue(queue, keyPair.publicKey);
      await sender.send({ senderId: queue.senderId, senderKey: keyPair.privateKey }, textBytes("three"));
      assertEquals(textOf(await next(second)), "three");
      await reader.deleteQueue(queue);
      for (const events of [first, second]) await events.return();
    }
    const own = (name: string) => ({ node }: typeof a) =>
      node.status.partitions.filter(({ owner }) => owner?.node === name).length;
    assert([a, b, c].every((node) => own("a")(node) >= 2 && own("c")(node) >= 2));
  });
}

test("a handshake that is played back is refused by every node, wherever it was", async () => {
  await using nats = await Nats.start();
  await using a = await startNode(nats, "a");
  await using b = await startNode(nats, "b");
  await balanced([a, b]);
  for (let i = 0; i < 6; i++) {
    const [first, second] = i % 2 === 0 ? [a, b] : [b, a];
    const written: Uint8Array<ArrayBuffer>[] = [];
    const inner = await connectTcp("127.0.0.1", first.server.port);
    const recording: Channel = {
      read: (size) => inner.read(size),
      write: (units) => (written.push(...units.map((unit) => unit.slice())), inner.write(units)),
      end: () => inner.end(),
      close: () => inner.close(),
    };
    await (await RawClient.handshake(recording))[Symbol.asyncDispose]();
    for (const { server, metrics } of [second, first]) {
      const before = metrics.refusals("replay");
      const channel = await connectTcp("127.0.0.1", server.port);
      await readServerKey(channel);
      await channel.write(written);
      assertEquals(await soon(channel.read(1).catch(() => null)), null);
      await channel.close();
      assertEquals(metrics.refusals("replay"), before + 1);
    }
  }
});

test("partitions are given to a node that comes and taken from one that goes while load runs", async () => {
  await using nats = await Nats.start();
  await using a = await startNode(nats, "a");
  const { load, ended } = await Load.start(a.server.address, 8);
  await until(() => load.accepted > 50);
  const b = await startNode(nats, "b");
  await balanced([a, b]);
  let before = load.accepted;
  await until(() => load.accepted > before + 50);
  await using c = await startNode(nats, "c");
  await balanced([a, b, c]);
  before = load.accepted;
  await until(() => load.accepted > before + 50);
  await b.stop();
  await balanced([a, c]);
  before = load.accepted;
  await until(() => load.accepted > before + 50);
  assertEquals(a.server.connections, 2);
  await a.server.stop();
  await soon(ended);
  assertEquals(await load.check(c.server.address), []);
});
