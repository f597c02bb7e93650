// The text of tests/vectors/ratchet.json (make_ratchet_vectors.mjs).

import { Buffer } from "node:buffer";
import { makeConversation, makeGaps } from "./ratchet_vectors_conversation.mjs";
import { makeFrames } from "./ratchet_vectors_frames.mjs";
import { makePackets } from "./ratchet_vectors_packets.mjs";
import { makeRepair } from "./ratchet_vectors_repair.mjs";
import { makeUpgrade } from "./ratchet_vectors_upgrade.mjs";

const about = [
  "Sessions of two agents (sessions.md), made by tests/peers/make_ratchet_vectors.mjs with node:crypto (OpenSSL) and",
  "@noble/post-quantum, from the specification alone. All bytes are base64; times are milliseconds since 1970.",
  "`random` is what random bytes are in the order in which they are asked for: a pair: X25519 private key 32, ML-KEM",
  "seed 64 (d, z); a step: a pair, encapsulation seed 32 (m); a message: a step if one is due, salt 16; a packet: nonce",
  "12; the initiator's UPG: a pair, encapsulation seed 32. What must be refused has the reason in `refused`, and `silent`",
  "where the specification does not say so. A UPG refused for its DH key is so at the latest when the root is made.",
  "conversation: `skipped` is how many keys are kept afterwards. Events before `hostileBefore` happen, then each of",
  "`hostile` is refused and changes nothing (`state` first: by a side that has done nothing; last: by one that has done",
  "everything), then the rest happens. gaps: another",
  "conversation from the same upgrade; `lose` is `count` empty messages, encrypted with any salts, that never come.",
  "packets: over the joiner's route; `packet` and all others are without the zeros at their end. hostileBodies: changes",
  "of the first body: bytes to remove at its end, or the byte of which the lowest bit is flipped, or the sender ID to open it with.",
  "frames: `repeated` is a plaintext of one frame as often as may be, which is refused with one more.",
  "repair (docs/protocol.md, Repair), of the session of the upgrade: `said` is what each of `packets` says, whose bytes are",
  "those behind the kind, without padding; `others` are the numbers of a window beyond `upTo`. `malformed` are refused without",
  "any HMAC, `forged` (after the packets of the steps before) by their MAC. digests: `frames` are those that a side has",
  "sent, by their numbers from 1; `verdict` is what it takes each of `receipts` for, after those before: believed (all that",
  "it tells is then known), late (dropped), or other (of other frames: a repair begins). told: a repair that tells of",
  "frames; `most` is an ask with as many names as there may be, `tooMany` one that would have one more and has none.",
].join(" ");

/** Compact JSON with a line for each part. */
export function ratchetVectors(mlKem) {
  const upgrade = makeUpgrade(mlKem);
  const conversation = makeConversation({ mlKem, upgrade });
  const message = Buffer.from(conversation.events[0].message, "base64");
  const { joinerRoute } = upgrade;
  const vectors = {
    about,
    upgrade: { ...upgrade.section, hostile: upgrade.hostile },
    routes: upgrade.routes,
    conversation,
    gaps: makeGaps({ mlKem, upgrade }),
    packets: makePackets({ mlKem, route: joinerRoute, message }),
    frames: makeFrames(joinerRoute),
    repair: makeRepair({ mlKem, upgrade }),
  };
  const lines = Object.entries(vectors).map(([name, part]) => `"${name}":${JSON.stringify(part)}`);
  return `{\n${lines.join(",\n")}\n}\n`;
}
