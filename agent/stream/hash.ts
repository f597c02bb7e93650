/** SHA-256 of what comes in parts, which WebCrypto has not. */
import { builtin } from "./builtin.ts";

/** Takes parts one after the other. */
export interface Hash {
  /** The next part. */
  update(part: Uint8Array): void;
  /** The hash of all parts, 32 bytes; nothing may follow. */
  digest(): Uint8Array<ArrayBuffer>;
}

/** Begins a SHA-256: the runtime's where it has one. */
export function newHash(): Hash {
  const hash = builtin("node:crypto")?.createHash("sha256");
  if (hash === undefined) return new PlainHash();
  return { update: (part) => void hash.update(part), digest: () => new Uint8Array(hash.digest()) };
}

const blockLength = 64;

/** The first 32 bits of the fractional part of a number. */
function fraction(number: number): number {
  return Math.floor((number - Math.floor(number)) * 2 ** 32);
}

const primes: number[] = [];
for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
const constants = Uint32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
const initial = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

/** FIPS 180-4, 6.2. */
export class PlainHash implements Hash {
  readonly #state = Uint32Array.from(initial);
  readonly #block = new Uint8Array(blockLength);
  readonly #words = new Uint32Array(64);
  #filled = 0;
  #length = 0;

  /** The next part. */
  update(part: Uint8Array): void {
    this.#length += part.length;
    for (let at = 0; at < part.length;) {
      const piece = part.subarray(at, at + blockLength - this.#filled);
      this.#block.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled === blockLength) this.#compress();
    }
  }

  /** The hash of all parts. */
  digest(): Uint8Array<ArrayBuffer> {
    const bits = this.#length * 8;
    const padding = new Uint8Array((this.#filled < 56 ? 56 : 120) - this.#filled + 8);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(padding.length - 4, bits % 2 ** 32);
    this.update(padding);
    const digest = new Uint8Array(32);
    this.#state.forEach((word, at) => new DataView(digest.buffer).setUint32(4 * at, word));
    return digest;
  }

  #compress(): void {
    const words = this.#words, block = new DataView(this.#block.buffer);
    for (let t = 0; t < 16; t++) words[t] = block.getUint32(4 * t);
    for (let t = 16; t < 64; t++) {
      const w15 = words[t - 15]!, w2 = words[t - 2]!;
      const s0 = rotate(w15, 7) ^ rotate(w15, 18) ^ w15 >>> 3;
      const s1 = rotate(w2, 17) ^ rotate(w2, 19) ^ w2 >>> 10;
      words[t] = words[t - 16]! + s0 + words[t - 7]! + s1;
    }
    const state = this.#state;
    let a = state[0]!, b = state[1]!, c = state[2]!, d = state[3]!;
    let e = state[4]!, f = state[5]!, g = state[6]!, h = state[7]!;
    for (let t = 0; t < 64; t++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const t1 = h + s1 + (e & f ^ ~e & g) + constants[t]! + words[t]! | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const t2 = s0 + (a & b ^ a & c ^ b & c) | 0;
      h = g;
      g = f;
      f = e;
      e = d + t1 | 0;
      d = c;
      c = b;
      b = a;
      a = t1 + t2 | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, at) => state[at]! += word);
    this.#filled = 0;
  }
}

function rotate(word: number, by: number): number {
  return word >>> by | word << 32 - by;
}
