import { assertEquals } from "@std/assert";
import { type Connection, MemoryStore } from "../../../agent/mod.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { packets } from "../../../agent/session/arrival.ts";
import { knownKinds } from "../../../agent/session/ready.ts";
import { newSession, withSession, withSessionKeys } from "../../../agent/session/session.ts";
import type { StoreChange } from "../../../agent/store/store.ts";
import { decodeBase64, encodeFrames, ratchetEncrypt } from "../../../protocol/mod.ts";
import { newSides } from "../../support/ratchet.ts";
import vectors from "../../vectors/ratchet.json" with { type: "json" };
import { connectionIn } from "../core/scenes.ts";
import { inboundRoute } from "../session/scenes.ts";

const permissions = "none";
const active = { reply: true, receiving: "none", sending: "none", connected: true } as const;
const { frames, receipts } = vectors.repair.digests;
const bytesOf = (text: string) => decodeBase64(text)!;
const now = 8;

Deno.test("receipts of the vectors are taken for what they say", { permissions }, async () => {
  const { joiner: other, initiator } = await newSides();
  const last = frames.length, store = new MemoryStore();
  const empty = { ...connectionIn({ role: "initiator", ...active }), session: newSession({}) };
  let connection: Connection = {
    ...withSessionKeys(
      withSession(empty, {
        ...{ status: "active", ratchet: initiator.state, lastNumber: last, lastEncrypted: last },
        lastTaken: last,
      }),
      { kinds: knownKinds },
    ),
    inbound: [inboundRoute("one")],
  };
  const { record } = connection;
  await store.commit([
    { type: "put connection", record },
    ...frames.map((frame, i): StoreChange => ({
      type: "put frame",
      frame: {
        ...{ connection: record.id, number: i + 1, messageId: 0, createdAt: now },
        ...{ frame: bytesOf(frame), message: Uint8Array.of(1) },
      },
    })),
  ]);
  const told: string[] = [];
  for (const { name, stored: { upTo, ranges }, digest } of receipts) {
    const stored = { upTo, ranges: ranges.map(({ from, to }) => [from, to] as const) };
    const head = { number: 0, time: now };
    const sealed = await ratchetEncrypt(
      other.state,
      encodeFrames([
        { kind: "receipt", stored, acknowledged: { upTo: 0, ranges: [] }, ...head },
        { kind: "digest", digest: bytesOf(digest), ...head },
      ]),
    );
    if (!sealed.ok) throw new Error(sealed.code);
    other.state = sealed.state;
    const packet = { type: "message", message: sealed.message } as const;
    const opened = await openPackets({ store, allowUnverified: true }, connection, {
      route: "one",
      incoming: [{ serverId: "AAAA", serverAt: now, packet }],
      now,
    });
    const isOther = opened.isStrayed || opened.isAhead;
    told.push(`${name}: ${isOther ? "other" : opened.frames.length > 0 ? "believed" : "late"}`);
    const step = packets(connection, { route: "one", opened }, { now, announced: [], discardUntil: 0 });
    await store.commit(step.changes.filter(({ type }) => type === "delete frame"));
    connection = withSession(step.connection, { strayed: false });
  }
  assertEquals(told, receipts.map(({ name, verdict }) => `${name}: ${verdict}`));
  assertEquals(connection.session!.receipted, { upTo: last, ranges: [] });
});
