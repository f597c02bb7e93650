import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type LogIo, systemIo } from "../../../server/store/log_io.ts";
import { StoreError, type StoreErrorCode } from "../../../server/store/error.ts";
import { storePaths, temporaryFolder } from "../../support/durable.ts";
import { filesIn, fill, openWorkers, prepareFolder } from "../../support/worker_files.ts";

const permissions = { read: true, write: true };
const [store, messages] = ["smp-server-store.log", "smp-server-messages.log"];

/** A folder with the files of some workers. */
async function folderOf(workers: number) {
  const folder = await temporaryFolder();
  {
    await using one = await openWorkers(folder.path, 1);
    await fill(one, 24);
  }
  await using open = await openWorkers(folder.path, workers);
  return Object.assign(folder, { content: await open.content() });
}

/** The names and texts of all files of a folder but the locks. */
async function textsOf(folder: string): Promise<[string, string][]> {
  return await Promise.all(
    filesIn(folder).map(async (name) =>
      [name, await Deno.readTextFile(`${folder}/${name}`)] as [string, string]
    ),
  );
}

/** Each of these numbers of workers is refused with the line, and nothing is changed. */
async function assertRefused(folder: string, code: StoreErrorCode, line: string, counts = [1, 2, 3]) {
  const before = await textsOf(folder);
  for (const workers of counts) {
    const error = await assertRejects(() => prepareFolder(folder, workers), StoreError, line);
    assertEquals(error.code, code);
    assertEquals(await textsOf(folder), before);
  }
}

for (const [what, name] of [["queues", `${store}.g1-w1`], ["messages", `${messages}.g1-w1`]] as const) {
  Deno.test(
    `a damaged file of ${what} ends a change, and with repair is kept as a copy`,
    { permissions },
    async () => {
      await using folder = await folderOf(2);
      const path = `${folder.path}/${name}`;
      const text = await Deno.readTextFile(path);
      const lines = text.split("\n");
      await Deno.writeTextFile(path, [...lines.slice(0, 2), "no record", ...lines.slice(2)].join("\n"));
      await assertRefused(folder.path, "CORRUPT", `Cannot read ${path}: line 3 is damaged`, [1, 3]);
      await using three = await openWorkers(folder.path, 3, { repair: true });
      assertEquals(await three.content(), folder.content);
      const copy = `${path}.broken-1`;
      assertEquals(
        three.files.notices[0],
        `left out line 3 of ${path}, damaged; the file is kept as ${copy}`,
      );
      assertStringIncludes(await Deno.readTextFile(copy), "no record");
    },
  );

  Deno.test(
    `a damaged file of ${what} is the worker's own business while nothing changes`,
    { permissions },
    async () => {
      await using folder = await folderOf(2);
      const path = `${folder.path}/${name}`;
      const text = await Deno.readTextFile(path);
      await Deno.writeTextFile(path, `${text}no record\n`);
      await assertRejects(() => openWorkers(folder.path, 2), StoreError, `Cannot read ${path}: line`);
      await using two = await openWorkers(folder.path, 2, { repair: true });
      assertEquals(await two.content(), folder.content);
      assert(filesIn(folder.path).includes(`${name}.broken-1`));
    },
  );

  Deno.test(`a file of ${what} that is not there is missed`, { permissions }, async () => {
    await using folder = await folderOf(2);
    const path = `${folder.path}/${name}`;
    await Deno.remove(path);
    await assertRefused(folder.path, "CORRUPT", `Cannot read ${path}: it is not there, but worker 1 has`);
    await using one = await openWorkers(folder.path, 1, { repair: true });
    const { queues } = await one.content();
    const expected = Object.keys(folder.content.queues).length;
    assertEquals(Object.keys(queues).length, what === "queues" ? expected / 2 : expected);
    assertStringIncludes(one.files.notices[0]!, `${path} is not there`);
  });

  Deno.test(
    `a last line of ${what} that was not written to its end is dropped`,
    { permissions },
    async () => {
      await using folder = await folderOf(2);
      const path = `${folder.path}/${name}`;
      await Deno.writeTextFile(path, what === "queues" ? "CREATE rid=AAAA" : "ACK AAAA", { append: true });
      await using three = await openWorkers(folder.path, 3);
      assertEquals(
        three.files.notices[0],
        `dropped the last line of ${path}, which was not written to its end`,
      );
      assertEquals(await three.content(), folder.content);
    },
  );
}

