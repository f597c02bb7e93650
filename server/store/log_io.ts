import { openRegular } from "../../cli/regular_file.ts";

export interface LogFile {
  write(bytes: Uint8Array): Promise<number>;
  /** Resolves when what was written would survive a power cut. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): void;
}

export interface LogIo {
  open(path: string, isNew: boolean): Promise<LogFile>;
  size(path: string): Promise<number>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes the names in a directory survive a power cut. */
  syncDirectory(path: string): Promise<void>;
}

export const systemIo: LogIo = {
  async open(path, isNew) {
    const file = await openRegular(path, { append: true, create: true, truncate: false, mode: 0o600 });
    if (isNew) await file.truncate(0);
    return {
      write: (bytes) => file.write(bytes),
      sync: () => file.syncData(),
      truncate: (length) => file.truncate(length),
      close: () => file.close(),
    };
  },
  async size(path) {
    try {
      return (await Deno.stat(path)).size;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return 0;
      throw error;
    }
  },
  rename: (from, to) => Deno.rename(from, to),
  remove: (path) => Deno.remove(path),
  async syncDirectory(path) {
    using directory = await Deno.open(path);
    await directory.sync();
  },
};

export function directoryOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : end === 0 ? "/" : path.slice(0, end);
}

export async function writeAll(file: LogFile, bytes: Uint8Array): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) {
    const count = await file.write(rest);
    if (count === 0) throw new Error("the system wrote nothing");
    rest = rest.subarray(count);
  }
}

const chunkLength = 1 << 18;
const lineFeed = 0x0a;

/** Removes the file when it fails: on a full disk it would take the room that others need. */
export async function writeLines(
  io: LogIo,
  path: string,
  lines: Iterable<string>,
): Promise<{ file: LogFile; length: number }> {
  const file = await io.open(path, true);
  const encoder = new TextEncoder();
  try {
    // Written line by line into one array: text that is put together first outlives the young generation.
    let chunk = new Uint8Array(chunkLength), filled = 0, length = 0;
    const flush = async () => {
      await writeAll(file, chunk.subarray(0, filled));
      length += filled;
      filled = 0;
    };
    for (const line of lines) {
      const most = line.length * 3 + 1;
      if (filled + most > chunk.length) await flush();
      if (most > chunk.length) chunk = new Uint8Array(most);
      filled += encoder.encodeInto(line, chunk.subarray(filled)).written;
      chunk[filled++] = lineFeed;
    }
    await flush();
    await file.sync();
    return { file, length };
  } catch (error) {
    file.close();
    await io.remove(path).catch(() => {});
    throw error;
  }
}

/** Replaces a file as a whole: written aside, synced, renamed, and the directory synced. The new file stays open. */
export async function replaceFile(
  io: LogIo,
  path: string,
  lines: Iterable<string>,
): Promise<{ file: LogFile; length: number }> {
  const aside = `${path}.new`;
  const written = await writeLines(io, aside, lines);
  try {
    await io.rename(aside, path);
    await io.syncDirectory(directoryOf(path));
    return written;
  } catch (error) {
    written.file.close();
    throw error;
  }
}
