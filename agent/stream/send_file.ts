import type { StreamFile } from "../store/store.ts";
import { fileModules } from "./builtin.ts";
import { FileSource } from "./file_source.ts";
import { newHash } from "./hash.ts";
import { StreamError } from "./error.ts";
import type { LiveStream } from "./stream.ts";
import { BlobSource, type StreamSource } from "./source.ts";
import type { Offered } from "./streams.ts";
import type { SendFileOptions, StreamProgress } from "./types.ts";

/** Bytes that are read at a time for the hash. */
const readLength = 1024 * 1024;

/** Milliseconds between two looks at the progress, at least. */
const progressInterval = 100;

/**
 * What is offered of a file: reads all of it, as long as `signal` has not aborted. Throws what the file does, and
 * `StreamError` (`CHANGED`, `CLOSED`).
 */
export async function offeredFile(
  source: string | Blob,
  options: SendFileOptions,
  signal: AbortSignal,
): Promise<Offered> {
  return typeof source === "string"
    ? await ofPath(source, options, signal)
    : await ofBlob(source, options, signal);
}

async function ofPath(
  given: string,
  { name, type = defaultType, onReading }: SendFileOptions,
  signal: AbortSignal,
): Promise<Offered> {
  const { files, path } = fileModules();
  const absolute = path.resolve(given);
  const stat = await files.stat(absolute);
  if (!stat.isFile()) throw new TypeError("Cannot send a file: it is none");
  const file: StreamFile = { path: absolute, size: stat.size, modifiedAt: stat.mtimeMs };
  const source = new FileSource(file);
  let sha256;
  try {
    await source.begin();
    sha256 = await hashOf(source, { size: file.size, onReading, signal });
  } finally {
    await source.close();
  }
  return {
    name: name ?? path.basename(absolute),
    mediaType: type,
    size: file.size,
    sha256,
    file,
    source: new FileSource(file),
  };
}

async function ofBlob(
  blob: Blob,
  { name, type, onReading }: SendFileOptions,
  signal: AbortSignal,
): Promise<Offered> {
  const source = new BlobSource(blob);
  const ownName = "name" in blob && typeof blob.name === "string" ? blob.name : "";
  return {
    name: name ?? ownName,
    mediaType: type ?? (blob.type || defaultType),
    size: blob.size,
    sha256: await hashOf(source, { size: blob.size, onReading, signal }),
    file: null,
    source,
  };
}

/** What streams are that nobody has said more of. */
export const defaultType = "application/octet-stream";

async function hashOf(
  source: StreamSource,
  { size, onReading, signal }: {
    readonly size: number;
    readonly onReading: SendFileOptions["onReading"];
    readonly signal: AbortSignal;
  },
): Promise<Uint8Array<ArrayBuffer>> {
  const hash = newHash();
  let told = -Infinity;
  for (let offset = 0;;) {
    // A large file takes minutes.
    if (signal.aborted) throw new StreamError("CLOSED", "The agent was closed");
    const { data, isEnd } = await source.read(offset, readLength);
    hash.update(data);
    offset += data.length;
    if (isEnd) return hash.digest();
    const now = performance.now();
    if (now - told < progressInterval) continue;
    told = now;
    onReading?.({ bytes: offset, size });
  }
}

/** Tells the progress of a stream until it has ended. */
export function tellProgress(
  stream: LiveStream,
  told: ((progress: StreamProgress) => void) | undefined,
): void {
  if (told === undefined) return;
  let last = -1;
  const tell = () => {
    const { progress } = stream;
    if (progress.bytes !== last) told(progress);
    last = progress.bytes;
  };
  const timer = setInterval(tell, progressInterval);
  const end = () => {
    clearInterval(timer);
    tell();
  };
  stream.ended.then(end, end);
}

/** Throws `RangeError` for what no offer can say. */
export function checkOffered({ name, mediaType, size, sha256 }: Omit<Offered, "file" | "source">): void {
  if (new TextEncoder().encode(name).length > 255) {
    throw new RangeError("Cannot offer a stream: its name has more than 255 bytes");
  }
  if (mediaType.length > 127 || !/^[ -~]*$/.test(mediaType)) {
    throw new RangeError(
      "Cannot offer a stream: its type has more than 127 characters, or others than ASCII",
    );
  }
  if (size !== null && (!Number.isInteger(size) || size < 0 || size >= 2 ** 48)) {
    throw new RangeError(`Cannot offer a stream: ${size} is no number of bytes below 2^48`);
  }
  if (sha256 !== null && sha256.length !== 32) {
    throw new RangeError("Cannot offer a stream: its SHA-256 has not 32 bytes");
  }
}
