// The vectors of sessions (make_ratchet_vectors.mjs): a repair of the session of the upgrade.

import { Buffer } from "node:buffer";
import { base64, FixedRandom, flipped, inBase64, replaced } from "./ratchet_vectors_kit.mjs";
import {
  decapsulateFirst,
  encapsulateFirst,
  makePair,
  repairedRoot,
  repairKeyOf,
  repairPacket,
  repairTranscript,
  safetyCode,
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
      ["a step to come", replaced(call, 0, [4])],
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
  };
}
