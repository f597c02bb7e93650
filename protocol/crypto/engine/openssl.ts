import { type PublicKey, publicNumbers } from "../public_key.ts";
import type { Aead, AeadParameters } from "./keyed.ts";
import { type AesKey, type CryptoEngine, type CryptoHelper, tagLength, textOf } from "./engine.ts";

/** Where systems keep OpenSSL 3. */
export const openSslPaths: readonly string[] = [
  "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
  "/usr/lib/aarch64-linux-gnu/libcrypto.so.3",
  "/usr/lib64/libcrypto.so.3",
  "/usr/lib/libcrypto.so.3",
  "/opt/homebrew/opt/openssl@3/lib/libcrypto.3.dylib",
  "/usr/local/opt/openssl@3/lib/libcrypto.3.dylib",
];

const functions = {
  OpenSSL_version_num: { parameters: [], result: "u64" },
  SHA256: { parameters: ["buffer", "usize", "buffer"], result: "pointer" },
  EVP_sha256: { parameters: [], result: "pointer" },
  PKCS1_MGF1: { parameters: ["buffer", "isize", "buffer", "isize", "pointer"], result: "i32" },
  EVP_aes_256_gcm: { parameters: [], result: "pointer" },
  EVP_CIPHER_CTX_new: { parameters: [], result: "pointer" },
  EVP_CIPHER_CTX_ctrl: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
  EVP_EncryptInit_ex: { parameters: ["pointer", "pointer", "pointer", "buffer", "buffer"], result: "i32" },
  EVP_EncryptUpdate: { parameters: ["pointer", "buffer", "buffer", "buffer", "i32"], result: "i32" },
  EVP_EncryptFinal_ex: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
  EVP_DecryptInit_ex: { parameters: ["pointer", "pointer", "pointer", "buffer", "buffer"], result: "i32" },
  EVP_DecryptUpdate: { parameters: ["pointer", "buffer", "buffer", "buffer", "i32"], result: "i32" },
  EVP_DecryptFinal_ex: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
  BN_new: { parameters: [], result: "pointer" },
  BN_CTX_new: { parameters: [], result: "pointer" },
  BN_MONT_CTX_new: { parameters: [], result: "pointer" },
  BN_bin2bn: { parameters: ["buffer", "i32", "pointer"], result: "pointer" },
  BN_bn2binpad: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  BN_ucmp: { parameters: ["pointer", "pointer"], result: "i32" },
  BN_nnmod: { parameters: ["pointer", "pointer", "pointer", "pointer"], result: "i32" },
  BN_MONT_CTX_set: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
  BN_mod_exp_mont: {
    parameters: ["pointer", "pointer", "pointer", "pointer", "pointer", "pointer"],
    result: "i32",
  },
  // The same on another thread.
  modExpAside: {
    name: "BN_mod_exp_mont",
    parameters: ["pointer", "pointer", "pointer", "pointer", "pointer", "pointer"],
    result: "i32",
    nonblocking: true,
  },
  BN_free: { parameters: ["pointer"], result: "void" },
  BN_CTX_free: { parameters: ["pointer"], result: "void" },
  BN_MONT_CTX_free: { parameters: ["pointer"], result: "void" },
} as const;

type Library = Deno.DynamicLibrary<typeof functions>["symbols"];

// openssl/evp.h
const setIvLength = 9, getTag = 16, setTag = 17;
const nonceLength = 16;

/**
 * Opens the OpenSSL of the system through Deno's foreign function interface: a block takes 1.4 µs instead of 21, a
 * verification 25 instead of 41 (docs/performance.md). Gives `null` outside of Deno, and where none of `paths` may be
 * opened (`--allow-ffi=PATH`) or is an OpenSSL 3.
 */
export function openOpenSsl(paths: readonly string[] = openSslPaths): CryptoEngine | null {
  if (!("Deno" in globalThis)) return null;
  for (const path of paths) {
    if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") continue;
    let library;
    try {
      library = Deno.dlopen(path, functions).symbols;
    } catch {
      // There is none, or one without these functions.
      continue;
    }
    return openSslEngine(library);
  }
  return null;
}

/**
 * Every function is called with buffers and objects that this module made and whose sizes it has checked: C checks none.
 * One context of each kind serves all keys, as an operation never waits for another.
 */
function openSslEngine(library: Library): CryptoEngine {
  const contexts = new AesContexts(library);
  const hash = library.EVP_sha256();
  const operation = new Operation(library);
  // 0xMNN00PP0L: major, minor, patch
  const version = Number(library.OpenSSL_version_num());
  return {
    name: `OpenSSL ${version >>> 28}.${version >>> 20 & 0xff}.${version >>> 4 & 0xff}`,
    sha256(data) {
      const hash = new Uint8Array(32);
      library.SHA256(data, BigInt(data.length), hash);
      return hash;
    },
    mgf1(seed, length) {
      const mask = new Uint8Array(length);
      if (library.PKCS1_MGF1(mask, BigInt(length), seed, BigInt(seed.length), hash) !== 0) check(0);
      return mask;
    },
    importAesKey: (raw) => new OpenSslAesKey(contexts, raw),
    aead: openSslAead(library),
    publicOperation: (key, number) => operation.run(key, number),
    startHelper: () => startHelper(library),
  };
}

