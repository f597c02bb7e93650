import { osReason } from "../../cli/os_error.ts";
import { openRegular } from "../../cli/regular_file.ts";
import { Fatal } from "./terminal.ts";

/** No other server can use it until this is disposed. */
export interface KeyFile extends Disposable {
  readonly text: string;
  /** Why nothing keeps another server from it; `null` when something does. */
  readonly warning: string | null;
}

export interface LockOptions {
  readonly taken: string;
  readonly tryLock?: (file: Deno.FsFile) => Promise<boolean>;
}

const longest = 1 << 20;

/** Locks the key itself: that takes no permission but to read it, and holds by whatever name it goes. */
export async function lockKeyFile(path: string, options: LockOptions): Promise<KeyFile | null> {
  for (;;) {
    const file = await open(path);
    if (file === null) return null;
    try {
      const found = await lock(path, file, options);
      if (found !== null) return found;
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
  }
}

async function lock(
  path: string,
  file: Deno.FsFile,
  { taken, tryLock = (file) => file.tryLock(true) }: LockOptions,
): Promise<KeyFile | null> {
  let warning: string | null = null;
  try {
    if (!await tryLock(file)) throw new Fatal(taken);
  } catch (error) {
    if (error instanceof Fatal) throw error;
    // File systems of networks have no locks, or none for who may only read.
    warning = `${path} cannot be locked (${osReason(error)}): see to it that no other server uses it`;
  }
  try {
    if (!await isAt(file, path)) return null;
    const text = await readText(file);
    return {
      text,
      warning,
      [Symbol.dispose]() {
        // A process that was forked a moment ago has the file too, so that closing it here is not enough.
        if (warning === null) file.unlockSync();
        file.close();
      },
    };
  } catch (error) {
    throw new Fatal(`Cannot read ${path}: ${osReason(error)}`);
  }
}

async function open(path: string): Promise<Deno.FsFile | null> {
  try {
    return await openRegular(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw new Fatal(`Cannot read ${path}: ${osReason(error)}`);
  }
}

/** Whether a file still has its name: whoever had the lock before may have removed or replaced it. */
export async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    const [own, there] = [await file.stat(), await Deno.stat(path)];
    return own.ino === there.ino && own.dev === there.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** By the file that has the lock: where locks are binding nobody else can read. */
async function readText(file: Deno.FsFile): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1 << 16);
  let text = "";
  for (;;) {
    const count = await file.read(buffer);
    if (count === null) return text + decoder.decode();
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    if (text.length > longest) throw new Error("it is too long for a key");
  }
}
