import { ioError, StoreError } from "../store/error.ts";
import { handshakesPath } from "../store/handshake_log.ts";
import { type LogIo, replaceFile } from "../store/log_io.ts";
import { conversionPath, type StorePaths } from "../store/places.ts";
import { type Form, formatForm, parseForm, readSmall } from "./form.ts";

/**
 * A conversion under way. It is written before the first file is, and removed after the last one is gone: so that what
 * a crash leaves can be told from what somebody has put there.
 */
export interface Conversion {
  readonly from: Form;
  readonly to: Form;
  /** The files of one process, where they are what is converted: others of these names are not removed. */
  readonly replaced: readonly Replaced[];
}

export interface Replaced {
  readonly kind: "queues" | "messages" | "handshakes";
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly changedAt: number;
}

/** The files of one process by what is in them. */
export function plainFiles({ storeLog, messagesFile }: StorePaths): [Replaced["kind"], string][] {
  return [["queues", storeLog], ["messages", messagesFile], ["handshakes", handshakesPath(storeLog)]];
}

/** Which files of one process there are. */
export async function findPlain(
  base: StorePaths,
): Promise<readonly (Replaced & { readonly path: string })[]> {
  const found = [];
  for (const [kind, path] of plainFiles(base)) {
    try {
      const { size, mtime } = await Deno.stat(path);
      found.push({ kind, path, size, changedAt: mtime?.getTime() ?? 0 });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw ioError("read", path, error);
    }
  }
  return found;
}

const header = "smp-conversion 1";

export async function writeConversion(
  io: LogIo,
  storeLog: string,
  { from, to, replaced }: Conversion,
): Promise<void> {
  const lines = [header, `from ${formatForm(from)}`, `to ${formatForm(to)}`];
  for (const { kind, size, changedAt } of replaced) lines.push(`replaced ${kind} ${size} ${changedAt}`);
  const path = conversionPath(storeLog);
  try {
    (await replaceFile(io, path, lines)).file.close();
  } catch (error) {
    throw ioError("write", path, error);
  }
}

/** Throws `StoreError` (`FORM`) when the file is there and cannot be read. */
export async function readConversion(storeLog: string): Promise<Conversion | null> {
  const path = conversionPath(storeLog);
  const text = await readSmall(path);
  if (text === null) return null;
  const conversion = parse(text);
  if (conversion !== null) return conversion;
  throw new StoreError(
    "FORM",
    `Cannot read ${path}: it does not say what was converted; restore the files from a backup`,
  );
}

function parse(text: string): Conversion | null {
  const [first, fromLine = "", toLine = "", ...rest] = text.split("\n");
  const from = fromLine.startsWith("from ") ? parseForm(fromLine.slice(5)) : null;
  const to = toLine.startsWith("to ") ? parseForm(toLine.slice(3)) : null;
  if (first !== header || from === null || to === null || rest.pop() !== "") return null;
  if (to.generation !== from.generation + 1 || (from.generation === 0 && to.workers === 1)) return null;
  const replaced: Replaced[] = [];
  for (const line of rest) {
    const match = /^replaced (queues|messages|handshakes) (\d{1,15}) (\d{1,15})$/.exec(line);
    if (match === null) return null;
    const [, kind, size, changedAt] = match;
    replaced.push({ kind: kind as Replaced["kind"], size: Number(size), changedAt: Number(changedAt) });
  }
  return { from, to, replaced };
}
