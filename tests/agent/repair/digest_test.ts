import { assertEquals } from "@std/assert";
import { type Connection, MemoryStore } from "../../../agent/mod.ts";
import { withRecord } from "../../../agent/core/connection.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { planOf } from "../../../agent/runtime/repair_numbers.ts";
import { repairedEvent } from "../../../agent/runtime/repaired.ts";
import { packets } from "../../../agent/session/arrival.ts";
import { repeatAll } from "../../../agent/session/sending.ts";
import { newSession, withSession, withSessionKeys } from "../../../agent/session/session.ts";
import type { Session } from "../../../agent/store/store.ts";
import {
  digestWith,
  emptyDigest,
  encodeFrame,
  encodeFrames,
  type Frame,
  frameKinds,
  frameName,
  messageHash,
  type NumberSet,
  ratchetEncrypt,
  type RepairAccount,
  textBytes,
} from "../../../protocol/mod.ts";
import { newSides, type Side } from "../../support/ratchet.ts";
import { connectionIn } from "../core/scenes.ts";
import { inboundRoute } from "../session/scenes.ts";

const permissions = "none";
const active = { reply: true, receiving: "none", sending: "none", connected: true } as const;
const upTo = (upTo: number, ...ranges: readonly (readonly [number, number])[]): NumberSet => ({
  upTo,
  ranges,
});

const message = (number: number, text: string) =>
  ({
    kind: "message",
    number,
    time: 7,
    userNumber: number - 1,
    previousHash: new Uint8Array(32),
    body: textBytes(text),
  }) as const;
const sent = [message(2, "one"), message(3, "two"), message(4, "three")];

async function digestOf(...frames: readonly Frame[]): Promise<Uint8Array<ArrayBuffer>> {
  let digest = emptyDigest();
  for (const frame of frames) digest = await digestWith(digest, encodeFrame(frame));
  return digest;
}

