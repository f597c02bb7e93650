import { assertEquals } from "@std/assert";
import { MemoryStore, type StoredEvent } from "../../../agent/mod.ts";
import { EventLog } from "../../../agent/runtime/event_log.ts";
import type { EventRecord } from "../../../agent/store/store.ts";
import { fullConnection, put } from "../store/samples.ts";

const failure: StoredEvent = { type: "error", code: "AGENT A_MESSAGE", message: "it cannot be parsed" };
const security: StoredEvent = { type: "security", reason: "second confirmation" };
const moved: StoredEvent = {
  type: "route",
  direction: "sending",
  change: "added",
  from: null,
  to: "one.example",
};

async function storeWith(records: readonly EventRecord[]): Promise<MemoryStore> {
  const store = new MemoryStore();
  await store.commit([
    ...put(fullConnection("a")),
    ...put(fullConnection("b")),
    ...records.map((event) => ({ type: "put event", event }) as const),
  ]);
  return store;
}

const events = (count: number, event: StoredEvent) => Array.from({ length: count }, () => event);

Deno.test("numbers go on after a restart where they were, however much is stored", async () => {
  const records = Array.from({ length: 600 }, (_, i): EventRecord => (
    { id: 2 * i + 3, connection: i % 2 ? "a" : "b", event: { type: "message", id: i + 1 } }
  ));
  const log = await EventLog.load(await storeWith(records), 0);
  assertEquals(log.isEmpty, false);
  assertEquals(log.number("a", events(2, { type: "connected" })).map(({ id }) => id), [1202, 1203]);
  for (const { id, connection, event } of records) {
    if (event.type === "message") assertEquals(log.ofMessage(connection, event.id)?.id, id);
  }
  assertEquals([log.ofMessage("a", 1)?.id, log.ofMessage("c", 1)?.id], [undefined, undefined]);
  assertEquals((await EventLog.load(new MemoryStore(), 0)).isEmpty, true);
});

Deno.test("of what a peer alone can cause 100 events of a connection are stored, over restarts too", async () => {
  const log = new EventLog();
  const first = log.number("a", [...events(60, failure), ...events(60, security), ...events(60, moved)]);
  assertEquals([first.length, first.at(-1)!.id], [100, 100]);
  // Another connection, and what the application is waiting for, has room.
  assertEquals(log.number("b", events(1, failure)).length, 1);
  const own: StoredEvent[] = [
    { type: "connected" },
    { type: "message", id: 1 },
    { type: "sent", id: 2 },
    { ...failure, id: 3 },
  ];
  assertEquals(log.number("a", own).length, own.length);
  const again = await EventLog.load(await storeWith(first), 0);
  assertEquals(again.number("a", [security, moved]), []);
  for (const record of first.slice(0, 2)) again.remove(record);
  assertEquals(again.number("a", events(5, failure)).length, 2);
  for (const record of [...first, ...first]) again.remove(record);
  assertEquals(again.number("b", events(200, failure)).length, 100);
});

Deno.test("the event of a message is known until it is taken, or its connection deleted", () => {
  const log = new EventLog();
  const [one, two] = log.number("a", [{ type: "message", id: 7 }, { type: "message", id: 8 }]);
  log.number("b", [{ type: "message", id: 7 }]);
  assertEquals([log.ofMessage("a", 7)?.id, log.ofMessage("a", 8)?.id, log.ofMessage("b", 7)?.id], [1, 2, 3]);
  log.remove(one!);
  assertEquals([log.ofMessage("a", 7)?.id, log.ofMessage("a", 8)?.id], [undefined, two!.id]);
  log.forget("a");
  assertEquals([log.ofMessage("a", 8)?.id, log.ofMessage("b", 7)?.id], [undefined, 3]);
});

Deno.test("an event that is taken twice makes room for one, in its connection alone", async () => {
  const log = await EventLog.load(new MemoryStore(), 0);
  const records = Array.from({ length: 100 }, () => log.number("a", [failure])).flat();
  assertEquals(records.length, 100);
  assertEquals(log.number("a", [failure]), []);
  for (let i = 0; i < 3; i++) log.remove(records[0]!);
  assertEquals(log.number("a", [failure, failure]).length, 1);
  assertEquals(log.number("b", [failure, failure]).length, 2);
});
