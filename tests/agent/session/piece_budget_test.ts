import { assertEquals } from "@std/assert";
import { Connections } from "../../../agent/core/connections.ts";
import { step } from "../../../agent/core/step.ts";
import type { ConnectionEvent } from "../../../agent/core/types.ts";
import type { Interpreter } from "../../../agent/runtime/interpreter.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import { PieceBudget } from "../../../agent/runtime/piece_budget.ts";
import type { Connection, StoreChange } from "../../../agent/store/store.ts";
import { encodeBase64, type UnfinishedMessage } from "../../../protocol/mod.ts";
import { context } from "../core/scenes.ts";
import { activeSession, inboundRoute } from "./scenes.ts";

const permissions = "none";

/** A message of two pieces, the first of which has come. */
function unfinished(name: number, bytes: number): UnfinishedMessage {
  const tag = new Uint8Array(16).fill(name);
  const pieces = [new Uint8Array(bytes), null];
  return { route: "in", tag, count: 2, total: 2 * bytes, since: name, pieces, missing: 1, bytes };
}

/** Connections that hold messages of so many bytes each, within a budget of 100. */
function start(holdings: readonly (readonly number[])[]) {
  const connections = new Connections();
  const changes: StoreChange[] = [];
  const ids = holdings.map((bytes, i) => {
    const empty = activeSession({ inbound: [inboundRoute("in")] });
    const record = { ...empty.record, id: `c${i}`, alias: `c${i}` };
    const reassembly = { unfinished: bytes.map((one, j) => unfinished(j, one)) };
    connections.set({ ...empty, record, reassembly } as Connection);
    return record.id;
  });
  const interpreter = {
    do(id: string, event: ConnectionEvent) {
      const made = step(connections.find(id)!, event, context);
      connections.set(made.connection);
      changes.push(...made.changes);
      return Promise.resolve(made);
    },
  } as unknown as Interpreter;
  const budget = new PieceBudget({ connections }, interpreter, 100);
  return {
    changes,
    connections,
    settleAll: async () => {
      for (const id of ids) await budget.settle(id);
    },
    held: () => ids.map((id) => connections.find(id)!.reassembly!.unfinished.map(({ bytes }) => bytes)),
  };
}

Deno.test("who holds the most of unfinished messages gives up its oldest, and they are counted", {
  permissions,
}, async () => {
  const { settleAll, held, changes, connections } = start([[40], [10, 20, 30], [15]]);
  await settleAll();
  assertEquals(held(), [[40], [30], [15]]);
  assertEquals(connections.find("c1")!.record.unreadable, 2);
  const tags = [0, 1].map((name) => encodeBase64(new Uint8Array(16).fill(name)));
  assertEquals(
    changes,
    tags.map((tag) => ({ type: "delete pieces", connection: "c1", route: "in", tag })),
  );
});

Deno.test("messages that take no more than all may stay", { permissions }, async () => {
  const { settleAll, held, changes } = start([[40], [60]]);
  await settleAll();
  assertEquals([held(), changes], [[[40], [60]], []]);
});

Deno.test("what a connection drops because it has too many unfinished messages is counted, too", async () => {
  const connection = activeSession({ inbound: [inboundRoute("in")] });
  const incoming = Array.from({ length: 18 }, (_, i) => {
    const tag = new Uint8Array(16).fill(i);
    const piece = { type: "piece", tag, index: 0, count: 2, total: 20, piece: new Uint8Array(10) } as const;
    return { serverId: "AAAA", serverAt: 0, packet: piece };
  });
  const opened = await openPackets({ store: new MemoryStore(), allowUnverified: true }, connection, {
    route: "in",
    incoming,
    now: 0,
  });
  assertEquals([opened.reassembly?.unfinished.length, opened.unreadable], [16, 2]);
});
