import { openRegular } from "../../cli/regular_file.ts";
import { ioError, StoreError } from "./error.ts";
import { corruptError, type Loaded, nameLines } from "./load.ts";

/** Ends with what is damaged, or keeps a copy of the file and says what was left out of it. */
export async function settle(
  file: string,
  { problems, recovered, isTorn }: Loaded,
  { repair = false }: { readonly repair?: boolean },
  notices: string[],
): Promise<void> {
  if (isTorn) notices.push(tornNotice(file));
  if (problems.length === 0) return;
  if (!repair) throw corruptError(problems);
  const copy = await copyAside(file);
  const whole = new Set(recovered);
  const [joined, lost] = [true, false].map((isJoined) =>
    problems.filter(({ line }) => whole.has(line) === isJoined)
  );
  const saved = `; the file is kept as ${copy}`;
  if (joined!.length > 0) {
    notices.push(`read the records that had run together in ${nameLines(joined!)} of ${file}${saved}`);
  }
  if (lost!.length > 0) notices.push(`left out ${nameLines(lost!)} of ${file}, damaged${saved}`);
}

export function tornNotice(file: string): string {
  return `dropped the last line of ${file}, which was not written to its end`;
}

export function lackingError(
  storeLog: string,
  { lacks, messages }: { readonly lacks: string; readonly messages: string },
): StoreError {
  return new StoreError(
    "CORRUPT",
    `Cannot read ${storeLog}: ${lacks}, but ${messages} of its queues; ` +
      `restore a backup, or start with --repair to keep a copy of the messages and go on without them`,
  );
}

export async function copyAside(file: string): Promise<string> {
  for (let n = 1;; n++) {
    const copy = `${file}.broken-${n}`;
    try {
      using target = await Deno.open(copy, { write: true, createNew: true, mode: 0o600 });
      using source = await openRegular(file);
      for (const buffer = new Uint8Array(1 << 16);;) {
        const count = await source.read(buffer);
        if (count === null) break;
        for (let at = 0; at < count;) at += await target.write(buffer.subarray(at, count));
      }
      await target.sync();
      return copy;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw ioError("copy", file, error);
    }
  }
}
