import { assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import type { readBackup, writeBackup } from "../../agent/backup.ts";
import type { IndexedDbStore, StoreError } from "../../agent/store/indexeddb.ts";
import type { MemoryStore } from "../../agent/store/memory.ts";
import type { everything } from "../agent/store/samples.ts";
import dumps from "../vectors/agent/indexeddb_v2.json" with { type: "json" };
import { testsInChromium, withBrowser } from "../support/browser.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { patience } from "../support/wait.ts";

const test = testsInChromium();
const root = new URL("../../", import.meta.url);

/** What tests/support/store_page.ts and these tests leave in a page. */
interface InPage {
  readonly everything: typeof everything;
  readonly IndexedDbStore: typeof IndexedDbStore;
  readonly MemoryStore: typeof MemoryStore;
  readonly readBackup: typeof readBackup;
  readonly writeBackup: typeof writeBackup;
  store: IndexedDbStore;
}

/** The program of the pages. */
let made: Promise<string> | undefined;

async function make(): Promise<string> {
  await using folder = await temporaryFolder();
  const program = `${folder.path}/page.js`;
  const args = ["bundle", "--quiet", "--platform", "browser", "--output", program];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "tests/support/store_page.ts"],
    cwd: root,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return await Deno.readTextFile(program);
}

/** Gives `run` two pages of one browser that share their databases. */
async function withPages(run: (one: Page, two: Page) => Promise<void>): Promise<void> {
  const script = await (made ??= make());
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    ({ url }) =>
      new URL(url).pathname === "/page.js"
        ? new Response(script, { headers: { "content-type": "text/javascript" } })
        : new Response('<!doctype html><script type="module" src="/page.js"></script>', {
          headers: { "content-type": "text/html" },
        }),
  );
  await withBrowser(async (browser) => {
    const context = await browser.newContext();
    context.setDefaultTimeout(patience);
    const open = async () => {
      const page = await context.newPage();
      await page.goto(`http://127.0.0.1:${server.addr.port}/`);
      await page.waitForFunction("globalThis.IndexedDbStore !== undefined");
      return page;
    };
    await run(await open(), await open());
  });
}

/** Opens the database in a page and keeps it there; gives the code of the error. */
function open(page: Page, options: { readonly steal?: boolean; readonly passphrase?: string } = {}) {
  return page.evaluate(async (options) => {
    const page = globalThis as unknown as InPage;
    try {
      page.store = await page.IndexedDbStore.open("agent", { iterations: 1000, ...options });
      return null;
    } catch (error) {
      return (error as StoreError).code;
    }
  }, options);
}

/** How many events there are, after one was put; or the code of the error. */
function putEvent(page: Page, id: number) {
  return page.evaluate(async (id) => {
    const { store } = globalThis as unknown as InPage;
    try {
      await store.commit([{
        type: "put event",
        event: { id, connection: "a", event: { type: "connected" } },
      }]);
      return (await store.events(0, 100)).length;
    } catch (error) {
      return (error as StoreError).code;
    }
  }, id);
}

function closed(page: Page) {
  return page.evaluate(async () => (await (globalThis as unknown as InPage).store.closed)?.code);
}

test("in Chromium a page takes the store from another, and deletes it under another", () =>
  withPages(async (one, two) => {
    assertEquals(await open(one), null);
    await one.evaluate(() => {
      const { everything, store } = globalThis as unknown as InPage;
      return store.commit(everything());
    });
    assertEquals(await open(two), "IN_USE");
    assertEquals(await open(two, { steal: true }), null);
    assertEquals([await closed(one), await putEvent(one, 50)], ["IN_USE", "IN_USE"]);
    assertEquals(await putEvent(two, 51), 7);
    assertEquals(await open(one, { steal: true }), null);
    assertEquals([await closed(two), await putEvent(one, 52)], ["IN_USE", 8]);
    await two.evaluate(() => (globalThis as unknown as InPage).IndexedDbStore.delete("agent"));
    assertEquals(await closed(one), "IN_USE");
    assertEquals(await open(two, { passphrase: "correct horse" }), null);
    assertEquals(await putEvent(two, 1), "WRITE");
  }));

