import { assert, assertEquals, assertThrows } from "@std/assert";
import { step } from "../../../agent/core/step.ts";
import type { ConnectionEvent } from "../../../agent/core/types.ts";
import { AgentError } from "../../../agent/protocol/error.ts";
import type { Connection } from "../../../agent/store/store.ts";
import { equalBytes } from "../../../protocol/mod.ts";
import {
  allStates,
  bytesIn,
  connectionIn,
  context,
  eventsFor,
  frozen,
  messages,
  queued,
  receivedAs,
  receivingRoute,
  sendingRoute,
  type State,
  stateOf,
  summary,
} from "./scenes.ts";

const permissions = "none";

/** What a step does: which part of the state it changes, what is stored beside, done and told. */
interface Outcome {
  readonly change?: Partial<State>;
  readonly changes?: readonly string[];
  readonly commands?: readonly string[];
  readonly events?: readonly string[];
}

/** What an event does in the states in which it can happen; in others it does nothing. */
interface Rule {
  readonly when?: (state: State) => boolean;
  readonly then: (state: State) => Outcome;
  /** What it does in other states, if not nothing. */
  readonly otherwise?: Outcome;
}

const acknowledge = ["acknowledge"];
const prohibited: Outcome = { commands: acknowledge, events: ["error AGENT A_PROHIBITED"] };
const anotherKey: Outcome = { ...prohibited, events: ["second confirmation", ...prohibited.events!] };
const entry = ["put outbox", "put delivery"];
const isDuplexJoiner = ({ role, reply }: State) => role === "joiner" && reply;
const hasRoute = ({ sending }: State) => sending !== "none";
const isAwaitingReply = ({ role, receiving, sending }: State) =>
  role === "initiator" && receiving === "active" && sending === "none";

/** agent.md Duplex procedure, as a table. Events of the route `in` do nothing where there is none. */
const rules: Readonly<Record<string, Rule>> = {
  "received KEY": {
    when: ({ receiving }) => receiving === "new" || receiving === "confirmed",
    then: ({ receiving }) => ({ commands: [receiving === "new" ? "approve" : "secure again"] }),
    otherwise: anotherKey,
  },
  "received another KEY": {
    when: ({ receiving }) => receiving === "new",
    then: () => ({ commands: ["approve"] }),
    otherwise: anotherKey,
  },
  "received HELLO": {
    when: ({ receiving }) => receiving === "secured",
    then: ({ role, connected }) => ({
      change: { receiving: "active", connected: connected || role === "joiner" },
      commands: acknowledge,
      events: role === "joiner" && !connected ? ["connected"] : [],
    }),
    otherwise: prohibited,
  },
  "received REPLY": {
    when: isAwaitingReply,
    then: () => ({ commands: ["join"] }),
    otherwise: prohibited,
  },
  "received MSG": {
    when: ({ receiving }) => receiving === "active",
    then: () => ({ changes: ["put message"], events: ["message 5"] }),
    otherwise: prohibited,
  },
  "unreadable": { then: () => ({ commands: acknowledge, events: ["error SMP AUTH"] }) },
  "approved": {
    when: ({ receiving }) => receiving === "new",
    then: () => ({ change: { receiving: "confirmed" }, commands: ["secure"] }),
  },
  "not approved": {
    when: ({ receiving }) => receiving === "new",
    then: () => ({ commands: acknowledge, events: ["confirmation not approved"] }),
  },
  "secured": {
    when: ({ receiving }) => receiving === "confirmed",
    then: () => ({ change: { receiving: "secured" }, commands: acknowledge }),
  },
  "not secured": {
    when: ({ receiving }) => receiving === "confirmed",
    then: () => ({ change: { receiving: "new" }, commands: acknowledge, events: ["error SMP AUTH"] }),
  },
  "joined": {
    when: isAwaitingReply,
    then: () => ({
      change: { sending: "new" },
      changes: [...entry, ...entry],
      commands: ["deliver", "acknowledge"],
    }),
  },
  "not joined": {
    when: isAwaitingReply,
    then: () => ({ commands: acknowledge, events: ["error SMP AUTH"] }),
  },
  "route made": {
    when: (state) => isDuplexJoiner(state) && state.receiving === "none",
    then: () => ({ change: { receiving: "new" }, changes: ["put outbox"] }),
  },
  "attempted": { when: hasRoute, then: () => ({ changes: ["put delivery"] }) },
  "sent KEY": {
    when: hasRoute,
    then: ({ sending }) => ({
      change: sending === "new" ? { sending: "confirmed" } : {},
      changes: ["delete delivery"],
    }),
  },
  "sent HELLO": {
    when: hasRoute,
    then(state) {
      const isNew = !isDuplexJoiner(state) && !state.connected && state.sending === "confirmed";
      return {
        change: state.sending === "confirmed"
          ? { sending: "active", connected: state.connected || !isDuplexJoiner(state) }
          : {},
        changes: ["delete delivery"],
        events: isNew ? ["connected"] : [],
      };
    },
  },
  "sent REPLY": { when: hasRoute, then: () => ({ changes: ["delete delivery"] }) },
  "sent MSG": {
    when: hasRoute,
    then: () => ({ changes: ["delete delivery", "message done"], events: ["sent 2"] }),
  },
  "given up": {
    when: hasRoute,
    then: () => ({ changes: ["delete delivery"], events: ["error SMP AUTH 2"] }),
  },
  "given up route": {
    when: hasRoute,
    then: () => ({
      change: { sending: "failed" },
      changes: ["delete delivery", "delete delivery"],
      events: ["error SMP AUTH", "error SMP AUTH 2"],
    }),
  },
  "acknowledged": {
    then: ({ receiving }) => ({
      changes: ["message done"],
      commands: receiving === "active" ? acknowledge : [],
    }),
  },
  "acknowledged unknown": { then: () => ({ changes: ["message done"] }) },
  "suspended": { then: () => ({}) },
};

