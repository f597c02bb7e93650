// The vectors of sessions (make_ratchet_vectors.mjs): a repair of the session of the upgrade.

import { Buffer } from "node:buffer";
import { base64, FixedRandom, flipped, inBase64, replaced } from "./ratchet_vectors_kit.mjs";
import {
  decapsulateFirst,
  digestOf,
  encapsulateFirst,
  encodeFrame,
  judgeReceipt,
  makePair,
  numbersOf,
  repairedRoot,
  repairKeyOf,
  repairPacket,
  repairTranscript,
  safetyCode,
  toldOf,
} from "./session.mjs";

export function makeRepair({ mlKem, upgrade }) {
  const random = new FixedRandom("repair");
  const kit = { mlKem, random: random.bytes };
  const repairKey = repairKeyOf(upgrade.root);
  const [callId, id, hash] = [kit.random(16), kit.random(16), kit.random(32)];
  random.noted();
  const joinerPair = makePair(kit);
  const joinerRandom = random.noted();
  const initiatorPair = makePair(kit);
  const { ciphertext, secret } = encapsulateFirst(kit, joinerPair.public);
  const initiatorRandom = random.noted();

  const said = {
    call: { time: 1_700_000_000_000, id: callId, asked: 1_600_000_000_000 },
    ask: {
      time: 1_700_000_000_123,
      id,
      // The first missing number, the one after it, and both ends of a byte.
      account: { stored: { upTo: 70, others: [72, 78, 79, 80, 86, 87] }, greatest: 600, user: 40, hash },
    },
    offer: {
      id,
      publicPair: joinerPair.public,
      account: { stored: { upTo: 0, others: [] }, greatest: 0, user: 0, hash: Buffer.alloc(32) },
      rest: { receipted: { upTo: 60, others: [62, 63, 572] }, kept: 90, next: 1100 },
    },
    answer: {
      id,
      publicPair: initiatorPair.public,
      ciphertext,
      rest: { receipted: { upTo: 5, others: [] }, kept: 5, next: 5 },
    },
  };
  const call = repairPacket("call", said.call, { repairKey });
  const ask = repairPacket("ask", said.ask, { repairKey });
  const offer = repairPacket("offer", said.offer, { repairKey, before: [ask] });
  const answer = repairPacket("answer", said.answer, { repairKey, before: [ask, offer] });
  const transcript = repairTranscript({ ask, offer, answer });
  const root = repairedRoot({
    transcript,
    kemSecret: secret,
    ownPair: initiatorPair,
    otherPublic: joinerPair.public,
    repairKey,
  });
  const joinerRoot = repairedRoot({
    transcript,
    kemSecret: decapsulateFirst(kit, ciphertext, joinerPair),
    ownPair: joinerPair,
    otherPublic: initiatorPair.public,
    repairKey,
  });
  if (!root.equals(joinerRoot)) throw new Error("the sides have different roots");
  const digests = makeDigests();
  const told = makeTold({ said, digests, repairKey });
  return {
    ...inBase64({
      repairKey,
      said,
      packets: { call, ask, offer, answer },
      joiner: { random: joinerRandom },
      initiator: { random: initiatorRandom },
      transcript,
      root,
    }),
    safetyCode: safetyCode(root),
    malformed: [
      ["empty", Buffer.alloc(0)],
      ["a step to come", replaced(call, 0, [6])],
      ["a byte too few", call.subarray(0, -1)],
      ["not only zeros behind it", Buffer.concat([call, Buffer.of(0, 1)])],
      ["a time of 2^47", replaced(call, 1, [0x80])],
      ["the first missing number is there", replaced(ask, 29, [0x80])],
      ["a greatest number below another one", replaced(ask, 93, Buffer.alloc(6))],
      ["a greatest number of 2^40", replaced(ask, 93, [1])],
      ["a user number of 2^40", replaced(ask, 99, [1])],
      ["more than 64 runs", replaced(ask, 29, Buffer.alloc(64, 0x55))],
      ["next is below kept", replaced(answer, answer.length - 38, Buffer.alloc(6))],
    ].map(([name, bytes]) => ({ name, bytes: base64(bytes) })),
    forged: [
      ["the MAC of a call is wrong", "call", flipped(call, call.length - 1)],
      ["another time", "call", flipped(call, 6)],
      ["an offer to nothing", "offer", repairPacket("offer", said.offer, { repairKey })],
      [
        "an answer to another offer",
        "answer",
        repairPacket("answer", said.answer, { repairKey, before: [ask] }),
      ],
      ["another pair", "offer", flipped(offer, 20)],
    ].map(([name, step, bytes]) => ({ name, step, bytes: base64(bytes) })),
    digests: inBase64(digests.section),
    told: inBase64(told),
  };
}

const time = Date.UTC(2026, 0, 1);

