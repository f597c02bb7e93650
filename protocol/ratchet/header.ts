import { tagLength } from "../crypto/engine/engine.ts";
import { ciphertextLength, encapsulationKeyLength } from "../crypto/ml_kem.ts";
import { ByteReader, concat, exactly, numberBytes } from "./_bytes.ts";

/** What stands in front of a message's ciphertext, readable and authenticated (sessions.md Session cryptography). */
export interface RatchetHeader {
  /** The start of the transcript, 8 bytes. */
  readonly session: Uint8Array<ArrayBuffer>;
  /** Random, 16 bytes. */
  readonly salt: Uint8Array<ArrayBuffer>;
  /** The X25519 key of the chain's pair, 32 bytes: what names the chain. */
  readonly dh: Uint8Array<ArrayBuffer>;
  /** How many messages the sender's chain before had. */
  readonly previous: number;
  /** The message's number in its chain, from 0. */
  readonly number: number;
  /** The ML-KEM key of the chain's pair, 1184 bytes. */
  readonly kem: Uint8Array<ArrayBuffer>;
  /** The secret that began the chain, encapsulated to the receiver's pair, 1088 bytes. */
  readonly ciphertext: Uint8Array<ArrayBuffer>;
}

const version = 0;
/** Bytes of a header: 2 337. */
export const headerLength: number = 65 + encapsulationKeyLength + ciphertextLength;
/** Bytes of the longest message, header and tag included: what packets can carry. */
export const largestMessage: number = 4 * 1024 * 1024;

/** Why a header cannot be read: too few bytes for it and a tag, or another version. */
export type HeaderRefusal = "SHORT" | "VERSION";

/** Encodes a header. `RangeError` for parts of other lengths and numbers beyond 32 bits. */
export function encodeHeader(header: RatchetHeader): Uint8Array<ArrayBuffer> {
  const { session, salt, dh, previous, number, kem, ciphertext } = header;
  return concat(
    Uint8Array.of(version),
    exactly(session, 8, "session"),
    exactly(salt, 16, "salt"),
    exactly(dh, 32, "X25519 key"),
    numberBytes(previous, 4, "length of the previous chain"),
    numberBytes(number, 4, "number"),
    exactly(kem, encapsulationKeyLength, "ML-KEM key"),
    exactly(ciphertext, ciphertextLength, "ML-KEM ciphertext"),
  );
}

/** Reads the header of a message, whose memory its parts are. */
export function decodeHeader(
  message: Uint8Array<ArrayBuffer>,
):
  | { readonly ok: true; readonly header: RatchetHeader }
  | { readonly ok: false; readonly code: HeaderRefusal } {
  if (message.length < headerLength + tagLength) return { ok: false, code: "SHORT" };
  const reader = new ByteReader(message);
  if (reader.u8() !== version) return { ok: false, code: "VERSION" };
  const header = {
    session: reader.bytes(8),
    salt: reader.bytes(16),
    dh: reader.bytes(32),
    previous: reader.u32(),
    number: reader.u32(),
    kem: reader.bytes(encapsulationKeyLength),
    ciphertext: reader.bytes(ciphertextLength),
  };
  return { ok: true, header };
}
