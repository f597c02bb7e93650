import { assertEquals, assertThrows } from "@std/assert";
import { step } from "../../../agent/core/step.ts";
import type { BegunSession, ConnectionEvent } from "../../../agent/core/types.ts";
import { AgentError } from "../../../agent/protocol/error.ts";
import type { OpenedPackets } from "../../../agent/session/arrival.ts";
import { mostFrames, newSession, withSession } from "../../../agent/session/session.ts";
import type {
  Connection,
  FrameRecord,
  InboundRoute,
  OutboundRoute,
  Session,
  SessionStatus,
} from "../../../agent/store/store.ts";
import type { Frame, NumberSet } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { bytesIn, connectionIn, context, frozen, messages, receivedAs } from "../core/scenes.ts";

const { joiner: { state: ratchet } } = await newSessions();
const permissions = "none";
const statuses: readonly SessionStatus[] = ["greeting", "agreed", "offered", "answered", "active"];
const roles = ["initiator", "joiner"] as const;
const server = { host: "one.example" };
const none = new Uint8Array(0);

const inbound: InboundRoute = {
  id: "inbound",
  keys: {
    server,
    recipientId: "cmlk",
    senderId: "c2lk",
    recipientKey: Uint8Array.of(1),
    routeId: new Uint8Array(8),
    routeKey: new Uint8Array(32),
    blockSize: 4096,
    createdAt: 1000,
  },
  status: "active",
  replaces: null,
  leaving: null,
  endedBy: null,
  lastServerId: "",
  suspended: false,
};

const outbound: OutboundRoute = {
  id: "outbound",
  keys: {
    server,
    senderId: "c2lk",
    senderKey: Uint8Array.of(2),
    routeId: new Uint8Array(8),
    routeKey: new Uint8Array(32),
    blockSize: 4096,
  },
  isProven: true,
  replaces: null,
  cursor: 0,
};

/** A connection whose session is so far, with the routes that it has by then. */
function sessionAt(
  status: SessionStatus,
  role: "initiator" | "joiner",
  change: Partial<Session> = {},
): Connection {
  const state = { role, reply: true, receiving: "active", sending: "active", connected: true } as const;
  const hasInbound = status === "offered" || status === "answered" || status === "active";
  const hasOutbound = status === "answered" || status === "active";
  return withSession({
    ...connectionIn(state),
    session: newSession({}),
    inbound: hasInbound ? [inbound] : [],
    outbound: hasOutbound ? [outbound] : [],
  }, { status, ...hasOutbound && { ratchet }, ...change });
}

const upg = receivedAs(
  { type: "UPG", upgrade: Uint8Array.of(7), id: 0, timestamp: new Date(1000), previousHash: none } as const,
);
const begun: BegunSession = { ratchet, safetyCode: "1", repairKey: none, outbound };
const unusable = new AgentError("AGENT A_MESSAGE", "it cannot be used");
const pair = { x25519: none } as never;

function frames(...all: readonly Frame[]): OpenedPackets {
  const numbers = all.map(({ number }) => number);
  return {
    ratchet,
    frames: all.map((frame) => ({
      frame,
      serverId: "aWQ=",
      serverAt: 2000,
      hash: none,
      delivered: null,
      taken: [],
      outbound: null,
    })),
    stored: { upTo: Math.max(0, ...numbers), ranges: [] },
    changes: [],
    reassembly: undefined,
    heard: [],
    undecrypted: 0,
    isRepeated: false,
    unreadable: 0,
    lastServerId: "aWQ=",
  };
}

const ready: Frame = { kind: "ready", number: 1, time: 1, kinds: [1] };
const message: Frame = {
  kind: "message",
  number: 1,
  time: 1,
  userNumber: 1,
  previousHash: new Uint8Array(32),
  body: Uint8Array.of(1),
};
const packets = (opened: OpenedPackets) => ({ type: "packets", route: "inbound", opened }) as const;
const former = { number: 2, messageId: 3, plaintext: Uint8Array.of(1), hash: Uint8Array.of(2) };

const events: Readonly<Record<string, ConnectionEvent>> = {
  "fell back": { type: "fell back", messages: [former, { ...former, number: 3 }] },
  offered: { type: "offered", pair, inbound, upgrade: Uint8Array.of(7) },
  answered: {
    type: "answered",
    route: "in",
    received: upg,
    begun: { ...begun, inbound, upgrade: Uint8Array.of(8) },
  },
  "not answered": { type: "answered", route: "in", received: upg, begun: unusable },
  begun: { type: "begun", route: "in", received: upg, begun },
  "not begun": { type: "begun", route: "in", received: upg, begun: unusable },
  "received UPG": { type: "received", route: "in", received: upg },
  "received MSG": { type: "received", route: "in", received: receivedAs(messages.msg) },
  ready: packets(frames(ready)),
  message: packets(frames(message)),
  "send frame": { type: "send frame", body: Uint8Array.of(1), time: 5, hash: Uint8Array.of(3) },
};

