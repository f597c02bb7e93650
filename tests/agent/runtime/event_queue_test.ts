import { assertEquals } from "@std/assert";
import { EventQueue } from "../../../agent/runtime/event_queue.ts";
import type { EventRecord } from "../../../agent/store/store.ts";

const stored = (id: number, connection = "a"): EventRecord => ({
  id,
  connection,
  event: { type: "connected" },
});

async function read(queue: EventQueue<string>, count: number): Promise<(number | string)[]> {
  const read: (number | string)[] = [];
  for (let i = 0; i < count; i++) {
    const queued = await queue.next();
    read.push(queued!.type === "stored" ? queued!.record.id : queued!.event);
  }
  return read;
}

Deno.test("what is told again comes before what came after it, in its order", async () => {
  const queue = new EventQueue<string>(() => Promise.resolve([]), 10);
  for (const id of [1, 2, 3]) queue.add(stored(id, id === 2 ? "b" : "a"));
  assertEquals(await read(queue, 3), [1, 2, 3]);
  queue.add(stored(4));
  queue.repeat("a");
  queue.taken(3);
  queue.add(stored(5));
  assertEquals(await read(queue, 3), [1, 4, 5]);
  queue.repeat("a");
  queue.repeat("b");
  assertEquals(await read(queue, 4), [2, 1, 4, 5]);
});

Deno.test("nothing is told of a connection that was deleted, also not what is told once", async () => {
  const queue = new EventQueue<string>(() => Promise.resolve([]), 10);
  queue.add(stored(1));
  queue.put("error", "bob", "of the old bob");
  queue.put("error", "eve", "of eve");
  queue.add(stored(2, "b"));
  assertEquals(await read(queue, 1), [1]);
  queue.forget("a", "bob");
  queue.repeat("a");
  assertEquals([queue.isRead(1), queue.record(1)], [false, undefined]);
  assertEquals(await read(queue, 2), ["of eve", 2]);
});

Deno.test("what is taken while it is read from the store is not told", async () => {
  const reading = Promise.withResolvers<EventRecord[]>();
  const queue = new EventQueue<string>(() => reading.promise, 10);
  queue.behind();
  const first = read(queue, 1);
  queue.taken(1);
  reading.resolve([stored(1), stored(2)]);
  assertEquals(await first, [2]);
});
