import { assert, assertEquals } from "@std/assert";
import { step } from "../../../agent/core/step.ts";
import { routeNeed } from "../../../agent/runtime/route_need.ts";
import type { AgentContext } from "../../../agent/runtime/context.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { Sessions } from "../../../agent/runtime/sessions.ts";
import { newSession, withSession, withSessionKeys } from "../../../agent/session/session.ts";
import type { Connection, InboundRoute, OutboundRoute, StoreChange } from "../../../agent/store/store.ts";
import { formatAddress, type Frame, SmpError } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { connectionIn, context, messages, receivedAs } from "../core/scenes.ts";

const { joiner: { state: ratchet } } = await newSessions();
const [here, there] = [{ host: "one.example" }, { host: "two.example" }];
const state = {
  role: "joiner",
  reply: true,
  receiving: "active",
  sending: "active",
  connected: true,
} as const;

function inbound(id: string, change: Partial<InboundRoute> = {}): InboundRoute {
  const keys = {
    server: here,
    recipientId: "cmlk",
    senderId: "c2lk",
    recipientKey: Uint8Array.of(1),
    routeId: new TextEncoder().encode(id.padEnd(8)),
    routeKey: new Uint8Array(32),
    blockSize: 4096,
    createdAt: 1000,
  };
  const made = { id, keys, status: "active", replaces: null, leaving: null, endedBy: null } as const;
  return { ...made, lastServerId: "", suspended: false, ...change };
}

function outbound(id: string, isProven: boolean): OutboundRoute {
  const { keys: { server, senderId, routeId, routeKey, blockSize } } = inbound(id);
  const keys = { server, senderId, senderKey: Uint8Array.of(2), routeId, routeKey, blockSize };
  return { id, keys, isProven, replaces: null, cursor: 0 };
}

function active(routes: Partial<Pick<Connection, "inbound" | "outbound">>): Connection {
  const empty = { ...connectionIn(state), session: newSession({}), ...routes };
  return withSessionKeys(withSession(empty, { status: "active", ratchet }), { kinds: [3, 4, 5, 6, 7] });
}

function arrived(connection: Connection, frame: Frame, changes: readonly StoreChange[] = []) {
  const one = { frame, serverId: "aWQ=", serverAt: 1, hash: new Uint8Array(0) };
  const { stored, undecrypted } = connection.session!;
  const opened = {
    ratchet,
    frames: [{ ...one, delivered: null, taken: [], outbound: null }],
    stored,
    changes,
    reassembly: undefined,
    heard: [],
    isRepeated: false,
    unreadable: 0,
    undecrypted,
    lastServerId: "aWQ=",
  };
  return step(connection, { type: "packets", route: connection.inbound[0]!.id, opened }, context);
}

Deno.test("a suspended connection gets no other queue, also when one was just made", () => {
  const old = inbound("first", { suspended: true, leaving: "age" });
  const servers = { isLost: () => false } as unknown as Parameters<typeof routeNeed>[1]["servers"];
  const agent = { routes: 2, ownServers: () => [here, there], servers, lostTimeout: 1, now: () => 1 };
  assertEquals(routeNeed(active({ inbound: [old] }), agent), null);
  assert(routeNeed(active({ inbound: [{ ...old, suspended: false }] }), agent) !== null);
  const { server, ...keys } = outbound("second", false).keys;
  const record = {
    ...keys,
    server: formatAddress(server),
    senderId: Uint8Array.of(1),
    p: Uint8Array.of(3),
    q: Uint8Array.of(5),
  };
  const made = step(
    active({ inbound: [old] }),
    { type: "inbound made", inbound: inbound("second"), record },
    context,
  );
  assertEquals([made.connection.inbound, made.frames], [[old], []]);
});

Deno.test("who refuses each route is not asked again and again", () => {
  const connection = active({ inbound: [inbound("first"), inbound("second", { status: "new" })] });
  const servers = { isLost: () => false };
  const need = (connection: Connection, now: number) =>
    routeNeed(connection, {
      routes: 2,
      ownServers: () => [here, there],
      servers: servers as unknown as Parameters<typeof routeNeed>[1]["servers"],
      lostTimeout: 1,
      now: () => now,
    });
  const { routeId } = connection.inbound[1]!.keys;
  const refused = arrived(connection, { kind: "route refused", routeId, reason: 1, number: 1, time: 1 });
  assertEquals(refused.connection.inbound.map(({ id }) => id), ["first"]);
  assertEquals(need(refused.connection, context.now + 1), null);
  assertEquals(need(refused.connection, context.now + 3_600_000)?.type, "make");
  // It was told by a clock that was ahead.
  assertEquals(need(refused.connection, context.now - 3_600_000)?.type, "make");
});