Deno.test("every event in every state does what the table says", { permissions }, () => {
  let count = 0;
  for (const state of allStates()) {
    const connection = connectionIn(state);
    for (const [name, event] of eventsFor(connection)) {
      count++;
      if (name === "send") continue;
      const { when = () => true, then, otherwise = {} } = rules[name]!;
      const isThere = !("route" in event) || event.route !== "in" || state.receiving !== "none";
      const outcome = !isThere ? {} : when(state) ? then(state) : otherwise;
      const { change = {}, changes = [], commands = [], events = [] } = outcome;
      const expected = { state: { ...state, ...change }, changes, commands, events };
      assertEquals(
        summary(step(connection, event, context)),
        expected,
        `${name} in ${JSON.stringify(state)}`,
      );
    }
  }
  assertEquals(count, 2 * 2 * 5 * 5 * 2 * 24);
});

Deno.test("a message is sent wherever there is a route that was not given up", { permissions }, () => {
  for (const state of allStates()) {
    const connection = connectionIn(state);
    const event = eventsFor(connection).get("send")!;
    if (state.sending === "none" || state.sending === "failed") {
      const error = assertThrows(() => step(connection, event, context), AgentError);
      assertEquals(error.code, "CONN SIMPLEX");
      continue;
    }
    const made = step(connection, event, context);
    assertEquals(summary(made), {
      state,
      changes: ["put message", ...entry],
      commands: ["deliver"],
      events: [],
    });
    const { lastMessageId, lastPosition, lastSent } = made.connection.record;
    assertEquals([lastMessageId, lastPosition, lastSent], [5, 8, { id: 1, hash: Uint8Array.of(8) }]);
  }
});

Deno.test("a step changes nothing of what it is given", { permissions }, () => {
  for (const state of allStates()) {
    const connection = frozen(connectionIn(state));
    for (const [name, event] of eventsFor(connection)) {
      if (name === "send" && (state.sending === "none" || state.sending === "failed")) continue;
      // Byte arrays cannot be frozen.
      const bytes = bytesIn([connection, event]), before = bytes.map((part) => part.slice());
      step(connection, frozen(event), frozen(context));
      assert(bytes.every((part, i) => equalBytes(part, before[i]!)), name);
    }
  }
});

Deno.test("an event of a route that the connection has not changes nothing", { permissions }, () => {
  for (const state of allStates()) {
    const connection = connectionIn(state);
    for (const [name, event] of eventsFor(connection)) {
      const elsewhere = "route" in event
        ? { ...event, route: "unknown" }
        : event.type === "sent"
        ? { ...event, delivery: { ...event.delivery, route: "unknown" } }
        : null;
      if (elsewhere === null) continue;
      const { connection: after, ...rest } = step(connection, elsewhere, context);
      assert(after === connection, name);
      assertEquals(rest, { frames: [], changes: [], commands: [], events: [] }, name);
    }
  }
});

const initiator: State = {
  role: "initiator",
  reply: true,
  receiving: "active",
  sending: "active",
  connected: true,
};

Deno.test(
  "what a server delivers again is acknowledged if it is done with, and else waits",
  { permissions },
  () => {
    const connection = connectionIn(initiator);
    for (const [serverId, commands] of [["bGFzdA==", acknowledge], ["d2FpdHM=", []]] as const) {
      for (const message of Object.values(messages)) {
        const received = { ...receivedAs(message), serverId };
        const made = step(connection, { type: "received", route: "in", received }, context);
        assertEquals(summary(made), { state: initiator, changes: [], commands: [...commands], events: [] });
        assert(made.connection === connection);
      }
      const error = new AgentError("AGENT A_MESSAGE", "it cannot be parsed");
      const made = step(connection, { type: "unreadable", route: "in", serverId, error }, context);
      assertEquals([made.connection, made.commands.length], [connection, commands.length]);
    }
  },
);