/** Frames that a side has sent, and receipts of them. */
function makeDigests() {
  const frames = new Map(Array.from({ length: 12 }, (_, index) => {
    const number = index + 1, common = { number, time: time + index };
    if (number === 1) return [number, encodeFrame({ kind: "ready", ...common, kinds: [1, 2, 17] })];
    if (number === 5) return [number, encodeFrame({ kind: "close", ...common })];
    const body = Buffer.from(`message ${number}`);
    const message = { kind: "message", ...common, userNumber: number, previousHash: Buffer.alloc(32), body };
    return [number, encodeFrame(message)];
  }));
  const digest = (...numbers) => digestOf(numbers.map((number) => frames.get(number)));
  const ranges = [{ from: 8, to: 9 }, { from: 11, to: 11 }];
  const first = { upTo: 4, ranges: [{ from: 6, to: 6 }] };
  // Each is judged after the ones before it; what is believed is remembered.
  const receipts = [
    ["nothing", { upTo: 0, ranges: [] }, Buffer.alloc(16)],
    ["some", first, digest(1, 2, 3, 4, 6)],
    ["the same again", first, digest(1, 2, 3, 4, 6)],
    ["the same of other frames", first, digest(1, 2, 3, 5, 6)],
    ["a late one", { upTo: 4, ranges: [] }, digest(1, 2, 3, 4)],
    ["a late one of other frames", { upTo: 4, ranges: [] }, digest(1, 2, 3, 5)],
    ["fewer numbers and a new one", { upTo: 3, ranges: [{ from: 7, to: 7 }] }, digest(1, 2, 3, 7)],
    ["fewer, with the digest of all", { upTo: 3, ranges: [{ from: 7, to: 7 }] }, digest(1, 2, 3, 4, 6, 7)],
    ["another bit", { upTo: 6, ranges }, flipped(digest(1, 2, 3, 4, 5, 6, 8, 9, 11), 15)],
    ["ranges", { upTo: 6, ranges }, digest(1, 2, 3, 4, 5, 6, 8, 9, 11)],
    ["what was not sent", { upTo: 13, ranges: [] }, digest(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)],
    ["all", { upTo: 12, ranges: [] }, digest(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)],
  ];
  const told = new Set();
  const judged = receipts.map(([name, stored, digest]) => {
    const verdict = judgeReceipt({ stored, digest }, { sent: frames, told });
    if (verdict === "believed") { for (const number of numbersOf(stored)) told.add(number); }
    return { name, stored, digest, verdict };
  });
  return { frames, digest, section: { frames: [...frames.values()], receipts: judged } };
}

/** The ask and offer of the repair with what is told of frames, and the answer to them. */
function makeTold({ said, digests: { frames, digest }, repairKey }) {
  const stored = { upTo: 4, others: [6, 7, 9] };
  const held = new Map([[6, frames.get(6)], [9, frames.get(9)]]);
  const many = { upTo: 4, others: Array.from({ length: 201 }, (_, index) => index + 6) };
  const most = { ...many, others: many.others.slice(0, -1) };
  const ask = {
    ...said.ask,
    account: { ...said.ask.account, stored, greatest: 9 },
    told: toldOf({ stored, frames: held, digest: digest(1, 2, 3, 4, 6, 9) }),
  };
  const offer = {
    ...said.offer,
    told: toldOf({ stored: said.offer.account.stored, digest: Buffer.alloc(16) }),
  };
  const packets = { ask: repairPacket("ask", ask, { repairKey }) };
  packets.offer = repairPacket("offer", offer, { repairKey, before: [packets.ask] });
  const before = [packets.ask, packets.offer];
  packets.answer = repairPacket("answer", said.answer, { repairKey, before });
  const askOf = (stored, greatest) => {
    const account = { ...said.ask.account, stored, greatest };
    const told = toldOf({ stored, frames: new Map(), digest: Buffer.alloc(16) });
    return repairPacket("ask", { ...said.ask, account, told }, { repairKey });
  };
  const countAt = 1 + 6 + 16 + 114 + 16;
  const withNames = (account, names) =>
    repairPacket("ask", { ...ask, account, told: { ...ask.told, names } }, { repairKey });
  const name = Buffer.alloc(8, 1);
  const malformed = [
    ["a name too few", withNames(ask.account, ask.told.names.slice(1))],
    ["a name too many", withNames(ask.account, [...ask.told.names, name])],
    ["names of no ranges", withNames({ ...ask.account, stored: { upTo: 9 } }, [name])],
    [
      "201 names",
      withNames({ ...ask.account, stored: many, greatest: 206 }, Array.from({ length: 201 }, () => name)),
    ],
    ["a name that is cut off", packets.ask.subarray(0, -33)],
    ["a count beyond the packet", replaced(packets.ask, countAt, [0xff, 0xff])],
    ["no account with a digest", packets.ask.subarray(0, countAt - 16)],
    ["another step", replaced(packets.ask, 0, [5])],
  ];
  const untold = Buffer.concat([packets.ask.subarray(0, countAt - 16), packets.ask.subarray(-32)]);
  const forged = [
    ["another digest", "ask", flipped(packets.ask, countAt - 1)],
    ["another name", "ask", flipped(packets.ask, countAt + 2)],
    ["an ask without what it tells", "ask", replaced(untold, 0, [1])],
    ["an offer to another ask", "offer", repairPacket("offer", offer, { repairKey, before: [untold] })],
  ];
  const transcript = repairTranscript(packets);
  return {
    said: { ask, offer, answer: said.answer },
    packets,
    transcript,
    most: { packet: askOf(most, 205), names: 200 },
    tooMany: { packet: askOf(many, 206), names: 0 },
    malformed: malformed.map(([name, bytes]) => ({ name, bytes })),
    forged: forged.map(([name, step, bytes]) => ({ name, step, bytes })),
  };
}
