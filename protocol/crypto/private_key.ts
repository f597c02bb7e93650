import { decodeBase64, encodeBase64 } from "../base64.ts";
import { equalBytes } from "../bytes.ts";
import { ParseError } from "../error.ts";
import { bytesToBigint } from "./bigint.ts";
import { DerReader, derTag, encodeDer, rsaAlgorithm } from "./der.ts";
import { encryptOaep } from "./oaep.ts";
import { verifyPss } from "./pss.ts";
import { decodePublicKey, type KeySize, makePublicKey, modulusLength, type PublicKey } from "./public_key.ts";

/** What a private key is for: PSS signatures or OAEP decryption, never both. */
export type KeyUsage = "sign" | "decrypt";

/** An RSA private key, held and used by WebCrypto alone. */
export interface PrivateKey<Usage extends KeyUsage = KeyUsage> {
  /** What the key is for. */
  readonly usage: Usage;
  /** The extractable WebCrypto key, RSA-PSS or RSA-OAEP with SHA-256. */
  readonly cryptoKey: CryptoKey;
  /** Length of its signatures or ciphertexts in bytes. */
  readonly modulusLength: number;
}

/** An RSA key pair for one use. */
export interface KeyPair<Usage extends KeyUsage = KeyUsage> {
  /** The half to give away. */
  readonly publicKey: PublicKey;
  /** The half to keep. */
  readonly privateKey: PrivateKey<Usage>;
}

const algorithms = {
  sign: { name: "RSA-PSS", uses: ["sign"], pairUses: ["sign", "verify"] },
  decrypt: { name: "RSA-OAEP", uses: ["decrypt"], pairUses: ["encrypt", "decrypt"] },
} as const;

/** Makes an RSA key pair with exponent 65537 for one use; `bits` is 2048 unless given. */
export async function generateKeyPair<Usage extends KeyUsage>(
  usage: Usage,
  bits: KeySize = 2048,
): Promise<KeyPair<Usage>> {
  const { name, pairUses } = algorithms[usage];
  const parameters = { name, modulusLength: bits, publicExponent: Uint8Array.of(1, 0, 1), hash: "SHA-256" };
  const pair = await crypto.subtle.generateKey(parameters, true, [...pairUses]);
  const der = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
  return {
    publicKey: decodePublicKey(der),
    privateKey: { usage, cryptoKey: pair.privateKey, modulusLength: modulusLength(bits) },
  };
}

/**
 * Takes a private key from PKCS#8 DER for one use, and tries it once: runtimes import keys that they then cannot use.
 * Throws {@linkcode ParseError} (`PRIVATE_KEY`) when it is not an RSA key, its numbers do not belong together, or its
 * exponent is one that this runtime's WebCrypto does not take (Deno: above 33 bits).
 */
export async function importPrivateKey<Usage extends KeyUsage>(
  pkcs8: Uint8Array<ArrayBuffer>,
  usage: Usage,
): Promise<KeyPair<Usage>> {
  const publicKey = publicKeyOf(pkcs8);
  const { name, uses } = algorithms[usage];
  let cause: unknown;
  try {
    const cryptoKey = await crypto.subtle.importKey("pkcs8", pkcs8, { name, hash: "SHA-256" }, true, [
      ...uses,
    ]);
    const pair = {
      publicKey,
      privateKey: { usage, cryptoKey, modulusLength: modulusLength(publicKey.bits) },
    };
    if (await works(pair)) return pair;
  } catch (error) {
    cause = error;
  }
  const reason = publicKey.exponent < 2n ** 33n
    ? "WebCrypto does not take it, or its numbers do not belong together"
    : "its exponent is larger than WebCrypto takes, make a new key with exponent 65537";
  throw new ParseError("PRIVATE_KEY", `Cannot use private key: ${reason}`, { cause });
}

/**
 * Takes a private key from PKCS#8 DER that {@linkcode generateKeyPair} has made, without trying it: for keys from a
 * store of one's own, of which there may be thousands. Throws what WebCrypto throws when it is no such key.
 */
export async function loadPrivateKey<Usage extends KeyUsage>(
  pkcs8: Uint8Array<ArrayBuffer>,
  usage: Usage,
): Promise<PrivateKey<Usage>> {
  const { name, uses } = algorithms[usage];
  const algorithm = { name, hash: "SHA-256" };
  const cryptoKey = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, [...uses]);
  const { modulusLength: bits } = cryptoKey.algorithm as RsaHashedKeyAlgorithm;
  return { usage, cryptoKey, modulusLength: modulusLength(bits) };
}

