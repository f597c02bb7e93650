import type { FileHandle } from "node:fs/promises";
import { isDiskFull } from "../../cli/os_error.ts";
import { equalBytes, release } from "../../protocol/mod.ts";
import type { StreamPart } from "../store/store.ts";
import { fileModules } from "./builtin.ts";
import { StreamError } from "./error.ts";
import { codeOf, giveName, isThere } from "./final_name.ts";
import { isPart, partAt, removePart } from "./part_file.ts";
import { type Hash, newHash } from "./hash.ts";
import type { Incoming, StreamReader } from "./incoming.ts";
import { tellProgress } from "./send_file.ts";
import type { ReceivedFile, ReceiveFileOptions, WritableFile } from "./types.ts";

/** Bytes that are read at a time of what is there already. */
const readLength = 1024 * 1024;

/** Bytes that are written between two looks at whether the temporary file is still what was written. */
const lookLength = 1024 * 1024;

/** Rejects when it is received no more: it has ended, the agent was closed, or the caller has stopped it. */
type IsWanted = () => Promise<void>;

/** Where a file is written to. */
interface Target {
  /** Bytes that are there. */
  readonly start: number;
  /** Of them; what is written is added. */
  readonly hash: Hash;
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** All of it is written and right: it gets its name, and gives its path when it has one. */
  finish(): Promise<string | undefined>;
  /** It is not wanted any more. */
  remove(): Promise<void>;
  /** Nothing more is written now. */
  close(): Promise<void>;
}

/** Receives a file. See `AgentStreams.receiveFile`. */
export async function receiveFile(
  offer: Incoming,
  target: string | WritableFile,
  { onProgress, signal, kept, otherPath }: ReceiveFileOptions,
): Promise<ReceivedFile> {
  signal?.throwIfAborted();
  // What is there already is read, which takes minutes of a large file.
  const isWanted = async () => {
    signal?.throwIfAborted();
    if (offer.hasEnded) await offer.ended;
  };
  const former = typeof target === "string" ? await receivedBefore(offer, target, isWanted) : null;
  if (former !== null) return former;
  const file = typeof target === "string"
    ? await openPart(offer, target, { otherPath, isWanted })
    : await openWritable(target, { kept, isWanted });
  let reader: StreamReader;
  try {
    reader = offer.open(file.start);
  } catch (error) {
    const end = offer.hasEnded ? await offer.ended.catch((end) => end) : null;
    // It may have been taken back meanwhile; what the end of the agent has stopped can go on.
    if (!(end instanceof StreamError) || offer.isStored) await file.close();
    else await file.remove();
    throw end ?? error;
  }
  tellProgress(offer, onProgress);
  let paused = Promise.resolve();
  const pause = () => void (paused = reader.pause());
  signal?.addEventListener("abort", pause, { once: true });
  if (signal?.aborted) pause();
  try {
    return await receive(offer, reader, file);
  } catch (error) {
    await paused;
    // What is there of one that has only stopped goes with its stream, which knows it.
    if (offer.hasEnded && !offer.isStored) await file.remove();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", pause);
    await paused;
  }
}

/** A file that got its name before a crash, which the other side was not told of; `null`: there is none. */
async function receivedBefore(
  offer: Incoming,
  target: string,
  isWanted: IsWanted,
): Promise<ReceivedFile | null> {
  const { sha256 } = offer;
  if (offer.status !== "accepted" || offer.hasEnded || sha256 === null || !await isThere(target)) return null;
  const { files, path } = fileModules();
  const { constants } = files;
  // Not waiting for whoever writes, if it is a pipe by now.
  const handle = await files.open(target, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const hash = newHash();
    const size = await hashPart(handle, { size: null, hash, isWanted });
    if (!equalBytes(hash.digest(), sha256)) return null;
    // Both names are there when the crash came between giving one and taking the other.
    const part = partOf(offer, path.resolve(target));
    if (offer.part?.path === part) await files.unlink(part).catch(() => {});
    await offer.finish(size);
    return { size, sha256, path: target };
  } finally {
    await handle.close();
  }
}

