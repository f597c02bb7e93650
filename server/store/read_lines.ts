import { openRegular } from "../../cli/regular_file.ts";
import { ioError } from "./error.ts";

export interface Line {
  readonly number: number;
  readonly text: string;
  /** `CR` where a CRLF has lost its last byte. */
  readonly end: "LF" | "CR" | "none";
}

const longest = 1 << 20;
/** Bytes that are read at a time: so few that their text dies in the young generation of the heap. */
const pieceLength = 1 << 15;

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
      yield pieces.map((text) => ({ number: ++number, text: withoutCr(text), end: "LF" }));
    }
  } catch (error) {
    throw ioError("read", path, error);
  }
  if (rest === "") return;
  const text = withoutCr(rest);
  yield [{ number: ++number, text, end: text === rest ? "none" : "CR" }];
}

function withoutCr(text: string): string {
  return text.endsWith("\r") ? text.slice(0, -1) : text;
}

async function openText(path: string): Promise<AsyncIterable<string> | null> {
  try {
    return readText(await openRegular(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw ioError("read", path, error);
  }
}

async function* readText(opened: Deno.FsFile): AsyncGenerator<string> {
  using file = opened;
  const decoder = new TextDecoder("latin1");
  let [buffer, other] = [new Uint8Array(pieceLength), new Uint8Array(pieceLength)];
  let reading = file.read(buffer);
  try {
    for (let count = await reading; count !== null; count = await reading) {
      const piece = buffer.subarray(0, count);
      [buffer, other] = [other, buffer];
      reading = file.read(buffer);
      yield decoder.decode(piece);
    }
  } finally {
    await reading.catch(() => {});
  }
}
