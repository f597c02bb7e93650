import { joinParts, type SessionKeys, sha256 } from "../../protocol/mod.ts";

const defaultMost = 1_000_000;

/**
 * Remembers the keys of handshakes, as numbers that tell nothing of them, so that a recorded session cannot be played
 * back: its commands are signed, and its answers would be encrypted with keys and nonces that were used before.
 *
 * The last `most` handshakes are remembered, up to twice as many; each takes about 16 bytes.
 */
export class ReplayGuard {
  readonly #most: number;
  readonly #write: (digest: number) => Promise<void>;
  #older = new NumberSet();
  #newer = new NumberSet();

  /** `write` keeps a number where it survives a restart; a failure is its own business. */
  constructor(
    { most = defaultMost, write = () => Promise.resolve() }: {
      readonly most?: number;
      readonly write?: (digest: number) => Promise<void>;
    } = {},
  ) {
    this.#most = most;
    this.#write = write;
  }

  /** How many handshakes are remembered. */
  get size(): number {
    return this.#older.size + this.#newer.size;
  }

  /** Whether there was no handshake with these keys, which is remembered from now on. */
  async isNew(keys: SessionKeys): Promise<boolean> {
    return await this.isNewDigest(await handshakeDigest(keys));
  }

  /** Like {@linkcode isNew}, of a handshake's number. */
  async isNewDigest(digest: number): Promise<boolean> {
    if (!this.remember(digest)) return false;
    await this.#write(digest);
    return true;
  }

  /** Remembers a number; `false` when it was remembered already. */
  remember(digest: number): boolean {
    if (this.#newer.has(digest) || this.#older.has(digest)) return false;
    if (this.#newer.size >= this.#most) {
      this.#older = this.#newer;
      this.#newer = new NumberSet();
    }
    this.#newer.add(digest);
    return true;
  }

  /** All numbers that are remembered, the older half first. */
  *digests(): Generator<number> {
    // Both as they are at the begin: the newer half may become the older one meanwhile.
    const halves = [this.#older, this.#newer];
    for (const half of halves) yield* half;
  }
}

/** 53 bits. Who sends one handshake cannot choose that another's has the same; by chance a million have with 1 : 10⁴. */
export async function handshakeDigest(
  { sndKey, sndBaseIv, rcvKey, rcvBaseIv }: SessionKeys,
): Promise<number> {
  const hash = await sha256(joinParts([sndKey, sndBaseIv, rcvKey, rcvBaseIv]));
  const view = new DataView(hash.buffer, hash.byteOffset);
  return (view.getUint32(0) & 0x1fffff) * 2 ** 32 + view.getUint32(4);
}

/**
 * A set of numbers from 0 to 2 ** 53 - 1 that takes 8 to 16 bytes for each. Clients can choose keys by the bits of their
 * number: where a number belongs is a secret, or all of theirs would be at one place, and be looked through each time.
 */
class NumberSet {
  readonly #secret = crypto.getRandomValues(new Uint32Array(3));
  /** Numbers plus one where they belong or after that; 0 is an empty place. */
  #places = new Float64Array(64);
  size = 0;

  has(number: number): boolean {
    return this.#places[this.#find(number + 1)] !== 0;
  }

  add(number: number): void {
    if (this.size >= this.#places.length * 0.6) this.#grow();
    const at = this.#find(number + 1);
    if (this.#places[at] !== 0) return;
    this.#places[at] = number + 1;
    this.size++;
  }

  *[Symbol.iterator](): Generator<number> {
    for (const place of this.#places) if (place !== 0) yield place - 1;
  }

  #find(value: number): number {
    const last = this.#places.length - 1;
    let at = this.#spread(value) & last;
    while (this.#places[at] !== 0 && this.#places[at] !== value) at = at + 1 & last;
    return at;
  }

  #spread(value: number): number {
    const [first, second, third] = this.#secret;
    const high = mix((value / 2 ** 32 | 0) ^ first!);
    return mix(mix((value | 0) ^ high ^ second!) ^ third!);
  }

  #grow(): void {
    const old = this.#places;
    this.#places = new Float64Array(old.length * 2);
    for (const value of old) if (value !== 0) this.#places[this.#find(value)] = value;
  }
}

/** Each of the 32 bits changes half of the others. */
function mix(bits: number): number {
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
