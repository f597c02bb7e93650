// Key pairs for the peers. Part of an SMP 0.3 implementation that is independent of this project: written from the
// specification alone, on Node's built-ins (node:crypto is OpenSSL), sharing no code with the rest of the repository.
//
// The pairs were made by OpenSSL (`openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_pubexp:<prime>`); the names ending
// in BigExponent have a prime public exponent of 1024 bits, as the keys of reference peers have.

import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";

const file = JSON.parse(readFileSync(new URL("../vectors/rsa.json", import.meta.url), "utf8"));
const loaded = new Map();

/** The key pair of this name: private and public key object, the SPKI DER, its `rsa:` text and its bytes of modulus. */
export function keyPair(name) {
  let pair = loaded.get(name);
  if (pair === undefined) {
    const entry = file.keys.find((key) => key.name === name);
    if (entry === undefined) throw new Error(`no key pair is named ${name}`);
    const privateKey = createPrivateKey({
      key: Buffer.from(entry.pkcs8, "base64"),
      format: "der",
      type: "pkcs8",
    });
    const publicKey = createPublicKey(privateKey);
    const spki = publicKey.export({ format: "der", type: "spki" });
    pair = {
      name,
      privateKey,
      publicKey,
      spki,
      text: `rsa:${spki.toString("base64")}`,
      size: publicKey.asymmetricKeyDetails.modulusLength / 8,
    };
    loaded.set(name, pair);
  }
  return pair;
}
