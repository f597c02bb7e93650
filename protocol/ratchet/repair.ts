/**
 * Packets by which two sides of a session that are out of step agree on a new one (sessions.md Repair). The initiator
 * asks, the joiner offers, the initiator answers; a joiner that is to begin calls for the question. Each is authenticated
 * by the repair key, together with those before it.
 */
import { equalBytes, textBytes } from "../bytes.ts";
import { ciphertextLength } from "../crypto/ml_kem.ts";
import { keyedCrypto, sha256 } from "../crypto/runtime.ts";
import { ByteReader, concat, exactly, numberBytes } from "./_bytes.ts";
import { digestLength, frameNameLength } from "./digest.ts";
import { packetLength } from "./packet.ts";
import { publicPairLength } from "./pair.ts";
import { mostRanges, type NumberSet } from "./receipt.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What a side has of the other's. */
export interface RepairAccount {
  /** The reliable numbers that it has, as far as they are told: up to {@linkcode repairWindow} beyond the first missing. */
  readonly stored: NumberSet;
  /** The greatest of all that it has. */
  readonly greatest: number;
  /** The last user message that it has: its number, 0 for none, and {@linkcode messageHash}, zeros for none, 32 bytes. */
  readonly last: { readonly id: number; readonly hash: Uint8Array<ArrayBuffer> };
  /** What they are, of an agent that tells it; not there: it does not. */
  readonly told?: {
    /** Of the frames in `stored`, 16 bytes (`digest.ts`). */
    readonly digest: Uint8Array<ArrayBuffer>;
    /**
     * `frameName` of those in its ranges, in their order, 8 bytes each, zeros for none; no name when there are more than
     * {@linkcode mostNames}. One of another count is refused by who reads it.
     */
    readonly names: readonly Uint8Array<ArrayBuffer>[];
  };
}

/** What a side can still send of its own. */
export interface RepairRest {
  /** The reliable numbers of which the other side has told; it has nothing of these any more. */
  readonly receipted: NumberSet;
  /** Up to this number it has all others. */
  readonly kept: number;
  /** What is new begins after this number: those between are gone. */
  readonly next: number;
}

/** What is said to repair a session; times are milliseconds since 1970, IDs 16 random bytes. */
export type RepairPacket =
  /** The joiner wants to be asked; `asked`: the time of the last question that it knows. */
  | {
    readonly step: "call";
    readonly time: number;
    readonly id: Uint8Array<ArrayBuffer>;
    readonly asked: number;
  }
  /** The initiator begins. */
  | {
    readonly step: "ask";
    readonly time: number;
    readonly id: Uint8Array<ArrayBuffer>;
    readonly account: RepairAccount;
  }
  /** The joiner's part; `id`: that of the question, `pair`: the public half of its first pair, 1216 bytes. */
  | {
    readonly step: "offer";
    readonly id: Uint8Array<ArrayBuffer>;
    readonly pair: Uint8Array<ArrayBuffer>;
    readonly account: RepairAccount;
    readonly rest: RepairRest;
  }
  /** The initiator's part; `ciphertext`: encapsulated to the joiner's pair. */
  | {
    readonly step: "answer";
    readonly id: Uint8Array<ArrayBuffer>;
    readonly pair: Uint8Array<ArrayBuffer>;
    readonly ciphertext: Uint8Array<ArrayBuffer>;
    readonly rest: RepairRest;
  };