/** What a step makes, in a few words. */
interface Outcome {
  readonly status: SessionStatus | null;
  readonly frames?: readonly string[];
  readonly changes?: readonly string[];
  readonly commands?: readonly string[];
  readonly events?: readonly string[];
}

function outcomeOf(connection: Connection, event: ConnectionEvent): Required<Outcome> {
  const made = step(frozen(connection), frozen(event), context);
  return {
    status: made.connection.session?.status ?? null,
    frames: made.frames.map(({ content }) => content.kind),
    changes: made.changes.map(({ type }) => type),
    commands: made.commands.map(({ type }) => type),
    events: made.events.map((event) => event.type === "error" ? `error ${event.code}` : event.type),
  };
}

const delivery = ["put outbox", "put delivery"];

/** sessions.md The upgrade of a connection, as a table. */
function expected(name: string, status: SessionStatus, role: "initiator" | "joiner"): Outcome {
  const hasInbound = status === "offered" || status === "answered" || status === "active";
  switch (name) {
    case "fell back": {
      const one = ["delete frame", ...delivery];
      return status === "greeting"
        ? { status: null, changes: [...one, ...one], commands: ["deliver"] }
        : { status };
    }
    case "offered":
      return status === "agreed" && role === "joiner"
        ? { status: "offered", changes: delivery, commands: ["deliver"] }
        : { status };
    case "answered":
      return status === "agreed" && role === "initiator"
        ? { status: "answered", changes: delivery, commands: ["deliver", "acknowledge"] }
        : { status };
    case "not answered":
      return status === "agreed" && role === "initiator"
        ? { status, commands: ["acknowledge"], events: ["error AGENT A_MESSAGE"] }
        : { status };
    case "begun":
      return status === "offered"
        ? {
          status: "active",
          frames: ["ready"],
          commands: ["drop", "acknowledge", "encrypt"],
          events: ["session"],
        }
        : { status };
    case "not begun":
      return status === "offered"
        ? { status, commands: ["acknowledge"], events: ["error AGENT A_MESSAGE"] }
        : { status };
    case "received UPG":
      if (role === "initiator" && status === "agreed") return { status, commands: ["answer"] };
      if (role === "joiner" && status === "offered") return { status, commands: ["begin"] };
      return { status, commands: ["acknowledge"] };
    case "received MSG":
      if (role === "joiner" && status === "greeting") {
        return { status, changes: ["put message"], events: ["message"] };
      }
      return { status, commands: ["acknowledge"], events: ["error AGENT A_PROHIBITED"] };
    case "ready": {
      if (!hasInbound) return { status };
      const commands = ["drop", "look at routes"];
      return status === "answered"
        ? {
          status: "active",
          frames: ["ready"],
          changes: ["put discarded"],
          commands: [...commands, "encrypt", "tell receipt"],
          events: ["session"],
        }
        : { status, changes: ["put discarded"], commands: [...commands, "tell receipt"] };
    }
    case "message":
      return hasInbound
        ? { status, changes: ["put message"], commands: ["tell receipt"], events: ["message"] }
        : { status };
    case "send frame":
      return { status, frames: ["message"], changes: ["put message"] };
    default:
      throw new Error(name);
  }
}

Deno.test({
  name: "every event in every status of a session does what the table says, on both sides",
  permissions,
  fn() {
    const nothing = { frames: [], changes: [], commands: [], events: [] };
    for (const [name, event] of Object.entries(events)) {
      for (const status of statuses) {
        for (const role of roles) {
          const want = { ...nothing, ...expected(name, status, role) };
          assertEquals(outcomeOf(sessionAt(status, role), event), want, `${name}, ${role} ${status}`);
        }
      }
    }
  },
});

Deno.test({
  name: "a step of a session changes nothing of what it is given, nor of its bytes",
  permissions,
  fn() {
    for (const event of Object.values(events)) {
      for (const status of statuses) {
        const connection = sessionAt(status, "initiator");
        const before = structuredClone(bytesIn([connection, event]));
        step(frozen(connection), frozen(event), context);
        assertEquals(bytesIn([connection, event]), before);
      }
    }
  },
});

