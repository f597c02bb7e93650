/** From two UPGs to the first states of a session (sessions.md The upgrade of a connection). */
import { joinParts, randomBytes, textBytes } from "../bytes.ts";
import { decapsulate, encapsulate, isEncapsulationKey } from "../crypto/ml_kem.ts";
import { keyedCrypto, sha256 } from "../crypto/runtime.ts";
import { importX25519PrivateKey, x25519 } from "../crypto/x25519.ts";
import { concat, numberBytes } from "./_bytes.ts";
import { generateRatchetPair, type PublicPair, type RandomSource, type RatchetPair } from "./pair.ts";
import type { RatchetState } from "./state.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What both sides have said before the session, each exactly as it went over the wire; text is ASCII. */
export interface SessionTranscript {
  /** The invitation's text. */
  readonly invitation: string;
  /** The key of the joiner's KEY that the initiator has accepted: its text. */
  readonly acceptedKey: string;
  /** The key of the joiner's HELLO: its text. */
  readonly joinerHelloKey: string;
  /** The extensions of the joiner's HELLO: `ext=…`. */
  readonly joinerHelloExtensions: string;
  /** The queue of the joiner's REPLY: its text. */
  readonly replyQueue: string;
  /** The extensions of the joiner's REPLY: `ext=…`. */
  readonly replyExtensions: string;
  /** The key of the initiator's KEY: its text. */
  readonly initiatorKey: string;
  /** The key of the initiator's HELLO: its text. */
  readonly initiatorHelloKey: string;
  /** The extensions of the initiator's HELLO: `ext=…`. */
  readonly initiatorHelloExtensions: string;
  /** The bytes of the joiner's UPG. */
  readonly joinerUpgrade: Uint8Array;
  /** The bytes of the initiator's UPG. */
  readonly initiatorUpgrade: Uint8Array;
}

