import { assert, assertEquals, assertRejects } from "@std/assert";
import { type AgentStore, type StoreChange, StoreError } from "../../../agent/store/store.ts";
import {
  delivery,
  discardedQueue,
  emptyConnection,
  eventRecord,
  everything,
  farewell,
  frameRecord,
  fullConnection,
  fullSession,
  heldFrame,
  inboundRoute,
  messageRecord,
  newSession,
  outboundRoute,
  outboxEntry,
  pieceRecord,
  put,
  putMessage,
  putQueued,
  queued,
  receivingRoute,
  sampleTag,
  sendingRoute,
  sessionBelongings,
  sessionConnection,
  sessionMessage,
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
    assertEquals([await store.frames("a", 0, 10), await store.held("a", 1)], [[], null]);
    assertEquals([await store.pieces("a"), await store.undelivered("a", 1, 9, 10)], [[], []]);
    assertEquals(await store.events(-1, 10), []);
    assertEquals(await contents(store.snapshot()), new Set());
    assertEquals(await store.prune(Number.MAX_SAFE_INTEGER), 0);
  },

  "connections are kept with all that is in them, oldest first": async (store) => {
    const [a, b, c] = [fullConnection("a"), emptyConnection("b"), sessionConnection("c")];
    await store.commit([...put(c), ...put(b), ...put(a)]);
    assertEquals(await store.connections(), [a, b, c]);
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
    const connection = { ...fullConnection("a"), receiving, sending };
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

  "a session has several routes each way, in the order in which they were made": async (store) => {
    const inbound = ["z", "a", "m"].map(inboundRoute);
    const outbound = ["y", "b", "n"].map(outboundRoute);
    const connection = { ...sessionConnection("a"), session: newSession(), inbound, outbound };
    await store.commit(put(connection));
    await store.commit([
      { type: "put inbound", connection: "a", route: inbound[0]!, withKeys: true },
      { type: "put outbound", connection: "a", route: outbound[0]!, withKeys: true },
    ]);
    assertEquals(await store.connections(), [connection]);
    await store.commit([
      { type: "delete inbound", connection: "a", id: "a" },
      { type: "delete inbound", connection: "a", id: "y" },
      { type: "delete inbound", connection: "b", id: "z" },
      { type: "delete outbound", connection: "a", id: "y" },
      { type: "delete outbound", connection: "b", id: "n" },
      { type: "delete outbound", connection: "a", id: "z" },
    ]);
    const left = { inbound: [inbound[0]!, inbound[2]!], outbound: outbound.slice(1) };
    assertEquals(await store.connections(), [{ ...connection, ...left }]);
  },

  "a session and its routes are changed with their keys or without": async (store) => {
    await store.commit(put(sessionConnection("a")));
    const [session, inbound, outbound] = [
      fullSession(),
      inboundRoute("a-inbound"),
      outboundRoute("a-outbound"),
    ];
    const other = {
      session: {
        ...session,
        ratchet: { ...session.ratchet!, previous: 99, skipped: [] },
        lastNumber: 77,
        stored: { upTo: 4, ranges: [] },
        keys: { ...session.keys, verified: false, secret: null },
      },
      inbound: {
        ...inbound,
        status: "active",
        suspended: false,
        keys: { ...inbound.keys, blockSize: 65_536 },
      },
      outbound: { ...outbound, cursor: 45, keys: { ...outbound.keys, senderId: "" } },
    } as const;
    const change = (withKeys: boolean) =>
      store.commit([
        { type: "put session", connection: "a", session: other.session, withKeys },
        { type: "put inbound", connection: "a", route: other.inbound, withKeys },
        { type: "put outbound", connection: "a", route: other.outbound, withKeys },
      ]);
    await change(false);
    const [kept] = await store.connections();
    assertEquals(kept!.session, { ...other.session, keys: session.keys });
    assertEquals(kept!.inbound, [{ ...other.inbound, keys: inbound.keys }]);
    assertEquals(kept!.outbound, [{ ...other.outbound, keys: outbound.keys }]);
    await change(true);
    const [changed] = await store.connections();
    assertEquals([changed!.session, changed!.inbound, changed!.outbound], [
      other.session,
      [other.inbound],
      [other.outbound],
    ]);
    const empty = { ...newSession(), status: "offered" } as const;
    await store.commit([{ type: "put session", connection: "a", session: empty, withKeys: false }]);
    assertEquals((await store.connections())[0]!.session, { ...empty, keys: other.session.keys });
  },

  "frames are read by connection in order after a number, changed and deleted": async (store) => {
    await store.commit([...put(sessionConnection("a")), ...put(sessionConnection("b"))]);
    const frame = (number: number, connection = "a") => frameRecord(connection, number);
    const numbers = [300, 2, 1, 20, 3];
    await store.commit(
      [...numbers.map((number) => frame(number)), frame(2, "b")].map((frame) => ({
        type: "put frame",
        frame,
      })),
    );
    assertEquals(await store.frames("a", 0, 3), [frame(1), frame(2), frame(3)]);
    assertEquals(await store.frames("a", 3, 10), [frame(20), frame(300)]);
    assertEquals(await store.frames("a", 2.5, 1), [frame(3)]);
    assertEquals([await store.frames("a", 300, 10), await store.frames("a", 0, 0)], [[], []]);
    assertEquals((await store.frames("a", -Infinity, Infinity)).map(({ number }) => number), [
      1,
      2,
      3,
      20,
      300,
    ]);
    assertEquals([await store.frames("a", Infinity, 10), await store.frames("c", 0, 10)], [[], []]);
    const encrypted = { ...frame(3), message: Uint8Array.of(1, 2, 3) };
    await store.commit([
      { type: "put frame", frame: encrypted },
      { type: "delete frame", connection: "a", number: 2 },
      { type: "delete frame", connection: "a", number: 4 },
      { type: "delete frame", connection: "nobody", number: 1 },
    ]);
    assertEquals(await store.frames("a", 0, 3), [frame(1), encrypted, frame(20)]);
    assertEquals(await store.frames("b", 0, 3), [frame(2, "b")]);
  },

  "a frame that is held is read by its number, changed and deleted": async (store) => {
    await store.commit([...put(sessionConnection("a")), ...put(sessionConnection("b"))]);
    const held = [heldFrame("a", 3), heldFrame("a", 5), heldFrame("b", 3)];
    await store.commit(held.map((held) => ({ type: "put held", held })));
    assertEquals(await store.held("a", 3), held[0]!);
    assertEquals([await store.held("a", 4), await store.held("c", 3)], [null, null]);
    const again = { ...held[1]!, serverAt: 99 };
    await store.commit([
      { type: "put held", held: again },
      { type: "delete held", connection: "a", number: 3 },
      { type: "delete held", connection: "a", number: 4 },
      { type: "delete held", connection: "nobody", number: 5 },
    ]);
    assertEquals([await store.held("a", 3), await store.held("a", 5)], [null, again]);
    assertEquals(await store.held("b", 3), held[2]!);
  },

  "pieces are read by the time of their message, and deleted with it or with their route": async (store) => {
    const inbound = ["one", "two"].map(inboundRoute);
    await store.commit([...put({ ...sessionConnection("a"), inbound }), ...put(sessionConnection("b"))]);
    const [early, late] = ["AAAAAAAAAAAAAAAAAAAAAA==", sampleTag];
    const first = [0, 2, 10, 300].map((index) =>
      pieceRecord("a", index, { route: "two", tag: late, since: 1 })
    );
    const second = [1, 2].map((index) => pieceRecord("a", index, { route: "one", tag: early, since: 2 }));
    const third = [0, 1].map((index) => pieceRecord("a", index, { route: "one", tag: late, since: 2 }));
    const fourth = [5].map((index) => pieceRecord("a", index, { route: "two", tag: early, since: 2 }));
    const all = [...first, ...second, ...third, ...fourth];
    const other = pieceRecord("b", 0);
    await store.commit([...all.toReversed(), other].map((piece) => ({ type: "put piece", piece })));
    assertEquals(await store.pieces("a"), all);
    assertEquals([await store.pieces("b"), await store.pieces("c")], [[other], []]);
    const changed = { ...third[1]!, piece: Uint8Array.of(9) };
    await store.commit([
      { type: "put piece", piece: changed },
      { type: "delete pieces", connection: "a", route: "one", tag: early },
      { type: "delete pieces", connection: "a", route: "one", tag: "other" },
      { type: "delete pieces", connection: "a", route: "no", tag: late },
      { type: "delete pieces", connection: "b", route: "one", tag: late },
    ]);
    assertEquals(await store.pieces("a"), [...first, third[0]!, changed, ...fourth]);
    await store.commit([{ type: "delete inbound", connection: "a", id: "two" }]);
    assertEquals(await store.pieces("a"), [third[0]!, changed]);
    await assertRefused(store, [{ type: "put piece", piece: first[0]! }]);
    assertEquals(await store.pieces("b"), [other]);
  },

  "messages of a session are undelivered until they are delivered": async (store) => {
    await store.commit([...put(sessionConnection("a")), ...put(sessionConnection("b"))]);
    const numbers = [[2, 1], [9, 4], [4, 2], [6, 3], [12, 10], [14, 11]] as const;
    await store.commit([
      ...numbers.map((
        [id, number],
      ) => ({ type: "put message", message: sessionMessage("a", id, number) } as const)),
      putMessage("a", 8),
      putMessage("b", 2),
      { type: "put message", message: sessionMessage("b", 4, 2) },
      { type: "put message", message: { ...sessionMessage("b", 6, 3), delivered: true } },
    ]);
    const undelivered = async (from: number, to: number, limit = 10) =>
      (await store.undelivered("a", from, to, limit)).map(({ id, number }) => [id, number]);
    assertEquals(await undelivered(1, 4), [[2, 1], [4, 2], [6, 3], [9, 4]]);
    assertEquals([await undelivered(2, 10, 2), await undelivered(5, 10)], [[[4, 2], [6, 3]], [[12, 10]]]);
    assertEquals([await undelivered(5, 9), await undelivered(4, 3), await undelivered(1, 9, 0)], [
      [],
      [],
      [],
    ]);
    assertEquals((await undelivered(-Infinity, Infinity, Infinity)).length, 6);
    assertEquals(await store.undelivered("b", 1, 9, 9), [{ id: 4, number: 2 }]);
    const delivered = (
      connection: string,
      id: number,
    ) => ({ type: "message delivered", connection, id } as const);
    await store.commit([delivered("a", 4), delivered("a", 8), delivered("a", 99), delivered("nobody", 2)]);
    assertEquals(await undelivered(1, 4), [[2, 1], [6, 3], [9, 4]]);
    assertEquals(await store.message("a", 4), { ...sessionMessage("a", 4, 2), delivered: true });
    assertEquals(await store.message("a", 6), sessionMessage("a", 6, 3));
    await store.commit([
      { type: "message done", connection: "a", id: 4 },
      { type: "message done", connection: "a", id: 6 },
      { type: "put message", message: { ...sessionMessage("a", 9, 7), done: true } },
    ]);
    assertEquals(await undelivered(1, 9), [[2, 1], [6, 3], [9, 7]]);
    assertEquals(await store.message("a", 4), { ...sessionMessage("a", 4, 2), delivered: true, done: true });
    assertEquals(await store.prune(8), 2);
    assertEquals(await undelivered(1, 9), [[2, 1], [9, 7]]);
  },

  "routes are deleted, with their deliveries": async (store) => {
    const [receiving, sending] = [["in", "on"].map(receivingRoute), ["one", "two"].map(sendingRoute)];
    await store.commit([...put({ ...fullConnection("a"), receiving, sending }), ...put(fullConnection("b"))]);
    await store.commit([
      ...putQueued("a", 1, "one"),
      ...putQueued("a", 1, "two"),
      ...putQueued("a", 2, "one"),
      ...putQueued("a", 3, "two"),
    ]);
    await store.commit([
      { type: "delete receiving", connection: "a", id: "in" },
      { type: "delete receiving", connection: "b", id: "on" },
      { type: "delete sending", connection: "a", id: "one" },
      { type: "delete sending", connection: "b", id: "two" },
      { type: "delete sending", connection: "nobody", id: "two" },
    ]);
    assertEquals(await store.connections(), [
      { ...fullConnection("a"), receiving: [receiving[1]!], sending: [sending[1]!] },
      fullConnection("b"),
    ]);
    assertEquals([await store.deliveries("one", 10), await store.waitingRoutes()], [[], ["two"]]);
    assertEquals(await store.deliveries("two", 10), [queued("a", 1, "two"), queued("a", 3, "two")]);
    const entries = [...await contents(store.snapshot())].filter((text) => /put outbox/.test(text));
    assertEquals(entries.length, 2);
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
      { type: "put discarded", queue: farewell("a-out") },
      { type: "delete connection", connection: record.id },
    ]);
    assertEquals(await store.discarded(), [discardedQueue("a-in"), farewell("a-out")]);
    await store.commit([{ type: "delete discarded", id: "a-out" }]);
    assertEquals(await store.discarded(), [discardedQueue("a-in")]);
    await store.commit([{ type: "delete discarded", id: "other" }, { type: "delete discarded", id: "a-in" }]);
    assertEquals(await store.discarded(), []);
  },

  "what is deleted is gone with all that belongs to it": async (store) => {
    const routesOf = (id: string) => ({
      record: fullConnection(id).record,
      receiving: [receivingRoute(`${id}-in`)],
      sending: [sendingRoute(`${id}-out`)],
    });
    const belongings = (id: string, event: number): StoreChange[] => [
      ...put({ ...sessionConnection(id), ...routesOf(id) }),
      ...putQueued(id, 1),
      ...sessionBelongings(id),
      putMessage(id, 1),
      { type: "put event", event: eventRecord(id, event) },
    ];
    await store.commit([...belongings("a", 1), ...belongings("b", 2)]);
    await store.commit([{ type: "delete connection", connection: "a" }]);
    await store.commit([{ type: "delete connection", connection: "nobody" }]);
    const b = { ...sessionConnection("b"), ...routesOf("b") };
    assertEquals(await store.connections(), [b]);
    assertEquals(await store.deliveries("a-out", 10), []);
    assertEquals([await store.frames("a", 0, 9), await store.held("a", 4)], [[], null]);
    assertEquals([await store.pieces("a"), await store.undelivered("a", 0, 9, 9)], [[], []]);
    assertEquals([(await store.frames("b", 0, 9)).length, (await store.pieces("b")).length], [2, 3]);
    assertEquals([await store.held("b", 4), await store.undelivered("b", 0, 9, 9)], [
      heldFrame("b", 4),
      [{ id: 4, number: 2 }],
    ]);
    assertEquals([await store.waitingRoutes(), await store.messages("a")], [["b-out"], []]);
    assertEquals(await store.events(0, 10), [eventRecord("b", 2)]);
    assertEquals(await store.deliveries("b-out", 10), [queued("b", 1)]);
    assertEquals((await store.messages("b")).map(({ id }) => id), [1, 2, 4]);
    const rest = [...await contents(store.snapshot())];
    assertEquals(rest.filter((text) => /"a(-in|-out|-inbound|-outbound)?"/.test(text)), []);
    await store.commit(put(emptyConnection("a")));
    assertEquals(await store.connections(), [b, emptyConnection("a")]);
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

  "a change that is taken back leaves all as it was": async (store) => {
    const inbound = ["z", "a", "m"].map((id) => inboundRoute(`s-${id}`));
    const outbound = ["y", "b", "n"].map((id) => outboundRoute(`s-${id}`));
    const [receiving, sending] = [["r2", "r1"].map(receivingRoute), ["t2", "t1"].map(sendingRoute)];
    await store.commit([
      ...everything(),
      ...put({ ...sessionConnection("c"), receiving, sending, inbound, outbound }),
      ...putQueued("c", 1, "t2"),
      ...putQueued("c", 2, "t2"),
      ...putQueued("c", 2, "t1"),
      { type: "put piece", piece: pieceRecord("c", 1, { route: "s-z" }) },
    ]);
    const session = { ...newSession(), lastNumber: 99 };
    const piece = pieceRecord("s", 7);
    const changes: readonly StoreChange[] = [
      { type: "delete receiving", connection: "c", id: "r2" },
      { type: "delete sending", connection: "c", id: "t2" },
      { type: "put session", connection: "a", session, withKeys: true },
      { type: "put session", connection: "c", session, withKeys: true },
      { type: "put session", connection: "s", session, withKeys: false },
      { type: "put inbound", connection: "c", route: inboundRoute("new"), withKeys: true },
      { type: "put inbound", connection: "c", route: { ...inbound[1]!, suspended: false }, withKeys: false },
      { type: "delete inbound", connection: "c", id: "s-z" },
      { type: "put outbound", connection: "c", route: outboundRoute("new"), withKeys: true },
      { type: "put outbound", connection: "c", route: { ...outbound[1]!, cursor: 99 }, withKeys: false },
      { type: "delete outbound", connection: "c", id: "s-y" },
      { type: "put frame", frame: frameRecord("s", 3) },
      { type: "put frame", frame: { ...frameRecord("s", 1), message: Uint8Array.of(1) } },
      { type: "delete frame", connection: "s", number: 1 },
      { type: "put held", held: heldFrame("s", 9) },
      { type: "put held", held: { ...heldFrame("s", 4), serverAt: 99 } },
      { type: "delete held", connection: "s", number: 4 },
      { type: "put piece", piece },
      { type: "put piece", piece: { ...piece, tag: "BBBBBBBBBBBBBBBBBBBBBA==" } },
      { type: "put piece", piece: { ...piece, index: 0 } },
      { type: "delete pieces", connection: "s", route: "s-inbound", tag: sampleTag },
      { type: "message done", connection: "s", id: 4 },
      { type: "message delivered", connection: "s", id: 4 },
      { type: "put message", message: sessionMessage("s", 4, 3) },
      { type: "put message", message: sessionMessage("s", 6, 3) },
      { type: "delete connection", connection: "s" },
    ];
    const state = async () => ({
      connections: await store.connections(),
      all: await contents(store.snapshot()),
      deliveries: [await store.deliveries("t1", 9), await store.deliveries("t2", 9)],
      waiting: (await store.waitingRoutes()).toSorted(),
      frames: await store.frames("s", 0, 9),
      pieces: [await store.pieces("s"), await store.pieces("c")],
      undelivered: await store.undelivered("s", 0, 9, 9),
    });
    const before = await state();
    for (const change of changes) {
      await assertRefused(store, [change, putMessage("nobody", 1)]);
      assertEquals(await state(), before, change.type);
    }
    await assertRefused(store, [...changes, putMessage("nobody", 1)]);
    assertEquals(await state(), before);
    for (const change of changes.slice(0, -1)) await store.commit([change]);
    assert((await contents(store.snapshot())).symmetricDifference(before.all).size > changes.length);
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
      { type: "put session", connection: "no", session: fullSession(), withKeys: true },
      { type: "put session", connection: "a", session: fullSession(), withKeys: false },
      { type: "put inbound", connection: "no", route: inboundRoute("r"), withKeys: true },
      { type: "put inbound", connection: "a", route: inboundRoute("r"), withKeys: false },
      { type: "put outbound", connection: "no", route: outboundRoute("s"), withKeys: true },
      { type: "put outbound", connection: "a", route: outboundRoute("s"), withKeys: false },
      { type: "put frame", frame: frameRecord("no", 1) },
      { type: "put held", held: heldFrame("no", 1) },
      { type: "put piece", piece: pieceRecord("no", 1) },
      { type: "put piece", piece: pieceRecord("a", 1) },
    ];
    const before = await contents(store.snapshot());
    for (const change of refused) await assertRefused(store, [change]);
    assertEquals(await contents(store.snapshot()), before);
  },

  "a snapshot makes the same in another store": async (store) => {
    await store.commit(everything());
    const all: StoreChange[] = [];
    for await (const change of store.snapshot()) all.push(change);
    for (const connection of ["a", "b", "s"]) {
      await store.commit([{ type: "delete connection", connection }]);
    }
    await store.commit([{ type: "delete discarded", id: "old" }]);
    assertEquals(await contents(store.snapshot()), new Set());
    await store.commit(all);
    const connections = [fullConnection("a"), emptyConnection("b"), sessionConnection("s")];
    assertEquals(await store.connections(), connections);
    assertEquals(await store.frames("s", 0, 9), [frameRecord("s", 1), frameRecord("s", 2)]);
    assertEquals([await store.held("s", 4), await store.held("s", 5)], [
      heldFrame("s", 4),
      heldFrame("s", 5),
    ]);
    assertEquals((await store.pieces("s")).map(({ index, since }) => [since, index]), [[61, 0], [61, 2], [
      70,
      0,
    ]]);
    assertEquals(await store.undelivered("s", 0, 9, 9), [{ id: 4, number: 2 }]);
    assertEquals((await store.message("s", 2))!.delivered, true);
    assertEquals(await store.deliveries("a-out", 10), [queued("a", 1), queued("a", 11)]);
    assertEquals(await store.messages("a"), [messageRecord("a", 1), messageRecord("a", 2)]);
    assertEquals((await store.events(0, 10)).slice(0, 5), [1, 2, 3, 4, 5].map((id) => eventRecord("a", id)));
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
    assertEquals((await store.connections()).length, 4);
  },
};