/** Whether the two halves of a pair belong together and this runtime can use them. */
async function works({ publicKey, privateKey }: KeyPair): Promise<boolean> {
  const data = Uint8Array.of(1, 2, 3);
  if (privateKey.usage === "sign") {
    return await verifyPss(publicKey, await signPss(privateKey as PrivateKey<"sign">, data), data);
  }
  const ciphertext = await encryptOaep(publicKey, data);
  const decrypted = await decryptOaep(privateKey as PrivateKey<"decrypt">, ciphertext);
  return decrypted !== null && equalBytes(decrypted, data);
}

/** The PKCS#8 DER of a private key. */
export async function exportPrivateKey(key: PrivateKey): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.exportKey("pkcs8", key.cryptoKey));
}

/** Signs `data` with RSA-PSS, SHA-256, MGF1-SHA-256 and a salt of 32 bytes; the result is one modulus long. */
export async function signPss(
  key: PrivateKey<"sign">,
  data: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.sign({ name: "RSA-PSS", saltLength: 32 }, key.cryptoKey, data));
}

/** Decrypts RSA-OAEP (SHA-256, MGF1-SHA-256, empty label); `null` when it is not meant for this key or was changed. */
export async function decryptOaep(
  key: PrivateKey<"decrypt">,
  ciphertext: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    return new Uint8Array(await crypto.subtle.decrypt("RSA-OAEP", key.cryptoKey, ciphertext));
  } catch {
    return null;
  }
}

/** The public key that belongs to a private key in PKCS#8 DER; {@linkcode ParseError} when that is not RSA. */
export function publicKeyOf(pkcs8: Uint8Array): PublicKey {
  return parsing(() => {
    const key = new DerReader(pkcs1Of(pkcs8)).enter(derTag.sequence);
    key.literal(version0, "version 0");
    return makePublicKey(bytesToBigint(key.positiveInteger()), bytesToBigint(key.positiveInteger()));
  });
}

/** PEM of a private key as the reference server writes its `server_key`: PKCS#1, "BEGIN RSA PRIVATE KEY". */
export function encodePrivateKeyPem(pkcs8: Uint8Array): string {
  const lines = encodeBase64(parsing(() => pkcs1Of(pkcs8))).match(/.{1,64}/g) ?? [];
  return ["-----BEGIN RSA PRIVATE KEY-----", ...lines, "-----END RSA PRIVATE KEY-----", ""].join("\n");
}

/** Reads a private key from PEM, PKCS#1 or unencrypted PKCS#8, and gives its PKCS#8 DER; {@linkcode ParseError} if it is neither. */
export function parsePrivateKeyPem(pem: string): Uint8Array<ArrayBuffer> {
  return parsing(() => {
    const match = /^\s*-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\s]*)-----END ([A-Z0-9 ]+)-----\s*$/
      .exec(pem);
    if (match === null || match[1] !== match[3]) throw new SyntaxError("it is not one PEM block");
    const der = decodeBase64(match[2]!.replace(/\s/g, ""));
    if (der === null) throw new SyntaxError("what is between the PEM lines is not base64");
    if (match[1] === "RSA PRIVATE KEY") return pkcs8Of(der);
    if (match[1] !== "PRIVATE KEY") {
      throw new SyntaxError(`"${match[1]}" is not supported, only "RSA PRIVATE KEY" and "PRIVATE KEY" are`);
    }
    pkcs1Of(der);
    return der;
  });
}

const version0 = Uint8Array.of(derTag.integer, 1, 0);

function pkcs1Of(pkcs8: Uint8Array): Uint8Array {
  const outer = new DerReader(pkcs8);
  const info = outer.enter(derTag.sequence);
  outer.end();
  info.literal(version0, "version 0");
  info.literal(rsaAlgorithm, "the algorithm rsaEncryption");
  return info.content(derTag.octetString);
}

function pkcs8Of(pkcs1: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeDer(derTag.sequence, version0, rsaAlgorithm, encodeDer(derTag.octetString, pkcs1));
}

function parsing<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof ParseError)) throw error;
    throw new ParseError("PRIVATE_KEY", `Cannot parse private key: ${error.message}`, { cause: error });
  }
}
