import { assertEquals } from "@std/assert";
import { type FileEntry, FileStore, keyOf } from "../../examples/web-chat/page/file_store.ts";
import { Reserve } from "../../examples/web-chat/page/reserve.ts";
import "../support/indexeddb.ts";

function entryOf(id: string): FileEntry {
  return {
    ...{ id, conversation: "c", direction: "receiving", status: "going", name: id, type: "", size: null },
    key: keyOf({ conversation: "c", direction: "receiving", id }),
    ...{ at: 0, after: 0, isPaused: false, note: "", isElsewhere: false },
  };
}

Deno.test("files leave room for messages, and are in memory when there is no more", {
  permissions: "none",
}, async () => {
  const quota = 400_000_000;
  let usage = 0;
  const changes: boolean[] = [];
  const reserve = new Reserve((isUsed) => changes.push(isUsed));
  const open = () => FileStore.open(true, reserve, () => Promise.resolve({ quota, usage }));
  const store = await open();
  const [small, large, next] = [entryOf("small"), entryOf("large"), entryOf("next")];
  try {
    for (const entry of [small, large, next]) await store.put(entry);
    await store.append(small.key, new Blob(["a"]));
    await store.append(large.key, new Blob(["b"]));
    usage = quota - 64 * 1024 * 1024;
    await store.append(small.key, new Blob(["a"]));
    await store.append(large.key, new Blob(["b"]));
    assertEquals([store.lasts(small.key), store.lasts(large.key)], [true, false]);
    assertEquals(await store.content(large.key).text(), "bb");
    usage = 0;
    await store.remove(large.key);
    await store.append(next.key, new Blob(["c"]));
    assertEquals(store.lasts(next.key), true);
    store.close();
    const again = await open();
    const stored = [small, large, next].map(({ key }) => again.content(key).text());
    again.close();
    assertEquals(await Promise.all(stored), ["aa", "", "c"]);
    assertEquals(changes, []);
    assertEquals([await reserve.give(), await reserve.give(), changes], [true, false, [true]]);
    (await open()).close();
    assertEquals(changes, [true, false]);
  } finally {
    store.close();
    await FileStore.delete();
  }
});

Deno.test("a file that is removed is gone, also when its page is left at once", {
  permissions: "none",
}, async () => {
  let isLeft = false;
  const reserve = new Reserve(() => {});
  const store = await FileStore.open(
    true,
    reserve,
    () => isLeft ? new Promise(() => {}) : Promise.resolve({}),
  );
  const removed = entryOf("removed");
  try {
    await store.put(removed);
    await store.append(removed.key, new Blob(["a"]));
    isLeft = true;
    void store.remove(removed.key);
    const next = await FileStore.open(true, reserve, () => Promise.resolve({}));
    const found = next.all();
    next.close();
    assertEquals(found, []);
  } finally {
    store.close();
    await FileStore.delete();
  }
});

Deno.test("messages have their room again after a file has found none", { permissions: "none" }, async () => {
  const quota = 400_000_000;
  let usage = 0;
  const changes: boolean[] = [];
  const reserve = new Reserve((isUsed) => changes.push(isUsed));
  const store = await FileStore.open(true, reserve, () => Promise.resolve({ quota, usage }));
  const [small, large] = [entryOf("small"), entryOf("large")];
  try {
    for (const entry of [small, large]) await store.put(entry);
    await store.append(large.key, new Blob(["a"]));
    usage = quota;
    await store.append(small.key, new Blob(["b"]));
    // What a message is stored with while the file fills all.
    assertEquals(await reserve.give(), true);
    await store.append(large.key, new Blob(["a"]));
    assertEquals(store.lasts(large.key), false);
    assertEquals(changes, [true, false]);
  } finally {
    store.close();
    await FileStore.delete();
  }
});

Deno.test("a part that is about to be stored when its file is cleared or removed is not stored any more", {
  permissions: "none",
}, async () => {
  const reserve = new Reserve(() => {});
  const open = () => FileStore.open(true, reserve, () => Promise.resolve({}));
  const store = await open();
  const [cleared, removed] = [entryOf("cleared"), entryOf("removed")];
  try {
    for (const entry of [cleared, removed]) {
      await store.put(entry);
      await store.append(entry.key, new Blob(["a"]));
    }
    const appending = [cleared, removed].map(({ key }) => store.append(key, new Blob(["b"])));
    await store.clear(cleared.key);
    await store.remove(removed.key);
    await Promise.all(appending);
    // Its sender chooses the ID: there may be another file by the same one.
    await store.put(removed);
    const again = await open();
    const stored = [cleared, removed].map(({ key }) => again.content(key).text());
    again.close();
    assertEquals(await Promise.all(stored), ["", ""]);
    for (const { key } of [cleared, removed]) await store.append(key, new Blob(["c"]));
    const last = await open();
    const parts = [cleared, removed].map(({ key }) => last.content(key).text());
    last.close();
    assertEquals(await Promise.all(parts), ["c", "c"]);
  } finally {
    store.close();
    await FileStore.delete();
  }
});
