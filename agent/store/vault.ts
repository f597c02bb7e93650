import { randomBytes, textBytes } from "../../protocol/mod.ts";
import { deserialize, serialize } from "./serialize.ts";
import { StoreError } from "./store.ts";

/**
 * Encrypts what must not be read on the disk. Each value is bound to the place where it is stored
 * ({@linkcode placeOf}): it opens nowhere else.
 */
export interface Vault {
  /** Encrypts `plaintext`. */
  seal(plaintext: Uint8Array<ArrayBuffer>, place: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Decrypts what {@linkcode Vault.seal} gave. Throws `StoreError` (`READ`) when it was changed or moved. */
  open(sealed: Uint8Array<ArrayBuffer>, place: string): Promise<Uint8Array<ArrayBuffer>>;
}

/** A vault that has a passphrase. */
export interface LockedVault extends Vault {
  /** What is to be stored so that another passphrase opens this vault. */
  wrap(passphrase: string, iterations?: number): Promise<PassphraseRecord>;
}

/** What is stored of a passphrase. */
export interface PassphraseRecord {
  readonly salt: Uint8Array<ArrayBuffer>;
  /** Rounds of PBKDF2. */
  readonly iterations: number;
  /** The data key, sealed with the key that the passphrase gives. */
  readonly key: Uint8Array<ArrayBuffer>;
}

/** Rounds of PBKDF2 with HMAC-SHA-256, as OWASP recommends (2023). */
export const defaultIterations = 600_000;

/** What a file can make a program compute: some seconds. */
const maxIterations = 20_000_000;

const nonceLength = 12;
const keyPlace = placeOf("passphrase", "key");

/** Leaves everything as it is. */
export const plainVault: Vault = {
  seal: (plaintext) => Promise.resolve(plaintext),
  open: (sealed) => Promise.resolve(sealed),
};

/** The place of a value: its table and column and what its row is found by. Other parts give another place. */
export function placeOf(...parts: readonly (string | number)[]): string {
  return JSON.stringify(parts);
}

/** Seals a record. */
export function sealRecord(vault: Vault, record: object, place: string): Promise<Uint8Array<ArrayBuffer>> {
  return vault.seal(serialize(record), place);
}

/** Opens what {@linkcode sealRecord} gave. Throws `StoreError` (`READ`) when it was changed or moved. */
export async function openRecord<T>(
  vault: Vault,
  sealed: Uint8Array<ArrayBuffer>,
  place: string,
): Promise<T> {
  const bytes = await vault.open(sealed, place);
  try {
    return deserialize(bytes) as T;
  } catch (cause) {
    throw changedError(cause);
  }
}

/** Makes a vault with a new data key. Throws `StoreError` (`PASSPHRASE`) when the passphrase is empty. */
export async function createVault(
  passphrase: string,
  iterations?: number,
): Promise<{ readonly vault: LockedVault; readonly record: PassphraseRecord }> {
  const vault = await AesVault.of(randomBytes(32));
  return { vault, record: await vault.wrap(passphrase, iterations) };
}

/** Opens a vault. Throws `StoreError` (`PASSPHRASE`) when the passphrase is another one. */
export async function unlockVault(passphrase: string, record: PassphraseRecord): Promise<LockedVault> {
  const { salt, iterations, key } = record;
  const wrapping = await AesVault.of(await deriveKey(passphrase, salt, iterations));
  try {
    return await AesVault.of(await wrapping.open(key, keyPlace));
  } catch (cause) {
    throw new StoreError("PASSPHRASE", "Cannot open the store: the passphrase is wrong", { cause });
  }
}

/** The passphrase of a store. */
export interface PassphraseOptions {
  /** Encrypts all but IDs, order and times; a store that was made with one needs the same again. */
  readonly passphrase?: string;
  /** Rounds of PBKDF2 when a passphrase is set. @default 600000 */
  readonly iterations?: number;
}

/** The vault of a store, and what it has to keep when this is its first passphrase. Throws `StoreError` (`PASSPHRASE`). */
export async function vaultFor(
  { passphrase, iterations }: PassphraseOptions,
  { record, isEmpty }: {
    /** What the store has kept of a passphrase. */
    readonly record: PassphraseRecord | null;
    /** Whether nothing is stored: nothing that is there already is encrypted here. */
    readonly isEmpty: boolean;
  },
): Promise<{ readonly vault: Vault | LockedVault; readonly created: PassphraseRecord | null }> {
  if (record !== null) {
    if (passphrase === undefined) {
      throw new StoreError("PASSPHRASE", "Cannot open the store: it needs its passphrase");
    }
    return { vault: await unlockVault(passphrase, record), created: null };
  }
  if (passphrase === undefined) return { vault: plainVault, created: null };
  if (!isEmpty) {
    throw new StoreError("PASSPHRASE", "Cannot open the store: it was made without a passphrase");
  }
  const { vault, record: created } = await createVault(passphrase, iterations);
  return { vault, created };
}

/** Whether a vault has a passphrase. */
export function isLocked(vault: Vault): vault is LockedVault {
  return "wrap" in vault;
}

/** The key (32 bytes) that a passphrase gives. Throws `StoreError` (`READ`) when `iterations` is none of ours. */
export async function deriveKey(
  passphrase: string,
  salt: Uint8Array<ArrayBuffer>,
  iterations: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!(iterations >= 1 && iterations <= maxIterations)) throw changedError();
  const secret = textBytes(passphrase.normalize("NFC"));
  const base = await crypto.subtle.importKey("raw", secret, "PBKDF2", false, ["deriveBits"]);
  const parameters = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, base, 256));
}