/** A side that has sent three messages, of which the other one has told some; and that one. */
async function scene(changed: Partial<Session> = {}) {
  const { joiner, initiator } = await newSides();
  const kinds = [frameKinds.message, frameKinds.receipt, frameKinds.digest];
  const numbers = { lastNumber: 4, lastEncrypted: 4, lastTaken: 4, receipted: upTo(1) };
  const lastSent = { id: 3, hash: new Uint8Array(32) };
  const made = withRecord(connectionIn({ role: "initiator", ...active }), { lastSent });
  const empty = { ...made, session: newSession({}) };
  const whole = withSessionKeys(
    withSession(empty, { status: "active", ratchet: initiator.state, ...numbers, ...changed }),
    { kinds },
  );
  const connection: Connection = { ...whole, inbound: [inboundRoute("one")] };
  const { record: { id } } = connection;
  const store = new MemoryStore();
  await store.commit([{ type: "put connection", record: connection.record }]);
  for (const frame of sent) {
    const rest = { connection: id, messageId: frame.number, createdAt: 7, message: Uint8Array.of(1) };
    await store.commit([
      { type: "put frame", frame: { ...rest, number: frame.number, frame: encodeFrame(frame) } },
      {
        type: "put message",
        message: {
          ...{ connection: id, id: frame.number, body: frame.body, at: 7, done: true, received: null },
          number: frame.userNumber,
          delivered: false,
        },
      },
    ]);
  }
  return { connection, store, other: joiner };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** What becomes of it when a receipt has come. */
async function told(
  { connection, store, other }: Scene & { readonly other: Side },
  { stored, digest }: { readonly stored: NumberSet; readonly digest: Uint8Array<ArrayBuffer> | null },
) {
  const head = { number: 0, time: 8 };
  const frames: Frame[] = [{ kind: "receipt", stored, acknowledged: upTo(2), ...head }];
  if (digest !== null) frames.push({ kind: "digest", digest, ...head });
  const sealed = await ratchetEncrypt(other.state, encodeFrames(frames));
  if (!sealed.ok) throw new Error(sealed.code);
  const packet = { type: "message", message: sealed.message } as const;
  const opened = await openPackets({ store, allowUnverified: true }, connection, {
    route: "one",
    incoming: [{ serverId: "AAAA", serverAt: 8, packet }],
    now: 8,
  });
  const receipt = opened.frames[0]?.frame;
  const delivered = opened.frames[0]?.delivered?.messages.map(({ id }) => id) ?? [];
  return [receipt?.kind === "receipt" ? receipt.stored.upTo : null, delivered, opened.isStrayed];
}

Deno.test("a receipt is believed when its digest is that of what was sent, and no other one is", {
  permissions,
}, async () => {
  const right = await digestOf(sent[0]!, sent[1]!), stored = upTo(3);
  assertEquals(await told(await scene(), { stored, digest: right }), [3, [2, 3], false]);
  const other = await digestOf(sent[0]!, message(3, "another"));
  assertEquals(await told(await scene(), { stored, digest: other }), [null, [], true]);
  // It comes from before digests were told, or tells a part of what there is.
  assertEquals(await told(await scene(), { stored, digest: null }), [null, [], false]);
});

Deno.test("a receipt that comes late is not believed, and begins nothing", { permissions }, async () => {
  const receiptedDigest = await digestOf(sent[0]!, sent[1]!);
  const known = await scene({ receipted: upTo(3), receiptedDigest });
  const digest = await digestOf(sent[0]!);
  assertEquals(await told(known, { stored: upTo(2), digest }), [null, [], false]);
  // This one has less than was told, and something new.
  assertEquals(await told(known, { stored: upTo(2, [4, 4]), digest }), [null, [], true]);
});

Deno.test("of a side that tells no digests nothing is believed of what was sent since a start in doubt", {
  permissions,
}, async () => {
  const fork = { number: 2, lastSent: { id: 1, hash: new Uint8Array(32) } };
  const made = await scene({ receiptedDigest: null, fork });
  const known = { ...made, connection: withSessionKeys(made.connection, { kinds: [frameKinds.message] }) };
  assertEquals(await told(known, { stored: upTo(3), digest: null }), [2, [2], false]);
});

/** What a side makes of its numbers, and of whom nothing is told any more, when the other one has this. */
async function repairedWith(known: Scene, account: RepairAccount) {
  const plan = await planOf(known, known.connection, account);
  const { ratchet } = known.connection.session!;
  const event = await repairedEvent(
    { store: known.store, now: () => 9, allowUnverified: true },
    known.connection,
    {
      begun: { ratchet: ratchet!, safetyCode: "" },
      plan,
      account,
      rest: { receipted: upTo(0), kept: 0, next: 0 },
      stage: null,
    },
  );
  if (event.type !== "repaired") throw new Error(event.type);
  const { renumbered, taken, numbers: { delivered } } = event;
  const numbers = renumbered.map(({ from, frame }) => [from, frame.number]);
  return { numbers, taken: taken.map(({ number }) => number), delivered };
}

const none = { id: 0, hash: new Uint8Array(32) };

Deno.test(
  "in a repair what was sent keeps its numbers where the other side has just that",
  { permissions },
  async () => {
    const told = { digest: await digestOf(sent[0]!), names: [] };
    const account = { stored: upTo(2), greatest: 2, last: { ...none, id: 1 }, told };
    assertEquals(await repairedWith(await scene(), account), {
      numbers: [],
      taken: [2],
      delivered: upTo(0),
    });
    const other = { ...account, told: { digest: await digestOf(message(2, "another")), names: [] } };
    assertEquals(await repairedWith(await scene(), other), {
      numbers: [[2, 1003], [3, 1004], [4, 1005]],
      taken: [],
      delivered: upTo(1),
    });
  },
);

Deno.test(
  "of what the other side has lost nothing is told any more, and what it has held is known by its name",
  {
    permissions,
  },
  async () => {
    const receiptedDigest = await digestOf(sent[0]!, sent[1]!);
    const known = await scene({ receipted: upTo(3), receiptedDigest });
    await known.store.commit([2, 3].map((number) => (
      { type: "delete frame", connection: known.connection.record.id, number } as const
    )));
    const account = async (frame: Frame) => ({
      stored: upTo(1, [4, 4]),
      greatest: 4,
      last: { ...none, id: 3 },
      told: { digest: await digestOf(frame), names: [await frameName(encodeFrame(frame))] },
    });
    assertEquals(await repairedWith(known, await account(sent[2]!)), {
      numbers: [],
      taken: [4],
      delivered: upTo(3),
    });
    assertEquals(await repairedWith(known, await account(message(4, "another"))), {
      numbers: [[4, 1002]],
      taken: [],
      delivered: upTo(3),
    });
  },
);

Deno.test(
  "what waits at the other side for something before it, with a receipt, is no sign of another life",
  {
    permissions,
  },
  async () => {
    const receiptedDigest = await digestOf(sent[2]!);
    const made = await scene({ receipted: upTo(1, [4, 4]), receiptedDigest });
    const known = { ...made, connection: withRecord(made.connection, { lastSent: await lastOf(sent[2]!) }) };
    const id = known.connection.record.id;
    await known.store.commit([{ type: "delete frame", connection: id, number: 4 }]);
    const told = { digest: receiptedDigest, names: [await frameName(encodeFrame(sent[2]!))] };
    const account = { stored: upTo(1, [4, 4]), greatest: 4, last: await lastOf(sent[2]!), told };
    assertEquals((await repairedWith(known, account)).numbers, []);
    const other = { ...account, last: await lastOf(message(4, "another")) };
    assertEquals((await repairedWith(known, other)).numbers, [[2, 1002], [3, 1003]]);
  },
);

async function lastOf(frame: Frame & { readonly kind: "message" }) {
  return { id: frame.userNumber, hash: await messageHash(frame) };
}

const day = 86_400_000, hour = 3_600_000;

/** A side whose receipts say the same again and again; gives whether a repair begins, and what becomes of the connection. */
async function repeating(
  { stored, digest }: { readonly stored: NumberSet; readonly digest: readonly Frame[] },
) {
  const receiptedDigest = await digestOf(...digest);
  const { connection, store, other } = await scene({ receipted: stored, receiptedDigest });
  let known = connection;
  const context = (now: number) => ({ now, announced: [], discardUntil: 0 });
  const tell = async (now: number, acknowledged: number) => {
    const head = { number: 0, time: now };
    const frames: Frame[] = [
      { kind: "receipt", stored, acknowledged: upTo(acknowledged), ...head },
      { kind: "digest", digest: receiptedDigest, ...head },
    ];
    const sealed = await ratchetEncrypt(other.state, encodeFrames(frames));
    if (!sealed.ok) throw new Error(sealed.code);
    other.state = sealed.state;
    const packet = { type: "message", message: sealed.message } as const;
    const incoming = [{ serverId: "AAAA", serverAt: now, packet }];
    const opened = await openPackets({ store, allowUnverified: true }, known, {
      route: "one",
      incoming,
      now,
    });
    const step = packets(known, { route: "one", opened }, context(now));
    known = step.connection;
    return step.commands.some(({ type }) => type === "repair");
  };
  const repeat = (now: number) => void (known = repeatAll(known, context(now)).connection);
  return { tell, repeat, session: () => known.session! };
}

Deno.test("what the other side does not get though all is sent again for days is repaired", {
  permissions,
}, async () => {
  const { tell, repeat, session } = await repeating({ stored: upTo(3), digest: [sent[0]!, sent[1]!] });
  assertEquals(await tell(1, 2), false);
  // Who was away tells the same once more, before it has read what waits for it.
  assertEquals(await tell(day, 2), false);
  assertEquals(await tell(3 * day, 2), false);
  repeat(4 * day);
  assertEquals(await tell(8 * day, 2), false);
  repeat(9 * day);
  assertEquals(await tell(9 * day + 1, 2), true);
  assertEquals(session().strayed, true);
});

Deno.test(
  "who cannot read for hours and acknowledges messages meanwhile is not taken for one that has read what was sent again",
  {
    permissions,
  },
  async () => {
    const { tell, repeat } = await repeating({ stored: upTo(3), digest: [sent[0]!, sent[1]!] });
    assertEquals(await tell(1, 0), false);
    repeat(day);
    assertEquals(await tell(day + 1, 1), false);
    assertEquals(await tell(day + 2 * hour, 2), false);
    // These have no other reason than that it has read it.
    assertEquals(await tell(day + 3 * hour, 2), false);
    assertEquals(await tell(day + 3 * hour + 1, 2), false);
    assertEquals(await tell(day + 5 * hour, 2), true);
    const gap = await repeating({ stored: upTo(2, [4, 4]), digest: [sent[0]!, sent[2]!] });
    assertEquals(await gap.tell(1, 1), false);
    assertEquals(await gap.tell(2 * hour, 2), false);
    assertEquals(await gap.tell(3 * hour, 2), false);
    assertEquals(await gap.tell(5 * hour, 2), true);
  },
);
