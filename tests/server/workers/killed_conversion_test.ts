import { assert, assertEquals } from "@std/assert";
import { conversionPath } from "../../../server/store/places.ts";
import { exists } from "../../../server/store/durable.ts";
import { storePaths, temporaryFolder } from "../../support/durable.ts";
import { linesOf } from "../../support/server_process.ts";
import { next, soon } from "../../support/wait.ts";
import { fill, openWorkers } from "../../support/worker_files.ts";

const root = new URL("../../../", import.meta.url);

/** Runs a change in a process of its own, which is killed after some operations. */
async function killAfter(operations: number, folder: string, workers: number): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-check", `--allow-read=${folder}`, `--allow-write=${folder}`],
      ...["tests/server/workers/convert_child.ts", folder, String(workers), String(operations)],
    ],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = linesOf(child.stdout);
  assertEquals(await next(lines), "here");
  child.kill("SIGKILL");
  assertEquals((await soon(child.status)).signal, "SIGKILL");
  while (!(await soon(lines.next())).done);
  await child.stdin.close().catch(() => {});
}

Deno.test("what is killed while it changes the number of workers loses nothing", async () => {
  await using folder = await temporaryFolder();
  let expected;
  {
    await using one = await openWorkers(folder.path, 1);
    await fill(one, 24);
    expected = await one.content();
  }
  let current = 1, unfinished = 0;
  for (const [i, operations] of [3, 9, 14, 20, 26, 30, 33, 36, 39].entries()) {
    const workers = current % 4 + 1;
    await killAfter(operations, folder.path, workers);
    if (await exists(conversionPath(storePaths(folder.path).storeLog))) unfinished++;
    if (i % 3 > 0) current = workers;
    await using open = await openWorkers(folder.path, current);
    assertEquals(await open.content(), expected);
  }
  assert(unfinished >= 7, `${unfinished}`);
});
