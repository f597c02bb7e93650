import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "../../../protocol/mod.ts";
import { isPartitionCount, partitionOf, randomIds } from "../../../server/broker/partition.ts";
import { aliasesOf } from "../../../server/broker/aliases.ts";
import { LocalBrokers } from "../../../server/broker/local_brokers.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { fakeSigner } from "../../support/broker.ts";
import { rejection } from "../../support/fake_server.ts";
import { anyText } from "../../support/any_text.ts";

const permissions = "none";
const power = fc.integer({ min: 0, max: 16 }).map((exponent) => 2 ** exponent);

Deno.test("an ID's first two bytes say its partition, what it lacks counts as 0", { permissions }, () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 24 }), power, (id, count) => {
    const [high = 0, low = 0] = id;
    assertEquals(partitionOf(encodeBase64(id), count), (high << 8 | low) % count);
  }));
});

Deno.test("any text has a partition", { permissions }, () => {
  fc.assert(fc.property(anyText(), power, (text, count) => {
    const partition = partitionOf(text, count);
    assert(partition >= 0 && partition < count);
  }));
});

Deno.test(
  "both IDs of a new queue are of one of the partitions, the same, and differ behind their first two bytes",
  {
    permissions,
  },
  () => {
    const place = power.chain((count) =>
      fc.record({ own: fc.array(fc.nat(count - 1), { minLength: 1 }), count: fc.constant(count) })
    );
    fc.assert(fc.property(place, ({ own, count }) => {
      const [recipientId, senderId] = randomIds(12, { own, count });
      for (const id of [recipientId, senderId]) assert(own.includes(partitionOf(id, count)));
      const [recipient, sender] = [decodeBase64(recipientId)!, decodeBase64(senderId)!];
      assertEquals([recipient.length, sender.length], [12, 12]);
      assertEquals(recipient.slice(0, 2), sender.slice(0, 2));
      assert(recipient.slice(2).some((byte, i) => byte !== sender[i + 2]));
    }));
  },
);

Deno.test("the IDs of a partition have all first bytes that it can have", { permissions }, () => {
  const prefixes = new Set<number>();
  for (let i = 0; i < 2_000; i++) {
    prefixes.add(decodeBase64(randomIds(12, { own: [3], count: 4_096 })[0])![0]! >> 4);
  }
  assertEquals(prefixes.size, 16);
});

Deno.test("partitions are counted in powers of two", { permissions }, () => {
  const counts = [0, 1, 2, 3, 16, 65_536, 131_072, 1.5, -1, NaN];
  assertEquals(counts.filter(isPartitionCount), [1, 2, 16, 65_536]);
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore() };
  const shared = { metrics: new Metrics(), authorizer: new Authorizer(() => Promise.resolve(true)) };
  assertThrows(() => new LocalBrokers([stores, stores, stores], shared), RangeError, "3 partitions");
});

/** A queue with IDs that begin with two numbers. */
function record(recipient: number, sender: number) {
  const id = (first: number) =>
    encodeBase64(Uint8Array.of(0, first, ...crypto.getRandomValues(new Uint8Array(10))));
  const keys = { recipientKey: fakeSigner().publicKey, senderKey: null };
  return { recipientId: id(recipient), senderId: id(sender), ...keys, suspended: false, changedAt: 0 };
}

Deno.test("queues of logs from before there were partitions have an alias if they need one", {
  permissions,
}, async () => {
  const stores = [0, 1].map(() => ({ queues: new MemoryQueueStore(), messages: new MemoryMessageStore() }));
  const [old, sameByChance, other] = [record(0, 3), record(2, 4), record(1, 2)];
  for (const one of [old, sameByChance]) stores[0]!.queues.add(one);
  stores[1]!.queues.add(other);
  const expected = [old, other].map(({ senderId, recipientId }) => [senderId, recipientId] as const);
  assertEquals(await aliasesOf(stores), new Map(expected));
  assertEquals((await aliasesOf(stores.slice(0, 1))).size, 0);
});

Deno.test("a queue that is kept where nobody looks for it is told", { permissions }, async () => {
  const stores = [0, 1].map(() => ({ queues: new MemoryQueueStore(), messages: new MemoryMessageStore() }));
  stores[0]!.queues.add(record(1, 1));
  const error = await rejection(aliasesOf(stores));
  assert(error instanceof RangeError && error.message.includes("partition 0"), String(error));
});
