import { assert, assertEquals } from "@std/assert";
import {
  type ConnectionEvent,
  type ConnectionState,
  newConnection,
  type ReceivingStatus,
  type SendingStatus,
  transition,
} from "../../agent/connection.ts";

const permissions = "none";
const messages = ["KEY", "HELLO", "REPLY", "MSG"] as const;
const events: readonly ConnectionEvent[] = [
  ...messages.map((message) => ({ type: "received", message }) as const),
  ...messages.map((message) => ({ type: "sent", message }) as const),
  { type: "secured" },
  { type: "reply queue made" },
];

function allStates(): ConnectionState[] {
  const states: ConnectionState[] = [];
  for (const role of ["initiator", "joiner"] as const) {
    for (const reply of [true, false]) {
      for (const receiving of ["none", "new", "confirmed", "secured", "active"] satisfies ReceivingStatus[]) {
        for (const sending of ["none", "new", "confirmed", "active"] satisfies SendingStatus[]) {
          for (const connected of [true, false]) states.push({ role, reply, receiving, sending, connected });
        }
      }
    }
  }
  return states;
}

/** What a table says of an event: which states it is for, what it changes there and what has to be done. */
interface Rule {
  readonly event: string;
  readonly when: (state: ConnectionState) => boolean;
  readonly change: (state: ConnectionState) => Partial<ConnectionState>;
  readonly effects: (state: ConnectionState) => readonly string[];
}

const isDuplexJoiner = ({ role, reply }: ConnectionState) => role === "joiner" && reply;

/** agent.md Duplex procedure, as a table. */
const rules: readonly Rule[] = [
  {
    event: "received KEY",
    when: ({ receiving }) => receiving === "new" || receiving === "confirmed",
    change: () => ({ receiving: "confirmed" }),
    effects: () => ["secure"],
  },
  {
    event: "secured",
    when: ({ receiving }) => receiving === "confirmed",
    change: () => ({ receiving: "secured" }),
    effects: () => [],
  },
  {
    event: "received HELLO",
    when: ({ receiving }) => receiving === "secured",
    change: ({ role, connected }) => ({ receiving: "active", connected: connected || role === "joiner" }),
    effects: ({ role }) => role === "joiner" ? ["connected"] : [],
  },
  {
    event: "received REPLY",
    when: ({ role, receiving, sending }) =>
      role === "initiator" && receiving === "active" && sending === "none",
    change: () => ({ sending: "new" }),
    effects: () => ["answer"],
  },
  {
    event: "received MSG",
    when: ({ receiving }) => receiving === "active",
    change: () => ({}),
    effects: () => ["deliver"],
  },
  {
    event: "sent KEY",
    when: ({ sending }) => sending === "new",
    change: () => ({ sending: "confirmed" }),
    effects: () => [],
  },
  {
    event: "sent HELLO",
    when: ({ sending }) => sending === "confirmed",
    change: (state) => ({ sending: "active", connected: state.connected || !isDuplexJoiner(state) }),
    effects: (state) => state.connected || isDuplexJoiner(state) ? [] : ["connected"],
  },
  {
    event: "reply queue made",
    when: (state) => isDuplexJoiner(state) && state.receiving === "none",
    change: () => ({ receiving: "new" }),
    effects: () => [],
  },
];

Deno.test("every event in every state does what the table says, or changes nothing", { permissions }, () => {
  let count = 0, allowed = 0;
  for (const state of allStates()) {
    for (const event of events) {
      const name = "message" in event ? `${event.type} ${event.message}` : event.type;
      const rule = rules.find((rule) => rule.event === name && rule.when(state));
      const expected = rule === undefined
        ? { state, effects: event.type === "received" ? ["prohibited"] : [] }
        : { state: { ...state, ...rule.change(state) }, effects: rule.effects(state) };
      const before = structuredClone(state);
      assertEquals(
        transition(state, event),
        expected as ReturnType<typeof transition>,
        `${name} in ${JSON.stringify(state)}`,
      );
      assertEquals(state, before);
      count++;
      if (rule !== undefined) allowed++;
    }
  }
  assertEquals(count, 2 * 2 * 5 * 4 * 2 * 10);
  assert(allowed > 100);
});

Deno.test("both sides of a duplex connection get there by the procedure", { permissions }, () => {
  const run = (state: ConnectionState, steps: readonly ConnectionEvent[]) => {
    const told: string[] = [];
    for (const event of steps) {
      const { state: next, effects } = transition(state, event);
      state = next;
      told.push(...effects);
    }
    return { state, told };
  };
  const received = (message: typeof messages[number]) => ({ type: "received", message }) as const;
  const sent = (message: typeof messages[number]) => ({ type: "sent", message }) as const;
  const a = run(newConnection("initiator", true), [
    received("KEY"),
    { type: "secured" },
    received("HELLO"),
    received("REPLY"),
    sent("KEY"),
    sent("HELLO"),
    received("MSG"),
  ]);
  const b = run(newConnection("joiner", true), [
    sent("KEY"),
    sent("HELLO"),
    { type: "reply queue made" },
    sent("REPLY"),
    received("KEY"),
    { type: "secured" },
    received("HELLO"),
    received("MSG"),
  ]);
  assertEquals(a.told, ["secure", "answer", "connected", "deliver"]);
  assertEquals(b.told, ["secure", "connected", "deliver"]);
  for (const { state } of [a, b]) {
    assertEquals([state.receiving, state.sending, state.connected], ["active", "active", true]);
  }
  const oneWay = run(newConnection("joiner", false), [sent("KEY"), sent("HELLO")]);
  assertEquals([oneWay.told, oneWay.state.receiving], [["connected"], "none"]);
});
