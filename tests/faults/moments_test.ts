import { assert, assertEquals } from "@std/assert";
import { decodeBatch } from "../../server/cluster/batch.ts";
import type { LogStream } from "../../server/cluster/log_stream.ts";
import { MemorySnapshots, MemoryStream } from "../support/memory_stream.ts";
import type { Logs } from "./moment_cluster.ts";
import { MomentsTarget } from "./moments.ts";
import { run } from "./run.ts";

const options = { pairs: 4, seed: 1, pace: 3, mostPause: 20 };

Deno.test("nothing that was answered is lost when owners change, or answers and batches are lost, at bad moments", async () => {
  await using target = await MomentsTarget.start({ partitions: 2 });
  // That of a partition without an owner takes as long as commands wait.
  const faults = target.faults.filter((fault) => fault !== "without-owner");
  const { verdict } = await run(target, { ...options, faults });
  assertEquals([verdict.problems, verdict.undone], [[], 0]);
  assert(verdict.accepted > 0 && verdict.acknowledged > 0);
});

/** A log that says that a batch is stored, and stores it later, if it still can. */
function hasty(): LogStream & { readonly idle: () => Promise<void> } {
  const stream = new MemoryStream();
  let last = Promise.resolve();
  return {
    idle: () => last,
    async publish(data, options) {
      const store = () => stream.publish(data, options);
      const isClaim = decodeBatch(new Uint8Array(data)).number === 0;
      if (isClaim) return await store();
      last = last.then(() => new Promise((resolve) => setTimeout(resolve, 20))).then(() => void store());
      return { type: "stored", sequence: options.expected + 1 };
    },
    get: (sequence) => stream.get(sequence),
    last: (kind) => stream.last(kind),
    state: () => stream.state(),
    stepDown: () => stream.stepDown(),
    // What was purged by mistake would end the test.
    purge: () => Promise.resolve(),
  };
}

Deno.test("owners that do not wait for their logs are found to lose what was answered", async () => {
  const parts = [0, 1].map(() => ({ stream: hasty(), snapshots: new MemorySnapshots() }));
  const logs: Logs = {
    open: (partition) => Promise.resolve(parts[partition]!),
    [Symbol.asyncDispose]: async () => {
      for (const { stream } of parts) await stream.idle();
    },
  };
  await using target = await MomentsTarget.start({ partitions: 2, logs });
  const faults = ["off-before-change", "off-before-change", "off-before-change"];
  const { verdict } = await run(target, { ...options, faults, patience: 5_000 });
  assert(verdict.lost > 0, `${verdict.accepted} SENDs were answered OK`);
  assert(verdict.problems.some((problem) => problem.endsWith("was answered OK and is lost")));
});
