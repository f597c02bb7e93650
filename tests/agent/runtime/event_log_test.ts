import { assertEquals } from "@std/assert";
import { MemoryStore, type StoredEvent } from "../../../agent/mod.ts";
import { EventLog } from "../../../agent/runtime/event_log.ts";

const error: StoredEvent = { type: "error", code: "AGENT A_MESSAGE", message: "cannot be parsed" };

Deno.test("an event that is taken twice makes room for one, in its connection alone", async () => {
  const log = await EventLog.load(new MemoryStore(), 0);
  const records = Array.from({ length: 100 }, () => log.number("a", [error])).flat();
  assertEquals(records.length, 100);
  assertEquals(log.number("a", [error]), []);
  for (let i = 0; i < 3; i++) log.remove(records[0]!);
  assertEquals(log.number("a", [error, error]).length, 1);
  assertEquals(log.number("b", [error, error]).length, 2);
});
