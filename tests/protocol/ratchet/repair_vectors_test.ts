import { assert, assertEquals } from "@std/assert";
import {
  decodeBase64,
  decodePublicPair,
  digestWith,
  emptyDigest,
  encodeBase64,
  encodePublicPair,
  frameName,
  generateRatchetPair,
  initiatorSession,
  isAuthenticRepair,
  joinerSession,
  type NumberSet,
  offerSession,
  type RandomSource,
  readRepair,
  type RepairAccount,
  type RepairPacket,
  type RepairRest,
  repairTranscript,
  sealRepair,
} from "../../../protocol/mod.ts";
import vectors from "../../vectors/ratchet.json" with { type: "json" };

const permissions = "none";
const { repair } = vectors;
const bytesOf = (text: string) => decodeBase64(text)!;
const repairKey = bytesOf(repair.repairKey);
const [call, ask, offer, answer] = [
  bytesOf(repair.packets.call),
  bytesOf(repair.packets.ask),
  bytesOf(repair.packets.offer),
  bytesOf(repair.packets.answer),
];

/** The packets before each. */
const before = { call: [], ask: [], offer: [ask], answer: [ask, offer] };

function given(random: readonly string[]): RandomSource {
  const rest = random.map(bytesOf);
  return (length) => {
    const bytes = rest.shift();
    assert(bytes?.length === length);
    return bytes;
  };
}