/** What the initiator has made for its UPG, to be kept until the session begins; `secret` is secret, as the pair is. */
export interface InitiatorOffer {
  /** The initiator's first pair. */
  readonly pair: RatchetPair;
  /** For the UPG: the secret, encapsulated to the joiner's first pair, 1088 bytes. */
  readonly ciphertext: Uint8Array<ArrayBuffer>;
  /** 32 bytes. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

/** A session of which nothing was sent yet. */
export interface NewSession {
  /** The first state. */
  readonly state: RatchetState;
  /** 60 digits in twelve groups, the same on both sides when nobody is between them. */
  readonly safetyCode: string;
  /** What a repair is authenticated with, 32 bytes; secret. */
  readonly repairKey: Uint8Array<ArrayBuffer>;
}

const start = "smp-session-1";
const noBytes = new Uint8Array(0);

/** The hash of everything that was said before the session, 32 bytes. */
export async function transcriptHash(transcript: SessionTranscript): Promise<Uint8Array<ArrayBuffer>> {
  const items = [
    transcript.invitation,
    transcript.acceptedKey,
    transcript.joinerHelloKey,
    transcript.joinerHelloExtensions,
    transcript.replyQueue,
    transcript.replyExtensions,
    transcript.initiatorKey,
    transcript.initiatorHelloKey,
    transcript.initiatorHelloExtensions,
    transcript.joinerUpgrade,
    transcript.initiatorUpgrade,
  ];
  const parts = items.flatMap((item) => {
    const bytes = typeof item === "string" ? textBytes(item) : item;
    return [numberBytes(bytes.length, 4, "length"), bytes];
  });
  return await sha256(joinParts([start, ...parts]));
}

/**
 * Makes the initiator's part of the agreement, `null` when the joiner's first pair is not valid. Asks `random` for what a
 * pair takes (32, 64), then 32 bytes (encapsulation).
 */
export async function offerSession(
  joiner: PublicPair,
  random: RandomSource = randomBytes,
): Promise<InitiatorOffer | null> {
  const pair = await generateRatchetPair(random);
  if (await x25519(await importX25519PrivateKey(pair.dhPrivate), joiner.dh) === null) return null;
  const encapsulated = await encapsulate(joiner.kem, random(32));
  return encapsulated && { pair, ...encapsulated };
}

/**
 * The initiator's session, of what {@linkcode offerSession} gave; `null` when the joiner's first pair is not valid.
 * `repairKey`: that of the session that it is to repair, which stays.
 */
export async function initiatorSession(
  { pair, secret }: Pick<InitiatorOffer, "pair" | "secret">,
  { joiner, transcript, repairKey }: {
    readonly joiner: PublicPair;
    readonly transcript: Uint8Array<ArrayBuffer>;
    readonly repairKey?: Uint8Array<ArrayBuffer>;
  },
): Promise<NewSession | null> {
  const agreed = await agree(pair, { remote: joiner, secret, transcript, ...repairKey && { repairKey } });
  if (agreed === null) return null;
  return newSession(agreed, {
    transcript,
    ownKey: pair.dh,
    turn: { side: "other", pair, sending: null },
    known: [joiner.dh],
  });
}

/**
 * The joiner's session, of its first pair and what the initiator has answered; `null` when that is not valid.
 * `repairKey`: that of the session that it is to repair, which stays.
 */
export async function joinerSession(
  pair: RatchetPair,
  { initiator, ciphertext, transcript, repairKey }: {
    readonly initiator: PublicPair;
    readonly ciphertext: Uint8Array<ArrayBuffer>;
    readonly transcript: Uint8Array<ArrayBuffer>;
    readonly repairKey?: Uint8Array<ArrayBuffer>;
  },
): Promise<NewSession | null> {
  if (!isEncapsulationKey(initiator.kem)) return null;
  const secret = await decapsulate(ciphertext, pair.kemPrivate);
  const repaired = repairKey && { repairKey };
  const agreed = secret && await agree(pair, { remote: initiator, secret, transcript, ...repaired });
  secret?.fill(0);
  if (agreed === null) return null;
  return newSession(agreed, {
    transcript,
    ownKey: pair.dh,
    turn: { side: "own", remote: { dh: initiator.dh, kem: initiator.kem } },
    known: [initiator.dh],
  });
}

interface Agreed extends Omit<NewSession, "state"> {
  readonly rootKey: Bytes;
}

async function agree(
  pair: RatchetPair,
  { remote, secret, transcript, repairKey = noBytes }: {
    readonly remote: PublicPair;
    readonly secret: Bytes;
    readonly transcript: Bytes;
    readonly repairKey?: Bytes;
  },
): Promise<Agreed | null> {
  const shared = await x25519(await importX25519PrivateKey(pair.dhPrivate), remote.dh);
  if (shared === null) return null;
  const both = concat(secret, shared, repairKey);
  const rootKey = await keyedCrypto().hkdf(both, {
    salt: transcript,
    info: textBytes("smp-session"),
    length: 32,
  });
  for (const used of [shared, both]) used.fill(0);
  const derive = (info: string, length: number) =>
    keyedCrypto().hkdf(rootKey, { salt: noBytes, info: textBytes(info), length });
  return {
    rootKey,
    safetyCode: digitsOf(await derive("smp-session-safety", 60)),
    repairKey: repairKey.length > 0 ? repairKey.slice() : await derive("smp-session-repair", 32),
  };
}

/** Each 5 bytes as the last five digits of the number that they are. */
function digitsOf(bytes: Bytes): string {
  const groups: string[] = [];
  for (let at = 0; at < bytes.length; at += 5) {
    let number = 0;
    for (const byte of bytes.subarray(at, at + 5)) number = number * 256 + byte;
    groups.push(String(number % 100_000).padStart(5, "0"));
  }
  return groups.join(" ");
}

function newSession(
  { rootKey, safetyCode, repairKey }: Agreed,
  first: Pick<RatchetState, "transcript" | "ownKey" | "turn" | "known">,
): NewSession {
  const state = { ...first, rootKey, previous: 0, receiving: null, skipped: [] };
  return { state, safetyCode, repairKey };
}