Deno.test(
  "messages without the store log of one process are not dropped unseen",
  { permissions },
  async () => {
    await using folder = await folderOf(1);
    await Deno.remove(`${folder.path}/${store}`);
    await assertRefused(folder.path, "CORRUPT", "it is not there, but", [2]);
    await using two = await openWorkers(folder.path, 2, { repair: true });
    assertEquals((await two.content()).queues, {});
    assert(filesIn(folder.path).includes(`${messages}.broken-1`));
  },
);

for (const damage of ["removed", "cut", "altered", "of a wrong count"] as const) {
  Deno.test(`aliases that are ${damage} are made anew`, { permissions }, async () => {
    await using folder = await folderOf(3);
    const path = `${folder.path}/${store}.g1-w2.aliases`;
    const text = await Deno.readTextFile(path);
    assertStringIncludes(text, "\nALIAS ");
    if (damage === "removed") await Deno.remove(path);
    else if (damage === "cut") await Deno.writeTextFile(path, text.slice(0, -6));
    else if (damage === "altered") await Deno.writeTextFile(path, text.replace("ALIAS ", "ALIAS"));
    else await Deno.writeTextFile(path, text.replace(/^ALIAS .*\n/m, ""));
    await using open = await openWorkers(folder.path, 3);
    assertEquals(await open.content(), folder.content);
    assertStringIncludes(open.files.notices[0]!, `${path} is damaged or not there`);
  });
}

Deno.test("a file of one process beside those of workers is refused", { permissions }, async () => {
  await using folder = await folderOf(2);
  for (const name of [store, messages, `${store}.handshakes`]) {
    await Deno.writeTextFile(`${folder.path}/${name}`, "");
    await assertRefused(folder.path, "FORM", `Cannot use ${folder.path}/${name}: `);
    await Deno.remove(`${folder.path}/${name}`);
  }
  await using one = await openWorkers(folder.path, 1);
  assertEquals(await one.content(), folder.content);
});

Deno.test("files of workers that nothing speaks of are refused", { permissions }, async () => {
  await using folder = await folderOf(2);
  for (const name of [`${store}.g2-w0`, `${messages}.g7-w1`, `${store}.g1-w2`, `${store}.g1-w2.aliases`]) {
    await Deno.writeTextFile(`${folder.path}/${name}`, "");
    await assertRefused(folder.path, "FORM", `Cannot use ${folder.path}/${name}: `);
    await Deno.remove(`${folder.path}/${name}`);
  }
  await Deno.remove(`${folder.path}/${store}.workers`);
  await assertRefused(folder.path, "FORM", `${store}.workers is not there`);
});

Deno.test("a file that does not say which files count is refused", { permissions }, async () => {
  await using folder = await folderOf(2);
  const [marker, conversion] = ["workers", "conversion"].map((end) => `${folder.path}/${store}.${end}`);
  const right = await Deno.readTextFile(marker!);
  const form = "generation=1 workers=2 partitions=256";
  const wrong = [
    "",
    "smp-workers 2\n",
    right.trimEnd(),
    right.replace("256", "255"),
    right.replace("=2 ", "=0 "),
  ];
  for (const text of [...wrong, right.replace("generation=1", "generation=0"), right + right]) {
    await Deno.writeTextFile(marker!, text);
    await assertRefused(folder.path, "FORM", `Cannot read ${marker}: `);
  }
  await Deno.writeTextFile(marker!, right);
  for (const text of ["", "smp-conversion 1\n", `smp-conversion 1\nfrom ${form}\nto ${form}\n`]) {
    await Deno.writeTextFile(conversion!, text);
    await assertRefused(folder.path, "FORM", `Cannot read ${conversion}: `);
  }
  const [five, six] = ["5", "6"].map((generation) => form.replace("=1", `=${generation}`));
  await Deno.writeTextFile(conversion!, `smp-conversion 1\nfrom ${five}\nto ${six}\n`);
  await assertRefused(folder.path, "FORM", "is about other files");
});

