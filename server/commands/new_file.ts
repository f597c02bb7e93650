import { osReason } from "../../cli/os_error.ts";
import { openRegular } from "../../cli/regular_file.ts";
import { directoryOf } from "../store/log_io.ts";
import { exists } from "./files.ts";
import { isAt } from "./key_file.ts";
import { Fatal } from "./terminal.ts";

/** A file that nobody else makes until it is written, or this is disposed. */
export interface NewFile extends AsyncDisposable {
  /** Writes it: durable, whole or not at all, only for its owner. Throws `Fatal`. */
  write(text: string): Promise<void>;
}

/** Never writes over another file, and keeps all others who would make it from that. Throws `Fatal`. */
export async function reserveFile(path: string): Promise<NewFile> {
  const aside = `${path}.new`;
  const failing = async <T>(work: () => Promise<T>) => {
    try {
      return await work();
    } catch (error) {
      throw new Fatal(`Cannot write ${path}: ${osReason(error)}`);
    }
  };
  const file = await failing(() => openAside(path, aside));
  let isOpen = true;
  const giveUp = async () => {
    if (!isOpen) return;
    isOpen = false;
    // Only with the lock: else it is the file that another process is writing.
    await Deno.remove(aside).catch(() => {});
    file.close();
  };
  return {
    write: (text) =>
      failing(async () => {
        try {
          await file.truncate(0);
          const bytes = new TextEncoder().encode(text);
          for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
          await file.sync();
          await Deno.rename(aside, path);
          isOpen = false;
          file.close();
          using directory = await Deno.open(directoryOf(path));
          await directory.sync();
        } finally {
          await giveUp();
        }
      }),
    [Symbol.asyncDispose]: giveUp,
  };
}

/** Writes a new file. Throws `Fatal`. */
export async function writeNewFile(path: string, text: string): Promise<void> {
  await using file = await reserveFile(path);
  await file.write(text);
}

async function openAside(path: string, aside: string): Promise<Deno.FsFile> {
  await Deno.mkdir(directoryOf(path), { recursive: true, mode: 0o700 });
  const file = await openRegular(aside, { write: true, create: true, mode: 0o600 });
  try {
    // Two that write at once must not each believe that the file is theirs.
    const isOwn = await file.tryLock(true).catch(() => true) && await isAt(file, aside);
    // The other one has made it by now, perhaps of the file that was opened here.
    if (await exists(path)) {
      if (isOwn) await Deno.remove(aside).catch(() => {});
      throw new Error("it is already there");
    }
    if (!isOwn) throw new Error("another process is writing it");
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}
