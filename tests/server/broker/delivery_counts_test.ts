import { assertEquals } from "@std/assert";
import { CommandRunner } from "../../../server/broker/command_runner.ts";
import { Delivery } from "../../../server/broker/delivery.ts";
import type { BrokerConnection } from "../../../server/broker/subscriptions.ts";
import { MemoryMessageStore, Metrics } from "../../../server/mod.ts";

const connection: BrokerConnection = {
  blockSize: 4096,
  binding: new Uint8Array(32),
  client: null,
  closed: false,
  isFull: false,
  answer() {},
  notify() {},
};

Deno.test("who asks for numbers without end has many subscriptions looked through once a second", () => {
  let now = 0;
  const metrics = new Metrics();
  const runner = new CommandRunner(metrics, () => {});
  const messages = new MemoryMessageStore();
  const delivery = new Delivery({ messages, metrics, runner, epoch: 1, now: () => now });
  for (let i = 0; i < 10_000; i++) delivery.subscribe(`${i}`, connection);
  const { delivered } = delivery.subscription("0")!;
  const seen = () => delivery.counts.delivered;
  delivered.push("a");
  assertEquals(seen(), 1);
  delivered.push("b");
  assertEquals(seen(), 2);
  delivery.subscribe("one more", connection, 1);
  delivered.push("c");
  assertEquals(delivery.counts, { subscriptions: 10_001, windows: 0, delivered: 2 });
  now += 999;
  assertEquals(seen(), 2);
  now += 1;
  assertEquals(delivery.counts, { subscriptions: 10_001, windows: 1, delivered: 3 });
  delivered.pop();
  assertEquals(seen(), 3);
  delivery.delete("one more");
  assertEquals(delivery.counts, { subscriptions: 10_000, windows: 0, delivered: 2 });
});
