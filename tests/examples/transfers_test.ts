import { assertEquals, assertRejects } from "@std/assert";
import { type Agent, StreamError, type StreamOffer } from "../../agent/mod.ts";
import { type FileEntry, FileStore, keyOf } from "../../examples/web-chat/page/file_store.ts";
import { Reserve } from "../../examples/web-chat/page/reserve.ts";
import { keptFile } from "../../examples/web-chat/page/incoming_file.ts";
import { Transfers } from "../../examples/web-chat/page/transfers.ts";
import "../support/indexeddb.ts";
import { soon, until } from "../support/wait.ts";

/** Of an agent that has no streams any more. */
const agent = {
  streams: () => [],
  connections: () => [{ connection: "bob", id: "c" }],
} as unknown as Agent;

Deno.test("a file that nobody has accepted is not received when its page is opened again", {
  permissions: "none",
}, async () => {
  const store = await FileStore.open(false, new Reserve(() => {}));
  const entry = (id: string, status: FileEntry["status"], isWhole = false): FileEntry => ({
    ...{ id, conversation: "c", direction: "receiving", status, name: "empty", type: "", size: 0, at: 0 },
    key: keyOf({ conversation: "c", direction: "receiving", id }),
    ...{ after: 0, isPaused: false, note: "", isElsewhere: false, isWhole },
  });
  const entries = [
    entry("offered", "offered"),
    entry("begun", "going"),
    entry("wrong", "going"),
    entry("whole", "going", true),
    entry("unstored", "going", true),
  ];
  for (const one of entries) await store.put(one);
  for (const { key } of entries.slice(2, 4)) await store.append(key, new Blob());
  const transfers = new Transfers(agent, store, () => {});
  try {
    assertEquals(transfers.of("c").map(({ id, status }) => [id, status]), [
      ["offered", "ended"],
      ["begun", "ended"],
      ["wrong", "ended"],
      ["whole", "done"],
      ["unstored", "ended"],
    ]);
    await until(() => !store.hasContent(entries[2]!.key));
    assertEquals(store.hasContent(entries[3]!.key), true);
  } finally {
    transfers.close();
  }
});

Deno.test("a file for which a page has no room can be accepted again, and nothing of it stays", {
  permissions: "none",
}, async () => {
  const store = await FileStore.open(false, new Reserve(() => {}));
  const offer = {
    ...{
      connection: "bob",
      direction: "receiving",
      id: "i",
      status: "offered",
      name: "f",
      type: "",
      size: 3,
    },
    ...{ offeredAt: new Date(0), progress: { bytes: 0, size: 3 }, ended: new Promise(() => {}) },
  } as unknown as StreamOffer;
  const kept: number[] = [];
  const full = {
    streams: () => [],
    connections: () => [{ connection: "bob", id: "c" }],
    messages: () => Promise.resolve([]),
    async receiveFile(_: StreamOffer, target: WritableStream<Uint8Array>, { kept: part }: { kept: Blob }) {
      kept.push(part.size);
      const writer = target.getWriter();
      await writer.write(new Uint8Array(2_000_000));
      await writer.abort();
      throw new StreamError("NO_ROOM", "There is no room for the file");
    },
  } as unknown as Agent;
  const transfers = new Transfers(full, store, () => {});
  try {
    await transfers.offered(offer);
    const key = keyOf({ conversation: "c", direction: "receiving", id: "i" });
    for (const count of [1, 2]) {
      transfers.accept(key);
      await until(() => kept.length === count && store.get(key)?.status === "offered");
      assertEquals([store.get(key)!.note.startsWith("there is no room"), store.hasContent(key)], [
        true,
        false,
      ]);
    }
    assertEquals(kept, [0, 0]);
  } finally {
    transfers.close();
  }
});

Deno.test("a file is whole when it was compared with its SHA-256, not when all its bytes are there", {
  permissions: "none",
}, async () => {
  const store = await FileStore.open(false, new Reserve(() => {}));
  const size = 9 * 1024 * 1024;
  const entry: FileEntry = {
    ...{ key: "k", id: "i", conversation: "c", direction: "receiving", name: "f", type: "", size, at: 0 },
    ...{ after: 0, status: "going", isPaused: false, note: "", isElsewhere: false },
  };
  await store.put(entry);
  const writer = keptFile(store, { key: "k", size }).getWriter();
  await writer.write(new Uint8Array(size));
  assertEquals([store.content("k").size, store.get("k")!.isWhole], [size, undefined]);
  await writer.close();
  assertEquals([store.content("k").size, store.get("k")!.isWhole], [size, true]);
});

Deno.test("files that come in one millisecond keep their order when the page is opened again", {
  permissions: "none",
}, async () => {
  const offer = (id: string) =>
    ({
      ...{ connection: "bob", direction: "receiving", id, status: "offered", name: "f", type: "", size: 3 },
      ...{ offeredAt: new Date(0), progress: { bytes: 0, size: 3 }, ended: new Promise(() => {}) },
    }) as unknown as StreamOffer;
  const peer = {
    streams: () => [],
    connections: () => [{ connection: "bob", id: "c" }],
    connection: () => ({ id: "c" }),
    messages: () => Promise.resolve([]),
  } as unknown as Agent;
  const ids = ["b", "c", "a"];
  const open = async () =>
    new Transfers(
      peer,
      await FileStore.open(true, new Reserve(() => {}), () => Promise.resolve({})),
      () => {},
    );
  try {
    const transfers = await open();
    for (const id of ids) await transfers.offered(offer(id));
    transfers.close();
    const again = await open();
    assertEquals(again.of("c").map(({ id }) => id), ids);
    again.close();
  } finally {
    await FileStore.delete();
  }
});

