import { assert, assertEquals } from "@std/assert";
import { natsLack } from "../support/nats.ts";
import { requiring } from "../support/requires.ts";
import { ClusterTarget } from "./cluster.ts";
import { run } from "./run.ts";

const test = requiring(Deno.build.os === "windows" ? "there is no SIGSTOP" : natsLack);

test("nothing that was answered is lost with a node that is killed, and one that is taken for dead and goes on", async () => {
  await using target = await ClusterTarget.start({ servers: 1 });
  const faults = ["kill-node", "stop-node"];
  const { verdict } = await run(target, { faults, pairs: 5, seed: 1, pace: 3 });
  assertEquals([verdict.problems, verdict.undone], [[], 0]);
  assert(verdict.accepted > 0 && verdict.acknowledged > 0);
});

test("nothing that was answered is lost with a node that is cut off from NATS, and one that is killed with it", async () => {
  await using target = await ClusterTarget.start({ servers: 1, proxies: true });
  const faults = ["cut-node", "kill-both"];
  const { verdict } = await run(target, { faults, pairs: 5, seed: 1, pace: 3 });
  assertEquals([verdict.problems, verdict.undone], [[], 0]);
  assert(verdict.accepted > 0 && verdict.acknowledged > 0);
});
