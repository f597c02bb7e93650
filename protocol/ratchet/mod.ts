/**
 * Sessions between agents (sessions.md): a post-quantum Double Ratchet, the frames that it encrypts, and the packets and
 * routes that carry its messages.
 *
 * All of it is pure: states and bytes in, states and bytes out; time and randomness are arguments. What a peer may have
 * made is refused with a code, never with an exception, and its sizes are checked before anything is done with it.
 *
 * | what | at most |
 * |---|---|
 * | a message, header included | 4 MiB |
 * | message keys skipped at once, and kept in all | 2 000, for 30 days |
 * | pieces of messages | 8 MiB, of 16 messages, for 7 days |
 * | frames of one plaintext | 1 000 |
 * | body of a user message | 1 MiB |
 *
 * @example Encrypt and decrypt
 * ```ts
 * import {
 *   generateRatchetPair,
 *   initiatorSession,
 *   joinerSession,
 *   offerSession,
 *   randomBytes,
 *   ratchetDecrypt,
 *   ratchetEncrypt,
 * } from "@simplexmq/smp/protocol";
 *
 * // What both UPGs carry; the transcript is the hash of what was said before.
 * const joinerPair = await generateRatchetPair();
 * const transcript = randomBytes(32);
 * const offer = (await offerSession(joinerPair))!;
 * const joiner = (await joinerSession(joinerPair, { initiator: offer.pair, ciphertext: offer.ciphertext, transcript }))!;
 * const initiator = (await initiatorSession(offer, { joiner: joinerPair, transcript }))!;
 * console.log(joiner.safetyCode === initiator.safetyCode); // true
 *
 * const sent = await ratchetEncrypt(joiner.state, new TextEncoder().encode("hello"));
 * if (sent.ok) {
 *   const received = await ratchetDecrypt(initiator.state, sent.message, Date.now());
 *   if (received.ok) console.log(new TextDecoder().decode(received.plaintext)); // hello
 * }
 * ```
 *
 * @module
 */
export * from "./content.ts";
export { type Decrypted, type DecryptRefusal, largestGap, ratchetDecrypt } from "./decrypt.ts";
export { type Encrypted, type EncryptRefusal, largestPlaintext, ratchetEncrypt } from "./encrypt.ts";
export * from "./digest.ts";
export * from "./frame.ts";
export {
  decodeHeader,
  encodeHeader,
  headerLength,
  type HeaderRefusal,
  largestMessage,
  type RatchetHeader,
} from "./header.ts";
export * from "./packet.ts";
export * from "./pair.ts";
export * from "./reassembly.ts";
export * from "./repair.ts";
export { mostRanges, type NumberSet, type Receipt } from "./receipt.ts";
export {
  decodeRouteRecord,
  encodeRouteRecord,
  longestServer,
  routeIdLength,
  type RouteRecord,
} from "./route_record.ts";
export { senderKeyOf, type SenderKeyPrimes, senderKeyPrimes } from "./sender_key.ts";
export * from "./session.ts";
export { mostSkipped, type SkippedKey, skippedLifetime } from "./skipped.ts";
export {
  mostKnownChains,
  type OtherTurn,
  type OwnTurn,
  type RatchetState,
  type ReceivingChain,
  type SendingChain,
  sessionOf,
} from "./state.ts";
export { decodeRatchetState, encodeRatchetState } from "./state_codec.ts";
export * from "./upgrade.ts";
