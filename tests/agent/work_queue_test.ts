import { assertEquals } from "@std/assert";
import { WorkQueue } from "../../agent/work_queue.ts";
import { deferred } from "../../protocol/mod.ts";
import { turn } from "../support/fake_server.ts";
import { soon } from "../support/wait.ts";

const permissions = "none";

Deno.test("work is begun in order and as soon as there is room", { permissions }, async () => {
  const queue = new WorkQueue(2);
  const begun: number[] = [];
  const ends = Array.from({ length: 5 }, () => deferred<void>());
  for (const [i, { promise }] of ends.entries()) queue.add(() => (begun.push(i), promise));
  assertEquals(begun, [0, 1]);
  ends[1]!.resolve();
  await turn();
  assertEquals(begun, [0, 1, 2]);
  ends[0]!.resolve();
  ends[2]!.resolve();
  await turn();
  assertEquals(begun, [0, 1, 2, 3, 4]);
  for (const { resolve } of ends) resolve();
  await turn();
  queue.add(() => (begun.push(5), Promise.resolve()));
  assertEquals(begun.at(-1), 5);
  await soon(queue[Symbol.asyncDispose]());
});

Deno.test(
  "what was not begun is dropped when a queue is closed, which waits for what was",
  { permissions },
  async () => {
    const queue = new WorkQueue(1);
    const { promise, resolve } = deferred<void>();
    let begun = 0, isClosed = false;
    for (let i = 0; i < 3; i++) queue.add(() => (begun++, promise));
    const closing = queue[Symbol.asyncDispose]().then(() => isClosed = true);
    await turn();
    assertEquals(isClosed, false);
    resolve();
    await soon(closing);
    await turn();
    assertEquals(begun, 1);
  },
);