Deno.test("a receipt is due until it has proven each new route", () => {
  const due = withSession(active({ outbound: [outbound("old", true), outbound("new", false)] }), {
    receiptDue: true,
  });
  const told = due.session!;
  const first = step(due, { type: "receipt sent", route: "old", told }, context);
  assertEquals(first.connection.session?.receiptDue, true);
  const second = step(first.connection, { type: "receipt sent", route: "new", told }, context);
  assertEquals(second.connection.session?.receiptDue, false);
  assertEquals(second.frames.map(({ content: { kind } }) => kind), ["route ok"]);
});

Deno.test("a message of a side without sessions that comes before this side has fallen back is not lost", () => {
  const connection = { ...connectionIn(state), session: newSession({}) };
  const event = { type: "received", route: "in", received: receivedAs(messages.msg) } as const;
  assertEquals(step(connection, event, context).events.map(({ type }) => type), ["message"]);
});

Deno.test("pieces that come with the end of a session are not stored: their route is not there any more", () => {
  const connection = active({ inbound: [inbound("in")], outbound: [outbound("out", true)] });
  const { record: { id } } = connection;
  const one = { tag: "AAAA", index: 0, count: 2, total: 9, since: 1, piece: Uint8Array.of(1) };
  const changes = [{ type: "put piece", piece: { connection: id, route: "in", ...one } }] as const;
  const closed = arrived(connection, { kind: "close", number: 2, time: 1 }, changes);
  assertEquals(closed.connection.inbound, []);
  assertEquals(closed.changes.map(({ type }) => type), ["put discarded"]);
});

Deno.test("a queue that its server has forgotten is not subscribed to again and again", async () => {
  const routes = active({ inbound: [inbound("gone", { leaving: "lost" })] });
  const connection = withSession({ ...routes, receiving: [] }, { lastEncrypted: 1 });
  let subscribed = 0;
  const context = {
    connections: { find: () => connection, inbound: () => ({ connection, route: connection.inbound[0] }) },
    keys: {},
    ownServers: () => [],
    routes: 1,
    now: () => 0,
    servers: {
      isWanted: () => false,
      isLost: () => false,
      subscribe: () => {
        subscribed++;
        return Promise.reject(new SmpError("AUTH"));
      },
    },
  } as unknown as AgentContext;
  let left = 0;
  const interpreter = {
    do: () => {
      if (++left < 10) sessions.look(connection.record.id);
      return Promise.resolve(null);
    },
  } as unknown as Interpreter;
  await using sessions: Sessions = new Sessions(context, interpreter, {
    sendReceipt: () => {},
  });
  sessions.look(connection.record.id);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals([subscribed, left], [1, 1]);
});

Deno.test("a receipt waits for the next second, unless the other side would stop sending without it", async () => {
  const idle = active({ inbound: [inbound("in")], outbound: [outbound("out", true)] });
  const at = (upTo: number) =>
    withSession(idle, { stored: { upTo, ranges: [] }, lastEncrypted: 1, receiptDue: true });
  let connection = at(1);
  const context = {
    connections: { find: () => connection, all: () => [connection] },
    ownServers: () => [here],
    routes: 1,
    now: () => 0,
    servers: { isWanted: () => true, isLost: () => false },
  } as unknown as AgentContext;
  const told: number[] = [];
  let sent = Promise.withResolvers<string>();
  const interpreter = {
    do: () => {
      told.push(connection.session!.stored.upTo);
      sent.resolve("sent");
      return Promise.resolve(null);
    },
  } as unknown as Interpreter;
  await using sessions = new Sessions(context, interpreter, { sendReceipt: () => {} });
  /** Whether the next receipt goes before half a second is over. */
  const next = async (upTo: number) => {
    connection = at(upTo);
    sent = Promise.withResolvers();
    sessions.look(connection.record.id);
    let timer;
    const later = new Promise<string>((resolve) => timer = setTimeout(resolve, 500, "later"));
    const first = await Promise.race([sent.promise, later]);
    clearTimeout(timer);
    return first;
  };
  assertEquals([await next(1), await next(125), await next(126), told], ["sent", "later", "sent", [1, 126]]);
});
