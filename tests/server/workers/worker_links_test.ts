import { assert } from "@std/assert";
import { LocalBrokers } from "../../../server/broker/local_brokers.ts";
import { type BrokerConnection, isLater } from "../../../server/broker/subscriptions.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { WorkerLinks } from "../../../server/workers/worker_links.ts";
import { fakeSigner, fakeVerify, transmissionTo } from "../../support/broker.ts";

Deno.test("who subscribes at a worker is later than who did at the one before it, although the clock was set back", async () => {
  const [recipient, sender] = [fakeSigner(), fakeSigner()];
  const queue = { recipientId: "AAAA", senderId: "AAAB", recipient, sender };
  const ranks = [];
  for (const incarnation of [1, 2]) {
    using _clock = clockAt(10_000_000 - incarnation * 3_600_000);
    const queues = new MemoryQueueStore();
    const keys = { recipientKey: recipient.publicKey, senderKey: null };
    queues.add({ ...queue, ...keys, suspended: false, changedAt: 0 });
    const spread = { workers: 1, partitions: 1 };
    await using links = new WorkerLinks({ worker: 0, incarnation, spread, sockets: "", aliases: new Map() });
    const brokers = new LocalBrokers([{ queues, messages: new MemoryMessageStore() }], {
      metrics: new Metrics(),
      authorizer: new Authorizer(fakeVerify),
    }, links);
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    const connection: BrokerConnection = {
      blockSize: 4096,
      binding: new Uint8Array(32),
      client: null,
      closed: false,
      isFull: false,
      answer: () => resolve(),
      notify() {},
    };
    const [broker] = brokers.all;
    await broker!.submit(connection, await transmissionTo(queue, "SUB"));
    await answered;
    ranks.push(broker!.restoring.rankOf(connection, queue.recipientId)!);
  }
  assert(isLater(ranks[1]!, ranks[0]!), JSON.stringify(ranks));
});

/** The system's clock says this time until it is disposed. */
function clockAt(time: number): Disposable {
  const { now } = Date;
  Date.now = () => time;
  return { [Symbol.dispose]: () => void (Date.now = now) };
}