Deno.test("what the sender repeats is dropped silently in every state", { permissions }, () => {
  for (const state of allStates()) {
    if (state.receiving === "none") continue;
    const connection = connectionIn(state);
    for (const message of Object.values(messages)) {
      const received = { ...receivedAs(message), hash: connection.receiving[0]!.lastHash };
      const made = step(connection, { type: "received", route: "in", received }, context);
      assertEquals(summary(made), { state, changes: [], commands: acknowledge, events: [] });
      assertEquals(made.connection.receiving[0]!.lastServerId, received.serverId);
    }
  }
});

Deno.test(
  "a message is acknowledged to its server once, however often it is to the agent",
  { permissions },
  () => {
    const once = step(connectionIn(initiator), { type: "acknowledged", id: 4, number: 0 }, context);
    assertEquals(once.commands, [{ type: "acknowledge", route: "in", serverId: "d2FpdHM=" }]);
    assertEquals(once.connection.receiving[0]!.unacknowledged, []);
    const twice = step(once.connection, { type: "acknowledged", id: 4, number: 0 }, context);
    assertEquals([twice.commands, twice.events, twice.connection], [[], [], once.connection]);
  },
);

Deno.test("a confirmation that the server refuses leaves the way free for another", { permissions }, () => {
  const state: State = { ...initiator, receiving: "new", sending: "none", connected: false };
  let connection = connectionIn(state);
  const happen = (event: ConnectionEvent) => (connection = step(connection, event, context).connection);
  const wrong = receivedAs(messages.otherKey, 60), right = receivedAs(messages.key, 61);
  happen({ type: "approved", route: "in", received: wrong, isApproved: true });
  assertEquals(connection.receiving[0]!.keys.senderKey, messages.otherKey.senderKey.der);
  happen({
    type: "secured",
    route: "in",
    received: wrong,
    error: new AgentError("SMP CMD KEY_SIZE", "no such key"),
  });
  assertEquals([connection.receiving[0]!.status, connection.receiving[0]!.keys.senderKey], ["new", null]);
  happen({ type: "approved", route: "in", received: right, isApproved: true });
  happen({ type: "secured", route: "in", received: right, error: null });
  assertEquals(connection.receiving[0]!.keys.senderKey, messages.key.senderKey.der);
  assertEquals(connection.receiving[0]!.status, "secured");
});

/** What the steps make of a connection, and what they tell and have done. */
function run(connection: Connection, happenings: readonly ConnectionEvent[]) {
  const told: string[] = [], done: string[] = [];
  for (const event of happenings) {
    const made = step(connection, event, context);
    connection = made.connection;
    const { events, commands } = summary(made);
    told.push(...events);
    done.push(...commands.filter((command) => command !== "acknowledge"));
  }
  return { connection, told, done };
}

function gets(message: typeof messages[keyof typeof messages], mark: number, route = "in"): ConnectionEvent {
  return { type: "received", route, received: receivedAs(message, mark) };
}

function hasSent(connection: Connection, kind: string, route = "out"): ConnectionEvent {
  return { type: "sent", delivery: { ...queued(connection, kind), route } };
}

Deno.test("both sides of a duplex connection get there by the procedure", { permissions }, () => {
  const none: State = { role: "initiator", reply: true, receiving: "new", sending: "none", connected: false };
  const created = connectionIn(none);
  const confirm = (route: string): ConnectionEvent[] => {
    const received = receivedAs(messages.key, 60);
    return [
      { type: "received", route, received },
      { type: "approved", route, received, isApproved: true },
      { type: "secured", route, received, error: null },
    ];
  };
  const a = run(created, [
    ...confirm("in"),
    gets(messages.hello, 61),
    gets(messages.reply, 62),
    { type: "joined", route: "in", received: receivedAs(messages.reply, 62), sending: sendingRoute("new") },
    hasSent(created, "KEY"),
    hasSent(created, "HELLO"),
    gets(messages.msg, 63),
  ]);
  assertEquals(a.done, ["approve", "secure", "join", "deliver"]);
  assertEquals(a.told, ["connected", "message 5"]);
  const joining = connectionIn({ ...none, role: "joiner", receiving: "none", sending: "new" });
  const b = run(joining, [
    hasSent(joining, "KEY"),
    hasSent(joining, "HELLO"),
    { type: "route made", receiving: receivingRoute("new"), position: 3 },
    hasSent(joining, "REPLY"),
    ...confirm("in"),
    gets(messages.hello, 61),
    gets(messages.msg, 62),
  ]);
  assertEquals(b.done, ["approve", "secure"]);
  assertEquals(b.told, ["connected", "message 5"]);
  for (const { connection } of [a, b]) {
    const { receiving, sending, connected } = stateOf(connection);
    assertEquals([receiving, sending, connected], ["active", "active", true]);
  }
  const simplex = connectionIn({ ...none, role: "joiner", reply: false, receiving: "none", sending: "new" });
  const oneWay = run(simplex, [hasSent(simplex, "KEY"), hasSent(simplex, "HELLO")]);
  assertEquals([oneWay.told, oneWay.connection.receiving], [["connected"], []]);
});
