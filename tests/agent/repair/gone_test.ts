import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { newSession, withSession } from "../../../agent/session/session.ts";
import { encodeFrame, ratchetEncrypt } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { connectionIn } from "../core/scenes.ts";
import { inboundRoute } from "../store/samples.ts";

Deno.test("what a restored side had held, and has not any more, holds up nothing that comes before and after it", async () => {
  const { joiner, initiator } = await newSessions();
  const route = inboundRoute("one");
  const state = { reply: true, receiving: "active", sending: "active", connected: true } as const;
  // The other side was told that 3 and 4 are held, sends them no more, and said so in a repair.
  const connection = withSession(
    {
      ...connectionIn({ role: "initiator", ...state }),
      session: newSession({}),
      inbound: [route],
    },
    { status: "active", ratchet: initiator.state, stored: { upTo: 1, ranges: [[3, 4]] } },
  );
  let ratchet = joiner.state;
  const incoming = [];
  for (const number of [2, 5]) {
    const frame = encodeFrame({ kind: "ready", kinds: [1], number, time: 1 });
    const made = await ratchetEncrypt(ratchet, frame);
    assert(made.ok);
    ratchet = made.state;
    const packet = { type: "message", message: made.message } as const;
    incoming.push({ serverId: "AAAA", serverAt: 5000, packet });
  }
  const context = { store: new MemoryStore(), allowUnverified: true };
  const opened = await openPackets(context, connection, { route: route.id, incoming, now: 6000 });
  assertEquals(opened.frames.map(({ frame }) => frame.number), [2, 5]);
  assertEquals(opened.stored, { upTo: 5, ranges: [] });
});
