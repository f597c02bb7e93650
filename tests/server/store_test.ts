import { assert, assertEquals } from "@std/assert";
import { MemoryMessageStore, MemoryQueueStore } from "../../server/store/memory.ts";
import { fakeSigner } from "../support/broker.ts";
import { testMessageStore, testQueueStore } from "../support/store_contract.ts";

testQueueStore("MemoryQueueStore", () => new MemoryQueueStore());
testMessageStore("MemoryMessageStore", () => new MemoryMessageStore());

Deno.test("MemoryQueueStore counts its queues", { permissions: "none" }, async () => {
  const store = new MemoryQueueStore();
  const recipientKey = fakeSigner().publicKey;
  const sizes = [store.size];
  for (const recipientId of ["AAAA", "AAAA", "BBBB"]) {
    const senderId = `${recipientId}CCCC`;
    await store.create({ recipientId, senderId, recipientKey, senderKey: null, suspended: false });
    sizes.push(store.size);
  }
  await store.delete("AAAA");
  assertEquals([...sizes, store.size], [0, 1, 1, 2, 1]);
  assert(await store.byRecipientId("BBBB"));
});
