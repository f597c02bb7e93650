// REKEY: both sides of the exchange of new session keys (extensions.md). Part of an SMP implementation that is
// independent of this project: written from the specification alone, on Node's built-ins, and for ML-KEM-768 on
// @noble/post-quantum, which is given by its URL because it is no part of Node.

import { Buffer } from "node:buffer";
import { createHash, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync } from "node:crypto";
import { LinkError, parseResponse, ProtocolError, splitTransmission, transmission } from "./smp_peer.mjs";

export const X25519_SIZE = 32;
export const ENCAPSULATION_KEY_SIZE = 1184;
export const CIPHERTEXT_SIZE = 1088;
/** What SubjectPublicKeyInfo has before the 32 bytes of an X25519 key (RFC 8410). */
const X25519_SPKI = Buffer.from("302a300506032b656e032100", "hex");

export async function loadMlKem(url) {
  return (await import(url)).ml_kem768;
}

function rawKey(publicKey) {
  return publicKey.export({ format: "der", type: "spki" }).subarray(X25519_SPKI.length);
}

/** The X25519 secret with a peer's raw key; null when it is all zeros, which OpenSSL takes for a failure. */
export function agree(privateKey, raw) {
  const spki = Buffer.concat([X25519_SPKI, raw]);
  try {
    return diffieHellman({
      privateKey,
      publicKey: createPublicKey({ key: spki, format: "der", type: "spki" }),
    });
  } catch {
    return null;
  }
}

/** The 96 bytes of new keys, as the client sends them in its handshake: first the client-to-server direction. */
export function newKeys({ binding, request, answer, mlKemSecret, x25519Secret }) {
  const salt = createHash("sha256").update(binding).update(request).update(answer).digest();
  return Buffer.from(hkdfSync("sha256", Buffer.concat([mlKemSecret, x25519Secret]), salt, "smp-rekey", 96));
}

/** A client's half: what it sends, and what it makes of the server's payload. */
export function startRekey(mlKem) {
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const kem = mlKem.keygen();
  const request = Buffer.concat([rawKey(publicKey), kem.publicKey]);
  return {
    request,
    finish(binding, answer) {
      if (answer.length !== X25519_SIZE + CIPHERTEXT_SIZE) {
        throw new ProtocolError(`REKEY: ${answer.length} bytes`);
      }
      const x25519Secret = agree(privateKey, answer.subarray(0, X25519_SIZE));
      if (x25519Secret === null) throw new ProtocolError("REKEY: the X25519 secret is all zeros");
      const mlKemSecret = mlKem.decapsulate(answer.subarray(X25519_SIZE), kem.secretKey);
      return newKeys({ binding, request, answer, mlKemSecret, x25519Secret });
    },
  };
}

/** A server's half: its payload and the new keys; null when the client's payload is wrong. */
export function answerRekey(mlKem, binding, request) {
  if (request.length !== X25519_SIZE + ENCAPSULATION_KEY_SIZE) return null;
  const { publicKey, privateKey } = generateKeyPairSync("x25519");
  const x25519Secret = agree(privateKey, request.subarray(0, X25519_SIZE));
  if (x25519Secret === null) return null;
  let kem;
  try {
    kem = mlKem.encapsulate(request.subarray(X25519_SIZE));
  } catch {
    // FIPS 203, 7.2: the key is not one
    return null;
  }
  const answer = Buffer.concat([rawKey(publicKey), kem.cipherText]);
  const mlKemSecret = kem.sharedSecret;
  return { answer, keys: newKeys({ binding, request, answer, mlKemSecret, x25519Secret }) };
}

/** The content of a block with a REKEY of this payload. */
export function rekeyContent(corrId, payload) {
  return transmission(Buffer.alloc(0), corrId, "", `REKEY ${payload.toString("base64")}`);
}

/** The client's exchange: the first command of its session. Afterwards both directions have new keys. */
export async function rekey(blocks, mlKem) {
  const exchange = startRekey(mlKem);
  blocks.send(rekeyContent("rekey", exchange.request));
  const content = await blocks.receive();
  if (content === null) throw new LinkError("the server closed instead of answering REKEY");
  const parts = splitTransmission(content);
  const response = parts === null ? null : parseResponse(parts.rest);
  if (
    response?.name !== "REKEY" || parts.signature !== "" || parts.corrId !== "rekey" || parts.queueId !== ""
  ) {
    throw new ProtocolError(`the answer to REKEY is ${content.toString("latin1").slice(0, 40)}`);
  }
  blocks.rekey(exchange.finish(blocks.binding, response.payload));
}
