import {
  decodeBase64,
  decodePublicKey,
  ParseError,
  type Part,
  type PublicKey,
  textBytes,
} from "../../protocol/mod.ts";
import { type FieldReader, integer, RecordError, uint } from "./bytes.ts";

/** Bytes of a command's ID, or of what else is to be the only one of its kind. */
export const idLength = 16;
/** Dates beyond it are none. */
const latest = 8.64e15;

export function id(value: string): Part[] {
  if (!/^[\0-\x7f]*$/.test(value)) throw new RangeError("Cannot encode an ID: it is not ASCII");
  return [uint(value.length, 2), value];
}

export function readId(fields: FieldReader): string {
  return fields.ascii(fields.uint(2, "the length of an ID"), "an ID");
}

export function text(value: string): Part[] {
  const bytes = textBytes(value);
  return [uint(bytes.length, 2), bytes];
}

export function readText(fields: FieldReader): string {
  const bytes = fields.bytes(fields.uint(2, "the length of a text"), "a text");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new RecordError("a text is not UTF-8");
  }
}

export function key(value: PublicKey | null): Part[] {
  return value === null ? [uint(0, 2)] : [uint(value.der.length, 2), value.der];
}

export function readKey(fields: FieldReader): PublicKey | null {
  const length = fields.uint(2, "the length of a key");
  if (length === 0) return null;
  const der = fields.bytes(length, "a key");
  try {
    return decodePublicKey(der);
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new RecordError("a key is not one", { cause });
  }
}

export function time(value: number): Uint8Array<ArrayBuffer> {
  if (Math.abs(value) > latest) throw new RangeError(`Cannot encode the time ${value}: it is out of range`);
  return integer(value);
}

export function readTime(fields: FieldReader): number {
  const value = fields.integer("a time");
  if (Math.abs(value) > latest) throw new RecordError("a time is out of range");
  return value;
}

export function readFlag(fields: FieldReader): boolean {
  const value = fields.uint(1, "a flag");
  if (value > 1) throw new RecordError(`no flag is ${value}`);
  return value === 1;
}

/** The 16 bytes of an ID in base64. */
export function idBytes(value: string): Uint8Array {
  const bytes = decodeBase64(value);
  if (bytes?.length !== idLength) {
    throw new RangeError(`Cannot encode an ID: it is not base64 of ${idLength} bytes`);
  }
  return bytes;
}
