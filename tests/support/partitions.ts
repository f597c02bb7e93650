import { partitionOf } from "../../server/broker/partition.ts";
import type { MessageStore, PartitionStores, QueueStore } from "../../server/store/store.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../server/store/memory.ts";

/** Into how many partitions servers and brokers of tests cut their queues. */
export const partitions = Number(environment("SMP_TEST_PARTITIONS") ?? 1);

/** 2: servers of tests have half of the partitions, and use another one over a link for the other half. */
export const workers = Number(environment("SMP_TEST_WORKERS") ?? 1);

function environment(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}

/** Stores of `count` partitions that are all kept in the same ones. */
export function cutStores(
  { queues = new MemoryQueueStore(), messages = new MemoryMessageStore() }: Partial<PartitionStores> = {},
  count: number = partitions,
): readonly PartitionStores[] {
  return Array.from({ length: count }, (_, index) => ({
    queues: queuesOf(queues, index, count),
    messages: index === 0 ? messages : uncounted(messages),
  }));
}

function queuesOf(queues: QueueStore, index: number, count: number): QueueStore {
  return view(queues, {
    size: { get: () => index === 0 ? queues.size : 0 },
    records: {
      value: async function* () {
        for await (const record of queues.records()) {
          if (partitionOf(record.recipientId, count) === index) yield record;
        }
      },
    },
  });
}

/** What one of the partitions does for all is nothing for the others. */
function uncounted(messages: MessageStore): MessageStore {
  return view(messages, {
    size: { value: 0 },
    bytes: { value: 0 },
    expire: { value: () => Promise.resolve(0) },
  });
}

function view<Store extends object>(store: Store, changes: PropertyDescriptorMap): Store {
  const changed: object = Object.defineProperties({}, changes);
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(name in changes ? changed : target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