async function receive(offer: Incoming, reader: StreamReader, file: Target): Promise<ReceivedFile> {
  let size = file.start;
  try {
    for (let bytes; (bytes = await reader.read()) !== null;) {
      file.hash.update(bytes);
      size += bytes.length;
      await writing(file.write(bytes));
    }
    const sha256 = file.hash.digest();
    if (offer.sha256 !== null && !equalBytes(sha256, offer.sha256)) {
      throw new StreamError("HASH", "What was received has another SHA-256 than was offered");
    }
    const path = await writing(file.finish());
    await reader.finish();
    return { size, sha256, ...(path !== undefined && { path }) };
  } catch (error) {
    const failed = error instanceof StreamError
      ? error
      : new StreamError("FAILED", "The stream cannot go on", { cause: error });
    // What has stopped can go on.
    if (failed.code === "CLOSED") await file.close();
    else if (failed.code === "NO_ROOM") await Promise.all([reader.pause(), file.close()]);
    else {
      await file.remove();
      if (!offer.hasEnded) await reader.fail(failed).catch(() => {});
    }
    throw failed;
  }
}

function isFull(error: unknown): boolean {
  const isOfBrowser = error instanceof DOMException && error.name === "QuotaExceededError";
  return isDiskFull(error) || isOfBrowser;
}

function noRoom(cause: unknown): StreamError {
  return new StreamError("NO_ROOM", "There is no room for the file", { cause });
}

async function writing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw isFull(cause) ? noRoom(cause) : new StreamError("FAILED", "The file cannot be written", { cause });
  }
}

/** A file in a browser, behind what is there of it; it appears when its writer is closed. */
async function openWritable(
  target: WritableFile,
  { kept = new Blob(), isWanted }: { readonly kept: Blob | undefined; readonly isWanted: IsWanted },
): Promise<Target> {
  const writer = target.getWriter();
  const drop = () => writer.abort().catch(() => {});
  const hash = newHash();
  try {
    for (let at = 0; at < kept.size; at += readLength) {
      await isWanted();
      hash.update(new Uint8Array(await kept.slice(at, at + readLength).arrayBuffer()));
    }
  } catch (error) {
    await drop();
    throw error;
  }
  return {
    start: kept.size,
    hash,
    write: (bytes) => writer.write(bytes),
    finish: () => writer.close().then(() => undefined),
    remove: drop,
    close: drop,
  };
}

/** Where the temporary file of a stream is. */
function partOf({ id }: Incoming, target: string): string {
  const { path } = fileModules();
  return path.join(path.dirname(target), `.${id}.part`);
}

/** A temporary file beside the one that it will be. */
async function openPart(
  offer: Incoming,
  given: string,
  { otherPath, isWanted }: {
    readonly otherPath: ReceiveFileOptions["otherPath"];
    readonly isWanted: IsWanted;
  },
): Promise<Target> {
  const { path } = fileModules();
  const target = path.resolve(given), folder = path.dirname(target);
  const part = partOf(offer, target);
  if (await isThere(target) && otherPath === undefined) {
    throw new StreamError("FAILED", "Cannot receive the file: there is one with that name");
  }
  const handle = await openOwn(part, offer.part).catch((error) => {
    throw isFull(error) ? noRoom(error) : error;
  });
  let made: StreamPart | null = null;
  try {
    made = await partAt(part, handle);
    const hash = newHash();
    const start = await hashPart(handle, { size: offer.size, hash, isWanted });
    await offer.keep(made);
    const names = (attempt: number) => attempt === 1 || otherPath === undefined ? given : otherPath(attempt);
    const isOnly = otherPath === undefined;
    return partTarget(handle, { start, hash, names, isOnly, part: made, folder });
  } catch (error) {
    await handle.close();
    // It has ended meanwhile, and its folder may have been moved before.
    if (made !== null && offer.hasEnded && !offer.isStored) await removePart(made);
    throw error;
  }
}

