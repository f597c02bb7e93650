import { assert, assertEquals, assertRejects } from "@std/assert";
import { type AgentStore, type StoreChange, StoreError } from "../../../agent/store/store.ts";
import {
  delivery,
  discardedQueue,
  emptyConnection,
  eventRecord,
  everything,
  fullConnection,
  messageRecord,
  outboxEntry,
  put,
  putMessage,
  putQueued,
  queued,
  receivingRoute,
  sendingRoute,
} from "./samples.ts";

/** Runs a test with an empty store. */
export type WithStore = (test: (store: AgentStore) => Promise<void>) => Promise<void>;

/** Registers the tests that every `AgentStore` has to pass. */
export function testAgentStore(
  name: string,
  withStore: WithStore,
  { permissions }: { readonly permissions?: "none" } = {},
): void {
  const options = permissions === undefined ? {} : { permissions };
  for (const [what, run] of Object.entries(tests)) {
    Deno.test(`${name}: ${what}`, options, () => withStore(run));
  }
}

/** All that is in a store, as text that does not depend on the order of its parts. */
async function contents(changes: AsyncIterable<StoreChange>): Promise<Set<string>> {
  const found = new Set<string>();
  for await (const change of changes) found.add(JSON.stringify(change, sorted));
  return found;
}

function sorted(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1));
}

async function assertRefused(store: AgentStore, changes: readonly StoreChange[]): Promise<void> {
  const error = await assertRejects(() => store.commit(changes), StoreError);
  assertEquals(error.code, "WRITE");
}

