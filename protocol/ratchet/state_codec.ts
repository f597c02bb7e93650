/**
 * A ratchet's state as the store has it:
 * `version u8 | transcript 32 | root key 32 | own key 32 | previous u32 | turn | receiving | known | skipped | check 8`.
 *
 * - turn: `0 | public pair 1216` (this side's), `1 | pair 2464` (the other's, nothing sent yet) or
 *   `2 | pair 2464 | chain key 32 | number u32 | ciphertext 1088`
 * - receiving: `0` or `1 | X25519 key 32 | chain key 32 | number u32`
 * - known: `count u8 | keys 32`
 * - skipped: runs of one chain, `X25519 key 32 | count u16 | count × (number u32 | at u48 | key 32)`, to the end
 * - check: the start of SHA-256 of everything before it
 */
import { equalBytes } from "../bytes.ts";
import { sha256 } from "../crypto/runtime.ts";
import { ciphertextLength } from "../crypto/ml_kem.ts";
import { ByteReader, concat, exactly, largestU48, numberBytes } from "./_bytes.ts";
import {
  decodePublicPair,
  decodeRatchetPair,
  encodePublicPair,
  encodeRatchetPair,
  publicPairLength,
  ratchetPairLength,
} from "./pair.ts";
import { mostSkipped, type SkippedKey } from "./skipped.ts";
import {
  mostKnownChains,
  type OtherTurn,
  type OwnTurn,
  type RatchetState,
  type ReceivingChain,
} from "./state.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const version = 1;
const checkLength = 8;
/** Number, time and key. */
const skippedLength = 4 + 6 + 32;
/** Room for a chain that has only one skipped key, for each of them, and everything else many times over. */
const largestState = 16 * 1024 + mostSkipped * (32 + 2 + skippedLength);

/** Encodes a state for the store: at most 5 KiB, and 42 bytes for each skipped key and 34 for each chain of those. */
export async function encodeRatchetState(state: RatchetState): Promise<Uint8Array<ArrayBuffer>> {
  const { transcript, rootKey, ownKey, previous, turn, receiving, known, skipped } = state;
  const bytes = concat(
    Uint8Array.of(version),
    exactly(transcript, 32, "transcript"),
    exactly(rootKey, 32, "root key"),
    exactly(ownKey, 32, "own key"),
    numberBytes(previous, 4, "previous"),
    ...turnParts(turn),
    ...receivingParts(receiving),
    numberBytes(known.length, 1, "known chains"),
    ...known.map((dh) => exactly(dh, 32, "known chain")),
    ...skippedParts(skipped),
  );
  return concat(bytes, await checkOf(bytes));
}

/** Reads a state from the store; `null` when it is damaged or of a version to come. */
export async function decodeRatchetState(bytes: Uint8Array<ArrayBuffer>): Promise<RatchetState | null> {
  if (bytes.length < checkLength || bytes.length > largestState) return null;
  // The store may use the array again meanwhile.
  const content = bytes.slice(0, -checkLength);
  if (!equalBytes(await checkOf(content), bytes.subarray(-checkLength))) return null;
  const reader = new ByteReader(content);
  if (reader.u8() !== version) return null;
  const fixed = {
    transcript: ownBytes(reader, 32),
    rootKey: ownBytes(reader, 32),
    ownKey: ownBytes(reader, 32),
    previous: reader.u32(),
  };
  const turn = readTurn(reader);
  const receiving = readReceiving(reader);
  const count = reader.u8();
  if (turn === null || receiving === undefined || count > mostKnownChains) return null;
  const known = Array.from({ length: count }, () => ownBytes(reader, 32));
  const skipped = readSkipped(reader);
  return skipped !== null && reader.complete ? { ...fixed, turn, receiving, known, skipped } : null;
}

/** Memory of its own: one field that is kept for long must not keep the keys beside it, which are gone by then. */
function ownBytes(reader: ByteReader, length: number): Bytes {
  return reader.bytes(length).slice();
}

