import { assert, assertEquals } from "@std/assert";
import type { Connection, InboundRoute } from "../../../agent/store/store.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import { type IncomingPacket, openPackets } from "../../../agent/runtime/packets.ts";
import { newSession, withSession } from "../../../agent/session/session.ts";
import { encodeFrame, type Frame, ratchetEncrypt } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { connectionIn } from "../core/scenes.ts";

const context = { store: new MemoryStore(), allowUnverified: true };
const numbers = { upTo: 0, ranges: [] };

function route(id: string): InboundRoute {
  const keys = {
    server: { host: "one.example" },
    recipientId: "cmlk",
    senderId: "c2lk",
    recipientKey: Uint8Array.of(1),
    routeId: new Uint8Array(8),
    routeKey: new Uint8Array(32),
    blockSize: 4096,
    createdAt: 1000,
  };
  const lastServerId = "", suspended = false;
  return {
    id,
    keys,
    status: "active",
    replaces: null,
    leaving: null,
    endedBy: null,
    lastServerId,
    suspended,
  };
}

/** The initiator's connection with some routes, and what makes packets of the joiner's frames. */
async function scene(...routes: readonly string[]) {
  const { joiner, initiator } = await newSessions();
  const state = {
    role: "initiator",
    reply: true,
    receiving: "active",
    sending: "active",
    connected: true,
  } as const;
  const connection: Connection = withSession({
    ...connectionIn(state),
    session: newSession({}),
    inbound: routes.map(route),
  }, { status: "active", ratchet: initiator.state });
  let sender = joiner.state;
  const packetOf = async (frame: Frame): Promise<IncomingPacket> => {
    const made = await ratchetEncrypt(sender, encodeFrame(frame));
    assert(made.ok);
    sender = made.state;
    return { serverId: "AAAA", serverAt: 0, packet: { type: "message", message: made.message } };
  };
  return { connection, packetOf };
}

Deno.test("what comes after the end of a session, and was sent before it, stops nothing", async () => {
  const { connection, packetOf } = await scene("one");
  const close = await packetOf({ kind: "close", number: 2, time: 0 });
  const ready = await packetOf({ kind: "ready", kinds: [1], number: 1, time: 0 });
  const opened = await openPackets(context, connection, { route: "one", incoming: [close, ready], now: 0 });
  assertEquals(opened.frames.map(({ frame: { kind } }) => kind), ["close", "ready"]);
  assertEquals(opened.stored, { upTo: 1, ranges: [] });
});

Deno.test("the copy of a message by another route is not answered, what comes again by the same is", async () => {
  const { connection, packetOf } = await scene("one", "two");
  const ready = await packetOf({ kind: "ready", kinds: [1], number: 1, time: 0 });
  const receipt = await packetOf({
    kind: "receipt",
    stored: numbers,
    acknowledged: numbers,
    number: 0,
    time: 0,
  });
  const incoming = [ready, receipt];
  const first = await openPackets(context, connection, { route: "one", incoming, now: 0 });
  const { ratchet, stored, heard } = first;
  const after = { ...withSession(connection, { ratchet, stored }), heard };
  const copies = await openPackets(context, after, { route: "two", incoming, now: 0 });
  assertEquals([copies.isRepeated, copies.frames.length], [false, 0]);
  const later = { ...after, heard: copies.heard };
  for (const route of ["one", "two"]) {
    const again = await openPackets(context, later, { route, incoming: [receipt], now: 0 });
    assertEquals([again.isRepeated, again.frames.length], [true, 0]);
  }
  // Of what is not remembered, it is not known to be a copy.
  const forgotten = { ...after, heard: [] };
  assert((await openPackets(context, forgotten, { route: "two", incoming: [ready], now: 0 })).isRepeated);
});
