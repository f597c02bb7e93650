/** What the ratchet encrypts: frames (sessions.md Content frames). */
import { sha256 } from "../crypto/runtime.ts";
import { ByteReader, concat, exactly, numberBytes } from "./_bytes.ts";
import { type FrameContent, frameKinds, type MessageContent } from "./content.ts";
import { encodeContent, isValidContent, readContent } from "./content_codec.ts";

/** The most frames of one plaintext. */
export const mostFrames = 1_000;

/** One frame. */
export type Frame = FrameContent & {
  /** The sender's reliable number, from 1; 0 for a receipt and its digest, and for kinds to come that have none. */
  readonly number: number;
  /** When it was made, milliseconds since 1970. */
  readonly time: number;
};

/**
 * Why a plaintext is refused as a whole. `EMPTY`: it has no frame. `LENGTH`: a frame is cut off. `FRAMES`: it has more than
 * {@linkcode mostFrames}. `NUMBER`: a receipt or a digest has a number, or another known kind has none. `CONTENT`: the content of a
 * known kind is not valid.
 */
export type FrameRefusal = "EMPTY" | "LENGTH" | "FRAMES" | "NUMBER" | "CONTENT";

/** The frames of a plaintext, or why there are none. */
export type DecodedFrames =
  | { readonly ok: true; readonly frames: readonly Frame[] }
  | { readonly ok: false; readonly code: FrameRefusal };

/** Encodes a frame. `RangeError` for what {@linkcode decodeFrames} would refuse. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const { number, time } = frame;
  const content = encodeContent(frame);
  if (!isValidContent(frame)) {
    throw new RangeError(`Cannot encode frame "${frame.kind}": its content is not valid`);
  }
  if (!isNumber(frame.kind, number)) {
    throw new RangeError(`Cannot encode frame "${frame.kind}": ${number} is not a number that it can have`);
  }
  return concat(
    numberBytes(frame.kind === "unknown" ? frame.kindNumber : frameKinds[frame.kind], 1, "kind"),
    numberBytes(number, 6, "number"),
    numberBytes(time, 6, "time"),
    numberBytes(content.length, 4, "length"),
    content,
  );
}

/** Encodes frames, one after the other. `RangeError` for what {@linkcode decodeFrames} would refuse. */
export function encodeFrames(frames: readonly Frame[]): Uint8Array<ArrayBuffer> {
  return concat(...frames.map(encodeFrame));
}

/** Reads the frames of a plaintext, whose memory their parts are. */
export function decodeFrames(plaintext: Uint8Array<ArrayBuffer>): DecodedFrames {
  const reader = new ByteReader(plaintext);
  const frames: Frame[] = [];
  if (reader.left === 0) return { ok: false, code: "EMPTY" };
  while (reader.left > 0) {
    if (frames.length === mostFrames) return { ok: false, code: "FRAMES" };
    const kindNumber = reader.u8(), number = reader.u48(), time = reader.u48();
    const bytes = reader.bytes(reader.u32());
    if (!reader.ok) return { ok: false, code: "LENGTH" };
    const content = readContent(kindNumber, bytes);
    if (content === null || !isValidContent(content)) return { ok: false, code: "CONTENT" };
    if (!isNumber(content.kind, number)) return { ok: false, code: "NUMBER" };
    frames.push({ ...content, number, time });
  }
  return { ok: true, frames };
}

/** The hash of a user message of a session, which the next one has: 32 bytes. */
export async function messageHash(
  { userNumber, previousHash, time, body }: Omit<MessageContent, "kind"> & Pick<Frame, "time">,
): Promise<Uint8Array<ArrayBuffer>> {
  return await sha256(concat(
    numberBytes(userNumber, 6, "user number"),
    exactly(previousHash, 32, "previous hash"),
    numberBytes(time, 6, "time"),
    body,
  ));
}

function isNumber(kind: FrameContent["kind"], number: number): boolean {
  return kind === "unknown" || (kind === "receipt" || kind === "digest") === (number === 0);
}
