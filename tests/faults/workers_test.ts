import { assert, assertEquals } from "@std/assert";
import { requiring } from "../support/requires.ts";
import { run } from "./run.ts";
import { WorkersTarget } from "./workers.ts";

const test = requiring(Deno.build.os === "linux" ? null : "processes can share a port only on Linux");

for (
  const [what, faults] of [
    ["workers that are killed", ["kill-worker", "kill-twice", "kill-worker"]],
    ["a worker that is stopped for a while", ["stop-short"]],
    ["a parent that is killed, alone and with its workers", ["kill-parent", "kill-all"]],
  ] as const
) {
  test(`nothing that was answered is lost with ${what}`, async () => {
    await using target = await WorkersTarget.start();
    const { verdict } = await run(target, { faults, pairs: 5, seed: 1, pace: 3 });
    assertEquals([verdict.problems, verdict.undone], [[], 0]);
    assert(verdict.accepted > 0 && verdict.acknowledged > 0);
  });
}
