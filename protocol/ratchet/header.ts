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
  /** What begins the chain; absent (form 1) when the other side is known to have begun it. */
  readonly step?: {
    /** The ML-KEM key of the chain's pair, 1184 bytes. */
    readonly kem: Uint8Array<ArrayBuffer>;
    /** 1088 bytes, encapsulated to the receiver's pair. */
    readonly ciphertext: Uint8Array<ArrayBuffer>;
  };
}

/** Bytes of a header without step. */
export const shortHeaderLength = 65;
/** Bytes of a header with a step. */
export const longHeaderLength: number = shortHeaderLength + encapsulationKeyLength + ciphertextLength;
/** Bytes of the longest message, header and tag included: what packets can carry. */
export const largestMessage: number = 4 * 1024 * 1024;

/** Why a header cannot be read: too few bytes for it and a tag, or a form of another version. */
export type HeaderRefusal = "SHORT" | "FORM";

/** Encodes a header. `RangeError` for parts of other lengths and numbers beyond 32 bits. */
export function encodeHeader(header: RatchetHeader): Uint8Array<ArrayBuffer> {
  const { session, salt, dh, previous, number, step } = header;
  return concat(
    Uint8Array.of(step === undefined ? 1 : 0),
    exactly(session, 8, "session"),
    exactly(salt, 16, "salt"),
    exactly(dh, 32, "X25519 key"),
    numberBytes(previous, 4, "length of the previous chain"),
    numberBytes(number, 4, "number"),
    ...(step === undefined ? [] : [
      exactly(step.kem, encapsulationKeyLength, "ML-KEM key"),
      exactly(step.ciphertext, ciphertextLength, "ML-KEM ciphertext"),
    ]),
  );
}

/** Reads the header of a message, whose memory its parts are, and says how long it is. */
export function decodeHeader(
  message: Uint8Array<ArrayBuffer>,
):
  | { readonly ok: true; readonly header: RatchetHeader; readonly length: number }
  | { readonly ok: false; readonly code: HeaderRefusal } {
  if (message.length < shortHeaderLength + tagLength) return { ok: false, code: "SHORT" };
  const reader = new ByteReader(message);
  const form = reader.u8();
  if (form > 1) return { ok: false, code: "FORM" };
  const length = form === 0 ? longHeaderLength : shortHeaderLength;
  if (message.length < length + tagLength) return { ok: false, code: "SHORT" };
  const header = {
    session: reader.bytes(8),
    salt: reader.bytes(16),
    dh: reader.bytes(32),
    previous: reader.u32(),
    number: reader.u32(),
  };
  if (form === 1) return { ok: true, header, length };
  const step = { kem: reader.bytes(encapsulationKeyLength), ciphertext: reader.bytes(ciphertextLength) };
  return { ok: true, header: { ...header, step }, length };
}

/** The session and the chain that a message is of; `null` when it is too short to say. Nothing of it is authenticated. */
export function chainOf(message: Uint8Array<ArrayBuffer>): Pick<RatchetHeader, "session" | "dh"> | null {
  const reader = new ByteReader(message, 1);
  const session = reader.bytes(8);
  reader.bytes(16);
  const dh = reader.bytes(32);
  return reader.ok ? { session, dh } : null;
}
