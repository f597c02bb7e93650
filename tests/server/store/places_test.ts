import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeBase64, randomBytes, textBytes } from "../../../protocol/mod.ts";
import { copyStores, type DurableStores, verifyStores } from "../../../server/store/durable.ts";
import { StoreError } from "../../../server/store/error.ts";
import { lockPath } from "../../../server/store/lock.ts";
import { fakeSigner } from "../../support/broker.ts";
import { openStores, storePaths, temporaryFolder } from "../../support/durable.ts";

const permissions = { read: true, write: true };
/** Windows gives links to privileged users only. */
const ignore = Deno.build.os === "windows";

/** Makes a queue with a message. */
async function fill({ queues, messages }: DurableStores): Promise<void> {
  const [recipientId, senderId, id] = [12, 12, 6].map((length) => encodeBase64(randomBytes(length)));
  const { publicKey: recipientKey } = fakeSigner();
  await queues.create({
    recipientId: recipientId!,
    senderId: senderId!,
    recipientKey,
    senderKey: null,
    suspended: false,
    changedAt: 0,
  });
  await messages.append(recipientId!, { id: id!, timestamp: new Date(), body: textBytes("x") });
}

function sizesOf({ queues, messages }: DurableStores): number[] {
  return [queues.size, messages.size];
}

const suffixes = ["", ".new", ".compact", ".lock", ".handshakes", ".handshakes.new", ".handshakes.lock"];
for (const messages of ["journal", "memory"] as const) {
  Deno.test(
    `messages: ${messages} are not kept in a file that the store log needs`,
    { permissions },
    async () => {
      for (const suffix of suffixes) {
        for (const between of ["/", "/./", "/x/../"]) {
          await using folder = await temporaryFolder();
          await Deno.mkdir(`${folder.path}/x`);
          const { storeLog } = storePaths(folder.path);
          const messagesFile = storeLog.replace(/\/(?=[^/]*$)/, between) + suffix;
          const error = await assertRejects(
            () => openStores(folder.path, { messages, messagesFile }),
            StoreError,
          );
          assertEquals(error.code, "PATH");
          assertStringIncludes(error.message, `Cannot use ${messagesFile}: `);
          await assertRejects(() => verifyStores({ storeLog, messagesFile }), StoreError, error.message);
          assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["x"]);
        }
      }
    },
  );
}

Deno.test(
  "a log is not kept in another file of the server, not even to repair it",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    const key = `${folder.path}/server_key`;
    await Deno.writeTextFile(key, "the key\n");
    for (const paths of [{ storeLog: key }, { messagesFile: key }]) {
      const options = { ...paths, others: [key], repair: true };
      const error = await assertRejects(() => openStores(folder.path, options), StoreError);
      assertEquals(
        error.message,
        `Cannot use ${key}: ${key} is or needs the same file; give it a name of its own`,
      );
    }
    assertEquals(await Deno.readTextFile(key), "the key\n");
  },
);

Deno.test("what is no file is no log", { permissions: "inherit", ignore }, async () => {
  await using folder = await temporaryFolder();
  for (const name of ["storeLog", "messagesFile"] as const) {
    const path = storePaths(folder.path)[name];
    await Deno.symlink("/dev/null", path);
    const why = `Cannot use ${path}: it is a device, not a file`;
    await assertRejects(() => openStores(folder.path), StoreError, why);
    await Deno.remove(path);
  }
});

Deno.test("a log that is a link stays one: compactions replace what it leads to", {
  permissions: "inherit",
  ignore,
}, async () => {
  for (const messages of ["journal", "memory"] as const) {
    await using folder = await temporaryFolder();
    await using other = await temporaryFolder();
    const [links, targets] = [storePaths(folder.path), storePaths(other.path)];
    // The targets are not there yet.
    await Deno.symlink(targets.storeLog, links.storeLog);
    await Deno.symlink(`../${other.path.split("/").at(-1)}/smp-server-messages.log`, links.messagesFile);
    for (let size = 0; size < 3; size++) {
      // What a shell appends, so that the start writes the log anew.
      if (size > 0) await Deno.writeTextFile(targets.storeLog, "DELETE AAAA", { append: true });
      await using stores = await openStores(folder.path, { messages });
      assertEquals(sizesOf(stores), [size, size]);
      await fill(stores);
      await assertRejects(() => openStores(other.path), StoreError, "another server uses it");
    }
    for (const link of Object.values(links)) assert((await Deno.lstat(link)).isSymlink);
    await using stores = await openStores(other.path, { messages });
    assertEquals(sizesOf(stores), [3, 3]);
  }
});

Deno.test("a second server on the same messages file is refused, and the first one loses nothing", {
  permissions,
}, async () => {
  await using folder = await temporaryFolder();
  await using other = await temporaryFolder();
  const { messagesFile } = storePaths(folder.path);
  {
    await using stores = await openStores(folder.path);
    await fill(stores);
    const error = await assertRejects(() => openStores(other.path, { messagesFile }), StoreError);
    assertEquals(error.code, "LOCKED");
    assertStringIncludes(error.message, messagesFile);
    // Nothing is left locked by it.
    await using _own = await openStores(other.path);
  }
  await using stores = await openStores(folder.path);
  assertEquals(sizesOf(stores), [1, 1]);
});

Deno.test("a copy that is refused leaves the lock of the server that runs", { permissions }, async () => {
  await using folder = await temporaryFolder();
  await using other = await temporaryFolder();
  const { storeLog } = storePaths(folder.path);
  {
    await using _stores = await openStores(folder.path);
    await assertRejects(() => copyStores(storePaths(folder.path), storePaths(other.path)), StoreError);
    await assertRejects(() => openStores(folder.path), StoreError, "another server uses it");
  }
  await Deno.remove(lockPath(storeLog));
  await copyStores(storePaths(folder.path), storePaths(other.path));
  await assertRejects(() => Deno.stat(lockPath(storeLog)), Deno.errors.NotFound);
});
