import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { openDB } from "idb";
import { IndexedDbStore, StoreError } from "../../../agent/store/indexeddb.ts";
import { asciiText, textBytes } from "../../../protocol/mod.ts";
import { temporaryDatabase } from "../../support/indexeddb.ts";
import { emptyRecord, fullRecord, messageRecord, outboxEntry, put } from "./samples.ts";

async function assertFails(
  open: () => Promise<unknown>,
  code: StoreError["code"],
  text: string,
): Promise<void> {
  const error = await assertRejects(open, StoreError);
  assertEquals(error.code, code, error.message);
  assertStringIncludes(error.message, text);
}

/** All bytes of a database, as text. */
async function contents(name: string): Promise<string> {
  const database = await openDB(name);
  const rows = await Promise.all([...database.objectStoreNames].map((table) => database.getAll(table)));
  database.close();
  const texts: string[] = [];
  JSON.stringify(rows, (_, value) => {
    if (value instanceof Uint8Array) texts.push(asciiText(new Uint8Array(value.buffer)));
    return value;
  });
  return texts.join("\n");
}

Deno.test(
  "what was committed is there after the database was opened again",
  { permissions: "none" },
  async () => {
    await using database = temporaryDatabase();
    {
      await using store = await IndexedDbStore.open(database.name);
      await store.commit([
        put(fullRecord("a")),
        { type: "put outbox", entry: outboxEntry("a", 1) },
        { type: "put message", message: messageRecord("a", 1) },
      ]);
    }
    await using store = await IndexedDbStore.open(database.name);
    assertEquals(await store.connections(), [fullRecord("a")]);
    assertEquals(await store.outbox("a", Number.MAX_SAFE_INTEGER), [outboxEntry("a", 1)]);
    assertEquals(await store.messages("a"), [messageRecord("a", 1)]);
  },
);

Deno.test("what is committed while the last commit ends is kept", { permissions: "none" }, async () => {
  await using database = temporaryDatabase();
  await using store = await IndexedDbStore.open(database.name);
  await store.commit([put(fullRecord("a"))]);
  for (let id = 1; id <= 20; id++) {
    await store.commit([{ type: "put message", message: messageRecord("a", id) }]);
  }
  assertEquals((await store.messages("a")).length, 20);
});

Deno.test("a database is used by one agent at a time", { permissions: "none" }, async () => {
  await using database = temporaryDatabase();
  {
    await using _store = await IndexedDbStore.open(database.name);
    await assertFails(() => IndexedDbStore.open(database.name), "IN_USE", "another agent uses it");
  }
  await using store = await IndexedDbStore.open(database.name);
  await store.commit([put(emptyRecord("a"))]);
  await store[Symbol.asyncDispose]();
  await assertFails(() => store.commit([put(emptyRecord("b"))]), "WRITE", "it is closed");
  await assertFails(() => store.messages("a"), "READ", "Cannot read the store");
});

Deno.test("with a passphrase nothing secret is in the database, and no other opens it", async () => {
  await using database = temporaryDatabase();
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
  for (const options of [{}, { passphrase: "correct horse", iterations: 1000 }]) {
    await using database = temporaryDatabase();
    {
      await using store = await IndexedDbStore.open(database.name, options);
      await store.commit(changes);
    }
    const stored = await contents(database.name);
    const found = secrets.filter((secret) => stored.includes(`the ${secret} of this test`));
    assertEquals(found, "passphrase" in options ? [] : secrets);
  }
  const options = { passphrase: "correct horse", iterations: 1000 };
  {
    await using store = await IndexedDbStore.open(database.name, options);
    await store.commit(changes);
  }
  await assertFails(() => IndexedDbStore.open(database.name), "PASSPHRASE", "needs its passphrase");
  const wrong = { passphrase: "correct Horse" };
  await assertFails(() => IndexedDbStore.open(database.name, wrong), "PASSPHRASE", "wrong");
  await using store = await IndexedDbStore.open(database.name, options);
  assertEquals((await store.messages("a"))[0]?.body, body!);
  assertEquals((await store.connections())[0]?.receiving?.recipientKey, recipientKey);
});

Deno.test("a passphrase can be given until there are connections", { permissions: "none" }, async () => {
  await using database = temporaryDatabase();
  await (await IndexedDbStore.open(database.name))[Symbol.asyncDispose]();
  const options = { passphrase: "x", iterations: 1000 };
  await (await IndexedDbStore.open(database.name, options))[Symbol.asyncDispose]();
  await assertFails(() => IndexedDbStore.open(database.name), "PASSPHRASE", "needs its passphrase");
  await using other = temporaryDatabase();
  {
    await using store = await IndexedDbStore.open(other.name);
    await store.commit([put(emptyRecord("a"))]);
  }
  await assertFails(() => IndexedDbStore.open(other.name, options), "PASSPHRASE", "without a passphrase");
});

Deno.test("a database of a newer version is told and left alone", { permissions: "none" }, async () => {
  await using database = temporaryDatabase();
  (await openDB(database.name, 1000)).close();
  await assertFails(() => IndexedDbStore.open(database.name), "OPEN", "newer version");
  // Its lock was given back.
  await assertFails(() => IndexedDbStore.open(database.name), "OPEN", "newer version");
});

Deno.test(
  "what is stored does not keep the block alive that it is a part of",
  { permissions: "none" },
  async () => {
    await using database = temporaryDatabase();
    {
      await using store = await IndexedDbStore.open(database.name);
      const block = new Uint8Array(4096);
      const message = { ...messageRecord("a", 1), body: block.subarray(10, 20) };
      await store.commit([put(fullRecord("a")), { type: "put message", message }]);
    }
    assert((await contents(database.name)).length < 4096);
  },
);