function setOf({ upTo, others }: { readonly upTo: number; readonly others: readonly number[] }): NumberSet {
  const ranges: [number, number][] = [];
  for (const number of others) {
    const last = ranges.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return { upTo, ranges };
}

type VectorAccount = Omit<typeof repair.told.said.ask.account, "stored"> & {
  readonly stored: { readonly upTo: number; readonly others: readonly number[] };
};
type VectorTold = { readonly digest: string; readonly names: readonly string[] };

function accountOf({ stored, greatest, user, hash }: VectorAccount, told?: VectorTold): RepairAccount {
  const account = { stored: setOf(stored), greatest, last: { id: user, hash: bytesOf(hash) } };
  return told === undefined
    ? account
    : { ...account, told: { digest: bytesOf(told.digest), names: told.names.map(bytesOf) } };
}

function restOf({ receipted, kept, next }: typeof repair.said.offer.rest): RepairRest {
  return { receipted: setOf(receipted), kept, next };
}

function packets(): RepairPacket[] {
  const { said } = repair;
  const id = bytesOf(said.ask.id);
  const account = accountOf({ ...said.offer.account, stored: { upTo: 0, others: [] } });
  const kept = restOf({ ...said.answer.rest, receipted: { upTo: 5, others: [] } });
  const ciphertext = bytesOf(said.answer.ciphertext);
  const [joiner, initiator] = [bytesOf(said.offer.publicPair), bytesOf(said.answer.publicPair)];
  return [
    { step: "call", time: said.call.time, id: bytesOf(said.call.id), asked: said.call.asked },
    { step: "ask", time: said.ask.time, id, account: accountOf(said.ask.account) },
    { step: "offer", id, pair: joiner, account, rest: restOf(said.offer.rest) },
    { step: "answer", id, pair: initiator, ciphertext, rest: kept },
  ];
}

Deno.test(
  "The packets of the vectors that repair a session are made and read as they are",
  { permissions },
  async () => {
    for (const packet of packets()) {
      const bytes = bytesOf(repair.packets[packet.step]);
      const context = { repairKey, before: before[packet.step] };
      assertEquals(encodeBase64((await sealRepair(packet, context)).bytes), repair.packets[packet.step]);
      const heard = readRepair(bytes);
      assertEquals(heard?.packet, packet);
      assert(await isAuthenticRepair(heard!, context));
    }
    assertEquals(readRepair(call)?.packet.step, "call");
  },
);

Deno.test("The repair of the vectors makes their session on both sides", { permissions }, async () => {
  const transcript = await repairTranscript({ ask, offer, answer });
  assertEquals(encodeBase64(transcript), repair.transcript);
  const joiner = await generateRatchetPair(given(repair.joiner.random));
  assertEquals(encodeBase64(encodePublicPair(joiner)), repair.said.offer.publicPair);
  const made = (await offerSession(joiner, given(repair.initiator.random)))!;
  assertEquals(encodeBase64(made.ciphertext), repair.said.answer.ciphertext);
  const initiator = decodePublicPair(bytesOf(repair.said.answer.publicPair))!;
  const { ciphertext } = made;
  const sessions = [
    await joinerSession(joiner, { initiator, ciphertext, transcript, repairKey }),
    await initiatorSession(made, { joiner, transcript, repairKey }),
  ];
  for (const session of sessions) {
    assertEquals(encodeBase64(session!.state.rootKey), repair.root);
    assertEquals(session!.safetyCode, repair.safetyCode);
    assertEquals(session!.repairKey, repairKey);
  }
});

Deno.test("What the vectors say to be malformed is refused, and what is forged is not authentic", {
  permissions,
}, async () => {
  for (const { name, bytes } of repair.malformed) assertEquals(readRepair(bytesOf(bytes)), null, name);
  for (const { name, step, bytes } of repair.forged) {
    const heard = readRepair(bytesOf(bytes));
    assertEquals(heard?.packet.step, step, name);
    const context = { repairKey, before: before[step as keyof typeof before] };
    assert(!await isAuthenticRepair(heard!, context), name);
  }
});

/** The repair that tells of frames: its ask, its offer, and the packets before each. */
const { told } = repair;
const [toldAsk, toldOffer, toldAnswer] = [
  bytesOf(told.packets.ask),
  bytesOf(told.packets.offer),
  bytesOf(told.packets.answer),
];
const beforeTold = { ask: [], offer: [toldAsk], answer: [toldAsk, toldOffer] };

Deno.test("Packets that tell of frames are those of the vectors", { permissions }, async () => {
  const { ask, offer, answer } = told.said;
  const packets: RepairPacket[] = [
    { step: "ask", time: ask.time, id: bytesOf(ask.id), account: accountOf(ask.account, ask.told) },
    {
      step: "offer",
      id: bytesOf(offer.id),
      pair: bytesOf(offer.publicPair),
      account: accountOf({ ...offer.account, stored: { upTo: 0, others: [] } }, offer.told),
      rest: restOf(offer.rest),
    },
    {
      step: "answer",
      id: bytesOf(answer.id),
      pair: bytesOf(answer.publicPair),
      ciphertext: bytesOf(answer.ciphertext),
      rest: restOf({ ...answer.rest, receipted: { upTo: 5, others: [] } }),
    },
  ];
  for (const packet of packets) {
    const step = packet.step as keyof typeof beforeTold;
    const context = { repairKey, before: beforeTold[step] };
    assertEquals(encodeBase64((await sealRepair(packet, context)).bytes), told.packets[step]);
    const heard = readRepair(bytesOf(told.packets[step]));
    assertEquals(heard?.packet, packet);
    assert(await isAuthenticRepair(heard!, context));
  }
  const parts = { ask: toldAsk, offer: toldOffer, answer: toldAnswer };
  assertEquals(encodeBase64(await repairTranscript(parts)), told.transcript);
});

Deno.test("Digests and names of the frames of the vectors are told as they have them", {
  permissions,
}, async () => {
  const frames = repair.digests.frames.map(bytesOf);
  for (const { name, stored: { upTo, ranges }, digest, verdict } of repair.digests.receipts) {
    if (verdict !== "believed") continue;
    let made = emptyDigest();
    for (const [i, frame] of frames.entries()) {
      const isStored = i < upTo || ranges.some(({ from, to }) => from <= i + 1 && i + 1 <= to);
      if (isStored) made = await digestWith(made, frame);
    }
    assertEquals(encodeBase64(made), digest, name);
  }
  const { account, told: { names } } = told.said.ask;
  const noName = encodeBase64(new Uint8Array(8));
  for (const [i, number] of account.stored.others.entries()) {
    if (names[i] !== noName) assertEquals(encodeBase64(await frameName(frames[number - 1]!)), names[i]);
  }
});

Deno.test(
  "Of packets that tell of frames, too, what is malformed is refused, and what is forged is not authentic",
  {
    permissions,
  },
  async () => {
    for (const { packet, names } of [told.most, told.tooMany]) {
      const heard = readRepair(bytesOf(packet))?.packet;
      assert(heard?.step === "ask");
      assertEquals(heard.account.told?.names.length, names);
    }
    for (const { name, bytes } of told.malformed) assertEquals(readRepair(bytesOf(bytes)), null, name);
    for (const { name, step, bytes } of told.forged) {
      const heard = readRepair(bytesOf(bytes));
      assertEquals(heard?.packet.step, step, name);
      const context = { repairKey, before: beforeTold[step as keyof typeof beforeTold] };
      assert(!await isAuthenticRepair(heard!, context), name);
    }
  },
);
