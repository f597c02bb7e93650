import { openRegular } from "../../cli/regular_file.ts";
import { encodeBase64, sha256 } from "../../protocol/mod.ts";
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
  /** SHA-256 of its two ends, base64: logs are appended to or written anew, and a copy is as good as the file. */
  readonly hash: string;
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
      found.push({ kind, path, ...await fingerprint(path) });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw ioError("read", path, error);
    }
  }
  return found;
}

const endLength = 1 << 16;

async function fingerprint(path: string): Promise<Pick<Replaced, "size" | "hash">> {
  using file = await openRegular(path);
  const { size } = await file.stat();
  const ends = new Uint8Array(Math.min(size, 2 * endLength));
  for (let at = 0; at < ends.length;) {
    if (at === endLength) await file.seek(size - (ends.length - endLength), Deno.SeekMode.Start);
    const count = await file.read(ends.subarray(at, at < endLength ? endLength : undefined));
    if (count === null) break;
    at += count;
  }
  return { size, hash: encodeBase64(await sha256(ends)) };
}

const header = "smp-conversion 1";

export async function writeConversion(
  io: LogIo,
  storeLog: string,
  { from, to, replaced }: Conversion,
): Promise<void> {
  const lines = [header, `from ${formatForm(from)}`, `to ${formatForm(to)}`];
  for (const { kind, size, hash } of replaced) lines.push(`replaced ${kind} ${size} ${hash}`);
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
    const match = /^replaced (queues|messages|handshakes) (\d{1,15}) ([\w+/]{43}=)$/.exec(line);
    if (match === null) return null;
    const [, kind, size, hash] = match;
    replaced.push({ kind: kind as Replaced["kind"], size: Number(size), hash: hash! });
  }
  return { from, to, replaced };
}
