import { joinParts } from "../bytes.ts";

/** The DER types that RSA keys are made of. */
export const derTag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  sequence: 0x30,
};

/** `SEQUENCE { OID rsaEncryption, NULL }`, the algorithm of SubjectPublicKeyInfo and PKCS#8. */
export const rsaAlgorithm: Uint8Array<ArrayBuffer> = Uint8Array.of(
  ...[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00],
);

/** Reads DER values one after the other; every failure is a `SyntaxError` that says at which byte. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Reads the header of a value of type `tag`, steps over the value, and gives a reader of what is in it. */
  enter(tag: number): DerReader {
    const [start, end] = this.#value(tag);
    return new DerReader(this.#bytes, start, end);
  }

  /** Reads a value of type `tag` and gives its content. */
  content(tag: number): Uint8Array {
    const [start, end] = this.#value(tag);
    return this.#bytes.subarray(start, end);
  }

  /** Reads a positive INTEGER in its shortest form and gives its bytes without the sign byte. */
  positiveInteger(): Uint8Array {
    const content = this.content(derTag.integer);
    const first = content[0];
    if (first === undefined || first > 127) throw this.#error("a positive INTEGER is expected");
    if (first !== 0) return content;
    if (content.length === 1 || content[1]! < 128) {
      throw this.#error("a positive INTEGER in its shortest form is expected");
    }
    return content.subarray(1);
  }

  /** Steps over exactly the bytes `expected`. */
  literal(expected: Uint8Array, name: string): void {
    for (let i = 0; i < expected.length; i++) {
      if (this.#at + i >= this.#end || this.#bytes[this.#at + i] !== expected[i]) {
        throw this.#error(`${name} is expected`);
      }
    }
    this.#at += expected.length;
  }

  /** Checks that nothing is left. */
  end(): void {
    if (this.#at !== this.#end) throw this.#error(`${this.#end - this.#at} bytes too many`);
  }

  #value(tag: number): [start: number, end: number] {
    const found = this.#byte();
    if (found !== tag) {
      throw this.#error(`type 0x${tag.toString(16)} is expected, not 0x${found.toString(16)}`);
    }
    let length = this.#byte();
    if (length > 127) {
      const count = length & 127;
      if (count === 0 || count > 3) throw this.#error("a length of 1 to 3 bytes is expected");
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + this.#byte();
      if (length < 128 || length < 256 ** (count - 1)) {
        throw this.#error("a length in its shortest form is expected");
      }
    }
    const start = this.#at;
    if (length > this.#end - start) {
      throw this.#error(`${length} bytes are announced, ${this.#end - start} are there`);
    }
    this.#at = start + length;
    return [start, this.#at];
  }

  #byte(): number {
    if (this.#at >= this.#end) throw this.#error("it ends too early");
    return this.#bytes[this.#at++]!;
  }

  #error(what: string): SyntaxError {
    return new SyntaxError(`${what} (byte ${this.#at})`);
  }
}

/** Encodes a DER value of type `tag` that holds `parts`. */
export function encodeDer(tag: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  return joinParts([Uint8Array.of(tag, ...encodeLength(length)), ...parts]);
}

/** Encodes a positive INTEGER, given without leading zero bytes. */
export function encodePositiveInteger(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes[0]! > 127
    ? encodeDer(derTag.integer, Uint8Array.of(0), bytes)
    : encodeDer(derTag.integer, bytes);
}

function encodeLength(length: number): number[] {
  if (length < 128) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [128 | bytes.length, ...bytes];
}