/**
 * Opens the temporary file of a stream: its `own` one, also when its folder was moved, else one that is not there, as the
 * sender chooses the ID in its name, and two senders the same one.
 */
async function openOwn(part: string, own: StreamPart | null): Promise<FileHandle> {
  const { files } = fileModules();
  const { constants } = files;
  // Never through a link that somebody else has put there.
  const careful = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  const open = (isOwn: boolean) => {
    const flags = careful | (isOwn ? 0 : constants.O_EXCL);
    // At its end, wherever that is: else what somebody cuts off would be a hole, in a file of the right length.
    return files.open(part, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | flags, 0o600);
  };
  const isAt = own?.path === part;
  try {
    return await open(isAt);
  } catch (error) {
    if (isAt || codeOf(error) !== "EEXIST") throw error;
  }
  if (own !== null && await isPart({ path: part, file: own.file })) return await open(true);
  const stat = await files.lstat(part);
  if (!stat.isFile() || stat.size > 0) {
    throw new StreamError("FAILED", `Cannot receive the file: ${part} is there, and is not of this stream`);
  }
  // What a crash has left, before it was known whose it is.
  await files.unlink(part);
  return await open(false);
}

function partTarget(
  handle: FileHandle,
  { start, hash, names, isOnly, part: made, folder }: {
    readonly start: number;
    readonly hash: Hash;
    /** What it may be called, from 1 on; whether the first one is the only one. */
    readonly names: (attempt: number) => string;
    readonly isOnly: boolean;
    readonly part: StreamPart;
    readonly folder: string;
  },
): Target {
  const { path } = fileModules();
  const { path: part } = made;
  let length = start, lookedAt = start;
  const look = async () => {
    lookedAt = length;
    if (await isPart(made) && (await handle.stat()).size === length) return;
    throw new Error(`${part} is not the file any more that was written`);
  };
  return {
    start,
    hash,
    async write(bytes) {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, null);
        done += bytesWritten;
        length += bytesWritten;
      }
      release(bytes);
      if (length - lookedAt >= lookLength) await look();
    },
    async finish() {
      await syncWhole(handle);
      await look();
      await handle.close();
      // All of them in the folder of the first one, wherever the program is by now.
      const inFolder = (attempt: number) => path.join(folder, path.basename(names(attempt)));
      const attempt = await giveName(part, inFolder, { isOnly });
      await syncFolder(folder);
      return names(attempt);
    },
    async remove() {
      await handle.close().catch(() => {});
      await removePart(made);
    },
    close: () => handle.close().catch(() => {}),
  };
}

/** A sync tells once that something is missing: then nobody knows what, and a later one would succeed. */
async function syncWhole(handle: FileHandle): Promise<void> {
  try {
    await handle.sync();
  } catch (error) {
    await handle.truncate(0);
    throw error;
  }
}

/** The bytes of a part that can be gone on from; its hash has them. One that is too long begins anew. */
async function hashPart(
  handle: FileHandle,
  { size, hash, isWanted }: {
    readonly size: number | null;
    readonly hash: Hash;
    readonly isWanted: IsWanted;
  },
): Promise<number> {
  const stat = await handle.stat();
  if (!stat.isFile()) throw new StreamError("FAILED", "Cannot receive the file: its temporary file is none");
  if (size !== null && stat.size > size) {
    await handle.truncate(0);
    return 0;
  }
  const buffer = new Uint8Array(readLength);
  let at = 0;
  while (at < stat.size) {
    await isWanted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(readLength, stat.size - at), at);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return at;
}

/** Makes a new name last; not all systems can. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await fileModules().files.open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close().catch(() => {});
}