/** The contexts of AES-GCM that all keys use. */
class AesContexts {
  readonly library: Library;
  readonly encryption: Deno.PointerObject;
  readonly decryption: Deno.PointerObject;
  /** Where functions tell how many bytes they have written. */
  readonly written = new Uint8Array(4);

  constructor(library: Library) {
    const gcm = library.EVP_aes_256_gcm();
    this.library = library;
    this.encryption = made(library.EVP_CIPHER_CTX_new());
    this.decryption = made(library.EVP_CIPHER_CTX_new());
    check(library.EVP_EncryptInit_ex(this.encryption, gcm, null, null, null));
    check(library.EVP_DecryptInit_ex(this.decryption, gcm, null, null, null));
    check(library.EVP_CIPHER_CTX_ctrl(this.encryption, setIvLength, nonceLength, null));
    check(library.EVP_CIPHER_CTX_ctrl(this.decryption, setIvLength, nonceLength, null));
  }
}

/** AES-256-GCM under keys that are used once, with nonces of 12 bytes; see {@linkcode openSslEngine}. */
function openSslAead(library: Library): Aead {
  const gcm = library.EVP_aes_256_gcm();
  const encryption = made(library.EVP_CIPHER_CTX_new()), decryption = made(library.EVP_CIPHER_CTX_new());
  check(library.EVP_EncryptInit_ex(encryption, gcm, null, null, null));
  check(library.EVP_DecryptInit_ex(decryption, gcm, null, null, null));
  const written = new Uint8Array(4);
  /** Both may be the same bytes; `sealed` has room for the tag. */
  const seal = (
    plaintext: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
    parameters: AeadParameters,
  ) => {
    const { key, nonce, additional } = checked(parameters);
    check(library.EVP_EncryptInit_ex(encryption, null, null, key, nonce));
    if (additional.length > 0) {
      check(library.EVP_EncryptUpdate(encryption, null, written, additional, additional.length));
    }
    if (plaintext.length > 0) {
      check(library.EVP_EncryptUpdate(encryption, sealed, written, plaintext, plaintext.length));
    }
    const tag = sealed.subarray(plaintext.length);
    check(library.EVP_EncryptFinal_ex(encryption, tag, written));
    check(library.EVP_CIPHER_CTX_ctrl(encryption, getTag, tagLength, tag));
  };
  /** The same; `plaintext` has room for it. */
  const open = (
    sealed: Uint8Array<ArrayBuffer>,
    plaintext: Uint8Array<ArrayBuffer>,
    parameters: AeadParameters,
  ) => {
    const { key, nonce, additional } = checked(parameters);
    const length = sealed.length - tagLength;
    if (length < 0) return null;
    check(library.EVP_DecryptInit_ex(decryption, null, null, key, nonce));
    if (additional.length > 0) {
      check(library.EVP_DecryptUpdate(decryption, null, written, additional, additional.length));
    }
    if (length > 0) check(library.EVP_DecryptUpdate(decryption, plaintext, written, sealed, length));
    check(library.EVP_CIPHER_CTX_ctrl(decryption, setTag, tagLength, sealed.subarray(length)));
    return library.EVP_DecryptFinal_ex(decryption, written, written) === 1 ? plaintext : null;
  };
  return {
    sealInPlace(bytes, parameters) {
      if (bytes.length < tagLength) throw new RangeError("Cannot use AES: there is no room for a tag");
      seal(bytes.subarray(0, bytes.length - tagLength), bytes, parameters);
    },
    seal(plaintext, parameters) {
      const sealed = new Uint8Array(plaintext.length + tagLength);
      seal(plaintext, sealed, parameters);
      return sealed;
    },
    open: (sealed, parameters) =>
      open(sealed, new Uint8Array(Math.max(0, sealed.length - tagLength)), parameters),
    openInPlace: (sealed, parameters) =>
      open(sealed, sealed.subarray(0, Math.max(0, sealed.length - tagLength)), parameters),
  };
}

/** Parameters that C may have. */
function checked(parameters: AeadParameters): AeadParameters {
  const { key, nonce } = parameters;
  if (key.length === 32 && nonce.length === 12) return parameters;
  throw new RangeError(`Cannot use AES: a key of ${key.length} bytes, a nonce of ${nonce.length}`);
}

class OpenSslAesKey implements AesKey {
  readonly #contexts: AesContexts;
  readonly #key: Uint8Array<ArrayBuffer>;

  constructor(contexts: AesContexts, raw: Uint8Array<ArrayBuffer>) {
    if (raw.length !== 32) throw new RangeError(`Cannot use AES key: it has ${raw.length} bytes, not 32`);
    this.#contexts = contexts;
    this.#key = raw.slice();
  }

