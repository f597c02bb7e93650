import {
  exportPrivateKey,
  generateKeyPair,
  type KeyUsage,
  loadPrivateKey,
  type PrivateKey,
} from "../protocol/mod.ts";
import { Pause } from "./backoff.ts";

/** An RSA key pair as it is stored. */
export interface StoredKeyPair {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array<ArrayBuffer>;
}

/** How many bits a key must have: the sender's of a session's queue, and one that decrypts, exactly 2048. */
export type LeastBits = 1024 | 2048;

/** Where key pairs come from. */
export interface KeySource extends AsyncDisposable {
  /** A key pair of 2048 bits that nobody else has; where 1024 is given, one of 1024 bits will do as well. */
  take(least: LeastBits): Promise<StoredKeyPair>;
}

/** How keys are made. */
export interface KeyPoolOptions {
  /**
   * Milliseconds after a key was taken in which none is made: what it was taken for needs the processor.
   * @default 1000
   */
  readonly rest?: number;
  /** Makes a key pair. @default one of RSA-2048 */
  readonly make?: () => Promise<StoredKeyPair>;
}

/** As many as a queue takes: with fewer of them ready, the next one is made at once. */
const fewest = 2;

/** Key pairs of 2048 bits that were made before they are needed: making one takes longer than a connection should. */
export class KeyPool implements KeySource {
  readonly #size: number;
  readonly #rest: number;
  readonly #make: () => Promise<StoredKeyPair>;
  readonly #ready: StoredKeyPair[] = [];
  readonly #pause = new Pause();
  #takenAt = -Infinity;
  #filling: Promise<void> | null = null;
  #isClosed = false;

  /** Begins to make `size` key pairs. */
  constructor(size: number, { rest = 1000, make = makePair }: KeyPoolOptions = {}) {
    this.#size = size;
    this.#rest = rest;
    this.#make = make;
    this.#fill();
  }

  /** How many are ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /** Takes a key pair, or makes one if none is ready. */
  async take(): Promise<StoredKeyPair> {
    this.#takenAt = performance.now();
    const pair = this.#ready.shift() ?? await this.#make();
    if (this.#ready.length < fewest) this.#pause.end();
    this.#fill();
    return pair;
  }

  /** Makes no more; resolves when the last one is made. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#pause.end();
    await this.#filling;
  }

  #fill(): void {
    // What could not be made is made when the next one is taken.
    this.#filling ??= this.#makeAll().catch(() => {}).then(() => {
      this.#filling = null;
    });
  }

  /** One at a time: others need the processor more. */
  async #makeAll(): Promise<void> {
    while (!this.#isClosed && this.#ready.length < this.#size) {
      const left = this.#takenAt + this.#rest - performance.now();
      if (left > 0 && this.#ready.length >= fewest) await this.#pause.wait(left);
      else this.#ready.push(await this.#make());
    }
  }
}

async function makePair(): Promise<StoredKeyPair> {
  const { publicKey, privateKey } = await generateKeyPair("sign");
  return { publicKey: publicKey.der, privateKey: await exportPrivateKey(privateKey) };
}

/** Private keys that were loaded for use, as long as their stored form is. */
export class LoadedKeys {
  readonly #signing = new WeakMap<Uint8Array, Promise<PrivateKey<"sign">>>();
  readonly #decrypting = new WeakMap<Uint8Array, Promise<PrivateKey<"decrypt">>>();

  /** The key for signatures. */
  signing(stored: Uint8Array<ArrayBuffer>): Promise<PrivateKey<"sign">> {
    return load(this.#signing, stored, "sign");
  }

  /** The key for decryption. */
  decrypting(stored: Uint8Array<ArrayBuffer>): Promise<PrivateKey<"decrypt">> {
    return load(this.#decrypting, stored, "decrypt");
  }
}

function load<Usage extends KeyUsage>(
  loaded: WeakMap<Uint8Array, Promise<PrivateKey<Usage>>>,
  stored: Uint8Array<ArrayBuffer>,
  usage: Usage,
): Promise<PrivateKey<Usage>> {
  const found = loaded.get(stored);
  if (found !== undefined) return found;
  const key = loadPrivateKey(stored, usage);
  loaded.set(stored, key);
  // What kept it from being loaded may pass.
  key.catch(() => loaded.delete(stored));
  return key;
}