/** AES-256-GCM under random nonces of 96 bits, which are enough for 2³² values (NIST SP 800-38D 8.3). */
class AesVault implements LockedVault {
  readonly #raw: Uint8Array<ArrayBuffer>;
  readonly #key: CryptoKey;

  private constructor(raw: Uint8Array<ArrayBuffer>, key: CryptoKey) {
    this.#raw = raw;
    this.#key = key;
  }

  static async of(raw: Uint8Array<ArrayBuffer>): Promise<AesVault> {
    const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
    return new AesVault(raw, key);
  }

  async seal(plaintext: Uint8Array<ArrayBuffer>, place: string): Promise<Uint8Array<ArrayBuffer>> {
    const iv = randomBytes(nonceLength);
    const sealed = await crypto.subtle.encrypt(parameters(iv, place), this.#key, plaintext);
    const all = new Uint8Array(nonceLength + sealed.byteLength);
    all.set(iv);
    all.set(new Uint8Array(sealed), nonceLength);
    return all;
  }

  async open(sealed: Uint8Array<ArrayBuffer>, place: string): Promise<Uint8Array<ArrayBuffer>> {
    if (sealed.length < nonceLength) throw changedError();
    const [iv, rest] = [sealed.subarray(0, nonceLength), sealed.subarray(nonceLength)];
    try {
      return new Uint8Array(await crypto.subtle.decrypt(parameters(iv, place), this.#key, rest));
    } catch (cause) {
      throw changedError(cause);
    }
  }

  async wrap(passphrase: string, iterations: number = defaultIterations): Promise<PassphraseRecord> {
    if (passphrase === "") throw new StoreError("PASSPHRASE", "Cannot set the passphrase: it is empty");
    const salt = randomBytes(16);
    const wrapping = await AesVault.of(await deriveKey(passphrase, salt, iterations));
    return { salt, iterations, key: await wrapping.seal(this.#raw, keyPlace) };
  }
}

function parameters(iv: Uint8Array<ArrayBuffer>, place: string): AesGcmParams {
  return { name: "AES-GCM", iv, additionalData: textBytes(place), tagLength: 128 };
}

/** The error of what is stored and cannot be read any more. */
export function changedError(cause?: unknown): StoreError {
  return new StoreError("READ", "Cannot read the store: what it holds was changed", { cause });
}
