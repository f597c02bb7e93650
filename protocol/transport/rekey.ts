import { joinParts, textBytes } from "../bytes.ts";
import { hkdf } from "../crypto/hkdf.ts";
import { decapsulate, encapsulate, generateKemKeyPair } from "../crypto/ml_kem.ts";
import { sha256 } from "../crypto/runtime.ts";
import { generateX25519KeyPair, x25519, x25519KeyLength } from "../crypto/x25519.ts";
import { type SessionKeys, swapKeys } from "./block_channel.ts";

const info = textBytes("smp-rekey");

/** A client's part of REKEY (extensions.md rekey1) until the answer has come. */
export interface RekeyRequest {
  /** What is sent to the server. */
  readonly payload: Uint8Array<ArrayBuffer>;
  /**
   * The session's new keys from the client's side, of the server's answer and the old binding; `null` when the answer is
   * not one.
   */
  finish(answer: Uint8Array, binding: Uint8Array<ArrayBuffer>): Promise<SessionKeys | null>;
}

/** Makes keys for one REKEY. */
export async function startRekey(): Promise<RekeyRequest> {
  const { publicKey, privateKey } = await generateX25519KeyPair();
  const kem = await generateKemKeyPair();
  const payload = joinParts([publicKey, kem.encapsulationKey]);
  return {
    payload,
    async finish(answer, binding) {
      const shared = await x25519(privateKey, answer.slice(0, x25519KeyLength));
      const secret = await decapsulate(answer.subarray(x25519KeyLength), kem.decapsulationKey);
      kem.decapsulationKey.fill(0);
      if (shared !== null && secret !== null) {
        return await newKeys(secret, shared, [binding, payload, answer]);
      }
      for (const unused of [shared, secret]) unused?.fill(0);
      return null;
    },
  };
}

/** A server's answer to a client's REKEY and the session's new keys from the server's side; `null` when it is not valid. */
export async function answerRekey(
  request: Uint8Array,
  binding: Uint8Array<ArrayBuffer>,
): Promise<{ readonly payload: Uint8Array<ArrayBuffer>; readonly keys: SessionKeys } | null> {
  const { publicKey, privateKey } = await generateX25519KeyPair();
  const shared = await x25519(privateKey, request.slice(0, x25519KeyLength));
  const encapsulated = shared && await encapsulate(request.subarray(x25519KeyLength));
  if (shared === null || encapsulated === null) {
    shared?.fill(0);
    return null;
  }
  const payload = joinParts([publicKey, encapsulated.ciphertext]);
  const keys = await newKeys(encapsulated.secret, shared, [binding, request, payload]);
  return { payload, keys: swapKeys(keys) };
}

/**
 * A session's new keys from the client's side, of both secrets, which are overwritten. `bound`: the old binding and both
 * payloads.
 */
export async function newKeys(
  kemSecret: Uint8Array<ArrayBuffer>,
  shared: Uint8Array<ArrayBuffer>,
  bound: readonly Uint8Array[],
): Promise<SessionKeys> {
  const salt = await sha256(joinParts(bound));
  const secret = joinParts([kemSecret, shared]);
  const bytes = await hkdf(secret, { salt, info, length: 96 });
  for (const used of [kemSecret, shared, secret]) used.fill(0);
  const keys = {
    sndKey: bytes.slice(0, 32),
    sndBaseIv: bytes.slice(32, 48),
    rcvKey: bytes.slice(48, 80),
    rcvBaseIv: bytes.slice(80, 96),
  };
  bytes.fill(0);
  return keys;
}
