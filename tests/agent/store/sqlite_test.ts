import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { asciiText, textBytes } from "../../../protocol/mod.ts";
import { migrations } from "../../../agent/store/migrations.ts";
import { SqliteStore, StoreError } from "../../../agent/store/sqlite.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { emptyRecord, fullRecord, messageRecord, outboxEntry, put } from "./samples.ts";

const root = new URL("../../../", import.meta.url);

async function assertFails(
  open: () => Promise<unknown>,
  code: StoreError["code"],
  text: string,
): Promise<void> {
  const error = await assertRejects(open, StoreError);
  assertEquals(error.code, code, error.message);
  assertStringIncludes(error.message, text);
}

Deno.test("what was committed is there after the store was opened again", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  {
    await using store = await SqliteStore.open(path);
    await store.commit([
      put(fullRecord("a")),
      { type: "put outbox", entry: outboxEntry("a", 1) },
      { type: "put message", message: messageRecord("a", 1) },
    ]);
  }
  await using store = await SqliteStore.open(path);
  assertEquals(await store.connections(), [fullRecord("a")]);
  assertEquals(await store.outbox("a", 1), [outboxEntry("a", 1)]);
  assertEquals(await store.messages("a"), [messageRecord("a", 1)]);
});

Deno.test("nobody else can read the files of a store, or use them at the same time", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  {
    await using store = await SqliteStore.open(path);
    await store.commit([put(fullRecord("a"))]);
    for (const { name } of Deno.readDirSync(folder.path)) {
      assertEquals(Deno.statSync(`${folder.path}/${name}`).mode! & 0o077, 0, name);
    }
    await assertFails(() => SqliteStore.open(path), "IN_USE", "another agent uses it");
  }
  await (await SqliteStore.open(path))[Symbol.asyncDispose]();
});

Deno.test("with a passphrase nothing secret is on the disk, and no other opens it", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const secrets = ["recipient key", "decryption key", "sender key", "signing key", "body", "plaintext"];
  const [recipientKey, decryptionKey, senderKey, signingKey, body, plaintext] = secrets.map((text) =>
    textBytes(`the ${text} of this test`)
  ) as [Uint8Array<ArrayBuffer>, ...Uint8Array<ArrayBuffer>[]];
  const record = fullRecord("a");
  const changes = [
    put({
      ...record,
      receiving: { ...record.receiving!, recipientKey, decryptionKey: decryptionKey! },
      sending: { ...record.sending!, senderKey: senderKey!, signingKey: signingKey! },
    }),
    { type: "put outbox", entry: { ...outboxEntry("a", 1), plaintext: plaintext! } },
    { type: "put message", message: { ...messageRecord("a", 1), body: body! } },
  ] as const;
  const onDisk = () =>
    [...Deno.readDirSync(folder.path)].map(({ name }) =>
      asciiText(Deno.readFileSync(`${folder.path}/${name}`))
    )
      .join("");
  const options = { passphrase: "correct horse", iterations: 1000 };
  {
    await using store = await SqliteStore.open(path, options);
    await store.commit(changes);
  }
  for (const secret of secrets) assert(!onDisk().includes(`the ${secret} of this test`), secret);
  await assertFails(() => SqliteStore.open(path), "PASSPHRASE", "needs its passphrase");
  await assertFails(() => SqliteStore.open(path, { passphrase: "correct Horse" }), "PASSPHRASE", "wrong");
  await using store = await SqliteStore.open(path, options);
  assertEquals((await store.messages("a"))[0]?.body, body!);
  assertEquals((await store.connections())[0]?.receiving?.recipientKey, recipientKey);
});

Deno.test("what is deleted is overwritten in the files of a store", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const texts = ["the body of a message that is done with", "the body of a connection that is deleted"];
  const onDisk = () =>
    [...Deno.readDirSync(folder.path)].map(({ name }) =>
      asciiText(Deno.readFileSync(`${folder.path}/${name}`))
    ).join("");
  {
    await using store = await SqliteStore.open(path);
    await store.commit([put(emptyRecord("a")), put(emptyRecord("b"))]);
    for (const [i, alias] of ["a", "b"].entries()) {
      const message = { ...messageRecord(alias, 1), body: textBytes(texts[i]!) };
      await store.commit([{ type: "put message", message }]);
    }
    for (const text of texts) assert(onDisk().includes(text), text);
    await store.commit([{ type: "message done", alias: "a", id: 1 }, {
      type: "delete connection",
      alias: "b",
    }]);
    assertEquals(await store.prune(Number.MAX_SAFE_INTEGER), 1);
  }
  for (const text of texts) assert(!onDisk().includes(text), text);
});

Deno.test("a passphrase cannot be given later", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  {
    await using store = await SqliteStore.open(path);
    await store.commit([put(emptyRecord("a"))]);
  }
  await assertFails(() => SqliteStore.open(path, { passphrase: "x" }), "PASSPHRASE", "without a passphrase");
});

Deno.test("a file that is no store, and one of a newer version, are told and left alone", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await Deno.writeTextFile(path, "this is not a database".repeat(1000));
  await assertFails(() => SqliteStore.open(path), "OPEN", `Cannot open ${path}`);
  assertEquals(await Deno.readTextFile(path), "this is not a database".repeat(1000));
  await Deno.remove(path);
  using database = new DatabaseSync(path);
  database.exec("PRAGMA user_version = 1000");
  database.close();
  await assertFails(() => SqliteStore.open(path), "OPEN", "newer version");
  await assertFails(
    () => SqliteStore.open(`${folder.path}/no/agent.db`),
    "OPEN",
    `${folder.path}/no/agent.db`,
  );
});

Deno.test("a database of every earlier version is brought up to date with all that is in it", async () => {
  const dumps = [...Deno.readDirSync(new URL("tests/vectors/agent", root))].map(({ name }) => name)
    .toSorted();
  assertEquals(dumps, migrations.map((_, i) => `v${i + 1}.sql`), "each version needs a dump");
  for (const name of dumps) {
    await using folder = await temporaryFolder();
    const path = `${folder.path}/agent.db`;
    const database = new DatabaseSync(path);
    database.exec(await Deno.readTextFile(new URL(`tests/vectors/agent/${name}`, root)));
    database.close();
    await using store = await SqliteStore.open(path);
    assertEquals(await store.connections(), [fullRecord("a"), emptyRecord("b")], name);
    assertEquals(await store.outbox("a", 10), [outboxEntry("a", 1), outboxEntry("a", 11)]);
    assertEquals(await store.messages("a"), [messageRecord("a", 1), messageRecord("a", 2)]);
  }
});