Deno.test("what is offered by the ID of a file that has come, or was accepted, is another one", {
  permissions: "none",
}, async () => {
  const store = await FileStore.open(false, new Reserve(() => {}));
  const entry = (id: string, status: FileEntry["status"], isWhole = status === "done"): FileEntry => ({
    ...{ id, conversation: "c", direction: "receiving", status, name: "mine", type: "", size: 3, at: 0 },
    key: keyOf({ conversation: "c", direction: "receiving", id }),
    ...{ after: 0, isPaused: false, note: "", isElsewhere: false, isWhole },
  });
  const ends: string[] = [];
  const received: string[] = [];
  const offer = (id: string) => {
    const { promise: ended, reject } = Promise.withResolvers<void>();
    ended.catch(() => {});
    return {
      ...{
        connection: "bob",
        direction: "receiving",
        id,
        status: "offered",
        name: "theirs",
        type: "",
        size: 9,
      },
      ...{ offeredAt: new Date(0), progress: { bytes: 0, size: 9 }, ended },
      cancel() {
        ends.push(id);
        reject(new StreamError("CANCELLED", ""));
        return Promise.resolve();
      },
    } as unknown as StreamOffer;
  };
  const ids = ["done", "ended", "going", "offered"] as const;
  /** All of it has come, and the page was left before it said so. */
  const whole = entry("whole", "going", true);
  for (const id of ids) {
    await store.put(entry(id, id));
    await store.append(entry(id, id).key, new Blob(["abc"]));
  }
  await store.put(whole);
  await store.append(whole.key, new Blob(["abc"]));
  const peer = {
    streams: () => [...ids, whole.id].map(offer),
    connections: () => [{ connection: "bob", id: "c" }],
    messages: () => Promise.resolve([]),
    receiveFile: ({ id }: StreamOffer) => (received.push(id), new Promise(() => {})),
  } as unknown as Agent;
  const transfers = new Transfers(peer, store, () => {});
  const shown = () =>
    Object.fromEntries(transfers.of("c").map((one) => [one.id, `${one.status} ${one.name}`]));
  try {
    await until(() => ends.length === 3 && shown().going === "offered theirs");
    const offered = { going: "offered theirs", offered: "offered theirs" };
    await until(() => shown().offered === offered.offered);
    assertEquals(shown(), { done: "done mine", ended: "ended mine", ...offered, whole: "done mine" });
    assertEquals(ids.map((id) => store.content(entry(id, id).key).size), [3, 0, 0, 0]);
    assertEquals(store.content(whole.key).size, 3);
    assertEquals([ends, received], [["done", "ended", "whole"], []]);
  } finally {
    transfers.close();
  }
});

Deno.test("a file that was accepted goes on when its page was left before its sender was told", {
  permissions: "none",
}, async () => {
  const store = await FileStore.open(false, new Reserve(() => {}));
  const of = { conversation: "c", direction: "receiving", id: "i" } as const;
  await store.put({
    ...{ ...of, key: keyOf(of), status: "going", name: "f", type: "", size: 9, at: 0 },
    ...{ after: 0, isPaused: false, note: "", isElsewhere: false },
  });
  const offer = {
    ...{ ...of, connection: "bob", status: "offered", name: "f", type: "", size: 9 },
    ...{ offeredAt: new Date(0), progress: { bytes: 0, size: 9 }, ended: new Promise(() => {}) },
  } as unknown as StreamOffer;
  const { promise: received, resolve } = Promise.withResolvers<StreamOffer>();
  const peer = {
    streams: () => [offer],
    connections: () => [{ connection: "bob", id: "c" }],
    messages: () => Promise.resolve([]),
    receiveFile: (stream: StreamOffer) => (resolve(stream), new Promise(() => {})),
  } as unknown as Agent;
  const transfers = new Transfers(peer, store, () => {});
  try {
    assertEquals(await soon(received), offer);
    assertEquals(transfers.of("c").map(({ status }) => status), ["going"]);
  } finally {
    transfers.close();
  }
});

Deno.test("files of a conversation are gone when its page was left while it was deleted", {
  permissions: "none",
}, async () => {
  const open = () => FileStore.open(true, new Reserve(() => {}));
  const store = await open();
  const entry = (conversation: string, status: FileEntry["status"]): FileEntry => ({
    ...{ id: status, conversation, direction: "receiving", status, name: "f", type: "", size: 1, at: 0 },
    key: keyOf({ conversation, direction: "receiving", id: status }),
    ...{ after: 0, isPaused: false, note: "", isElsewhere: false, isWhole: status === "done" },
  });
  const entries = [
    entry("c", "done"),
    entry("gone", "done"),
    entry("gone", "going"),
    entry("gone", "offered"),
  ];
  for (const each of entries) {
    await store.put(each);
    await store.append(each.key, new Blob(["a"]));
  }
  const transfers = new Transfers(agent, store, () => {});
  try {
    await until(async () => {
      const again = await open();
      const found = again.all().map(({ key }) => key);
      again.close();
      return found.join() === entries[0]!.key;
    });
    assertEquals(transfers.of("gone"), []);
  } finally {
    transfers.close();
    await FileStore.delete();
  }
});

Deno.test("what is too large for the memory of a page has no room", { permissions: "none" }, async () => {
  const store = {
    get: () => ({ status: "going" }),
    lasts: () => false,
    content: () => ({ size: 600 * 1024 * 1024 }),
  } as unknown as FileStore;
  const writer = keptFile(store, { key: "k", size: null }).getWriter();
  const error = await assertRejects(() => writer.write(new Uint8Array(1024 * 1024)), DOMException);
  assertEquals(error.name, "QuotaExceededError");
});
