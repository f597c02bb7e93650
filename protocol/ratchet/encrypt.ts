import { randomBytes } from "../bytes.ts";
import { tagLength } from "../crypto/engine/engine.ts";
import { keyedCrypto } from "../crypto/runtime.ts";
import { concat } from "./_bytes.ts";
import { encodeHeader, headerLength, largestMessage } from "./header.ts";
import { messageKeyOf, messageSecrets, nextChainKey, stepToSend } from "./kdf.ts";
import type { RandomSource } from "./pair.ts";
import { longestChain, type OtherTurn, type RatchetState, type SendingChain, sessionOf } from "./state.ts";

/** Bytes of the longest plaintext. */
export const largestPlaintext: number = largestMessage - headerLength - tagLength;

/**
 * Why a plaintext is not encrypted. `NOT_READY`: the initiator has not decrypted a message of the joiner yet. `LARGE`: it
 * has more than {@linkcode largestPlaintext} bytes. `EXHAUSTED`: the chain's numbers are used up. `KEY`: the other side's
 * pair is not valid, which only a damaged state has.
 */
export type EncryptRefusal = "NOT_READY" | "LARGE" | "EXHAUSTED" | "KEY";

/** A message and the state after it, or why there is none. */
export type Encrypted =
  | { readonly ok: true; readonly state: RatchetState; readonly message: Uint8Array<ArrayBuffer> }
  | { readonly ok: false; readonly code: EncryptRefusal };

interface Sending extends OtherTurn {
  readonly sending: SendingChain;
}

/**
 * Encrypts a message and begins a chain for it when it is this side's turn (sessions.md Session cryptography). The new
 * state has to be stored before the message goes anywhere. Asks `random` for 32, 64 and 32 bytes (X25519 key, ML-KEM
 * seed, encapsulation) when a chain begins, then for 16 (salt).
 */
export async function ratchetEncrypt(
  state: RatchetState,
  plaintext: Uint8Array<ArrayBuffer>,
  random: RandomSource = randomBytes,
): Promise<Encrypted> {
  if (plaintext.length > largestPlaintext) return { ok: false, code: "LARGE" };
  if (state.turn.side === "other") {
    const { sending } = state.turn;
    if (sending === null) return { ok: false, code: "NOT_READY" };
    if (sending.number >= longestChain) return { ok: false, code: "EXHAUSTED" };
    return await encryptOn(state, { ...state.turn, sending }, plaintext, random);
  }
  const step = await stepToSend(state.rootKey, state.turn.remote, random);
  if (step === null) return { ok: false, code: "KEY" };
  const { rootKey, chainKey, pair, ciphertext } = step;
  const sending = { chainKey, number: 0, ciphertext };
  const next = { ...state, rootKey, ownKey: pair.dh };
  return await encryptOn(next, { side: "other", pair, sending }, plaintext, random);
}

async function encryptOn(
  state: RatchetState,
  turn: Sending,
  plaintext: Uint8Array<ArrayBuffer>,
  random: RandomSource,
): Promise<Encrypted> {
  const { pair, sending: { chainKey, number, ciphertext } } = turn;
  const salt = random(16);
  const header = encodeHeader({
    session: sessionOf(state),
    salt,
    dh: pair.dh,
    previous: state.previous,
    number,
    kem: pair.kem,
    ciphertext,
  });
  const messageKey = await messageKeyOf(chainKey);
  const { key, nonce } = await messageSecrets(messageKey, salt);
  const additional = concat(state.transcript, header);
  const sealed = await keyedCrypto().seal(plaintext, { key, nonce, additional });
  for (const used of [messageKey, key, nonce]) used.fill(0);
  const sending = { ...turn.sending, chainKey: await nextChainKey(chainKey), number: number + 1 };
  return { ok: true, state: { ...state, turn: { ...turn, sending } }, message: concat(header, sealed) };
}