const tests: Readonly<Record<string, (store: AgentStore) => Promise<void>>> = {
  "an empty store has nothing": async (store) => {
    assertEquals(await store.connections(), []);
    assertEquals(await store.discarded(), []);
    assertEquals(await store.waitingRoutes(), []);
    assertEquals(await store.deliveries("r", 10), []);
    assertEquals([await store.message("a", 1), await store.messages("a")], [null, []]);
    assertEquals(await store.events(-1, 10), []);
    assertEquals(await contents(store.snapshot()), new Set());
    assertEquals(await store.prune(Number.MAX_SAFE_INTEGER), 0);
  },

  "connections are kept with all that is in them, oldest first": async (store) => {
    await store.commit([...put(emptyConnection("b")), ...put(fullConnection("a"))]);
    assertEquals(await store.connections(), [fullConnection("a"), emptyConnection("b")]);
  },

  "connections of one label are kept apart": async (store) => {
    const [a, b] = ["a", "b"].map((id) => {
      const { record, ...routes } = fullConnection(id);
      return { record: { ...record, alias: "friend" }, ...routes };
    });
    await store.commit([...put(a!), ...put(b!)]);
    assertEquals((await store.connections()).map(({ record }) => record.alias), ["friend", "friend"]);
    await store.commit([{ type: "delete connection", connection: "a" }]);
    assertEquals(await store.connections(), [b!]);
  },

  "a connection is changed": async (store) => {
    await store.commit(put(fullConnection("a")));
    const { record } = fullConnection("a");
    const changed = { ...record, alias: "another", lastMessageId: 99, extensions: null };
    await store.commit([{ type: "put connection", record: changed }]);
    assertEquals(await store.connections(), [{ ...fullConnection("a"), record: changed }]);
  },

  "a connection has several routes each way, in the order in which they were made": async (store) => {
    const receiving = ["z", "a", "m"].map(receivingRoute);
    const sending = ["y", "b", "n"].map(sendingRoute);
    const connection = { record: fullConnection("a").record, receiving, sending };
    await store.commit(put(connection));
    const again = { type: "put sending", connection: "a", route: sending[0]!, withKeys: true } as const;
    await store.commit([again]);
    assertEquals(await store.connections(), [connection]);
  },

  "a route is changed with its keys or without": async (store) => {
    await store.commit(put(fullConnection("a")));
    const [receiving, sending] = [receivingRoute("a-in"), sendingRoute("a-out")];
    const other = {
      receiving: {
        ...receiving,
        status: "active",
        unacknowledged: [],
        keys: { ...receiving.keys, senderId: "" },
      },
      sending: { ...sending, status: "failed", keys: { ...sending.keys, senderId: "" } },
    } as const;
    const change = (withKeys: boolean) =>
      store.commit([
        { type: "put receiving", connection: "a", route: other.receiving, withKeys },
        { type: "put sending", connection: "a", route: other.sending, withKeys },
      ]);
    await change(false);
    const [kept] = await store.connections();
    assertEquals(kept!.receiving, [{ ...other.receiving, keys: receiving.keys }]);
    assertEquals(kept!.sending, [{ ...other.sending, keys: sending.keys }]);
    await change(true);
    const [changed] = await store.connections();
    assertEquals([changed!.receiving, changed!.sending], [[other.receiving], [other.sending]]);
  },

  "deliveries are read by route in order, changed and deleted": async (store) => {
    await store.commit([...put(fullConnection("a")), ...put(fullConnection("b"))]);
    assertEquals(await store.waitingRoutes(), []);
    await store.commit([11, 1, 2].flatMap((position) => putQueued("a", position)));
    await store.commit(putQueued("b", 12));
    assertEquals((await store.waitingRoutes()).toSorted(), ["a-out", "b-out"]);
    assertEquals(await store.deliveries("a-out", 2), [queued("a", 1), queued("a", 2)]);
    const attempted = { ...delivery("a", 1), attempted: true, giveUpAt: 7 };
    const entry = { ...outboxEntry("a", 1), plaintext: Uint8Array.of(), kind: "REPLY" };
    await store.commit([{ type: "put delivery", delivery: attempted }, { type: "put outbox", entry }]);
    const all = await store.deliveries("a-out", Number.MAX_SAFE_INTEGER);
    assertEquals(all, [{ ...entry, ...attempted }, queued("a", 2), queued("a", 11)]);
    const gone = [1, 2, 11].map((position) => ({ connection: "a", route: "a-out", position }));
    await store.commit(gone.map((which) => ({ type: "delete delivery", ...which })));
    assertEquals([await store.deliveries("a-out", 10), await store.waitingRoutes()], [[], ["b-out"]]);
  },

  "an entry of the outbox goes with its last delivery": async (store) => {
    const sending = ["one", "two"].map(sendingRoute);
    await store.commit(put({ ...fullConnection("a"), sending }));
    await store.commit([...putQueued("a", 1, "one"), ...putQueued("a", 1, "two")]);
    const entries = async () =>
      [...await contents(store.snapshot())].filter((text) => /put outbox/.test(text)).length;
    const deleted = (route: string) =>
      store.commit([{ type: "delete delivery", connection: "a", route, position: 1 }]);
    await deleted("one");
    assertEquals(await store.deliveries("one", 10), []);
    assertEquals(await store.deliveries("two", 10), [queued("a", 1, "two")]);
    assertEquals(await entries(), 1);
    await deleted("two");
    assertEquals([await store.deliveries("two", 10), await entries()], [[], 0]);
    await assertRefused(store, [{ type: "put delivery", delivery: delivery("a", 1, "one") }]);
  },

  "messages are read by number and in pages, and can be done": async (store) => {
    await store.commit(put(fullConnection("a")));
    const ids = [1, 2, 3, 4, 5];
    await store.commit(ids.map((id) => putMessage("a", id)));
    assertEquals(await store.messages("a"), ids.map((id) => messageRecord("a", id)));
    assertEquals((await store.messages("a", { limit: 2 })).map(({ id }) => id), [4, 5]);
    assertEquals((await store.messages("a", { before: 4, limit: 2 })).map(({ id }) => id), [2, 3]);
    assertEquals((await store.messages("a", { before: 2 })).map(({ id }) => id), [1]);
    assertEquals(await store.messages("a", { limit: 0 }), []);
    assertEquals((await store.messages("a", { before: Infinity, limit: Infinity })).length, 5);
    assertEquals([await store.message("a", 3), await store.message("a", 6)], [messageRecord("a", 3), null]);
    assertEquals(await store.messages("b"), []);
    await store.commit([3, 77].map((id) => ({ type: "message done", connection: "a", id })));
    assertEquals((await store.messages("a")).filter(({ done }) => done).map(({ id }) => id), [3]);
    assertEquals(await store.message("a", 3), { ...messageRecord("a", 3), done: true });
  },

  "events are read in order after a number, and deleted": async (store) => {
    await store.commit([...put(fullConnection("a")), ...put(fullConnection("b"))]);
    const events = [1, 2, 3, 4, 5].map((id) => eventRecord(id % 2 === 0 ? "a" : "b", id));
    await store.commit(events.toReversed().map((event) => ({ type: "put event", event })));
    assertEquals(await store.events(-Infinity, Infinity), events);
    assertEquals(await store.events(2, 2), events.slice(2, 4));
    assertEquals(await store.events(5, 2), []);
    await store.commit([{ type: "delete event", id: 3 }, { type: "delete event", id: 33 }]);
    assertEquals((await store.events(0, 10)).map(({ id }) => id), [1, 2, 4, 5]);
  },

  "discarded queues stay when their connection is deleted, until they are deleted": async (store) => {
    const { record } = fullConnection("a");
    await store.commit(put(fullConnection("a")));
    await store.commit([
      { type: "put discarded", queue: discardedQueue("a-in") },
      { type: "delete connection", connection: record.id },
    ]);
    assertEquals(await store.discarded(), [discardedQueue("a-in")]);
    await store.commit([{ type: "delete discarded", id: "other" }, { type: "delete discarded", id: "a-in" }]);
    assertEquals(await store.discarded(), []);
  },

  "what is deleted is gone with all that belongs to it": async (store) => {
    const belongings = (id: string, event: number): StoreChange[] => [
      ...put(fullConnection(id)),
      ...putQueued(id, 1),
      putMessage(id, 1),
      { type: "put event", event: eventRecord(id, event) },
    ];
    await store.commit([...belongings("a", 1), ...belongings("b", 2)]);
    await store.commit([{ type: "delete connection", connection: "a" }]);
    await store.commit([{ type: "delete connection", connection: "nobody" }]);
    assertEquals(await store.connections(), [fullConnection("b")]);
    assertEquals(await store.deliveries("a-out", 10), []);
    assertEquals([await store.waitingRoutes(), await store.messages("a")], [["b-out"], []]);
    assertEquals(await store.events(0, 10), [eventRecord("b", 2)]);
    assertEquals([await store.deliveries("b-out", 10), await store.messages("b")], [[queued("b", 1)], [
      messageRecord("b", 1),
    ]]);
    const rest = [...await contents(store.snapshot())];
    assertEquals(rest.filter((text) => /"a(-in|-out)?"/.test(text)), []);
    await store.commit(put(emptyConnection("a")));
    assertEquals(await store.connections(), [fullConnection("b"), emptyConnection("a")]);
  },

  "old messages that are done are removed": async (store) => {
    await store.commit(put(fullConnection("a")));
    const messages = [1, 2, 3, 4].map((id) => ({ ...messageRecord("a", id, id * 10), done: id !== 2 }));
    await store.commit(messages.map((message) => ({ type: "put message", message })));
    assertEquals(await store.prune(35), 2);
    assertEquals((await store.messages("a")).map(({ id }) => id), [2, 4]);
    assertEquals(await store.prune(35), 0);
  },

  "many commits at once are all kept": async (store) => {
    await store.commit(put(fullConnection("a")));
    const ids = Array.from({ length: 500 }, (_, i) => i + 1);
    await Promise.all(ids.map((id) => store.commit([putMessage("a", id)])));
    assertEquals((await store.messages("a", { limit: 1000 })).map(({ id }) => id), ids);
  },

  "commits are made in the order in which they were given": async (store) => {
    await store.commit(put(fullConnection("a")));
    const bodies = Array.from(
      { length: 20 },
      (_, i) => Uint8Array.from({ length: (i * 7919) % 5000 + 1 }, () => i),
    );
    await Promise.all(
      bodies.map((body) =>
        store.commit([{ type: "put message", message: { ...messageRecord("a", 1), body } }])
      ),
    );
    assertEquals((await store.message("a", 1))!.body, bodies.at(-1)!);
  },

  "a commit that fails changes nothing and takes no other with it": async (store) => {
    await store.commit([...put(fullConnection("a")), ...putQueued("a", 1), putMessage("a", 3)]);
    const before = await contents(store.snapshot());
    const bad = assertRefused(store, [
      putMessage("a", 1),
      { type: "message done", connection: "a", id: 3 },
      { type: "delete delivery", connection: "a", route: "a-out", position: 1 },
      { type: "put discarded", queue: discardedQueue("x") },
      ...put(fullConnection("c")),
      { type: "delete connection", connection: "a" },
      putMessage("nobody", 1),
    ]);
    const good = store.commit(put(fullConnection("b")));
    await Promise.all([bad, good]);
    const after = await contents(store.snapshot());
    assert(before.isSubsetOf(after));
    assertEquals(after.size, before.size + 3);
    assertEquals(await store.waitingRoutes(), ["a-out"]);
  },

  "what belongs to nothing that is there is refused": async (store) => {
    await store.commit([...put(fullConnection("a")), { type: "put outbox", entry: outboxEntry("a", 1) }]);
    const [receiving, sending] = [receivingRoute("r"), sendingRoute("s")];
    const refused: readonly StoreChange[] = [
      { type: "put receiving", connection: "no", route: receiving, withKeys: true },
      { type: "put sending", connection: "no", route: sending, withKeys: true },
      { type: "put receiving", connection: "a", route: receiving, withKeys: false },
      { type: "put sending", connection: "a", route: sending, withKeys: false },
      { type: "put outbox", entry: outboxEntry("no", 1) },
      { type: "put delivery", delivery: delivery("a", 1, "s") },
      { type: "put delivery", delivery: delivery("a", 2) },
      { type: "put delivery", delivery: delivery("no", 1) },
      putMessage("no", 1),
      { type: "put event", event: eventRecord("no", 1) },
    ];
    const before = await contents(store.snapshot());
    for (const change of refused) await assertRefused(store, [change]);
    assertEquals(await contents(store.snapshot()), before);
  },

  "a snapshot makes the same in another store": async (store) => {
    await store.commit(everything());
    const all: StoreChange[] = [];
    for await (const change of store.snapshot()) all.push(change);
    for (const { connection } of [{ connection: "a" }, { connection: "b" }]) {
      await store.commit([{ type: "delete connection", connection }]);
    }
    await store.commit([{ type: "delete discarded", id: "old" }]);
    assertEquals(await contents(store.snapshot()), new Set());
    await store.commit(all);
    assertEquals(await store.connections(), [fullConnection("a"), emptyConnection("b")]);
    assertEquals(await store.deliveries("a-out", 10), [queued("a", 1), queued("a", 11)]);
    assertEquals(await store.messages("a"), [messageRecord("a", 1), messageRecord("a", 2)]);
    assertEquals(await store.events(0, 10), [1, 2, 3, 4, 5].map((id) => eventRecord("a", id)));
    assertEquals(await store.discarded(), [discardedQueue("old")]);
  },

  "a snapshot is of one moment while commits go on": async (store) => {
    await store.commit(put(fullConnection("a")));
    const ids = Array.from({ length: 200 }, (_, i) => i + 1);
    await store.commit(ids.map((id) => putMessage("a", id)));
    const before = await contents(store.snapshot());
    const seen = new Set<string>();
    let next = 1;
    for await (const change of store.snapshot()) {
      seen.add(JSON.stringify(change, sorted));
      await store.commit([
        putMessage("a", 1000 + next),
        { type: "message done", connection: "a", id: next++ },
        ...put(fullConnection(`c${next}`)),
      ]);
    }
    assertEquals(seen, before);
    assert((await contents(store.snapshot())).size > before.size);
  },

  "a snapshot can be left early": async (store) => {
    await store.commit(everything());
    for await (const _ of store.snapshot()) break;
    const iterator = store.snapshot()[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.return?.();
    await store.commit(put(fullConnection("c")));
    assertEquals((await store.connections()).length, 3);
  },
};
