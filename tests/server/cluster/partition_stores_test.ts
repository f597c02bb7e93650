import { PartitionLog } from "../../../server/cluster/partition_log.ts";
import { storesOver } from "../../../server/cluster/partition_stores.ts";
import { MemorySnapshots, MemoryStream } from "../../support/memory_stream.ts";
import { testMessageStore, testQueueStore } from "../../support/store_contract.ts";

async function open<Name extends "queues" | "messages">(name: Name) {
  const log = await PartitionLog.claim({
    stream: new MemoryStream(),
    snapshots: new MemorySnapshots(),
    node: "a",
    // So that they are taken in the middle of everything.
    snapshotAfter: 4096,
  });
  return Object.assign(storesOver(log)[name], { [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() });
}

testQueueStore("the log of a partition", () => open("queues"));
testMessageStore("the log of a partition", () => open("messages"));
