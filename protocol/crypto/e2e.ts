/** Hybrid end-to-end encryption of an SMP message body (agent.md E2E encryption of an SMP message body). */
import { joinParts, randomBytes } from "../bytes.ts";
import { ParseError } from "../error.ts";
import { encryptOaep } from "./oaep.ts";
import { tagLength } from "./engine/engine.ts";
import { decryptOaep, type PrivateKey, signPss } from "./private_key.ts";
import { modulusLength, type PublicKey } from "./public_key.ts";
import { verifyPss } from "./pss.ts";
import { importAesKey } from "./runtime.ts";

const headerLength = 68;
const padding = 0x23;

/** The three parts of an encrypted body. */
export interface EncryptedBody {
  /** PSS signature by the sending agent's signing key over everything after it. */
  readonly signature: Uint8Array<ArrayBuffer>;
  /** What the signature covers: encrypted header and ciphertext. */
  readonly signed: Uint8Array<ArrayBuffer>;
  /** The header, encrypted to the recipient's encryption key. */
  readonly encryptedHeader: Uint8Array<ArrayBuffer>;
  /** The AES ciphertext of the padded plaintext. */
  readonly ciphertext: Uint8Array<ArrayBuffer>;
}

/** What the header of an encrypted body says. */
export interface BodyHeader {
  /** Key of the ciphertext, 32 bytes. */
  readonly aesKey: Uint8Array<ArrayBuffer>;
  /** 16 bytes. */
  readonly nonce: Uint8Array<ArrayBuffer>;
  /** Authentication tag of the ciphertext, 16 bytes. */
  readonly authTag: Uint8Array<ArrayBuffer>;
  /** Length of the plaintext before padding, in bytes. */
  readonly plaintextLength: number;
}

/**
 * Encrypts `plaintext` to `encryptionKey` and signs it: one SMP message body.
 * `paddedLength` (bytes) is what the plaintext is padded to with `#`; it must be longer than the plaintext
 * (`RangeError`).
 */
export async function encryptBody(
  plaintext: Uint8Array,
  keys: {
    readonly encryptionKey: PublicKey;
    readonly signingKey: PrivateKey<"sign">;
    readonly paddedLength: number;
  },
): Promise<Uint8Array<ArrayBuffer>> {
  const { encryptionKey, signingKey, paddedLength } = keys;
  if (plaintext.length >= paddedLength) {
    throw new RangeError(
      `Cannot encrypt body: plaintext has ${plaintext.length} bytes, most is ${paddedLength - 1}`,
    );
  }
  const sealed = new Uint8Array(tagLength + paddedLength).fill(padding);
  sealed.set(plaintext, tagLength);
  const aesKey = randomBytes(32);
  const nonce = randomBytes(16);
  await (await importAesKey(aesKey)).seal(nonce, sealed);
  const plaintextLength = new Uint8Array(4);
  new DataView(plaintextLength.buffer).setUint32(0, plaintext.length);
  const header = joinParts([aesKey, nonce, sealed.subarray(0, tagLength), plaintextLength]);
  const signed = joinParts([await encryptOaep(encryptionKey, header), sealed.subarray(tagLength)]);
  return joinParts([await signPss(signingKey, signed), signed]);
}

/**
 * Takes an encrypted body apart. The lengths of its first two parts (bytes) are those of the sender's signing key and
 * the recipient's encryption key. Throws {@linkcode ParseError} (`E2E_BODY`) when the body is too short.
 */
export function splitBody(
  body: Uint8Array,
  lengths: { readonly signature: number; readonly header: number },
): EncryptedBody {
  const start = lengths.signature + lengths.header;
  if (body.length <= start) {
    throw new ParseError(
      "E2E_BODY",
      `Cannot parse encrypted body: it has ${body.length} bytes, at least ${start + 1} are needed`,
    );
  }
  const own = body.slice();
  return {
    signature: own.subarray(0, lengths.signature),
    signed: own.subarray(lengths.signature),
    encryptedHeader: own.subarray(lengths.signature, start),
    ciphertext: own.subarray(start),
  };
}

/** Whether the signature of an encrypted body is by the owner of `verificationKey`. */
export function verifyBody(body: EncryptedBody, verificationKey: PublicKey): Promise<boolean> {
  return verifyPss(verificationKey, body.signature, body.signed);
}

/** Decrypts a body with the recipient's key and removes the padding; `null` when it is not authentic. */
export async function decryptBody(
  body: EncryptedBody,
  decryptionKey: PrivateKey<"decrypt">,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const header = decodeBodyHeader(
    await decryptOaep(decryptionKey, body.encryptedHeader) ?? new Uint8Array(0),
  );
  return header === null ? null : await openBody(body, header);
}

/** Decrypts the ciphertext of a body whose header is known; `null` when it is not authentic. */
export async function openBody(
  body: EncryptedBody,
  header: BodyHeader,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const aes = await importAesKey(header.aesKey);
  const padded = await aes.open(header.nonce, joinParts([header.authTag, body.ciphertext]));
  return padded === null || header.plaintextLength > padded.length
    ? null
    : padded.subarray(0, header.plaintextLength);
}

/** Decodes a decrypted body header; `null` when it does not have 68 bytes. */
export function decodeBodyHeader(bytes: Uint8Array<ArrayBuffer>): BodyHeader | null {
  if (bytes.length !== headerLength) return null;
  return {
    aesKey: bytes.subarray(0, 32),
    nonce: bytes.subarray(32, 48),
    authTag: bytes.subarray(48, 64),
    plaintextLength: new DataView(bytes.buffer, bytes.byteOffset).getUint32(64),
  };
}

/** What a plaintext is padded to in a block of `blockSize` bytes with keys of `bits` bits (4096, 2048: 3072 bytes). */
export function paddedBodyLength(blockSize: number, bits: number): number {
  return blockSize - 3 * modulusLength(bits) - 256;
}
