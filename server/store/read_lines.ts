import { ioError } from "./error.ts";

/** A line of a file. */
export interface Line {
  /** Counted from 1. */
  readonly number: number;
  readonly text: string;
  /** Whether the file ends before the line does, as after a crash in the middle of writing it. */
  readonly isTorn: boolean;
}

/** Characters above which a line is not read to its end: no record is so long. */
const longest = 1 << 20;

/** Reads the lines of a file, which may end with LF or CRLF; none when there is no file. Throws `StoreError` (`IO`). */
export async function* readLines(path: string): AsyncGenerator<readonly Line[]> {
  const stream = await openText(path);
  if (stream === null) return;
  let rest = "", number = 0;
  try {
    for await (const part of stream) {
      const pieces = (rest + part).split("\n");
      rest = pieces.pop()!;
      // Cut, so that it is found to be unreadable and does not fill the memory.
      if (rest.length > longest) rest = rest.slice(0, longest);
      yield pieces.map((text) => ({ number: ++number, text: withoutCr(text), isTorn: false }));
    }
  } catch (error) {
    throw ioError("read", path, error);
  }
  if (rest !== "") yield [{ number: ++number, text: rest, isTorn: true }];
}

function withoutCr(text: string): string {
  return text.endsWith("\r") ? text.slice(0, -1) : text;
}

async function openText(path: string): Promise<ReadableStream<string> | null> {
  try {
    const file = await Deno.open(path);
    return file.readable.pipeThrough(new TextDecoderStream("latin1"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw ioError("read", path, error);
  }
}
