import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { step } from "../../../agent/core/step.ts";
import { type ConnectionEvent, type Step, stepTo } from "../../../agent/core/types.ts";
import { AgentError } from "../../../agent/protocol/error.ts";
import type { Connection } from "../../../agent/store/store.ts";
import {
  connectionIn,
  context,
  eventsFor,
  frozen,
  messages,
  receivedAs,
  receivingRoute,
  sendingRoute,
  type State,
} from "./scenes.ts";

const start: State = { role: "initiator", reply: true, receiving: "new", sending: "none", connected: false };
const starts: readonly State[] = [
  start,
  { ...start, role: "joiner", receiving: "none", sending: "new" },
  { ...start, role: "joiner", reply: false, receiving: "none", sending: "new" },
];
const names = [...eventsFor(connectionIn(start)).keys()];
const messageOf = new Map(Object.entries({
  "received KEY": messages.key,
  "received another KEY": messages.otherKey,
  "received HELLO": messages.hello,
  "received REPLY": messages.reply,
  "received MSG": messages.msg,
}));

/** One of the events, with its own message; `mark` is another for another message. */
function eventOf(connection: Connection, name: string, mark: number): ConnectionEvent {
  const message = messageOf.get(name);
  if (message !== undefined) return { type: "received", route: "in", received: receivedAs(message, mark) };
  const event = eventsFor(connection).get(name)!;
  switch (event.type) {
    case "unreadable":
      return { ...event, serverId: receivedAs(messages.msg, mark).serverId };
    case "approved":
    case "secured":
      return { ...event, received: receivedAs(messages.key, mark) };
    case "joined":
      return {
        ...event,
        received: receivedAs(messages.reply, mark),
        ...(name === "joined" && { sending: sendingRoute("new") }),
      };
    case "route made":
      return { ...event, receiving: receivingRoute("new") };
    case "acknowledged":
      return { ...event, id: mark % 8 };
    default:
      return event;
  }
}

/** What must be so after every step, over all steps from the first. */
class Invariants {
  readonly #undone = new Set<number>();
  #connectedTold = 0;
  #lastPosition = 0;

  check(before: Connection, event: ConnectionEvent, { connection, changes, events }: Step): void {
    const { record, receiving, sending } = connection;
    const added = changes.flatMap((change) => change.type === "put message" ? [change.message] : []);
    // Numbers ascend, one for each message.
    assertEquals(
      added.map(({ id }) => id),
      Array.from(added, (_, i) => before.record.lastMessageId + 1 + i),
    );
    assertEquals(record.lastMessageId, before.record.lastMessageId + added.length);
    for (const change of changes) {
      if (change.type !== "put outbox" || event.type === "route made") continue;
      assert(change.entry.position > this.#lastPosition);
      this.#lastPosition = change.entry.position;
    }
    assert(record.lastPosition >= before.record.lastPosition && this.#lastPosition <= record.lastPosition);
    // One event for each message that was received, stored with it.
    const received = added.filter((message) => message.received !== null).map(({ id }) => id);
    assertEquals(events.flatMap((event) => event.type === "message" ? [event.id] : []), received);
    for (const id of received) this.#undone.add(id);
    if (event.type === "acknowledged") this.#undone.delete(event.id);
    assertEquals(receiving.flatMap(({ unacknowledged }) => unacknowledged.map(({ id }) => id)), [
      ...this.#undone,
    ]);
    // Told once, and when it is so.
    this.#connectedTold += events.filter(({ type }) => type === "connected").length;
    assertEquals(this.#connectedTold, record.connected ? 1 : 0);
    // Traffic is never led elsewhere.
    assert(receiving.length <= 1 && sending.length <= 1);
    for (const route of before.sending) assertEquals(sending[0]?.keys, route.keys);
    for (const { keys } of before.receiving) assertEquals(receiving[0]?.keys.recipientId, keys.recipientId);
    // What is used needs a key.
    for (const { status, keys } of receiving) assertEquals(keys.senderKey === null, status === "new");
    for (const { status, keys } of receiving) {
      assertEquals(keys.verificationKey !== null, status === "active");
    }
  }
}

/** The event in the order of the procedure for a random connection, or any other. */
const happening = fc.record({ name: fc.constantFrom(...names), mark: fc.integer({ min: 1, max: 40 }) });
const proper = [
  [
    "received KEY",
    "approved",
    "secured",
    "received HELLO",
    "received REPLY",
    "joined",
    "sent KEY",
    "sent HELLO",
  ],
  ["sent KEY", "sent HELLO", "route made", "received KEY", "approved", "secured", "received HELLO"],
];

Deno.test("whatever happens in whatever order, a connection stays sound", { permissions: "none" }, () => {
  const order = fc.tuple(
    fc.constantFrom(...starts),
    fc.nat({ max: 8 }),
    fc.array(happening, { maxLength: 60 }),
  );
  let connected = 0;
  fc.assert(
    fc.property(order, ([state, count, rest]) => {
      let connection = connectionIn(state);
      connection = { ...connection, record: { ...connection.record, lastMessageId: 0, lastPosition: 0 } };
      const first = proper[state.role === "initiator" ? 0 : 1]!.slice(0, count);
      const invariants = new Invariants();
      for (const { name, mark } of [...first.map((name, i) => ({ name, mark: 50 + i })), ...rest]) {
        const event = frozen(eventOf(connection, name, mark));
        const made = stepOrRefusal(frozen(connection), event);
        invariants.check(connection, event, made);
        connection = made.connection;
      }
      if (connection.record.connected) connected++;
    }),
    { numRuns: 1000 },
  );
  assert(connected > 100);
});

/** What a step makes; a message that cannot be sent changes nothing. */
function stepOrRefusal(connection: Connection, event: ConnectionEvent): Step {
  try {
    return step(connection, event, context);
  } catch (error) {
    assert(error instanceof AgentError && error.code === "CONN SIMPLEX" && event.type === "send");
    return stepTo(connection);
  }
}
