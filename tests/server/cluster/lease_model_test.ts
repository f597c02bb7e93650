import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { NodeLease } from "../../../server/cluster/lease.ts";
import { parseLease } from "../../../server/cluster/members.ts";
import { BucketStore, ManualClock, TestMachine } from "../../support/cluster.ts";

const names = ["a", "b", "c"];

/** Something that goes wrong for some time, milliseconds. */
const fault = fc.record({
  node: fc.integer({ min: 0, max: 2 }),
  kind: fc.constantFrom("freeze", "lose", "losesAnswers", "leaderless", "cutOff"),
  time: fc.integer({ min: 1, max: 160 }).map((steps) => steps * 50),
  rest: fc.integer({ min: 0, max: 60 }).map((steps) => steps * 50),
});

Deno.test("whatever fails, no node answers that was taken for dead, and all come back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fault, { minLength: 1, maxLength: 8 }), async (faults) => {
      const clock = new ManualClock();
      const store = new BucketStore();
      const machines = names.map(() => new TestMachine(store, clock));
      const leases = await Promise.all(machines.map((machine, i) =>
        NodeLease.join({
          node: names[i]!,
          bucket: machine,
          connectivity: machine,
          clock: machine.clock,
          cluster: { keyHash: "key", partitions: 1 },
          onEvent: () => {},
          log: () => {},
          signal: new AbortController().signal,
        })
      ));
      for (const machine of machines) machine.latency = 50;
      const look = () => {
        leases.forEach((lease, i) => {
          if (!lease.holds) return;
          const stored = parseLease(store.entries.get(`node.${names[i]}`)!.value)!;
          assertEquals([stored.state, stored.incarnation], ["live", lease.incarnation]);
        });
      };
      for (const { node, kind, time, rest } of faults) {
        const machine = machines[node]!;
        if (kind === "freeze") machine.freeze();
        else if (kind === "lose") machine.lose();
        else if (kind === "losesAnswers") machine.losesAnswers = true;
        else if (kind === "cutOff") machine.hasDeafServer = true;
        else store.hasLeader = false;
        await clock.advance(time, look);
        await machine.thaw();
        machine.reconnect();
        machine.losesAnswers = false;
        store.hasLeader = true;
        await clock.advance(rest, look);
      }
      // Who is cut off has to help itself.
      await clock.advance(machines.some(({ hasDeafServer }) => hasDeafServer) ? 30_000 : 8000, look);
      for (const lease of leases) {
        assert(lease.holds);
        assertEquals(lease.live, names);
      }
      for (const machine of machines) machine.latency = 0;
      const ended = Promise.all(leases.map((lease) => lease[Symbol.asyncDispose]()));
      await clock.advance(2000);
      await ended;
    }),
    { numRuns: 100 },
  );
});
