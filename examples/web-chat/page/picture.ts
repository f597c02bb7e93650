/** The kinds of pictures that are shown. None of them can have anything in it that is executed. */
export type PictureType = "image/png" | "image/jpeg" | "image/gif" | "image/webp";

/** Bytes in which the head of a picture is looked for. */
export const headLength = 256 * 1024;

/** Bytes that a picture that is shown has at most, and pixels: a small file can be of any number of them. */
const mostBytes = 20_000_000, mostPixels = 50_000_000;

interface Picture {
  readonly type: PictureType;
  readonly width: number;
  readonly height: number;
}

/** The type of a picture that can be shown, by its bytes and not by what somebody says; `null`: it cannot. */
export async function pictureType(content: Blob): Promise<PictureType | null> {
  if (content.size > mostBytes) return null;
  const picture = pictureOf(new Uint8Array(await content.slice(0, headLength).arrayBuffer()));
  return picture !== null && picture.width * picture.height <= mostPixels ? picture.type : null;
}

/** What the head of a picture says; `null` when it is none, or of another kind. */
export function pictureOf(head: Uint8Array<ArrayBuffer>): Picture | null {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const has = (text: string, at = 0) =>
    head.length >= at + text.length && [...text].every((char, i) => head[at + i] === char.charCodeAt(0));
  const found = has("\x89PNG\r\n\x1a\n") && has("IHDR", 12) && head.length >= 24
    ? { type: "image/png", width: view.getUint32(16), height: view.getUint32(20) } as const
    : (has("GIF87a") || has("GIF89a")) && head.length >= 13
    ? gifOf(view)
    : has("RIFF") && has("WEBP", 8) && head.length >= 30
    ? webpOf(view, has)
    : has("\xff\xd8\xff")
    ? jpegOf(view)
    : null;
  return found !== null && found.width > 0 && found.height > 0 ? found : null;
}

function webpOf(view: DataView, has: (text: string, at: number) => boolean): Picture | null {
  const type = "image/webp";
  const twoBytes = (at: number) => view.getUint16(at, true) & 0x3fff;
  const threeBytes = (at: number) => 1 + (view.getUint16(at, true) | view.getUint8(at + 2) << 16);
  if (has("VP8 ", 12)) return { type, width: twoBytes(26), height: twoBytes(28) };
  if (has("VP8X", 12)) return { type, width: threeBytes(24), height: threeBytes(27) };
  if (!has("VP8L", 12)) return null;
  const bits = view.getUint32(21, true);
  return { type, width: 1 + (bits & 0x3fff), height: 1 + (bits >>> 14 & 0x3fff) };
}

/** Bytes of the first block of extensions, by their labels. */
const extensionLengths: ReadonlyMap<number, number> = new Map([[0x01, 12], [0xf9, 4], [0xff, 11]]);

/** Looks for the first frame: browsers make a picture larger into which that does not fit. */
function gifOf(view: DataView): Picture | null {
  const flags = view.getUint8(10);
  for (let at = 13 + (flags & 0x80 ? 6 << (flags & 7) : 0); at + 10 <= view.byteLength; at++) {
    const kind = view.getUint8(at);
    if (kind === 0x2c) {
      const [screen, from, size] = [6, at + 1, at + 5];
      const most = (side: number) =>
        Math.max(
          view.getUint16(screen + side, true),
          view.getUint16(from + side, true) + view.getUint16(size + side, true),
        );
      return { type: "image/gif", width: most(0), height: most(2) };
    }
    // Some browsers read past an extension that is too short.
    const length = extensionLengths.get(view.getUint8(at + 1));
    if (kind !== 0x21 || length !== undefined && view.getUint8(at + 2) !== length) return null;
    at += 2;
    for (let block; at < view.byteLength && (block = view.getUint8(at)) !== 0;) at += 1 + block;
  }
  return null;
}

/** Looks for the segment with the size, behind others such as a thumbnail. */
function jpegOf(view: DataView): Picture | null {
  for (let at = 2; at + 9 <= view.byteLength;) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    // What has no length, or comes after it: somebody could hide another size behind it.
    if (marker <= 0x01 || marker >= 0xd0 && marker <= 0xda) return null;
    // Fill bytes.
    if (marker === 0xff) at++;
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { type: "image/jpeg", height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    } else at += 2 + Math.max(2, view.getUint16(at + 2));
  }
  return null;
}