Deno.test(
  "what somebody puts in the place of a file that is being replaced is not removed",
  { permissions },
  async () => {
    await using folder = await folderOf(1);
    // It ends after the switch, when nothing of the old files is removed yet.
    let hasSwitched = false;
    const io: LogIo = {
      ...systemIo,
      rename(from, to) {
        hasSwitched ||= to.endsWith(".workers");
        return systemIo.rename(from, to);
      },
      remove: (path) => hasSwitched ? Promise.reject(new Error("it fails")) : systemIo.remove(path),
    };
    await assertRejects(() => prepareFolder(folder.path, 2, { io }), StoreError, "it fails");
    const path = `${folder.path}/${store}`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace("sk=\n", "sk= \n"));
    await assertRejects(() => prepareFolder(folder.path, 2), StoreError, `Cannot use ${path}: `);
    assertEquals(
      filesIn(folder.path).filter((name) => name.endsWith(".log") || /^[^.]*\.log\.handshakes/.test(name)),
      [
        store,
      ],
    );
    await Deno.remove(path);
    await using two = await openWorkers(folder.path, 2);
    assertEquals(await two.content(), folder.content);
  },
);

for (const operation of ["open", "write", "sync", "rename", "syncDirectory"] as const) {
  Deno.test(`a change whose ${operation} fails leaves the files as they were`, { permissions }, async () => {
    await using folder = await folderOf(2);
    const before = await textsOf(folder.path);
    let count = 0, failAt = 0;
    const fails = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      if (name === operation && ++count === failAt) {
        throw Object.assign(new Error("full"), { code: "ENOSPC" });
      }
      return await work();
    };
    let hasSwitched = false;
    const io: LogIo = {
      ...systemIo,
      async open(path, isNew) {
        const file = await fails("open", () => systemIo.open(path, isNew));
        return {
          ...file,
          write: (bytes) => fails("write", () => file.write(bytes)),
          sync: () => fails("sync", () => file.sync()),
        };
      },
      async rename(from, to) {
        await fails("rename", () => systemIo.rename(from, to));
        hasSwitched ||= to.endsWith(".workers");
      },
      syncDirectory: (path) => fails("syncDirectory", () => systemIo.syncDirectory(path)),
    };
    let failures = 0;
    for (failAt = 1; !hasSwitched; failAt++) {
      count = 0;
      const error = await prepareFolder(folder.path, 3, { io }).catch((error) => error);
      if (hasSwitched) {
        if (!(error instanceof Error)) error[Symbol.dispose]();
        break;
      }
      assert(error instanceof StoreError, String(error));
      assertEquals(error.code, "IO");
      assertStringIncludes(error.message, "no space is left on the disk");
      assertEquals(await textsOf(folder.path), before);
      failures++;
    }
    assert(failures > 0);
    await using three = await openWorkers(folder.path, 3);
    assertEquals(await three.content(), folder.content);
  });
}

Deno.test("a change that is stopped leaves the files as they were", { permissions }, async () => {
  await using folder = await folderOf(2);
  const before = await textsOf(folder.path);
  for (const name of ["conversion", "g2-w0", "g2-w2"]) {
    const stop = new AbortController();
    const io: LogIo = {
      ...systemIo,
      async open(path, isNew) {
        const file = await systemIo.open(path, isNew);
        if (path.includes(name)) stop.abort();
        return file;
      },
    };
    await assertRejects(() => prepareFolder(folder.path, 3, { io, signal: stop.signal }), DOMException);
    assertEquals(await textsOf(folder.path), before);
  }
  const paths = storePaths(folder.path);
  assertEquals(await Deno.readTextFile(`${paths.storeLog}.workers`), before.at(-1)![1]);
});
