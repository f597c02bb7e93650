import { closeSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";

/** Bytes that a first line may have. */
const longest = 4096;

/**
 * The first line of a file, which may be a pipe, without its end. Throws what the system throws, and `Error` where there is
 * no end within 4096 bytes, however much more there is.
 */
export function readFirstLineSync(path: string): string {
  const file = openSync(path, "r");
  try {
    const line = new Line();
    while (line.take(readSync(file, line.room)));
    return line.text();
  } finally {
    closeSync(file);
  }
}

/** As {@linkcode readFirstLineSync}, while others go on. */
export async function readFirstLine(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const line = new Line();
    while (line.take((await file.read(line.room)).bytesRead));
    return line.text();
  } finally {
    await file.close();
  }
}

class Line {
  readonly #bytes = new Uint8Array(longest + 2);
  #length = 0;

  get room(): Uint8Array {
    return this.#bytes.subarray(this.#length);
  }

  /** Whether more has to be read. */
  take(read: number): boolean {
    this.#length += read;
    return read > 0 && this.room.length > 0 && !this.#bytes.subarray(0, this.#length).includes(0x0a);
  }

  text(): string {
    const found = this.#bytes.subarray(0, this.#length).indexOf(0x0a);
    const line = this.#bytes.subarray(0, found < 0 ? this.#length : found);
    const own = line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
    if (own.length > longest) throw new Error(`the first line has more than ${longest} bytes`);
    return new TextDecoder().decode(own);
  }
}
