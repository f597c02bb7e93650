/** What UPG carries (sessions.md The upgrade of a connection). */
import { ciphertextLength } from "../crypto/ml_kem.ts";
import { ByteReader, concat, exactly } from "./_bytes.ts";
import { decodePublicPair, encodePublicPair, type PublicPair, publicPairLength } from "./pair.ts";
import { encodeRouteRecord, readRouteRecord, type RouteRecord } from "./route_record.ts";

/** The joiner's UPG. */
export interface JoinerUpgrade {
  /** The public half of the joiner's first pair. */
  readonly pair: PublicPair;
  /** The first way to the joiner. */
  readonly route: RouteRecord;
}

/** The initiator's UPG. */
export interface InitiatorUpgrade extends JoinerUpgrade {
  /** Encapsulated to the joiner's first pair, 1088 bytes. */
  readonly ciphertext: Uint8Array<ArrayBuffer>;
}

/** Why a UPG cannot be read: a version to come, or bytes that are none. */
export type UpgradeRefusal = "VERSION" | "MALFORMED";

/** A UPG, or why it cannot be read. */
export type DecodedUpgrade<Upgrade> =
  | { readonly ok: true; readonly upgrade: Upgrade }
  | { readonly ok: false; readonly code: UpgradeRefusal };

const version = 1;

/** Encodes the joiner's UPG. `RangeError` for what {@linkcode encodeRouteRecord} refuses. */
export function encodeJoinerUpgrade({ pair, route }: JoinerUpgrade): Uint8Array<ArrayBuffer> {
  return concat(Uint8Array.of(version), encodePublicPair(pair), encodeRouteRecord(route));
}

/** Encodes the initiator's UPG. `RangeError` for what {@linkcode encodeRouteRecord} refuses. */
export function encodeInitiatorUpgrade(upgrade: InitiatorUpgrade): Uint8Array<ArrayBuffer> {
  const ciphertext = exactly(upgrade.ciphertext, ciphertextLength, "ML-KEM ciphertext");
  return concat(
    Uint8Array.of(version),
    encodePublicPair(upgrade.pair),
    ciphertext,
    encodeRouteRecord(upgrade.route),
  );
}

/** Reads the joiner's UPG. */
export function decodeJoinerUpgrade(bytes: Uint8Array<ArrayBuffer>): DecodedUpgrade<JoinerUpgrade> {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== version) return { ok: false, code: bytes.length === 0 ? "MALFORMED" : "VERSION" };
  const pair = decodePublicPair(reader.bytes(publicPairLength));
  const route = readRouteRecord(reader);
  if (pair === null || route === null || !reader.complete) return { ok: false, code: "MALFORMED" };
  return { ok: true, upgrade: { pair, route } };
}

/** Reads the initiator's UPG. */
export function decodeInitiatorUpgrade(bytes: Uint8Array<ArrayBuffer>): DecodedUpgrade<InitiatorUpgrade> {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== version) return { ok: false, code: bytes.length === 0 ? "MALFORMED" : "VERSION" };
  const pair = decodePublicPair(reader.bytes(publicPairLength));
  const ciphertext = reader.bytes(ciphertextLength);
  const route = readRouteRecord(reader);
  if (pair === null || route === null || !reader.complete) return { ok: false, code: "MALFORMED" };
  return { ok: true, upgrade: { pair, ciphertext, route } };
}
