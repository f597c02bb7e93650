import { assert, assertEquals, assertRejects } from "@std/assert";
import { StoreError } from "../../../agent/store/store.ts";
import {
  createVault,
  isLocked,
  placeOf,
  plainVault,
  unlockVault,
  vaultFor,
} from "../../../agent/store/vault.ts";
import { textBytes } from "../../../protocol/mod.ts";

const none = { permissions: "none" } as const;
const plaintext = textBytes("something secret");

async function assertFails(run: () => Promise<unknown>, code: StoreError["code"]): Promise<void> {
  assertEquals((await assertRejects(run, StoreError)).code, code);
}

Deno.test("what is sealed opens at its place alone, and only as it is", none, async () => {
  const { vault } = await createVault("correct horse", 1000);
  const sealed = await vault.seal(plaintext, placeOf("messages", "body", "a", 1));
  assertEquals(await vault.open(sealed, placeOf("messages", "body", "a", 1)), plaintext);
  const others = [
    ["messages", "body", "a", 2],
    ["messages", "data", "a", 1],
    ["messages", "body", "a", "1"],
    ["messages", "body", "a,1"],
  ];
  for (const place of others) await assertFails(() => vault.open(sealed, placeOf(...place)), "READ");
  for (let i = 0; i < sealed.length; i++) {
    const changed = sealed.with(i, sealed[i]! ^ 1) as Uint8Array<ArrayBuffer>;
    await assertFails(() => vault.open(changed, placeOf("messages", "body", "a", 1)), "READ");
    await assertFails(() => vault.open(sealed.slice(0, i), placeOf("messages", "body", "a", 1)), "READ");
  }
});

Deno.test("the same sealed twice has another nonce and other bytes", none, async () => {
  const { vault } = await createVault("correct horse", 1000);
  const seals = await Promise.all(Array.from({ length: 100 }, () => vault.seal(plaintext, "place")));
  assertEquals(new Set(seals.map((sealed) => sealed.slice(0, 12).join())).size, 100);
  assertEquals(new Set(seals.map((sealed) => sealed.slice(12).join())).size, 100);
  assertEquals(seals[0]!.length, 12 + plaintext.length + 16);
});

Deno.test("another passphrase opens the same vault when it was wrapped for it", none, async () => {
  const { vault, record } = await createVault("one", 1000);
  const sealed = await vault.seal(plaintext, "place");
  const rewrapped = await vault.wrap("two", 1000);
  assert(rewrapped.salt.join() !== record.salt.join());
  assertEquals(await (await unlockVault("two", rewrapped)).open(sealed, "place"), plaintext);
  assertEquals(await (await unlockVault("one", record)).open(sealed, "place"), plaintext);
  await assertFails(() => unlockVault("one", rewrapped), "PASSPHRASE");
  await assertFails(() => unlockVault("two", record), "PASSPHRASE");
  const other = await createVault("one", 1000);
  await assertFails(() => other.vault.open(sealed, "place"), "READ");
});

Deno.test("a passphrase is the same however its letters are composed", none, async () => {
  const { record } = await createVault("caf\u00e9", 1000);
  await unlockVault("cafe\u0301", record);
});

Deno.test("a file cannot make a program derive a key without end", none, async () => {
  const { record } = await createVault("one", 1000);
  for (const iterations of [0, -1, NaN, 1e9, Infinity]) {
    await assertFails(() => unlockVault("one", { ...record, iterations }), "READ");
  }
});

Deno.test("a store gets the vault that its passphrase asks for", none, async () => {
  const passphrase = { passphrase: "one", iterations: 1000 };
  const { record } = await createVault("one", 1000);
  assertEquals(await vaultFor({}, { record: null, isEmpty: false }), { vault: plainVault, created: null });
  assert(!isLocked(plainVault));
  const { vault, created } = await vaultFor(passphrase, { record: null, isEmpty: true });
  assert(isLocked(vault) && created !== null);
  assertEquals((await vaultFor(passphrase, { record, isEmpty: false })).created, null);
  await assertFails(() => vaultFor(passphrase, { record: null, isEmpty: false }), "PASSPHRASE");
  await assertFails(() => vaultFor({}, { record, isEmpty: false }), "PASSPHRASE");
  await assertFails(() => vaultFor({ passphrase: "" }, { record: null, isEmpty: true }), "PASSPHRASE");
});
