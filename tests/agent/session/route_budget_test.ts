import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { takeRoute } from "../../../agent/session/route_budget.ts";
import { withSession } from "../../../agent/session/session.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import type { Connection, RouteBudget } from "../../../agent/store/store.ts";
import { encodeFrame, type Frame, ratchetEncrypt, routeRefusals } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { routeRecord } from "../../support/route_record.ts";
import { activeSession, arrived, inboundRoute, outboundRoute } from "./scenes.ts";

const permissions = "none";

/** The frame of a route that nobody has named before, and its end. */
function cycle(i: number) {
  const added = outboundRoute(`new ${i}`, { isProven: false });
  const { routeId } = added.keys;
  const route = { routeId } as Extract<Frame, { kind: "route add" }>["route"];
  const add = { kind: "route add", route, replaces: null, lost: false, number: 2 * i + 1, time: 1 } as const;
  const end = { kind: "route end", routeId, number: 2 * i + 2, time: 1 } as const;
  return { add: { frame: add, outbound: added }, end: { frame: end } };
}

/** How many of so many new routes are taken, each of which ends at once, and why others are refused. */
function addAll(connection: Connection, count: number, now: number) {
  let taken = 0;
  const reasons: number[] = [];
  let left = connection;
  for (let i = 0; i < count; i++) {
    const { add, end } = cycle(i);
    const made = arrived(left, [add, end], now);
    if (made.commands.some(({ type }) => type === "send packets")) taken++;
    for (const { content } of made.frames) {
      if (content.kind === "route refused") reasons.push(content.reason);
    }
    left = made.connection;
  }
  return { taken, reasons, left };
}

Deno.test(
  "of routes that come and go only the first few are taken at once, then one each 10 s",
  { permissions },
  () => {
    const connection = activeSession({ inbound: [inboundRoute("in")], outbound: [outboundRoute("out")] });
    const first = addAll(connection, 20, 100_000);
    assertEquals([first.taken, first.reasons], [8, new Array(12).fill(routeRefusals.tooMany)]);
    assertEquals(addAll(first.left, 5, 109_999).taken, 0);
    const second = addAll(first.left, 5, 110_000);
    assertEquals(second.taken, 1);
    assertEquals(addAll(second.left, 5, 145_000).taken, 3);
    assertEquals(addAll(second.left, 20, 10_000_000).taken, 8);
  },
);

Deno.test("never more routes are taken than the first few and one each 10 s", { permissions }, () => {
  fc.assert(fc.property(fc.array(fc.nat(30_000), { maxLength: 60 }), (pauses) => {
    let budget: RouteBudget | undefined, now = 1_000_000, taken = 0;
    for (const pause of pauses) {
      now += pause;
      const next = takeRoute(budget, now);
      if (next === null) continue;
      taken++;
      budget = next;
    }
    const time = pauses.slice(1).reduce((sum, pause) => sum + pause, 0);
    return taken <= 8 + Math.floor(time / 10_000);
  }));
});

Deno.test("a clock that is set back gives one route, then one each 10 s", { permissions }, () => {
  let budget = takeRoute(undefined, 1_000_000)!;
  for (let i = 0; i < 7; i++) budget = takeRoute(budget, 1_000_000)!;
  assertEquals([budget.left, takeRoute(budget, 1_000_000)], [0, null]);
  budget = takeRoute(budget, 500_000)!;
  assertEquals(budget, { left: 0, at: 500_000 });
  assertEquals(takeRoute(budget, 509_999), null);
  assertEquals(takeRoute(budget, 510_000)?.left, 0);
});

Deno.test("who refuses routes gets no more answers than it takes", { permissions }, () => {
  const connection = withSession(
    activeSession({ inbound: [inboundRoute("in")], outbound: [outboundRoute("out")] }),
    { lastNumber: 10_000 },
  );
  assertEquals(addAll(connection, 12, 100_000).reasons, []);
});

Deno.test("no keys are made for routes that are too many", async () => {
  const { joiner, initiator } = await newSessions();
  const empty = activeSession({ inbound: [inboundRoute("in")], outbound: [outboundRoute("out")] });
  const connection = withSession(empty, { ratchet: initiator.state });
  const frames = Array.from({ length: 10 }, (_, i) =>
    encodeFrame({
      kind: "route add",
      route: routeRecord(i + 1),
      replaces: null,
      lost: false,
      number: i + 1,
      time: 1,
    }));
  const made = await ratchetEncrypt(joiner.state, new Uint8Array(await new Blob(frames).arrayBuffer()));
  const message = made.ok ? made.message : new Uint8Array(0);
  const incoming = [{ serverId: "AAAA", serverAt: 0, packet: { type: "message", message } as const }];
  const context = { store: new MemoryStore(), allowUnverified: true };
  const opened = await openPackets(context, connection, { route: "in", incoming, now: 1_000_000 });
  assertEquals(opened.frames.filter(({ outbound }) => outbound === "too many").length, 2);
});
