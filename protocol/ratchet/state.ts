import type { PublicPair, RatchetPair } from "./pair.ts";
import type { SkippedKey } from "./skipped.ts";

/** The DH keys of the other side's chains that are remembered, so that none of them is stepped to again. */
export const mostKnownChains = 32;

/** The most messages of a chain: the number of its next one has 32 bits even after the last. */
export const longestChain = 0xffff_ffff;

/**
 * One side's ratchet: a value that nothing changes. Every message gives the next one, to be stored with its effects;
 * what it has in it is secret, and a state that was left behind opens what came after it.
 */
export interface RatchetState {
  /** Which session it is: the hash of everything that was said before it, 32 bytes. */
  readonly transcript: Uint8Array<ArrayBuffer>;
  /** 32 bytes. */
  readonly rootKey: Uint8Array<ArrayBuffer>;
  /** The X25519 key of this side's last pair, 32 bytes. */
  readonly ownKey: Uint8Array<ArrayBuffer>;
  /** Who makes the next step. */
  readonly turn: OwnTurn | OtherTurn;
  /** How many messages the chain had that this side has ended, which the headers of the chain after it say. */
  readonly previous: number;
  /** The other side's chain; `null` before its first message. */
  readonly receiving: ReceivingChain | null;
  /** The X25519 keys of the other side's pairs before, the oldest first, 32 bytes each. */
  readonly known: readonly Uint8Array<ArrayBuffer>[];
  /** Keys of messages that have not come yet, the oldest first. */
  readonly skipped: readonly SkippedKey[];
}

/** The other side has begun a chain: with its next message this side begins one. */
export interface OwnTurn {
  /** What tells the turns apart. */
  readonly side: "own";
  /** What the step is made against: the pair of the other side's chain. */
  readonly remote: PublicPair;
}

/** This side has begun a chain, or is the initiator, which waits for the first one. */
export interface OtherTurn {
  /** What tells the turns apart. */
  readonly side: "other";
  /** What the other side makes its step against. */
  readonly pair: RatchetPair;
  /** `null`: nothing can be sent yet. */
  readonly sending: SendingChain | null;
}

/** The chain that this side sends on. */
export interface SendingChain {
  /** Of the next message, 32 bytes. */
  readonly chainKey: Uint8Array<ArrayBuffer>;
  /** Of the next message. */
  readonly number: number;
  /** The secret of the step, encapsulated to the other side, 1088 bytes. */
  readonly ciphertext: Uint8Array<ArrayBuffer>;
}

/** The chain that the other side sends on. */
export interface ReceivingChain {
  /** The X25519 key that names it, 32 bytes. */
  readonly dh: Uint8Array<ArrayBuffer>;
  /** Of the next message, 32 bytes. */
  readonly chainKey: Uint8Array<ArrayBuffer>;
  /** Of the next message. */
  readonly number: number;
}

/** Bytes of the transcript that headers have. */
export const sessionLength = 8;

/** How messages name the session of a state: 8 bytes. */
export function sessionOf({ transcript }: RatchetState): Uint8Array<ArrayBuffer> {
  return transcript.subarray(0, sessionLength);
}
