import { assert, assertEquals } from "@std/assert";
import type { QueueEvent } from "../../mod.ts";
import { encodeBase64, generateKeyPair, randomBytes, textBytes } from "../../protocol/mod.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../server/mod.ts";
import { rejection } from "../support/fake_server.ts";
import { connect, startServer } from "../support/server.ts";
import { next } from "../support/wait.ts";

const count = 16;
const keyPair = await generateKeyPair("sign", 1024);

function emptyPartitions() {
  return Array.from({ length: count }, () => ({
    queues: new MemoryQueueStore(),
    messages: new MemoryMessageStore(),
  }));
}

function bodyOf(event: QueueEvent): Uint8Array | null {
  return event.type === "MSG" ? event.body : null;
}

Deno.test("new queues go round all partitions, and all commands find them", async () => {
  const partitions = emptyPartitions();
  await using server = await startServer({ partitions });
  await using client = await connect(server);
  await using other = await connect(server);
  const queues = [];
  for (let i = 0; i < 2 * count; i++) queues.push(await client.createQueue({ keyPair }));
  assertEquals(partitions.map(({ queues }) => queues.size), Array<number>(count).fill(2));
  for (const [i, queue] of queues.entries()) {
    const events = client.events(queue);
    for (let repeated = 0; repeated < 3; repeated++) {
      await other.send({ senderId: queue.senderId }, Uint8Array.of(i, repeated));
      assertEquals(bodyOf(await next(events)), Uint8Array.of(i, repeated));
      await client.acknowledge(queue);
    }
    await other.subscribe(queue);
    assertEquals((await next(events)).type, "END");
  }
  const { queues: kept, subscriptions, messages } = server.gauges();
  assertEquals([kept, subscriptions, messages], [2 * count, 2 * count, 0]);
  await other.close();
  for (const queue of queues) await client.deleteQueue(queue);
  assertEquals(server.gauges().queues, 0);
});

Deno.test("queues whose IDs are of different partitions are found by both", async () => {
  const partitions = emptyPartitions();
  const id = (first: number) => encodeBase64(Uint8Array.of(0, first, ...randomBytes(10)));
  const { publicKey, privateKey } = keyPair;
  const old = { recipientId: id(3), senderId: id(9), recipientKey: publicKey, senderKey: publicKey };
  partitions[3]!.queues.add({ ...old, suspended: false, changedAt: 0 });
  await using server = await startServer({ partitions });
  await using client = await connect(server);
  const queue = { ...old, recipientKey: privateKey };
  await client.subscribe(queue);
  const events = client.events(queue);
  // The second and later commands of a queue are given on the opened queue.
  for (const text of ["a", "b", "c"]) {
    await client.send({ senderId: old.senderId, senderKey: privateKey }, textBytes(text));
    assertEquals(bodyOf(await next(events)), textBytes(text));
    await client.acknowledge(queue);
  }
  // Senders go on signing.
  assertEquals(server.gauges().opened, 1);
  await client.deleteQueue(queue);
  const error = await rejection(
    client.send({ senderId: old.senderId, senderKey: privateKey }, textBytes("d")),
  );
  assert(error instanceof Error && error.message.includes("AUTH"), String(error));
});

Deno.test("stores are given once", async () => {
  const error = await rejection(startServer({ partitions: emptyPartitions().slice(0, 3) }));
  assert(error instanceof RangeError && error.message.includes("3 partitions"), String(error));
  const options = { partitions: emptyPartitions(), queues: new MemoryQueueStore() };
  const both = await rejection(startServer(options));
  assert(both instanceof RangeError && both.message.includes("beside partitions"), String(both));
});
