import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { openStores, temporaryFolder } from "../../support/durable.ts";
import { testMessageStore, testQueueStore } from "../../support/store_contract.ts";

testQueueStore("MemoryQueueStore", () => new MemoryQueueStore());
testMessageStore("MemoryMessageStore", () => new MemoryMessageStore());

/** One of the stores of a server with files, which are gone when it is disposed of. */
async function durable<Name extends "queues" | "messages">(name: Name, messages: "memory" | "journal") {
  const folder = await temporaryFolder();
  const stores = await openStores(folder.path, { messages });
  const dispose = async () => {
    await stores.close();
    await folder[Symbol.asyncDispose]();
  };
  return Object.assign(stores[name], { [Symbol.asyncDispose]: dispose });
}

const permissions = { read: true, write: true };
testQueueStore("StoreLog", () => durable("queues", "memory"), { permissions });
for (const mode of ["memory", "journal"] as const) {
  testMessageStore(`messages: ${mode}`, () => durable("messages", mode), { permissions });
}
