import { assert, assertEquals } from "@std/assert";
import { readForm } from "../../../server/workers/form.ts";
import { verifyFiles } from "../../../server/workers/transfer.ts";
import { copyFolder } from "../../support/crash_disk.ts";
import { storePaths, temporaryFolder } from "../../support/durable.ts";
import { PowerCutDisk } from "../../support/power_cut_disk.ts";
import {
  addMessage,
  fill,
  newQueue,
  openWorkers,
  prepareFolder,
  quickIo,
} from "../../support/worker_files.ts";

const permissions = { read: true, write: true };

/** Files of some workers with the content that they have. */
async function makeFolder(folder: string, workers: number) {
  {
    await using one = await openWorkers(folder, 1);
    await fill(one, 5);
  }
  await using open = await openWorkers(folder, workers);
  // What was said and then taken back must not come back.
  const queue = newQueue(2);
  const { queues, messages } = open.of(queue.recipientId);
  await queues.create(queue);
  const first = await addMessage(open, queue.recipientId, 300);
  await addMessage(open, queue.recipientId);
  await messages.remove(queue.recipientId, first);
  return await open.content();
}

async function textOf(folder: string): Promise<string> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted();
  const texts = names.map(async (name) => `${name}\n${await Deno.readTextFile(`${folder}/${name}`)}`);
  return (await Promise.all(texts)).join("\n");
}

for (const [from, to] of [[1, 2], [2, 3], [3, 1]] as const) {
  Deno.test(
    `a crash or power cut at any step from ${from} to ${to} loses nothing`,
    { permissions },
    async () => {
      await using folder = await temporaryFolder();
      const live = `${folder.path}/live`;
      await Deno.mkdir(live);
      const expected = await makeFolder(live, from);
      let steps = 0;
      const found = { old: 0, new: 0 };
      const seen = new Set<string>();
      const look = async (copy: string, wanted: number) => {
        const content = `${wanted} ${await textOf(copy)}`;
        if (seen.has(content)) return await Deno.remove(copy, { recursive: true });
        seen.add(content);
        const { generation, workers } = await readForm(storePaths(copy).storeLog);
        const isOld = workers === from && (from > 1 || generation === 0);
        found[isOld ? "old" : "new"]++;
        const { queues, messages, problems } = await verifyFiles(storePaths(copy));
        const texts = Object.values(expected.queues).flatMap(([, , ...texts]) => texts);
        assertEquals([queues, messages, problems], [Object.keys(expected.queues).length, texts.length, []]);
        {
          await using open = await openWorkers(copy, wanted, { io: quickIo });
          assertEquals(await open.content(), expected);
        }
        // Nothing is left of it.
        (await prepareFolder(copy, wanted, { io: quickIo }))[Symbol.dispose]();
        for await (const { name } of Deno.readDir(copy)) {
          assert(!/\.(conversion|workers\.new)$/.test(name), name);
        }
        await Deno.remove(copy, { recursive: true });
      };
      const after = async (disk: PowerCutDisk) => {
        steps++;
        const copy = `${folder.path}/copy`;
        await copyFolder(live, copy);
        await look(copy, steps % 2 === 0 ? from : to);
        await disk.cut(copy, () => false, 0);
        await look(copy, steps % 2 === 0 ? to : from);
        await disk.cut(copy, (change) => (change * 7 + steps) % 3 > 0, (steps % 10) / 10);
        await look(copy, to);
      };
      const io = await PowerCutDisk.open(live, after, 2_000);
      (await prepareFolder(live, to, { io }))[Symbol.dispose]();
      await look(live, to);
      assert(steps > 40 && found.old > 20 && found.new > 5, JSON.stringify({ steps, found }));
    },
  );
}
