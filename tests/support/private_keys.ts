import { openSslPaths } from "../../protocol/mod.ts";

// openssl/rsa.h
const oaepPadding = 4, pssPadding = 6;

const saltLength = 32;

const setting = { parameters: ["pointer", "pointer"], result: "i32" } as const;
const settingNumber = { parameters: ["pointer", "i32"], result: "i32" } as const;
const beginning = { parameters: ["pointer"], result: "i32" } as const;
const using = { parameters: ["pointer", "buffer", "buffer", "buffer", "usize"], result: "i32" } as const;

const functions = {
  EVP_sha256: { parameters: [], result: "pointer" },
  SHA256: { parameters: ["buffer", "usize", "buffer"], result: "pointer" },
  BIO_new_mem_buf: { parameters: ["buffer", "i32"], result: "pointer" },
  BIO_free: { parameters: ["pointer"], result: "i32" },
  d2i_PrivateKey_bio: { parameters: ["pointer", "pointer"], result: "pointer" },
  EVP_PKEY_CTX_new: { parameters: ["pointer", "pointer"], result: "pointer" },
  EVP_PKEY_CTX_set_rsa_padding: settingNumber,
  EVP_PKEY_CTX_set_rsa_pss_saltlen: settingNumber,
  EVP_PKEY_CTX_set_rsa_oaep_md: setting,
  EVP_PKEY_CTX_set_rsa_mgf1_md: setting,
  EVP_PKEY_CTX_set_signature_md: setting,
  EVP_PKEY_sign_init: beginning,
  EVP_PKEY_sign: using,
  EVP_PKEY_decrypt_init: beginning,
  EVP_PKEY_decrypt: using,
} as const;

type Library = Deno.DynamicLibrary<typeof functions>["symbols"];
type Bytes = Uint8Array<ArrayBuffer>;

/** What a key is for, done with it; `null` when it cannot be. */
type Use = (input: Bytes) => Bytes | null;

/**
 * From now on WebCrypto signs and decrypts with OpenSSL's RSA where one of the system's may be opened, in a fifth of the
 * time: for tests that use keys of `test_keys.ts` all the time and test something else. What is tested has private keys
 * used by WebCrypto alone.
 */
export function quickenPrivateKeys(): void {
  const library = openLibrary();
  if (library === null) return;
  const { subtle } = crypto;
  const importKey = subtle.importKey.bind(subtle) as (...args: readonly unknown[]) => Promise<CryptoKey>;
  const sign = subtle.sign.bind(subtle), decrypt = subtle.decrypt.bind(subtle);
  const uses = new WeakMap<CryptoKey, Use>();
  /** One for each key, however often it is imported: there are few. */
  const known = new Map<string, Use>();
  Object.assign(subtle, {
    async importKey(format: KeyFormat, data: Bytes, ...rest: unknown[]): Promise<CryptoKey> {
      const key = await importKey(format, data, ...rest);
      const { name, hash } = key.algorithm as RsaHashedKeyAlgorithm;
      if (format !== "pkcs8" || !name.startsWith("RSA-") || hash.name !== "SHA-256") return key;
      const text = name + new TextDecoder("latin1").decode(data);
      const use = known.get(text) ??
        (name === "RSA-PSS" ? signing(library, data) : decrypting(library, data));
      known.set(text, use);
      uses.set(key, use);
      return key;
    },
    async sign(algorithm: RsaPssParams, key: CryptoKey, data: Bytes): Promise<ArrayBuffer> {
      const use = algorithm.saltLength === saltLength ? uses.get(key) : undefined;
      return (use?.(data) ?? null)?.buffer ?? await sign(algorithm, key, data);
    },
    async decrypt(algorithm: AlgorithmIdentifier, key: CryptoKey, data: Bytes): Promise<ArrayBuffer> {
      const use = algorithm === "RSA-OAEP" ? uses.get(key) : undefined;
      // What it cannot decrypt fails as it did.
      return (use?.(data) ?? null)?.buffer ?? await decrypt(algorithm, key, data);
    },
  });
}

function openLibrary(): Library | null {
  for (const path of openSslPaths) {
    try {
      return Deno.dlopen(path, functions).symbols;
    } catch {
      // It is not there.
    }
  }
  return null;
}

function signing(library: Library, pkcs8: Bytes): Use {
  const context = contextOf(library, pkcs8);
  check(library.EVP_PKEY_sign_init(context));
  check(library.EVP_PKEY_CTX_set_rsa_padding(context, pssPadding));
  check(library.EVP_PKEY_CTX_set_rsa_pss_saltlen(context, saltLength));
  check(library.EVP_PKEY_CTX_set_signature_md(context, library.EVP_sha256()));
  return (data) => {
    const digest = new Uint8Array(32);
    library.SHA256(data, BigInt(data.length), digest);
    return used(library.EVP_PKEY_sign, context, digest);
  };
}

function decrypting(library: Library, pkcs8: Bytes): Use {
  const context = contextOf(library, pkcs8);
  check(library.EVP_PKEY_decrypt_init(context));
  check(library.EVP_PKEY_CTX_set_rsa_padding(context, oaepPadding));
  check(library.EVP_PKEY_CTX_set_rsa_oaep_md(context, library.EVP_sha256()));
  check(library.EVP_PKEY_CTX_set_rsa_mgf1_md(context, library.EVP_sha256()));
  return (data) => used(library.EVP_PKEY_decrypt, context, data);
}

function contextOf(library: Library, pkcs8: Bytes): Deno.PointerValue {
  const input = library.BIO_new_mem_buf(pkcs8, pkcs8.length);
  const key = library.d2i_PrivateKey_bio(input, null);
  library.BIO_free(input);
  const context = library.EVP_PKEY_CTX_new(key, null);
  check(key === null || context === null ? 0 : 1);
  return context;
}

function used(
  use: Library["EVP_PKEY_sign"] | Library["EVP_PKEY_decrypt"],
  context: Deno.PointerValue,
  input: Bytes,
): Bytes | null {
  // More than a modulus of any size that there is.
  const output = new Uint8Array(1024), length = BigUint64Array.of(BigInt(output.length));
  const result = use(context, output, new Uint8Array(length.buffer), input, BigInt(input.length));
  return result === 1 ? output.slice(0, Number(length[0])) : null;
}

function check(result: number): void {
  if (result !== 1) throw new Error("Cannot use a private key: OpenSSL failed");
}
