import { assertEquals } from "@std/assert";
import { makePublicKey } from "../../../protocol/mod.ts";
import { OpenedQueues } from "../../../server/broker/opened_queues.ts";
import { fakeSigner, TestBroker } from "../../support/broker.ts";

const permissions = "none";
const [key, other] = [fakeSigner().publicKey, fakeSigner().publicKey];

Deno.test("a queue is opened for one connection with one key", { permissions }, () => {
  const test = new TestBroker(), opened = new OpenedQueues();
  const [alice, bob] = [test.connect(), test.connect()];
  assertEquals([opened.has(alice, "q"), opened.opens(alice, "q", key)], [false, false]);
  assertEquals(opened.add(alice, "q", { key, most: 1 }), true);
  assertEquals([opened.has(alice, "q"), opened.has(bob, "q"), opened.has(alice, "p")], [true, false, false]);
  assertEquals([opened.opens(alice, "q", key), opened.opens(alice, "q", other)], [true, false]);
  // As it is after a restart of the store: the same key, another object.
  assertEquals(opened.opens(alice, "q", makePublicKey(key.modulus, key.exponent)), true);
  assertEquals(opened.opens(bob, "q", key), false);
});

Deno.test("a connection can open so many queues, and each again", { permissions }, () => {
  const test = new TestBroker(), opened = new OpenedQueues();
  const [alice, bob] = [test.connect(), test.connect()];
  const add = (connection = alice, queueId: string) => opened.add(connection, queueId, { key, most: 2 });
  assertEquals([add(alice, "1"), add(alice, "2"), add(alice, "3")], [true, true, false]);
  assertEquals([add(alice, "1"), add(bob, "3"), opened.size], [true, true, 3]);
  opened.delete("2");
  assertEquals([add(alice, "3"), add(alice, "4"), opened.size], [true, false, 3]);
});

Deno.test("a queue that is gone is open on no connection, and one that is closed has none open", {
  permissions,
}, () => {
  const test = new TestBroker(), opened = new OpenedQueues();
  const [alice, bob] = [test.connect(), test.connect()];
  for (const connection of [alice, bob]) {
    for (const queueId of ["1", "2"]) opened.add(connection, queueId, { key, most: 9 });
  }
  opened.delete("1");
  opened.delete("never");
  assertEquals([opened.has(alice, "1"), opened.has(bob, "1"), opened.has(bob, "2"), opened.size], [
    false,
    false,
    true,
    2,
  ]);
  opened.disconnect(alice);
  opened.disconnect(alice);
  assertEquals([opened.has(alice, "2"), opened.has(bob, "2"), opened.size], [false, true, 1]);
  opened.delete("2");
  opened.disconnect(bob);
  assertEquals(opened.size, 0);
});

Deno.test("nothing is kept for a connection that was closed meanwhile", { permissions }, () => {
  const test = new TestBroker(), opened = new OpenedQueues();
  const alice = test.connect();
  alice.disconnect();
  opened.add(alice, "q", { key, most: 1 });
  assertEquals([opened.size, opened.has(alice, "q")], [0, false]);
});
