import { assertEquals } from "@std/assert";
import { PartitionKeeper, type PartitionKeeperOptions } from "../../../server/cluster/partition_keeper.ts";
import { until } from "../../support/wait.ts";

Deno.test("two partitions are claimed at a time, so that others have their share of the rest", {
  permissions: "none",
}, async () => {
  const begun = new Map<number, (error: Error) => void>();
  const logged: string[] = [];
  const parts = {
    node: "a",
    partitions: 8,
    lease: { holds: true, members: [], live: ["a"] },
    streams: { log: (partition: number) => new Promise((_, reject) => begun.set(partition, reject)) },
    changed: () => {},
    log: (_: string, message: string) => void logged.push(message),
  };
  const keeper = new PartitionKeeper(parts as unknown as PartitionKeeperOptions);
  try {
    keeper.look();
    const [first, second] = [...begun.keys()];
    assertEquals([...keeper.claiming], [first, second]);
    begun.get(first!)!(new Error("it has no log"));
    await until(() => begun.size === 3);
    assertEquals(logged, [`Cannot take over partition ${first}`]);
    assertEquals(keeper.claiming, new Set([second!, [...begun.keys()][2]!]));
  } finally {
    const ended = keeper.end(AbortSignal.timeout(1_000));
    for (const reject of begun.values()) reject(new Error("the test ends"));
    await ended;
  }
});
