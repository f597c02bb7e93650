/**
 * Where crypto runs: the native synchronous functions of `node:crypto` when the runtime has them, else WebCrypto, as in
 * browsers; and in a program that wants it and may, the OpenSSL of the system.
 */
import type * as NodeCrypto from "node:crypto";
import type { AesKey, CryptoEngine, CryptoHelper, MaybePromise } from "./engine/engine.ts";
import { type KeyedEngine, nodeKeyedEngine, webKeyedEngine } from "./engine/keyed.ts";
import { nodeEngine } from "./engine/node.ts";
import { openOpenSsl } from "./engine/openssl.ts";
import { webEngine } from "./engine/web.ts";
import type { PublicKey } from "./public_key.ts";

export type { AesKey } from "./engine/engine.ts";

const runtime = globalThis as { process?: { getBuiltinModule?(id: string): unknown } };
const node = runtime.process?.getBuiltinModule?.("node:crypto") as typeof NodeCrypto | undefined;
let engine: CryptoEngine = node ? nodeEngine(node) : webEngine;
let keyed: KeyedEngine = node ? nodeKeyedEngine(node) : webKeyedEngine;
/** What was opened stays open. */
let openSsl: CryptoEngine | null = null;

/**
 * Lets all crypto of this program from now on run in the system's OpenSSL, where `--allow-ffi` permits one of the paths
 * at which systems keep it, or the one that is given. Gives the name of what crypto runs on, whether it has changed or not.
 */
export function preferOpenSsl(path?: string): string {
  if (openSsl === null || path !== undefined) {
    openSsl = openOpenSsl(path === undefined ? undefined : [path]) ?? openSsl;
  }
  engine = openSsl ?? engine;
  keyed = { ...keyed, ...engine.aead };
  return engine.name;
}

/** The name of what crypto runs on. */
export function cryptoEngine(): string {
  return engine.name;
}

/** SHA-256 of `data`: 32 bytes. */
export function sha256(data: Uint8Array<ArrayBuffer>): MaybePromise<Uint8Array<ArrayBuffer>> {
  return engine.sha256(data);
}

/** MGF1-SHA-256 of `seed`: `length` bytes. */
export function mgf1(seed: Uint8Array, length: number): MaybePromise<Uint8Array> {
  return engine.mgf1(seed, length);
}

/** Makes a key for AES-256-GCM from 32 raw bytes. */
export function importAesKey(raw: Uint8Array<ArrayBuffer>): MaybePromise<AesKey> {
  return engine.importAesKey(raw);
}

/** The public operation of RSA on a number as long as the key's modulus (bytes, big-endian). */
export function publicOperation(key: PublicKey, number: Uint8Array): Uint8Array<ArrayBuffer> {
  return engine.publicOperation(key, number);
}

/** Starts something that does public operations on another thread. */
export function startCryptoHelper(): CryptoHelper {
  return engine.startHelper();
}

/** HMAC, HKDF and AES-256-GCM under keys that are used once. */
export function keyedCrypto(): KeyedEngine {
  return keyed;
}
