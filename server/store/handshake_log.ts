import { ReplayGuard } from "../guard/replay_guard.ts";
import { AppendLog, type AppendLogOptions } from "./append_log.ts";
import { ioError } from "./error.ts";
import { replaceFile, systemIo } from "./log_io.ts";
import { readLines } from "./read_lines.ts";

export function handshakesPath(storeLog: string): string {
  return `${storeLog}.handshakes`;
}

/** One number to the base 36 a line (docs/files.md). */
export class HandshakeLog {
  readonly guard: ReplayGuard;
  #log!: AppendLog;

  private constructor(most: number | undefined) {
    const write = (digest: number) => this.#append(digest);
    this.guard = new ReplayGuard({ write, ...(most !== undefined && { most }) });
  }

  /** Leaves out lines that are no numbers: what they said cannot be known. */
  static async open(
    path: string,
    options: Omit<AppendLogOptions, "snapshot">,
    most?: number,
  ): Promise<HandshakeLog> {
    const log = new HandshakeLog(most);
    await load(path, log.guard);
    const snapshot = () => digestLines(log.guard);
    log.#log = await AppendLog.open(path, { ...options, snapshot }, true);
    return log;
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  /** A disk that is full keeps nobody out: the handshake is remembered as long as the server runs. */
  async #append(digest: number): Promise<void> {
    await this.#log.append(digest.toString(36), () => {}).catch(() => {});
  }
}

/** The handshakes of a file, none where there is no file. */
export async function readHandshakes(path: string): Promise<ReplayGuard> {
  const guard = new ReplayGuard();
  await load(path, guard);
  return guard;
}

export async function copyHandshakes(from: string, to: string): Promise<void> {
  const guard = await readHandshakes(from);
  if (guard.size === 0) return;
  try {
    const { file } = await replaceFile(systemIo, to, digestLines(guard));
    file.close();
  } catch (error) {
    throw ioError("write", to, error);
  }
}

async function load(path: string, guard: ReplayGuard): Promise<void> {
  for await (const lines of readLines(path)) {
    for (const { text } of lines) {
      const digest = parseDigest(text);
      if (digest !== null) guard.remember(digest);
    }
  }
}

function* digestLines(guard: ReplayGuard): Generator<string> {
  for (const digest of guard.digests()) yield digest.toString(36);
}

export function parseDigest(text: string): number | null {
  if (!/^[0-9a-z]{1,11}$/.test(text)) return null;
  const digest = Number.parseInt(text, 36);
  return Number.isSafeInteger(digest) ? digest : null;
}
