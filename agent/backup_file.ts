/**
 * The encrypted file of a backup: a header, then frames, each of which is authentic before it is read, in its place and
 * the last one known as the last (the STREAM construction: counter and last flag are in the nonce).
 *
 * ```
 * header: "SMP agent backup" | version u32 | PBKDF2 iterations u32 | salt: 16 | check: 16
 * frame:  last flag (1 bit), length of the content (31 bits) | AES-256-GCM of the content | tag: 16
 * ```
 *
 * HKDF of PBKDF2-HMAC-SHA-256 of the passphrase gives the key, which no other file has, and the check, which tells
 * whether it is the right one. The nonce is 0 u32, the frame's number u32 and its first 4 bytes; the header is the
 * additional data.
 */
import { equalBytes, joinParts, randomBytes, textBytes } from "../protocol/mod.ts";
import { ByteReader } from "./byte_reader.ts";

/**
 * Why a backup cannot be written or read.
 *
 * | code | meaning |
 * |---|---|
 * | `FORMAT` | the file is not a backup |
 * | `VERSION` | it was written by a newer version |
 * | `PASSPHRASE` | the passphrase is another one |
 * | `DAMAGED` | the file was cut or changed |
 * | `INVALID` | the file is whole, but no agent stores what is in it |
 * | `NOT_EMPTY` | the store that it is read into has connections |
 * | `SIZE` | what is stored has more bytes than a frame may have |
 */
export type BackupErrorCode =
  | "FORMAT"
  | "VERSION"
  | "PASSPHRASE"
  | "DAMAGED"
  | "INVALID"
  | "NOT_EMPTY"
  | "SIZE";

/** A backup cannot be written or read; see {@linkcode BackupErrorCode}. */
export class BackupError extends Error {
  /** The class name. */
  override readonly name = "BackupError";
  /** What is wrong. */
  readonly code: BackupErrorCode;

  /** Makes an error with a stable `code` and a `message` for people. */
  constructor(code: BackupErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Bytes of content that a frame may have. */
export const maxFrame = 8 << 20;

const magic = textBytes("SMP agent backup");
/** Version 1 knew no sessions, version 2 no servers. */
const formatVersion = 3;
const versionAt = magic.length, iterationsAt = versionAt + 4, saltAt = iterationsAt + 4;
const saltLength = 16, checkAt = saltAt + saltLength, checkLength = 16, headerLength = checkAt + checkLength;
const tagLength = 16, isLastBit = 2 ** 31;
/** A few seconds of work; who wrote a file chooses its number. */
const maxIterations = 10_000_000;

/** Encrypts contents of at most {@linkcode maxFrame} bytes: gives the header, then a frame for each. */
export async function* sealFrames(
  contents: AsyncIterable<Uint8Array<ArrayBuffer>>,
  { passphrase, iterations }: { readonly passphrase: string; readonly iterations: number },
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const salt = randomBytes(saltLength);
  const { key, check } = await deriveKey(passphrase, salt, iterations);
  const header = joinParts([magic, u32(formatVersion), u32(iterations), salt, check]);
  yield header;
  let count = 0;
  const seal = async (content: Uint8Array<ArrayBuffer>, isLast: boolean) => {
    const head = u32(content.length + (isLast ? isLastBit : 0));
    const sealed = await crypto.subtle.encrypt(parameters(header, count++, head), key, content);
    return joinParts([head, new Uint8Array(sealed)]);
  };
  let previous: Uint8Array<ArrayBuffer> | null = null;
  for await (const content of contents) {
    if (previous !== null) yield await seal(previous, false);
    previous = content;
  }
  yield await seal(previous ?? new Uint8Array(), true);
}

/** Decrypts what {@linkcode sealFrames} gave; what it yields is authentic. Throws {@linkcode BackupError}. */
export async function* openFrames(
  source: AsyncIterable<Uint8Array>,
  { passphrase }: { readonly passphrase: string },
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const reader = new ByteReader(source);
  try {
    yield* openAll(reader, passphrase);
  } finally {
    await reader[Symbol.asyncDispose]();
  }
}

async function* openAll(
  reader: ByteReader,
  passphrase: string,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const header = await reader.read(headerLength);
  const { iterations, salt } = parseHeader(header);
  const { key, check } = await deriveKey(passphrase, salt, iterations);
  if (!equalBytes(check, header.subarray(checkAt))) {
    throw new BackupError(
      "PASSPHRASE",
      "Cannot read the backup: the passphrase is wrong, or the file was changed at its beginning",
    );
  }
  for (let count = 0, isLast = false; !isLast; count++) {
    const head = await reader.read(4);
    if (head.length < 4) throw damaged("it was cut");
    const value = viewOf(head).getUint32(0);
    isLast = value >= isLastBit;
    const length = isLast ? value - isLastBit : value;
    if (length > maxFrame) throw damaged("it was changed");
    const sealed = await reader.read(length + tagLength);
    if (sealed.length < length + tagLength) throw damaged("it was cut");
    let content;
    try {
      content = await crypto.subtle.decrypt(parameters(header, count, head), key, sealed);
    } catch (cause) {
      throw damaged("it was changed", cause);
    }
    if (isLast && (await reader.read(1)).length > 0) throw damaged("something follows its end");
    yield new Uint8Array(content);
  }
}

/** A problem with a file whose passphrase may well be right. */
function damaged(what: string, cause?: unknown): BackupError {
  return new BackupError("DAMAGED", `Cannot read the backup: ${what}`, { cause });
}

function parseHeader(header: Uint8Array<ArrayBuffer>) {
  const begin = header.subarray(0, magic.length);
  if (!equalBytes(begin, magic.subarray(0, begin.length))) {
    throw new BackupError("FORMAT", "Cannot read the backup: the file is not a backup of an agent");
  }
  const view = viewOf(header);
  const version = header.length >= iterationsAt ? view.getUint32(versionAt) : formatVersion;
  if (version > formatVersion) {
    throw new BackupError(
      "VERSION",
      "Cannot read the backup: it was written by a newer version of the agent",
    );
  }
  if (header.length < headerLength) throw damaged(header.length === 0 ? "the file is empty" : "it was cut");
  const iterations = view.getUint32(iterationsAt);
  if (version < 1 || iterations < 1 || iterations > maxIterations) throw damaged("it was changed");
  return { iterations, salt: header.slice(saltAt, checkAt) };
}

function parameters(header: Uint8Array<ArrayBuffer>, count: number, head: Uint8Array<ArrayBuffer>) {
  return { name: "AES-GCM", iv: joinParts([u32(0), u32(count), head]), additionalData: header };
}

async function deriveKey(passphrase: string, salt: Uint8Array<ArrayBuffer>, iterations: number) {
  const { subtle } = crypto;
  const secret = textBytes(passphrase.normalize("NFC"));
  const base = await subtle.importKey("raw", secret, "PBKDF2", false, ["deriveBits"]);
  const stretched = await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, base, 256);
  const root = await subtle.importKey("raw", stretched, "HKDF", false, ["deriveBits"]);
  const expand = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: magic };
  const bits = new Uint8Array(await subtle.deriveBits(expand, root, 8 * (32 + checkLength)));
  const key = await subtle.importKey("raw", bits.subarray(0, 32), "AES-GCM", false, ["encrypt", "decrypt"]);
  return { key, check: bits.slice(32) };
}

function u32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value);
  return bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
