import { type AesKey, importAesKey, randomBytes, tagLength, textBytes } from "../../protocol/mod.ts";
import { StoreError } from "./store.ts";

/** Encrypts what must not be read on the disk. */
export interface Vault {
  /** Encrypts `plaintext`. */
  seal(plaintext: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /** Decrypts what {@linkcode Vault.seal} gave. Throws `StoreError` (`READ`) when it was changed. */
  open(sealed: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** What is stored of a passphrase. */
export interface PassphraseRecord {
  readonly salt: Uint8Array<ArrayBuffer>;
  readonly iterations: number;
  /** A known text, sealed: tells whether a passphrase is the right one. */
  readonly proof: Uint8Array<ArrayBuffer>;
}

/** Rounds of PBKDF2 with HMAC-SHA-256, as OWASP recommends (2023). */
export const defaultIterations = 600_000;

const nonceLength = 16;
const known = "SMP agent store";

/** Leaves everything as it is. */
const openVault: Vault = {
  seal: (plaintext) => Promise.resolve(plaintext),
  open: (sealed) => Promise.resolve(sealed),
};

/** Makes a vault for a new passphrase. */
async function createVault(
  passphrase: string,
  iterations: number = defaultIterations,
): Promise<{ readonly vault: Vault; readonly record: PassphraseRecord }> {
  const salt = randomBytes(16);
  const vault = new AesVault(await deriveKey(passphrase, salt, iterations));
  return { vault, record: { salt, iterations, proof: await vault.seal(textBytes(known)) } };
}

/** Opens a vault. Throws `StoreError` (`PASSPHRASE`) when the passphrase is another one. */
async function unlockVault(passphrase: string, record: PassphraseRecord): Promise<Vault> {
  const vault = new AesVault(await deriveKey(passphrase, record.salt, record.iterations));
  try {
    await vault.open(record.proof);
    return vault;
  } catch (cause) {
    throw new StoreError("PASSPHRASE", "Cannot open the store: the passphrase is wrong", { cause });
  }
}

/** The passphrase of a store. */
export interface PassphraseOptions {
  /** Encrypts private keys and message bodies; a store that was made with one needs the same again. */
  readonly passphrase?: string;
  /** Rounds of PBKDF2 for a new store with a passphrase. @default 600000 */
  readonly iterations?: number;
}

/** The vault of a store, and what it has to keep when this is its first passphrase. Throws `StoreError` (`PASSPHRASE`). */
export async function vaultFor(
  { passphrase, iterations }: PassphraseOptions,
  { record, isEmpty }: {
    /** What the store has kept of a passphrase. */
    readonly record: PassphraseRecord | null;
    /** Whether there are no connections: nothing that is there already can be encrypted. */
    readonly isEmpty: boolean;
  },
): Promise<{ readonly vault: Vault; readonly created: PassphraseRecord | null }> {
  if (record !== null) {
    if (passphrase === undefined) {
      throw new StoreError("PASSPHRASE", "Cannot open the store: it needs its passphrase");
    }
    return { vault: await unlockVault(passphrase, record), created: null };
  }
  if (passphrase === undefined) return { vault: openVault, created: null };
  if (!isEmpty) {
    throw new StoreError("PASSPHRASE", "Cannot open the store: it was made without a passphrase");
  }
  const { vault, record: created } = await createVault(passphrase, iterations);
  return { vault, created };
}

class AesVault implements Vault {
  readonly #key: AesKey;

  constructor(key: AesKey) {
    this.#key = key;
  }

  async seal(plaintext: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const all = new Uint8Array(nonceLength + tagLength + plaintext.length);
    const nonce = randomBytes(nonceLength);
    all.set(nonce);
    all.set(plaintext, nonceLength + tagLength);
    await this.#key.seal(nonce, all.subarray(nonceLength));
    return all;
  }

  async open(sealed: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const plaintext = sealed.length < nonceLength
      ? null
      : await this.#key.open(sealed.slice(0, nonceLength), sealed.slice(nonceLength));
    if (plaintext === null) throw new StoreError("READ", "Cannot read the store: what it holds was changed");
    return plaintext;
  }
}

async function deriveKey(
  passphrase: string,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number,
): Promise<AesKey> {
  const secret = textBytes(passphrase.normalize("NFC"));
  const base = await crypto.subtle.importKey("raw", secret, "PBKDF2", false, ["deriveBits"]);
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return await importAesKey(new Uint8Array(await crypto.subtle.deriveBits(parameters, base, 256)));
}