  seal(nonce: Uint8Array<ArrayBuffer>, sealed: Uint8Array<ArrayBuffer>): void {
    checkNonce(nonce);
    const text = textOf(sealed);
    const { library, encryption, written } = this.#contexts;
    check(library.EVP_EncryptInit_ex(encryption, null, null, this.#key, nonce));
    check(library.EVP_EncryptUpdate(encryption, text, written, text, text.length));
    check(library.EVP_EncryptFinal_ex(encryption, sealed, written));
    check(library.EVP_CIPHER_CTX_ctrl(encryption, getTag, tagLength, sealed));
  }

  open(
    nonce: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
  ): Uint8Array<ArrayBuffer> | null {
    return this.#open(nonce, sealed, new Uint8Array(Math.max(0, sealed.length - tagLength)));
  }

  openInPlace(
    nonce: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
  ): Uint8Array<ArrayBuffer> | null {
    return this.#open(nonce, sealed, sealed.subarray(tagLength));
  }

  wipe(): void {
    this.#key.fill(0);
  }

  /** The same; `plaintext` has room for it. */
  #open(
    nonce: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
    plaintext: Uint8Array<ArrayBuffer>,
  ): Uint8Array<ArrayBuffer> | null {
    checkNonce(nonce);
    if (sealed.length < tagLength) return null;
    const ciphertext = sealed.subarray(tagLength);
    const { library, decryption, written } = this.#contexts;
    check(library.EVP_DecryptInit_ex(decryption, null, null, this.#key, nonce));
    check(library.EVP_DecryptUpdate(decryption, plaintext, written, ciphertext, ciphertext.length));
    check(library.EVP_CIPHER_CTX_ctrl(decryption, setTag, tagLength, sealed));
    return library.EVP_DecryptFinal_ex(decryption, written, written) === 1 ? plaintext : null;
  }
}

/** The numbers and tables of one public operation at a time. */
class Operation {
  readonly #library: Library;
  readonly #number: Deno.PointerObject;
  readonly #base: Deno.PointerObject;
  readonly #exponent: Deno.PointerObject;
  readonly #modulus: Deno.PointerObject;
  readonly #result: Deno.PointerObject;
  readonly #context: Deno.PointerObject;
  readonly #montgomery: Deno.PointerObject;

  constructor(library: Library) {
    this.#library = library;
    this.#number = made(library.BN_new());
    this.#base = made(library.BN_new());
    this.#exponent = made(library.BN_new());
    this.#modulus = made(library.BN_new());
    this.#result = made(library.BN_new());
    this.#context = made(library.BN_CTX_new());
    this.#montgomery = made(library.BN_MONT_CTX_new());
  }

  /** See `CryptoEngine.publicOperation`. */
  run(key: PublicKey, number: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#set(key, number);
    check(this.#library.BN_mod_exp_mont(...this.#operands()));
    return this.#get(number.length);
  }

  /** The same on another thread. */
  async runAside(key: PublicKey, number: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    this.#set(key, number);
    check(await this.#library.modExpAside(...this.#operands()));
    return this.#get(number.length);
  }

  free(): void {
    for (const number of [this.#number, this.#base, this.#exponent, this.#modulus, this.#result]) {
      this.#library.BN_free(number);
    }
    this.#library.BN_CTX_free(this.#context);
    this.#library.BN_MONT_CTX_free(this.#montgomery);
  }

  #set(key: PublicKey, number: Uint8Array): void {
    const { modulus, exponent } = publicNumbers(key);
    made(this.#library.BN_bin2bn(modulus, modulus.length, this.#modulus));
    made(this.#library.BN_bin2bn(exponent, exponent.length, this.#exponent));
    made(this.#library.BN_bin2bn(number, number.length, this.#number));
    check(this.#library.BN_nnmod(this.#base, this.#number, this.#modulus, this.#context));
    check(this.#library.BN_MONT_CTX_set(this.#montgomery, this.#modulus, this.#context));
  }

  #operands() {
    return [
      this.#result,
      this.#base,
      this.#exponent,
      this.#modulus,
      this.#context,
      this.#montgomery,
    ] as const;
  }

  #get(length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    if (this.#library.BN_bn2binpad(this.#result, bytes, length) !== length) check(0);
    return this.#library.BN_ucmp(this.#number, this.#modulus) < 0 ? bytes : bytes.fill(0);
  }
}

function startHelper(library: Library): CryptoHelper {
  const operation = new Operation(library);
  let running: Promise<unknown> = Promise.resolve();
  return {
    publicOperation(key, number) {
      const result = operation.runAside(key, number);
      running = result.catch(() => {});
      return result;
    },
    // The other thread uses the numbers until it is done.
    close: () => running.then(() => operation.free()),
  };
}

function checkNonce(nonce: Uint8Array): void {
  if (nonce.length !== nonceLength) {
    throw new RangeError(`Cannot use nonce: it has ${nonce.length} bytes, not ${nonceLength}`);
  }
}

/** OpenSSL fails here only without memory. */
function check(result: number): void {
  if (result !== 1) throw new Error("Cannot compute: OpenSSL failed");
}

function made(pointer: Deno.PointerValue): Deno.PointerObject {
  if (pointer === null) throw new Error("Cannot compute: OpenSSL failed");
  return pointer;
}
