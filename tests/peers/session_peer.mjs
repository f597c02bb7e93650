// One side of a session as a process, on Node 20 or Deno: `session_peer.mjs <URL of @noble/post-quantum's ml-kem.js>
// [label]`. It takes commands, a JSON object with `op` a line, on its input, and answers each with a line. Bytes are
// base64. With a label, its random bytes are the same each time. What is refused is answered `{ refused: code }`, a
// wrong command `{ failed: text }`. See session.mjs.
//
//   { op: "upg", role, route, joinerUpg? }               → { upg }; the initiator needs the joiner's
//   { op: "begin", texts, joinerUpg, initiatorUpg }      → { transcript, root, repairKey, safetyCode }
//   { op: "encrypt", plaintext }                         → { message }
//   { op: "decrypt", message, now }                      → { plaintext, skipped }
//   { op: "save" }, { op: "restore", saved }             → { saved }, a number; {}: the state of the ratchet as it was then
//   { op: "seal", route, message }                       → { bodies }
//   { op: "open", route, body, now }                     → { message, dropped }, or { message: null, dropped }: a piece
//   { op: "encodeFrames", frames }                       → { plaintext }
//   { op: "parseFrames", plaintext }                     → { frames }
//   { op: "encodeRoute", route }, { op: "decodeRoute", record } → { record }, { route }

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import process from "node:process";
import { createInterface } from "node:readline";
import { FixedRandom, inBase64 } from "./ratchet_vectors_kit.mjs";
import {
  addPiece,
  decapsulateFirst,
  decodeRoute,
  decodeUpg,
  decrypt,
  encapsulateFirst,
  encodeFrame,
  encodeRoute,
  encodeUpg,
  encrypt,
  loadMlKem,
  makePair,
  openPacket,
  packetsOf,
  parseFrames,
  parsePacket,
  repairKeyOf,
  rootOf,
  safetyCode,
  sealPacket,
  startRatchet,
  startReassembly,
  transcriptOf,
} from "./session.mjs";

const [mlKemUrl, label] = process.argv.slice(2);
const mlKem = await loadMlKem(mlKemUrl);
const random = label === undefined ? (length) => randomBytes(length) : new FixedRandom(label).bytes;
const kit = { mlKem, random };

/** The names of fields that are bytes wherever they are. */
const byteFields = new Set([
  ...[
    "id",
    "senderId",
    "p",
    "q",
    "key",
    "routeId",
    "replaces",
    "previousHash",
    "content",
    "record",
    "digest",
  ],
  ...["message", "plaintext", "body", "joinerUpg", "initiatorUpg"],
]);

let first;
let state;
const saved = [];
let pieces = startReassembly();

const operations = {
  upg({ role, route, joinerUpg }) {
    if (role === "joiner") {
      first = { role, pair: makePair(kit) };
      return { upg: encodeUpg({ publicPair: first.pair.public, route }) };
    }
    const joiner = decodeUpg(joinerUpg, "joiner");
    if (joiner.refused !== undefined) return joiner;
    const pair = makePair(kit);
    const { ciphertext, secret } = encapsulateFirst(kit, joiner.publicPair);
    first = { role, pair, secret };
    return { upg: encodeUpg({ publicPair: pair.public, ciphertext, route }) };
  },
  begin({ texts, joinerUpg, initiatorUpg }) {
    const { role, pair } = first;
    const isJoiner = role === "joiner";
    const otherRole = isJoiner ? "initiator" : "joiner";
    const other = decodeUpg(isJoiner ? initiatorUpg : joinerUpg, otherRole);
    if (other.refused !== undefined) return other;
    const transcript = transcriptOf({ ...texts, joinerUpg, initiatorUpg });
    const kemSecret = isJoiner ? decapsulateFirst(kit, other.ciphertext, pair) : first.secret;
    const { root, refused } = rootOf({ transcript, kemSecret, ownPair: pair, otherPublic: other.publicPair });
    if (refused !== undefined) return { refused };
    state = startRatchet({ role, transcript, root, pair, other: other.publicPair });
    return { transcript, root, repairKey: repairKeyOf(root), safetyCode: safetyCode(root) };
  },
  encrypt({ plaintext }) {
    const result = encrypt(kit, state, plaintext);
    if (result.refused !== undefined) return result;
    state = result.state;
    return { message: result.message };
  },
  decrypt({ message, now }) {
    const result = decrypt(kit, state, message, now);
    if (result.refused !== undefined) return result;
    state = result.state;
    return { plaintext: result.plaintext, skipped: state.skipped.size };
  },
  save() {
    return { saved: saved.push(state) - 1 };
  },
  restore({ saved: at }) {
    state = saved[at];
    return {};
  },
  seal({ route, message }) {
    return { bodies: packetsOf(message, route.blockSize).map((packet) => sealPacket(kit, route, packet)) };
  },
  open({ route, body, now }) {
    const opened = openPacket(route, body);
    if (opened.refused !== undefined) return opened;
    const packet = parsePacket(opened.packet, route.blockSize);
    if (packet.refused !== undefined) return packet;
    if (packet.message !== undefined) return { message: packet.message, dropped: [] };
    const result = addPiece(pieces, { routeId: route.id, piece: packet, now });
    if (result.refused !== undefined) return result;
    pieces = result.state;
    return { message: result.message, dropped: result.dropped };
  },
  encodeFrames({ frames }) {
    return { plaintext: Buffer.concat(frames.map(encodeFrame)) };
  },
  parseFrames({ plaintext }) {
    return parseFrames(plaintext);
  },
  encodeRoute({ route }) {
    return { record: encodeRoute(route) };
  },
  decodeRoute({ record }) {
    return decodeRoute(record);
  },
};

function answer(line) {
  try {
    const command = JSON.parse(line, (name, value) => {
      return byteFields.has(name) && typeof value === "string" ? Buffer.from(value, "base64") : value;
    });
    return inBase64(operations[command.op](command));
  } catch (error) {
    return { failed: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(line))}\n`);
}
