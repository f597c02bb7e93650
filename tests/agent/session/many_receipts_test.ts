import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { withRecord } from "../../../agent/core/connection.ts";
import { withSession } from "../../../agent/session/session.ts";
import type { FrameRecord, UndeliveredMessage } from "../../../agent/store/store.ts";
import { encodeFrame, type NumberSet, ratchetEncrypt } from "../../../protocol/mod.ts";
import { newSessions } from "../../support/ratchet.ts";
import { activeSession, inboundRoute, outboundRoute } from "./scenes.ts";

const permissions = "none";
const none = { upTo: 0, ranges: [] };

/** A store whose look-ups are counted; it has a frame and an undelivered message of every number. */
class CountingStore extends MemoryStore {
  lookUps = 0;

  override frames(connection: string, after: number): Promise<FrameRecord[]> {
    this.lookUps++;
    const empty = new Uint8Array(0), number = after + 1;
    return Promise.resolve([{
      connection,
      number,
      messageId: number,
      frame: empty,
      message: empty,
      createdAt: 0,
    }]);
  }

  override undelivered(
    _: string,
    from: number,
    to: number,
    limit: number,
  ): Promise<UndeliveredMessage[]> {
    this.lookUps++;
    const count = Math.min(limit, to - from + 1);
    return Promise.resolve(Array.from({ length: count }, (_, i) => ({ id: from + i, number: from + i })));
  }
}

/** What receipts in one message, and one in another, tell of. */
async function open(receipts: readonly { readonly stored: NumberSet; readonly acknowledged: NumberSet }[]) {
  const { joiner, initiator } = await newSessions();
  const routes = { inbound: [inboundRoute("in")], outbound: [outboundRoute("out")] };
  const connection = withRecord(
    withSession(activeSession(routes), { ratchet: initiator.state, lastNumber: 500, lastEncrypted: 500 }),
    { lastSent: { id: 500, hash: new Uint8Array(32) } },
  );
  const store = new CountingStore();
  let state = joiner.state;
  const incoming = [];
  for (const part of [receipts.slice(0, -1), receipts.slice(-1)]) {
    const frames = part.map((receipt) => encodeFrame({ kind: "receipt", ...receipt, number: 0, time: 0 }));
    const made = await ratchetEncrypt(state, new Uint8Array(await new Blob(frames).arrayBuffer()));
    assert(made.ok);
    state = made.state;
    const packet = { type: "message", message: made.message } as const;
    incoming.push({ serverId: "AAAA", serverAt: 0, packet });
  }
  const opened = await openPackets({ store, allowUnverified: true }, connection, {
    route: "in",
    incoming,
    now: 0,
  });
  return { lookUps: store.lookUps, frames: opened.frames };
}

Deno.test(
  "a thousand receipts cost no more look-ups than one that says the same",
  { permissions },
  async () => {
    const all = { upTo: 500, ranges: [] };
    const { lookUps } = await open([{ stored: none, acknowledged: none }, {
      stored: all,
      acknowledged: all,
    }]);
    const many = Array.from({ length: 1000 }, (_, i) => {
      const set = { upTo: 500 - i % 10, ranges: [] };
      return { stored: set, acknowledged: set };
    });
    const opened = await open(many);
    assertEquals(opened.lookUps, lookUps);
    const [{ delivered, taken }] = opened.frames as [typeof opened.frames[0]];
    assertEquals([delivered?.messages.length, taken.length, opened.frames.length], [500, 500, 1]);
  },
);

Deno.test("receipts that cannot be true take nothing from those that can", { permissions }, async () => {
  const wrong = { upTo: 501, ranges: [] }, right = { upTo: 2, ranges: [[4, 5]] } as const;
  const said = [
    { stored: wrong, acknowledged: wrong },
    { stored: right, acknowledged: none },
    { stored: wrong, acknowledged: { upTo: 1, ranges: [] } },
  ];
  const { frames: [receipt] } = await open(said);
  assert(receipt?.frame.kind === "receipt");
  assertEquals(receipt.frame.stored, right as NumberSet);
  assertEquals(receipt.taken.map(({ number }) => number), [1, 2, 4, 5]);
  assertEquals(receipt.delivered?.messages.map(({ number }) => number), [1]);
  const { frames: [unbelieved] } = await open([said[0]!, said[0]!]);
  assertEquals([unbelieved?.delivered, unbelieved?.taken], [null, []]);
});
