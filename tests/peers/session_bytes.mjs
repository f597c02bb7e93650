// Sessions of agents (sessions.md): numbers and fields of bytes that a peer has chosen. Part of an implementation that
// is independent of this project, see session.mjs.

import { Buffer } from "node:buffer";

/** Bytes of a peer that are not as they must be; `reason` is a code. */
export class Refused extends Error {
  constructor(reason) {
    super(`refused: ${reason}`);
    this.reason = reason;
  }
}

/** What `make` gives, or `{ refused: code }`. */
export function orRefused(make) {
  try {
    return make();
  } catch (error) {
    if (error instanceof Refused) return { refused: error.reason };
    throw error;
  }
}

export function u8(number) {
  return Buffer.of(number);
}

export function u16(number) {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(number);
  return bytes;
}

export function u32(number) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
}

export function u48(number) {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(number, 0, 6);
  return bytes;
}

/** Takes fields off the start of bytes; what is not there is refused with the reason given. */
export class Fields {
  #bytes;
  #at = 0;
  #reason;

  constructor(bytes, reason) {
    this.#bytes = Buffer.from(bytes);
    this.#reason = reason;
  }

  get left() {
    return this.#bytes.length - this.#at;
  }

  take(length) {
    if (length > this.left) throw new Refused(this.#reason);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  rest() {
    return this.take(this.left);
  }

  u8() {
    return this.take(1).readUInt8();
  }

  u16() {
    return this.take(2).readUInt16BE();
  }

  u32() {
    return this.take(4).readUInt32BE();
  }

  u48() {
    return this.take(6).readUIntBE(0, 6);
  }

  end() {
    if (this.left > 0) throw new Refused(this.#reason);
  }
}
