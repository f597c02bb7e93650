import { assertEquals, assertRejects } from "@std/assert";
import { EventQueue, type EventSource } from "../../../agent/runtime/event_queue.ts";
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

/** A store of events in which some are gone. */
class Stored {
  readonly ids: number[] = [];
  /** How many were asked for each time, and after which. */
  readonly reads: [number, number][] = [];
  readonly source: EventSource = (after, limit) => {
    this.reads.push([after, limit]);
    return Promise.resolve(this.ids.filter((id) => id > after).slice(0, limit).map((id) => stored(id)));
  };

  /** Stores an event, and then adds it. */
  add(queue: EventQueue<string>, ...ids: readonly number[]): void {
    this.ids.push(...ids);
    for (const id of ids) queue.add(stored(id));
  }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

Deno.test("events come in order though memory has room for a few, and no more are read at a time", async () => {
  const store = new Stored();
  const queue = new EventQueue<string>(store.source, 3);
  store.add(queue, ...numbers(1, 20));
  assertEquals([3, 4].map((id) => queue.record(id)?.id), [3, undefined]);
  assertEquals(await read(queue, 5), numbers(1, 5));
  store.add(queue, ...numbers(21, 25));
  assertEquals(await read(queue, 20), numbers(6, 25));
  assertEquals(store.reads.filter(([_, limit]) => limit > 3), []);
  store.add(queue, 26);
  assertEquals(await read(queue, 1), [26]);
});

Deno.test("what was stored before the start is told first", async () => {
  const store = new Stored();
  store.ids.push(3, 5, 8, 9);
  const queue = new EventQueue<string>(store.source, 2);
  queue.behind();
  store.add(queue, 12);
  assertEquals(await read(queue, 5), [3, 5, 8, 9, 12]);
});

/** A queue whose source answers when it is told to. */
function waitingQueue(room = 10) {
  let answering = Promise.withResolvers<readonly EventRecord[]>();
  let asked = Promise.withResolvers<void>();
  const queue = new EventQueue<string>(() => {
    asked.resolve();
    return answering.promise;
  }, room);
  return {
    queue,
    asked: () => asked.promise,
    answer(...ids: readonly number[]) {
      const { resolve } = answering;
      answering = Promise.withResolvers();
      asked = Promise.withResolvers();
      resolve(ids.map((id) => stored(id)));
    },
  };
}

Deno.test("what is added while the store is read is told too, and after what was stored before", async () => {
  const { queue, asked, answer } = waitingQueue();
  queue.behind();
  const reading = read(queue, 3);
  await asked();
  queue.add(stored(3));
  answer(1, 2);
  await asked();
  answer(3);
  assertEquals(await reading, [1, 2, 3]);
});

Deno.test("what the store has given before it was added is told once", async () => {
  // A store may show a change to readers before its commit has resolved.
  const { queue, asked, answer } = waitingQueue(3);
  queue.behind();
  const reading = read(queue, 1);
  await asked();
  answer(1, 2);
  assertEquals(await reading, [1]);
  queue.add(stored(1));
  queue.add(stored(2));
  for (const id of [3, 4]) queue.add(stored(id));
  assertEquals([3, 4].map((id) => queue.record(id)?.id), [3, 4]);
  assertEquals(await read(queue, 3), [2, 3, 4]);
});

Deno.test("an event with a lower number, whose commit took longer, is told all the same", async () => {
  const { queue, asked, answer } = waitingQueue(2);
  queue.behind();
  const reading = read(queue, 1);
  await asked();
  answer(2);
  assertEquals(await reading, [2]);
  queue.add(stored(3));
  queue.add(stored(1));
  assertEquals(await read(queue, 2), [3, 1]);
});

Deno.test("what was taken before it was told is not told, and makes room", async () => {
  const store = new Stored();
  const queue = new EventQueue<string>(store.source, 2);
  store.add(queue, 1, 2);
  queue.taken(1);
  queue.taken(99);
  store.add(queue, 3);
  assertEquals([1, 3].map((id) => queue.record(id)?.id), [undefined, 3]);
  assertEquals(await read(queue, 2), [2, 3]);
  assertEquals(store.reads, []);
});

Deno.test("what was taken after it was told is not told again", async () => {
  const queue = new EventQueue<string>(() => Promise.resolve([]), 10);
  for (const id of [1, 2, 3]) queue.add(stored(id));
  await read(queue, 3);
  queue.taken(2);
  assertEquals([1, 2, 3].map((id) => queue.isRead(id)), [true, false, true]);
  queue.repeat("a");
  queue.repeat("a");
  queue.repeat("b");
  assertEquals(await read(queue, 2), [1, 3]);
  for (const id of [1, 3]) queue.taken(id);
  queue.repeat("a");
  queue.add(stored(4));
  assertEquals(await read(queue, 1), [4]);
});

Deno.test("of events that pass the last of a kind about the same is told, in the place of that one", async () => {
  const queue = new EventQueue<string>(() => Promise.resolve([]), 1);
  for (let i = 0; i < 1000; i++) queue.put("down", "server", `down ${i}`);
  queue.put("up", "server", "up");
  queue.put("down", "another", "another down");
  queue.add(stored(1));
  queue.put("down", "server", "down again");
  assertEquals(await read(queue, 4), ["up", "another down", 1, "down again"]);
});

Deno.test("a source that fails is asked again from where it was, and the queue goes on", async () => {
  let failures = 0;
  const store = new Stored();
  const queue = new EventQueue<string>(
    (after, limit) => failures-- > 0 ? Promise.reject(new Error("disk")) : store.source(after, limit),
    2,
  );
  store.add(queue, ...numbers(1, 6));
  failures = 2;
  assertEquals(await read(queue, 2), [1, 2]);
  for (let i = 0; i < 2; i++) await assertRejects(() => queue.next(), Error, "disk");
  store.add(queue, 7);
  assertEquals(await read(queue, 5), numbers(3, 7));
});

Deno.test("closing ends a reader that waits, also for the source", async () => {
  const waiting = new EventQueue<string>(() => Promise.resolve([]), 1);
  const next = waiting.next();
  waiting.close();
  assertEquals([await next, await waiting.next()], [null, null]);
  const { queue, asked, answer } = waitingQueue();
  queue.behind();
  const loading = queue.next();
  await asked();
  queue.close();
  answer(1);
  assertEquals(await loading, null);
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

Deno.test("of the events that nobody reads only so many are in memory as there is room for", async () => {
  const all = [1, 2, 3, 4, 5].map((id) => stored(id));
  const reads: number[] = [];
  const queue = new EventQueue<string>((after, limit) => {
    reads.push(after);
    return Promise.resolve(all.filter(({ id }) => id > after).slice(0, limit));
  }, 2);
  for (const record of all) queue.add(record);
  assertEquals([1, 2, 3, 4, 5].map((id) => queue.record(id)?.id), [1, 2, undefined, undefined, undefined]);
  assertEquals(await read(queue, 5), [1, 2, 3, 4, 5]);
  assertEquals(reads, [2, 4]);
});