/** What is said, and how. */
export interface SealedRepair {
  /** What it says; its parts are memory of `bytes` when it was read. */
  readonly packet: RepairPacket;
  /** All of it, with its MAC. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Names of frames that are told at most. */
export const mostNames = 200;
/** Numbers beyond the first missing one that are told. */
export const repairWindow = 512;
/** Bytes of the ID of a repair. */
export const repairIdLength = 16;
/** Numbers of an account are below it, so that whatever is counted on from them fits 48 bits. */
export const repairNumbers: number = 2 ** 40;

/** Times are below it, and numbers that are counted on from those of an account. */
export const repairTimes: number = 2 ** 47;

const repairKind = 2;
const most = repairTimes;
const macLength = 32;
/** By their numbers; the last two are those whose account has a digest. */
const steps = ["call", "ask", "offer", "answer", "ask", "offer"] as const;
const firstWithDigest = 4;
const windowBytes = repairWindow / 8;
const accountLength = 6 + windowBytes + 6 + 6 + 32;
const restLength = 6 + windowBytes + 6 + 6;
/** Bytes before the count of names in an account. */
const namesAt = { ask: 1 + 6 + repairIdLength, offer: 1 + repairIdLength + publicPairLength };
const lengths: Readonly<Record<RepairPacket["step"], number>> = {
  call: 1 + 6 + repairIdLength + 6 + macLength,
  ask: 1 + 6 + repairIdLength + accountLength + macLength,
  offer: 1 + repairIdLength + publicPairLength + accountLength + restLength + macLength,
  answer: 1 + repairIdLength + publicPairLength + ciphertextLength + restLength + macLength,
};

/**
 * Encodes and authenticates what is said; `before`: the bytes of the question, and of the offer, that it follows. `RangeError`
 * for parts of other lengths and numbers that are too large.
 */
export async function sealRepair(
  packet: RepairPacket,
  { repairKey, before = [] }: {
    readonly repairKey: Uint8Array<ArrayBuffer>;
    readonly before?: readonly Uint8Array<ArrayBuffer>[];
  },
): Promise<SealedRepair> {
  const content = encode(packet);
  return { packet, bytes: concat(content, await macOf(packet.step, repairKey, [...before, content])) };
}

/** Reads the content of a packet (kind 2, with its padding), whose memory its parts are; `null` when it is none. */
export function readRepair(content: Uint8Array<ArrayBuffer>): SealedRepair | null {
  const number = content[0] ?? steps.length, step = steps[number];
  if (step === undefined) return null;
  const hasDigest = number >= firstWithDigest;
  const length = lengths[step] + (hasDigest ? toldLength(step, content) : 0);
  if (content.length < length) return null;
  const bytes = content.subarray(0, length);
  if (content.subarray(bytes.length).some((byte) => byte !== 0)) return null;
  const packet = decode(step, new ByteReader(bytes, 1), hasDigest);
  return packet && { packet, bytes };
}

/** Bytes of what an account with a digest has more; more than there can be when it is cut off. */
function toldLength(step: RepairPacket["step"], content: Bytes): number {
  if (step !== "ask" && step !== "offer") return 0;
  const at = namesAt[step] + accountLength + digestLength;
  const count = ((content[at] ?? 0xff) << 8) | (content[at + 1] ?? 0xff);
  return digestLength + 2 + count * frameNameLength;
}

/** Whether a packet is authentic: one HMAC. */
export async function isAuthenticRepair(
  { packet, bytes }: SealedRepair,
  { repairKey, before = [] }: {
    readonly repairKey: Uint8Array<ArrayBuffer>;
    readonly before?: readonly Uint8Array<ArrayBuffer>[];
  },
): Promise<boolean> {
  const at = bytes.length - macLength;
  const mac = await macOf(packet.step, repairKey, [...before, bytes.subarray(0, at)]);
  return equalBytes(mac, bytes.subarray(at));
}

/** The packet of a route with that block size. */
export function padRepair(
  { bytes }: Pick<SealedRepair, "bytes">,
  blockSize: number,
): Uint8Array<ArrayBuffer> {
  const packet = new Uint8Array(packetLength(blockSize));
  packet[0] = repairKind;
  packet.set(bytes, 1);
  return packet;
}

/** The hash of all that was said to repair a session, the transcript of the new one: 32 bytes. */
export async function repairTranscript(
  { ask, offer, answer }: {
    readonly ask: Uint8Array<ArrayBuffer>;
    readonly offer: Uint8Array<ArrayBuffer>;
    readonly answer: Uint8Array<ArrayBuffer>;
  },
): Promise<Uint8Array<ArrayBuffer>> {
  return await sha256(concat(textBytes("smp-session-repair-1"), ask, offer, answer));
}

async function macOf(step: RepairPacket["step"], repairKey: Bytes, parts: readonly Bytes[]): Promise<Bytes> {
  const role = step === "call" || step === "offer" ? 0 : 1;
  return await keyedCrypto().hmac(repairKey, concat(Uint8Array.of(role), ...parts));
}

function encode(packet: RepairPacket): Bytes {
  const hasDigest = "account" in packet && packet.account.told !== undefined;
  const step = Uint8Array.of(hasDigest ? steps.lastIndexOf(packet.step) : steps.indexOf(packet.step));
  const id = exactly(packet.id, repairIdLength, "ID of a repair");
  switch (packet.step) {
    case "call":
      return concat(step, number(packet.time, "time"), id, number(packet.asked, "time"));
    case "ask":
      return concat(step, number(packet.time, "time"), id, ...accountParts(packet.account));
    case "offer":
      return concat(
        step,
        id,
        exactly(packet.pair, publicPairLength, "pair"),
        ...accountParts(packet.account),
        ...restParts(packet.rest),
      );
    case "answer":
      return concat(
        step,
        id,
        exactly(packet.pair, publicPairLength, "pair"),
        exactly(packet.ciphertext, ciphertextLength, "ML-KEM ciphertext"),
        ...restParts(packet.rest),
      );
    default:
      return packet satisfies never;
  }
}

function decode(
  step: RepairPacket["step"],
  reader: ByteReader,
  hasDigest: boolean,
): RepairPacket | null {
  switch (step) {
    case "call": {
      const time = reader.u48(), id = reader.bytes(repairIdLength), asked = reader.u48();
      return areNumbers(time, asked) ? { step, time, id, asked } : null;
    }
    case "ask": {
      const time = reader.u48(), id = reader.bytes(repairIdLength), account = readAccount(reader, hasDigest);
      return account && areNumbers(time) ? { step, time, id, account } : null;
    }
    case "offer": {
      const id = reader.bytes(repairIdLength), pair = reader.bytes(publicPairLength);
      const account = readAccount(reader, hasDigest), rest = readRest(reader);
      return account && rest && { step, id, pair, account, rest };
    }
    case "answer": {
      const id = reader.bytes(repairIdLength), pair = reader.bytes(publicPairLength);
      const ciphertext = reader.bytes(ciphertextLength), rest = readRest(reader);
      return rest && { step, id, pair, ciphertext, rest };
    }
    default:
      return step satisfies never;
  }
}

function number(value: number, what: string): Bytes {
  if (value >= most) throw new RangeError(`Cannot encode ${what}: ${value} is too large`);
  return numberBytes(value, 6, what);
}

function areNumbers(...values: readonly number[]): boolean {
  return values.every((value) => value < most);
}

function accountParts({ stored, greatest, last: { id, hash }, told }: RepairAccount): Bytes[] {
  return [
    ...windowParts(stored),
    number(greatest, "greatest number"),
    number(id, "user number"),
    exactly(hash, 32, "hash"),
    ...told === undefined ? [] : [
      exactly(told.digest, digestLength, "digest"),
      numberBytes(told.names.length, 2, "number of names"),
      ...told.names.map((name) => exactly(name, frameNameLength, "name")),
    ],
  ];
}

function readAccount(reader: ByteReader, hasDigest: boolean): RepairAccount | null {
  const stored = readWindow(reader), greatest = reader.u48(), id = reader.u48();
  const hash = reader.bytes(32).slice();
  const told = hasDigest ? readTold(reader) : null;
  if (stored === null || told !== null && !areNamesOf(stored, told.names.length)) return null;
  if (greatest >= repairNumbers || id >= repairNumbers) return null;
  if (greatest < lastOf(stored)) return null;
  return { stored, greatest, last: { id, hash }, ...told && { told } };
}

/** Whether so many names can be told of a set: of all numbers in its ranges, or of none. */
function areNamesOf({ ranges }: NumberSet, count: number): boolean {
  const numbers = ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  return count === 0 || count === numbers && count <= mostNames;
}

function readTold(reader: ByteReader): NonNullable<RepairAccount["told"]> {
  const digest = reader.bytes(digestLength).slice(), count = reader.u16();
  return { digest, names: Array.from({ length: count }, () => reader.bytes(frameNameLength).slice()) };
}

function restParts({ receipted, kept, next }: RepairRest): Bytes[] {
  return [...windowParts(receipted), number(kept, "kept number"), number(next, "next number")];
}

function readRest(reader: ByteReader): RepairRest | null {
  const receipted = readWindow(reader), kept = reader.u48(), next = reader.u48();
  if (receipted === null || !areNumbers(kept, next) || next < kept || next < lastOf(receipted)) return null;
  return { receipted, kept, next };
}

/** A bit for each of the numbers after the first that is missing, the greatest of a byte first. */
function windowParts({ upTo, ranges }: NumberSet): Bytes[] {
  const bits = new Uint8Array(windowBytes);
  for (const [from, to] of ranges) {
    for (let at = from - upTo - 1; at < Math.min(to - upTo, repairWindow); at++) {
      bits[at >> 3]! |= 0x80 >> (at & 7);
    }
  }
  return [number(upTo, "number"), bits];
}

/** The numbers of a window; `null` when the first one after `upTo` is there too, or they make more ranges than may be. */
function readWindow(reader: ByteReader): NumberSet | null {
  const upTo = reader.u48(), bits = reader.bytes(windowBytes);
  const ranges: [number, number][] = [];
  if (!reader.ok || !areNumbers(upTo) || bits[0]! >= 0x80) return null;
  for (let at = 0; at < repairWindow; at++) {
    if ((bits[at >> 3]! & 0x80 >> (at & 7)) === 0) continue;
    const found = upTo + 1 + at, last = ranges.at(-1);
    if (last !== undefined && last[1] === found - 1) last[1] = found;
    else ranges.push([found, found]);
  }
  return ranges.length > mostRanges ? null : { upTo, ranges };
}

function lastOf({ upTo, ranges }: NumberSet): number {
  return ranges.at(-1)?.[1] ?? upTo;
}
