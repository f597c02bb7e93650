// Sessions of agents (sessions.md): upgrade, ratchet, packets, frames. An implementation that is independent of this
// project: written from the specification alone, on node:crypto (OpenSSL on Node), and for ML-KEM-768 on
// @noble/post-quantum, which is given by its URL or as a module. It runs on Node 20 and on Deno.
//
// Randomness comes from the function `kit.random(length)`, so that all bytes can be foretold. It is asked, in this order:
//   a pair:    32 bytes, the X25519 private key; 64 bytes, the ML-KEM seed (d, then z)
//   UPG:       the joiner's: a pair. The initiator's: a pair; 32 bytes, the encapsulation's seed (m) to the joiner's
//   a step:    a pair; 32 bytes, the encapsulation's seed
//   a message: a step if one is due; 16 bytes, the salt
//   a packet:  12 bytes, the nonce
// What a peer sends and is wrong gives `{ refused: code }`.

export { Refused } from "./session_bytes.mjs";
export { digestOf, judgeReceipt, numbersOf, toldOf } from "./session_digest.mjs";
export { BODY_LIMIT, encodeFrame, FRAMES_LIMIT, hashOfMessage, parseFrames } from "./session_frames.mjs";
export { HEADER_SIZE, MESSAGE_LIMIT } from "./session_header.mjs";
export { isKemKey, loadMlKem, makePair, pairFromSeeds, x25519 } from "./session_keys.mjs";
export {
  addPiece,
  bodySize,
  openPacket,
  packetSize,
  packetsOf,
  parsePacket,
  REASSEMBLY_LIMITS,
  sealPacket,
  startReassembly,
} from "./session_packets.mjs";
export {
  decrypt,
  encrypt,
  RETIRED_LIMIT,
  SKIP_AGE_LIMIT,
  SKIP_LIMIT,
  startRatchet,
} from "./session_ratchet.mjs";
export { readRepairPacket, repairedRoot, repairPacket, repairTranscript } from "./session_repair.mjs";
export { SessionSide } from "./session_side.mjs";
export { decodeRoute, encodeRoute } from "./session_routes.mjs";
export {
  decapsulateFirst,
  decodeUpg,
  encapsulateFirst,
  encodeUpg,
  repairKeyOf,
  rootOf,
  safetyCode,
  TRANSCRIPT_ITEMS,
  transcriptOf,
  upgMessage,
} from "./session_upgrade.mjs";