Deno.test({
  name: "when the joiner's queue of 0.3 is left, its server is told, and the first to go is what is sent on",
  permissions,
  fn() {
    const { connection } = step(sessionAt("offered", "joiner"), events.begun!, context);
    assertEquals([connection.sending.length, connection.receiving.length], [0, 1]);
    const made = step(connection, events.ready!, context);
    assertEquals([made.connection.sending.length, made.connection.receiving.length], [0, 0]);
    const [discarded] = made.changes;
    assertEquals(discarded?.type === "put discarded" ? discarded.queue.id : null, "in");
  },
});

function receipt(stored: NumberSet, taken: readonly Pick<FrameRecord, "number" | "messageId">[] = []) {
  const frame: Frame = { kind: "receipt", number: 0, time: 1, stored, acknowledged: { upTo: 0, ranges: [] } };
  const opened = frames(frame);
  const [arrived] = opened.frames;
  return packets({ ...opened, frames: [{ ...arrived!, taken }] });
}

Deno.test({
  name: "receipts add up, and of what was not sent nothing is believed",
  permissions,
  fn() {
    let connection = sessionAt("active", "joiner", { lastNumber: 12, lastEncrypted: 10 });
    const tell = (upTo: number, ...ranges: [number, number][]) => {
      const made = step(connection, receipt({ upTo, ranges }), context);
      connection = made.connection;
      return made.changes.flatMap((change) => change.type === "delete frame" ? [change.number] : []);
    };
    assertEquals(tell(11), []);
    assertEquals(tell(0, [3, 4], [9, 11]), []);
    assertEquals(connection.session!.receipted, { upTo: 0, ranges: [] });
    assertEquals(tell(2, [4, 5]), [1, 2, 4, 5]);
    assertEquals(tell(2, [4, 5]), []);
    assertEquals(tell(1), []);
    assertEquals(tell(0, [3, 3], [7, 7]), [3, 7]);
    assertEquals(connection.session!.receipted, { upTo: 5, ranges: [[7, 7]] });
    assertEquals(tell(10), [6, 8, 9, 10]);
  },
});

Deno.test({
  name: "a message is sent once, whether its receipt or the answer of its server is first",
  permissions,
  fn() {
    const connection = sessionAt("active", "joiner", { lastNumber: 4, lastEncrypted: 4, lastTaken: 1 });
    const sentOf = (made: ReturnType<typeof step>) => [
      made.changes.flatMap((change) => change.type === "message done" ? [change.id] : []),
      made.events.flatMap((event) => event.type === "sent" ? [event.id] : []),
    ];
    const all = [2, 3, 4].map((number) => ({ number, messageId: number * 10 }));
    const first = step(connection, receipt({ upTo: 1, ranges: [[3, 3]] }, [all[1]!]), context);
    assertEquals(sentOf(first), [[30], [30]]);
    const again = step(first.connection, receipt({ upTo: 1, ranges: [[3, 3]] }, [all[1]!]), context);
    assertEquals(sentOf(again), [[], []]);
    const event = { type: "frames sent", route: "outbound", cursor: 4, frames: all } as const;
    const second = step(again.connection, event, context);
    assertEquals(sentOf(second), [[20, 40], [20, 40]]);
    assertEquals(sentOf(step(second.connection, event, context)), [[], []]);
  },
});

Deno.test({
  name: "a message more than may wait is refused until one is receipted",
  permissions,
  fn() {
    const full = sessionAt("active", "joiner", { lastNumber: mostFrames, lastEncrypted: 500 });
    const error = assertThrows(() => step(full, events["send frame"]!, context), AgentError);
    assertEquals(error.code, "CONN FULL");
    const { connection } = step(full, receipt({ upTo: 1, ranges: [] }), context);
    assertEquals(outcomeOf(connection, events["send frame"]!).frames, ["message"]);
  },
});

Deno.test({
  name:
    "what the application acknowledges makes room, each message once, whatever numbers the other side gives",
  permissions,
  fn() {
    let connection = sessionAt("active", "joiner", { waiting: 3 });
    const acknowledge = (number: number) => {
      connection = step(connection, { type: "acknowledged", id: 9, number }, context).connection;
      return connection.session!.waiting;
    };
    assertEquals([acknowledge(7), acknowledge(0), acknowledge(7), acknowledge(2 ** 48 - 1)], [2, 2, 1, 0]);
    assertEquals(connection.session!.acknowledged.ranges, [[7, 7], [2 ** 48 - 1, 2 ** 48 - 1]]);
    for (let number = 10; number < 10_000; number += 2) acknowledge(number);
    assertEquals(connection.session!.acknowledged.ranges.length, 2000);
  },
});
