import { asciiText, type Part } from "../../protocol/mod.ts";
import { frameError } from "./error.ts";

/** Bytes of the longest frame: what a transmission of the largest block takes, with room for everything around it. */
export const longestFrame = 131_072;

const lengthSize = 4;
const smallest = 4_096;
const encoder = new TextEncoder();
/** Characters up to which a loop takes less time than a call of the encoder. */
const longestByHand = 100;

/** Writes frames one behind the other into one buffer that grows. */
export class FrameWriter {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(smallest);
  #at: number;
  #start = 0;
  readonly #head: number;

  /** `head`: bytes that are left free before the first frame. */
  constructor(head: number = 0) {
    this.#head = this.#at = head;
  }

  /** Bytes that were written, the free ones included. */
  get length(): number {
    return this.#at;
  }

  get isEmpty(): boolean {
    return this.#at === this.#head;
  }

  /** The bytes that were written; they are others after `reset`. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at);
  }

  reset(): void {
    this.#at = this.#head;
  }

  /** Begins a frame; `end` finishes it. */
  begin(type: number): void {
    this.#reserve(lengthSize + 1);
    this.#start = this.#at;
    this.#at += lengthSize;
    this.#bytes[this.#at++] = type;
  }

  /** Throws `RangeError` for a frame that no peer takes. */
  end(): void {
    const length = this.#at - this.#start - lengthSize;
    if (length > longestFrame) {
      throw new RangeError(`Cannot write a frame: ${length} bytes are more than ${longestFrame}`);
    }
    putUint32(this.#bytes, this.#start, length);
  }

  /** Takes back the frame that could not be written. */
  cancel(): void {
    this.#at = this.#start;
  }

  uint8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  uint16(value: number): void {
    this.#reserve(2);
    this.#bytes[this.#at++] = value >>> 8;
    this.#bytes[this.#at++] = value;
  }

  uint32(value: number): void {
    this.#reserve(4);
    putUint32(this.#bytes, this.#at, value);
    this.#at += 4;
  }

  uint48(value: number): void {
    this.#reserve(6);
    putUint48(this.#bytes, this.#at, value);
    this.#at += 6;
  }

  float64(value: number): void {
    this.#reserve(8);
    new DataView(this.#bytes.buffer).setFloat64(this.#at, value);
    this.#at += 8;
  }

  /** ASCII text up to 65535 characters, with its length. */
  text(text: string): void {
    if (text.length > 0xffff) {
      throw new RangeError(`Cannot write a text: ${text.length} characters are too many`);
    }
    this.uint16(text.length);
    this.rest(text);
  }

  /** Without a length: the frame's end is its end. */
  rest(part: Part): void {
    this.#reserve(part.length);
    const bytes = this.#bytes;
    if (typeof part !== "string") bytes.set(part, this.#at);
    else if (part.length > longestByHand) encoder.encodeInto(part, bytes.subarray(this.#at));
    else for (let i = 0; i < part.length; i++) bytes[this.#at + i] = part.charCodeAt(i);
    this.#at += part.length;
  }

  #reserve(length: number): void {
    const needed = this.#at + length;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.bytes);
    this.#bytes = larger;
  }
}

/** Reads frames one behind the other; throws `LinkError` (`FRAME`) where there is not what is asked for. */
export class FrameReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;
  #end = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  /** The type of the next frame; `null` behind the last one. */
  begin(): number | null {
    if (this.#at !== this.#end) throw frameError(`${this.#end - this.#at} bytes are left`);
    if (this.#at === this.#bytes.length) return null;
    this.#end = this.#bytes.length;
    const length = this.uint32();
    if (length > longestFrame) throw frameError(`${length} bytes are more than ${longestFrame}`);
    if (length > this.#bytes.length - this.#at) throw frameError(`its ${length} bytes are cut off`);
    this.#end = this.#at + length;
    return this.uint8();
  }

  /** Whether nothing is left of the frame. */
  get isAtEnd(): boolean {
    return this.#at === this.#end;
  }

  uint8(): number {
    return this.#bytes[this.#step(1)]!;
  }

  uint16(): number {
    const at = this.#step(2);
    return this.#bytes[at]! << 8 | this.#bytes[at + 1]!;
  }

  uint32(): number {
    return getUint32(this.#bytes, this.#step(4));
  }

  uint48(): number {
    return getUint48(this.#bytes, this.#step(6));
  }

  float64(): number {
    const at = this.#step(8);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset).getFloat64(at);
  }

  text(): string {
    const length = this.uint16();
    const at = this.#step(length);
    return asciiText(this.#bytes, at, at + length);
  }

  /** A copy. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const at = this.#step(length);
    return this.#bytes.slice(at, at + length);
  }

  /** A copy of what is left of the frame. */
  rest(): Uint8Array<ArrayBuffer> {
    return this.bytes(this.#end - this.#at);
  }

  #step(length: number): number {
    const at = this.#at;
    if (length > this.#end - at) throw frameError(`${length} bytes are expected, not ${this.#end - at}`);
    this.#at = at + length;
    return at;
  }
}

/** Writes a number below 2^32 in big-endian order. */
export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Writes a number below 2^48 in big-endian order. */
export function putUint48(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 2 ** 32);
  bytes[at] = high >>> 8;
  bytes[at + 1] = high;
  putUint32(bytes, at + 2, value >>> 0);
}

export function getUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

export function getUint48(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8 | bytes[at + 1]!) * 2 ** 32 + getUint32(bytes, at + 2);
}
