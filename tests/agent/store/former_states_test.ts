import { assert, assertEquals } from "@std/assert";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import type { Connection, StoreChange } from "../../../agent/store/store.ts";
import { randomBytes } from "../../../protocol/mod.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { until } from "../../support/wait.ts";
import { fullSession, put, sessionBelongings, sessionConnection } from "./samples.ts";

/** How often some bytes are in the files of a folder. */
function countIn(folder: string, bytes: Uint8Array): number {
  const wanted = text(bytes);
  let count = 0;
  for (const { name } of Deno.readDirSync(folder)) {
    count += text(Deno.readFileSync(`${folder}/${name}`)).split(wanted).length - 1;
  }
  return count;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}

/** Puts a session whose ratchet has a root key. */
function putState({ record: { id } }: Connection, rootKey: Uint8Array<ArrayBuffer>): StoreChange {
  const session = fullSession();
  const ratchet = { ...session.ratchet!, rootKey };
  return { type: "put session", connection: id, session: { ...session, ratchet }, withKeys: false };
}

Deno.test("no file of a database has former states of a ratchet, or deleted frames, when it is at rest", async () => {
  await using folder = await temporaryFolder();
  await using store = await SqliteStore.open(`${folder.path}/agent.db`);
  const connections = ["one", "two", "three"].map((id) => sessionConnection(id));
  for (const connection of connections) {
    await store.commit([...put(connection), ...sessionBelongings(connection.record.id)]);
  }
  const keys = Array.from({ length: 90 }, () => randomBytes(32));
  for (const [i, key] of keys.entries()) {
    const connection = connections[i % connections.length]!;
    const { record: { id } } = connection;
    const frame = { connection: id, number: 1000 + i, messageId: 0, frame: key, message: key, createdAt: 0 };
    await store.commit([putState(connection, key), { type: "put frame", frame }]);
    await store.commit([{ type: "delete frame", connection: id, number: 1000 + i }]);
  }
  // They were there.
  assert(keys.some((key) => countIn(folder.path, key) > 1));
  const last = keys.slice(-connections.length), former = keys.slice(0, -connections.length);
  await until(() => former.every((key) => countIn(folder.path, key) === 0));
  assertEquals(last.map((key) => countIn(folder.path, key)), [1, 1, 1]);
});
