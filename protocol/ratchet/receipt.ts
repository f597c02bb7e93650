import { type ByteReader, concat, numberBytes } from "./_bytes.ts";

/** The most ranges of a {@linkcode NumberSet}. */
export const mostRanges = 64;

/** Numbers from 1: all up to one, and ranges beyond it, in order and with numbers missing between them. */
export interface NumberSet {
  /** All from 1 to this are in the set; 0 for none. */
  readonly upTo: number;
  /** `[from, to]`, both in the set; at most {@linkcode mostRanges}. */
  readonly ranges: readonly (readonly [from: number, to: number])[];
}

/** What has come (sessions.md Content frames). */
export interface Receipt {
  /** Reliable numbers of frames that the agent has stored. */
  readonly stored: NumberSet;
  /** User numbers of messages that the application has acknowledged. */
  readonly acknowledged: NumberSet;
}

/** Encodes both sets of a receipt. `RangeError` for numbers beyond 48 bits and more than 255 ranges. */
export function encodeReceipt({ stored, acknowledged }: Receipt): Uint8Array<ArrayBuffer> {
  return concat(...setParts(stored), ...setParts(acknowledged));
}

/** Reads both sets of a receipt; whether they are in order says {@linkcode isReceipt}. */
export function readReceipt(reader: ByteReader): Receipt {
  return { stored: readSet(reader), acknowledged: readSet(reader) };
}

/** Whether both sets have few enough ranges, which are beyond the number before them and do not touch. */
export function isReceipt({ stored, acknowledged }: Receipt): boolean {
  return isSet(stored) && isSet(acknowledged);
}

function setParts({ upTo, ranges }: NumberSet): Uint8Array[] {
  return [
    numberBytes(upTo, 6, "number"),
    numberBytes(ranges.length, 1, "ranges"),
    ...ranges.flatMap(([from, to]) => [numberBytes(from, 6, "from"), numberBytes(to, 6, "to")]),
  ];
}

function readSet(reader: ByteReader): NumberSet {
  const upTo = reader.u48(), count = reader.u8();
  return { upTo, ranges: Array.from({ length: count }, () => [reader.u48(), reader.u48()] as const) };
}

function isSet({ upTo, ranges }: NumberSet): boolean {
  let end = upTo;
  for (const [from, to] of ranges) {
    if (from <= end + 1 || to < from) return false;
    end = to;
  }
  return ranges.length <= mostRanges;
}
