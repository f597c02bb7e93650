// Sessions of agents (sessions.md): the upgrade of a connection, from UPG to root. Part of an implementation that is
// independent of this project, see session.mjs.

import { Buffer } from "node:buffer";
import { Fields, orRefused, Refused, u32, u8 } from "./session_bytes.mjs";
import {
  CIPHERTEXT_SIZE,
  decapsulate,
  dhOf,
  encapsulate,
  hkdf,
  isKemKey,
  kemOf,
  PUBLIC_SIZE,
  sha256,
  x25519,
} from "./session_keys.mjs";
import { encodeRoute, takeRoute } from "./session_routes.mjs";

const VERSION = 1;
/** What the transcript is made of, in this order. */
export const TRANSCRIPT_ITEMS = [
  "invitation",
  "acceptedKey",
  "joinerHello",
  "joinerHelloExt",
  "joinerReply",
  "joinerReplyExt",
  "initiatorKey",
  "initiatorHello",
  "initiatorHelloExt",
  "joinerUpg",
  "initiatorUpg",
];

/** A side's UPG bytes; only the initiator's has a ciphertext. */
export function encodeUpg({ publicPair, ciphertext, route }) {
  return Buffer.concat([u8(VERSION), publicPair, ciphertext ?? Buffer.alloc(0), encodeRoute(route)]);
}

/** `{ publicPair, ciphertext, route }` of the UPG of the side with this role, or why it is refused. */
export function decodeUpg(bytes, role) {
  return orRefused(() => {
    const fields = new Fields(bytes, "length");
    if (fields.u8() !== VERSION) throw new Refused("version");
    const publicPair = fields.take(PUBLIC_SIZE);
    if (!isKemKey(kemOf(publicPair))) throw new Refused("KEM key");
    const ciphertext = role === "initiator" ? fields.take(CIPHERTEXT_SIZE) : null;
    const route = takeRoute(fields);
    fields.end();
    return { publicPair, ciphertext, route };
  });
}

/** What the 0.3 message with id 0 and empty hash has as its agent message. */
export function upgMessage(bytes) {
  return Buffer.concat([Buffer.from(`UPG ${bytes.length}\n`), bytes, Buffer.from("\n")]);
}

/** SHA-256 over the items, which are texts (ASCII) or bytes, by the names of {@linkcode TRANSCRIPT_ITEMS}. */
export function transcriptOf(items) {
  const parts = TRANSCRIPT_ITEMS.map((name) => {
    const bytes = Buffer.from(items[name]);
    return Buffer.concat([u32(bytes.length), bytes]);
  });
  return sha256(Buffer.from("smp-session-1"), ...parts);
}

export function encapsulateFirst(kit, joinerPublic) {
  return encapsulate(kit, kemOf(joinerPublic));
}

export function decapsulateFirst(kit, ciphertext, joinerPair) {
  return decapsulate(kit, ciphertext, joinerPair);
}

/** `{ root }` of a session, from a side's own first pair and the other's, or why it is refused. */
export function rootOf({ transcript, kemSecret, ownPair, otherPublic }) {
  const dhSecret = x25519(ownPair.dhPrivate, dhOf(otherPublic));
  if (dhSecret === null) return { refused: "DH key" };
  const secret = Buffer.concat([kemSecret, dhSecret]);
  return { root: hkdf({ salt: transcript, secret, info: "smp-session", length: 32 }) };
}

/** Twelve groups of five digits. */
export function safetyCode(root) {
  const bytes = hkdf({ secret: root, info: "smp-session-safety", length: 60 });
  return Array.from({ length: 12 }, (_, group) => {
    return String(bytes.readUIntBE(group * 5, 5) % 100000).padStart(5, "0");
  }).join(" ");
}

export function repairKeyOf(root) {
  return hkdf({ secret: root, info: "smp-session-repair", length: 32 });
}