test("in Chromium a backup of the store has everything, whatever its passphrase becomes", () =>
  withPages(async (page) => {
    const counts = await page.evaluate(async () => {
      const { everything, IndexedDbStore, MemoryStore, readBackup, writeBackup } =
        globalThis as unknown as InPage;
      const store = await IndexedDbStore.open("agent", { passphrase: "one", iterations: 1000 });
      await store.commit(everything());
      const found = [];
      for (const next of ["two", null, "three"]) {
        await store.changePassphrase(next);
        const options = { passphrase: "of the file", iterations: 10 };
        const file = await new Response(writeBackup(store, options)).blob();
        const copy = new MemoryStore();
        found.push(await readBackup(copy, file.stream(), options));
        found.push((await copy.events(0, 100)).length);
      }
      return found;
    });
    const each = [{ connections: 3, messages: 4, servers: [] }, 6];
    assertEquals(counts, [...each, ...each, ...each]);
  }));

test("in Chromium what version 1 has stored is there", () =>
  withPages(async (page) => {
    await page.evaluate(() =>
      new Promise<void>((resolve, reject) => {
        const request = indexedDB.open("agent", 1);
        request.onerror = () => reject(request.error);
        request.onupgradeneeded = () => {
          const { result } = request;
          for (const name of ["receiving", "sending"]) result.createObjectStore(name, { keyPath: "alias" });
          result.createObjectStore("outbox", { keyPath: ["alias", "position"] });
          result.createObjectStore("messages", { keyPath: ["alias", "id"] }).createIndex("at", "at");
          result.createObjectStore("passphrase");
          const last = { id: 0, hash: new Uint8Array() };
          result.createObjectStore("connections", { keyPath: "alias" }).put({
            alias: "zoe",
            createdAt: 1,
            state: { role: "initiator", reply: true, receiving: "none", sending: "none", connected: false },
            lastMessageId: 0,
            lastSent: last,
            lastReceived: last,
            lastServerId: "",
            lastPlaintextHash: new Uint8Array(),
            suspended: false,
            unreadable: 0,
          });
        };
        request.onsuccess = () => {
          request.result.close();
          resolve();
        };
      })
    );
    for (let i = 0; i < 2; i++) {
      assertEquals(await open(page), null);
      const aliases = await page.evaluate(async () => {
        const { store } = globalThis as unknown as InPage;
        const connections = await store.connections();
        await store[Symbol.asyncDispose]();
        return connections.map(({ record }) => record.alias);
      });
      assertEquals(aliases, ["zoe"]);
    }
  }));

test("in Chromium what version 2 has stored stays", () =>
  withPages(async (page) => {
    await page.evaluate(async ({ version, stores }) => {
      const bytesTag = "$bytes";
      const revived = (value: unknown): unknown => {
        if (typeof value !== "object" || value === null) return value;
        if (Array.isArray(value)) return value.map(revived);
        if (bytesTag in value) return Uint8Array.from(atob(String(value[bytesTag])), (c) => c.charCodeAt(0));
        return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, revived(part)]));
      };
      await new Promise<void>((resolve, reject) => {
        const request = indexedDB.open("agent", version);
        request.onerror = () => reject(request.error);
        request.onupgradeneeded = () => {
          for (const { name, keyPath, autoIncrement, indexes, rows } of stores) {
            const store = request.result.createObjectStore(name, { keyPath, autoIncrement });
            for (const { name, keyPath, unique } of indexes) store.createIndex(name, keyPath, { unique });
            for (const row of rows) store.put(revived(row.value), "key" in row ? row.key : undefined);
          }
        };
        request.onsuccess = () => {
          request.result.close();
          resolve();
        };
      });
    }, dumps.passphrase);
    assertEquals(await open(page, { passphrase: "wrong" }), "PASSPHRASE");
    assertEquals(await open(page, { passphrase: "correct horse" }), null);
    const found = await page.evaluate(async () => {
      const { store } = globalThis as unknown as InPage;
      await store.commit([{ type: "message delivered", connection: "a", id: 2 }]);
      return {
        connections: (await store.connections()).map(({ record, session }) => [record.id, session]),
        messages: (await store.messages("a")).map(({ id, number, delivered }) => [id, number, delivered]),
        undelivered: await store.undelivered("a", 0, Infinity, 10),
        frames: await store.frames("a", 0, 10),
      };
    });
    assertEquals(found, {
      connections: [["a", null], ["b", null]],
      messages: [[1, null, false], [2, null, true]],
      undelivered: [],
      frames: [],
    });
  }));