async function checkOf(bytes: Bytes): Promise<Bytes> {
  return (await sha256(bytes)).slice(0, checkLength);
}

function turnParts(turn: RatchetState["turn"]): Bytes[] {
  if (turn.side === "own") return [Uint8Array.of(0), encodePublicPair(turn.remote)];
  const { pair, sending } = turn;
  if (sending === null) return [Uint8Array.of(1), encodeRatchetPair(pair)];
  return [
    Uint8Array.of(2),
    encodeRatchetPair(pair),
    exactly(sending.chainKey, 32, "chain key"),
    numberBytes(sending.number, 4, "number"),
    exactly(sending.ciphertext, ciphertextLength, "ML-KEM ciphertext"),
  ];
}

function readTurn(reader: ByteReader): OwnTurn | OtherTurn | null {
  const kind = reader.u8();
  if (kind === 0) {
    const remote = decodePublicPair(reader.bytes(publicPairLength));
    return remote && { side: "own", remote };
  }
  const pair = decodeRatchetPair(reader.bytes(ratchetPairLength));
  if (pair === null || kind > 2) return null;
  if (kind === 1) return { side: "other", pair, sending: null };
  const chainKey = ownBytes(reader, 32),
    number = reader.u32(),
    ciphertext = ownBytes(reader, ciphertextLength);
  return { side: "other", pair, sending: { chainKey, number, ciphertext } };
}

function receivingParts(receiving: ReceivingChain | null): Bytes[] {
  if (receiving === null) return [Uint8Array.of(0)];
  const { dh, chainKey, number } = receiving;
  return [
    Uint8Array.of(1),
    exactly(dh, 32, "X25519 key"),
    exactly(chainKey, 32, "chain key"),
    numberBytes(number, 4, "number"),
  ];
}

/** `undefined`: it is damaged. */
function readReceiving(reader: ByteReader): ReceivingChain | null | undefined {
  const kind = reader.u8();
  if (kind === 0) return null;
  return kind === 1
    ? { dh: ownBytes(reader, 32), chainKey: ownBytes(reader, 32), number: reader.u32() }
    : undefined;
}

function skippedParts(skipped: readonly SkippedKey[]): Bytes[] {
  const parts: Bytes[] = [];
  for (let at = 0; at < skipped.length;) {
    const { dh } = skipped[at]!;
    const start = at;
    while (at < skipped.length && equalBytes(skipped[at]!.dh, dh)) at++;
    const run = skipped.slice(start, at);
    parts.push(exactly(dh, 32, "X25519 key"), numberBytes(run.length, 2, "skipped keys"), runBytes(run));
  }
  return parts;
}

/** There may be thousands: one array for all of a chain. */
function runBytes(run: readonly SkippedKey[]): Bytes {
  const bytes = new Uint8Array(run.length * skippedLength);
  const view = new DataView(bytes.buffer);
  run.forEach(({ number, at, key }, i) => {
    const start = i * skippedLength;
    const time = Math.min(Math.max(Math.floor(at), 0), largestU48);
    view.setUint32(start, number);
    view.setUint16(start + 4, Math.floor(time / 2 ** 32));
    view.setUint32(start + 6, time % 2 ** 32);
    bytes.set(exactly(key, 32, "message key"), start + 10);
  });
  return bytes;
}

function readSkipped(reader: ByteReader): readonly SkippedKey[] | null {
  const skipped: SkippedKey[] = [];
  while (reader.left > 0) {
    const dh = ownBytes(reader, 32), count = reader.u16();
    if (count === 0 || skipped.length + count > mostSkipped) return null;
    for (let i = 0; i < count; i++) {
      const number = reader.u32(), at = reader.u48(), key = ownBytes(reader, 32);
      skipped.push({ dh, number, at, key });
    }
  }
  return skipped;
}
