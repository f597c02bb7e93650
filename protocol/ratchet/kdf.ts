/** The key derivations of the Double Ratchet (sessions.md Session cryptography). */
import { textBytes } from "../bytes.ts";
import { decapsulate, encapsulate } from "../crypto/ml_kem.ts";
import { keyedCrypto } from "../crypto/runtime.ts";
import { importX25519PrivateKey, x25519 } from "../crypto/x25519.ts";
import { concat } from "./_bytes.ts";
import { generateRatchetPair, type PublicPair, type RandomSource, type RatchetPair } from "./pair.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const rootInfo = textBytes("smp-session-root");
const messageInfo = textBytes("smp-session-message");
const one = Uint8Array.of(1), two = Uint8Array.of(2);

/** What a step of the root chain gives: the new root key and the first key of the chain that it begins. */
export interface RootStep {
  readonly rootKey: Bytes;
  readonly chainKey: Bytes;
}

/** The step of the side that begins a chain. */
export interface SendingStep extends RootStep {
  readonly pair: RatchetPair;
  /** The secret of the step, encapsulated to the other side's pair. */
  readonly ciphertext: Bytes;
}

/**
 * Begins a chain against the other side's pair; `null` when one of its keys is not valid. Asks `random` for what a pair
 * takes, then 32 bytes (m of FIPS 203).
 */
export async function stepToSend(
  rootKey: Bytes,
  remote: PublicPair,
  random: RandomSource,
): Promise<SendingStep | null> {
  const pair = await generateRatchetPair(random);
  const shared = await x25519(await importX25519PrivateKey(pair.dhPrivate), remote.dh);
  const encapsulated = shared && await encapsulate(remote.kem, random(32));
  if (encapsulated === null) return null;
  const { ciphertext, secret } = encapsulated;
  return { ...await rootStep(rootKey, shared!, secret), pair, ciphertext };
}

/** The same step on the side whose pair it was made against; `null` when the other side's X25519 key is not valid. */
export async function stepToReceive(
  rootKey: Bytes,
  pair: RatchetPair,
  { dh, ciphertext }: { readonly dh: Bytes; readonly ciphertext: Bytes },
): Promise<RootStep | null> {
  const shared = await x25519(await importX25519PrivateKey(pair.dhPrivate), dh);
  const secret = shared && await decapsulate(ciphertext, pair.kemPrivate);
  return secret && await rootStep(rootKey, shared!, secret);
}

async function rootStep(rootKey: Bytes, shared: Bytes, secret: Bytes): Promise<RootStep> {
  const both = concat(shared, secret);
  const bytes = await keyedCrypto().hkdf(both, { salt: rootKey, info: rootInfo, length: 64 });
  const step = { rootKey: bytes.slice(0, 32), chainKey: bytes.slice(32) };
  for (const used of [shared, secret, both, bytes]) used.fill(0);
  return step;
}

/** The message key of a chain key. */
export async function messageKeyOf(chainKey: Bytes): Promise<Bytes> {
  return await keyedCrypto().hmac(chainKey, one);
}

/** The chain key that follows a chain key. */
export async function nextChainKey(chainKey: Bytes): Promise<Bytes> {
  return await keyedCrypto().hmac(chainKey, two);
}

/** Key and nonce of one message. */
export async function messageSecrets(
  messageKey: Bytes,
  salt: Bytes,
): Promise<{ readonly key: Bytes; readonly nonce: Bytes }> {
  const bytes = await keyedCrypto().hkdf(messageKey, { salt, info: messageInfo, length: 44 });
  return { key: bytes.subarray(0, 32), nonce: bytes.subarray(32) };
}

/** The message keys of the next `count` messages of a chain, and the chain key after them. */
export async function advance(
  chainKey: Bytes,
  count: number,
): Promise<{ readonly messageKeys: readonly Bytes[]; readonly chainKey: Bytes }> {
  const messageKeys: Bytes[] = [];
  for (let i = 0; i < count; i++) {
    messageKeys.push(await messageKeyOf(chainKey));
    chainKey = await nextChainKey(chainKey);
  }
  return { messageKeys, chainKey };
}
