import { EngineError } from "./error.ts";
import { formatServer, type ServerAddress } from "./engine_address.ts";

/** What matters of what a NATS server says of itself. */
export interface ServerInfo {
  readonly version?: unknown;
  readonly jetstream?: unknown;
  readonly tls_required?: unknown;
  readonly tls_available?: unknown;
}

/** 2.10.20 to 2.10.22 lost streams when they were killed, those before had other losses. */
export const oldestVersion = "2.10.23";

const longestInfo = 65_536;

/** Why a server cannot be used; `null` when it can. */
export function refusalOf({ version, jetstream }: ServerInfo): EngineError | null {
  if (typeof version !== "string" || isOlder(version)) {
    const found = typeof version === "string" ? version.slice(0, 50) : "none";
    return new EngineError(
      "VERSION",
      `its version is ${found}, and those before ${oldestVersion} can lose what they acknowledged: ` +
        `install ${oldestVersion} or later`,
    );
  }
  if (jetstream !== true) {
    return new EngineError(
      "NO_JETSTREAM",
      "it runs without JetStream: add `jetstream { store_dir: …, sync_interval: always }` to its configuration",
    );
  }
  return null;
}

/** Whether a version is not known to be {@linkcode oldestVersion} or later. */
export function isOlder(version: string): boolean {
  const numbers = /^v?(\d{1,5})\.(\d{1,5})\.(\d{1,5})/.exec(version)?.slice(1).map(Number);
  if (numbers === undefined) return true;
  const oldest = oldestVersion.split(".").map(Number);
  const first = numbers.findIndex((number, i) => number !== oldest[i]);
  return first !== -1 && numbers[first]! < oldest[first]!;
}

/**
 * Reads what a server says before anything is sent to it. Throws `EngineError` (`UNREACHABLE`), after `timeout`
 * milliseconds at the latest, or the reason of `signal`.
 */
export async function readServerInfo(
  address: ServerAddress,
  { timeout, signal }: { readonly timeout: number; readonly signal: AbortSignal },
): Promise<ServerInfo> {
  signal.throwIfAborted();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeout);
  const either = AbortSignal.any([signal, late.signal]);
  try {
    using connection = await Deno.connect({ ...address, signal: either });
    const close = () => connection.close();
    either.addEventListener("abort", close);
    try {
      return (await readInfo(connection)).info;
    } finally {
      either.removeEventListener("abort", close);
    }
  } catch (cause) {
    signal.throwIfAborted();
    const why = late.signal.aborted
      ? "it does not answer"
      : cause instanceof Deno.errors.ConnectionRefused
      ? "nothing listens there"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new EngineError("UNREACHABLE", `${formatServer(address)}: ${why}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** The first line of a NATS server: what it says, all bytes that were read, and whether they hold more than the line. */
export interface FirstLine {
  readonly info: ServerInfo;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly hasMore: boolean;
}

/** Reads the first line. Throws what reading throws, and an `Error` for what is none of a NATS server. */
export async function readInfo(connection: Deno.Conn): Promise<FirstLine> {
  const buffer = new Uint8Array(longestInfo);
  let length = 0;
  while (length < longestInfo) {
    const read = await connection.read(buffer.subarray(length));
    if (read === null) break;
    const end = buffer.subarray(length, length + read).indexOf(0x0a);
    if (end !== -1) {
      const lineLength = length + end + 1;
      const info = parseInfo(new TextDecoder().decode(buffer.subarray(0, lineLength)));
      return { info, bytes: buffer.slice(0, length + read), hasMore: lineLength < length + read };
    }
    length += read;
  }
  throw new Error("it is not a NATS server");
}

function parseInfo(line: string): ServerInfo {
  try {
    const value: unknown = JSON.parse(/^INFO\s+(.*)$/.exec(line.trimEnd())![1]!);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Said below.
  }
  throw new Error("it is not a NATS server");
}
