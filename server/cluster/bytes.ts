import { asciiText } from "../../protocol/mod.ts";

/** Bytes that are not what they should be: a log or snapshot is damaged, or of a newer version. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

/** Encodes an unsigned number of 1, 2 or 4 bytes, big-endian. */
export function uint(value: number, size: 1 | 2 | 4): Uint8Array<ArrayBuffer> {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
    throw new RangeError(`Cannot encode ${value}: it is no unsigned number of ${size} bytes`);
  }
  const bytes = new Uint8Array(size);
  for (let i = size - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest;
  return bytes;
}

/** Encodes an integer up to 2 ** 53 in either direction. */
export function integer(value: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(value)) throw new RangeError(`Cannot encode ${value}: it is no safe integer`);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value));
  return bytes;
}

/** Reads fields one after the other, and never past the end. */
export class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  uint(size: 1 | 2 | 4, what: string): number {
    const at = this.#take(size, what);
    return size === 1
      ? this.#view.getUint8(at)
      : size === 2
      ? this.#view.getUint16(at)
      : this.#view.getUint32(at);
  }

  integer(what: string): number {
    const value = Number(this.#view.getBigInt64(this.#take(8, what)));
    if (!Number.isSafeInteger(value)) throw new RecordError(`${what} is out of range`);
    return value;
  }

  /** A part of what is read, not a copy. */
  bytes(length: number, what: string): Uint8Array {
    const at = this.#take(length, what);
    return this.#bytes.subarray(at, at + length);
  }

  ascii(length: number, what: string): string {
    const at = this.#take(length, what);
    for (let i = at; i < at + length; i++) {
      if (this.#bytes[i]! > 0x7f) throw new RecordError(`${what} is not ASCII`);
    }
    return asciiText(this.#bytes, at, at + length);
  }

  end(what: string): void {
    if (this.left > 0) throw new RecordError(`${what} has ${this.left} bytes too many`);
  }

  #take(length: number, what: string): number {
    if (length > this.left) {
      throw new RecordError(`${what} is cut off: it has ${this.left} of ${length} bytes`);
    }
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
