import { joinParts } from "../bytes.ts";

/** The largest number of 48 bits. */
export const largestU48 = 2 ** 48 - 1;

/**
 * Reads numbers (unsigned, big-endian) and bytes one after the other. When something is not there, it and everything
 * after it reads as zero or empty, and {@linkcode complete} says `false`: look at that before using what was read.
 */
export class ByteReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at: number;
  #failed = false;

  constructor(bytes: Uint8Array<ArrayBuffer>, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** Whether everything that was asked for was there. */
  get ok(): boolean {
    return !this.#failed;
  }

  /** Whether everything that was asked for was there, and nothing is left. */
  get complete(): boolean {
    return !this.#failed && this.#at === this.#bytes.length;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#failed ? 0 : this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#number(1);
  }

  u16(): number {
    return this.#number(2);
  }

  u32(): number {
    return this.#number(4);
  }

  u48(): number {
    return this.#number(6);
  }

  /** The next `length` bytes, the same memory. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    if (length > this.left) this.#failed = true;
    if (this.#failed) return new Uint8Array(0);
    return this.#bytes.subarray(this.#at, this.#at += length);
  }

  #number(length: number): number {
    if (length > this.left) this.#failed = true;
    if (this.#failed) return 0;
    let number = 0;
    for (const end = this.#at + length; this.#at < end; this.#at++) {
      number = number * 256 + this.#bytes[this.#at]!;
    }
    return number;
  }
}

/** A number in `length` bytes, big-endian. Throws `RangeError` that names `what` when it does not fit or is no integer. */
export function numberBytes(number: number, length: number, what: string): Uint8Array<ArrayBuffer> {
  if (!Number.isInteger(number) || number < 0 || number >= 256 ** length) {
    throw new RangeError(`Cannot encode ${what}: ${number} is not a number of ${length * 8} bits`);
  }
  const bytes = new Uint8Array(length);
  for (let at = length - 1; at >= 0; at--) {
    bytes[at] = number % 256;
    number = Math.floor(number / 256);
  }
  return bytes;
}

/** Checks that `bytes` are as many as `what` has to have; throws `RangeError` when not. */
export function exactly<T extends Uint8Array>(bytes: T, length: number, what: string): T {
  if (bytes.length === length) return bytes;
  throw new RangeError(`Cannot encode ${what}: it has ${bytes.length} bytes, not ${length}`);
}

/** Bytes of one array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return joinParts(parts);
}
