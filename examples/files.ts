/**
 * What chats do with files of others: nothing that a peer chooses is trusted.
 *
 * @module
 */
import type { StreamError } from "@simplexmq/smp/agent";

/** Bytes that names of files have at most, on most file systems and in an offer. */
const mostBytes = 255;

/** Names that mean devices on Windows, with any ending. */
const devices = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d\u00b9\u00b2\u00b3])\s*(\.|$)/i;

/**
 * A name for a file on any system: the last part of a path, without characters that cannot be seen, that turn the
 * direction of writing or that mean something to a system; `file` when nothing is left. It never begins with a dot.
 */
export function fileNameOf(name: string): string {
  const last = name.split(/[/\\]/).at(-1)!;
  const plain = last
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\u2800]/gu, "")
    .replaceAll(/[<>:"|?*]/g, "_")
    .replace(/^[.\s]+/, "")
    .replace(/[.\s]+$/, "");
  const usable = plain === "" ? "file" : devices.test(plain) ? `_${plain}` : plain;
  return shortened(usable);
}

/** A name of at most 255 bytes, with the ending that it had. */
function shortened(name: string): string {
  const length = (text: string) => new TextEncoder().encode(text).length;
  if (length(name) <= mostBytes) return name;
  const ending = /\.\w{1,16}$/.exec(name)?.[0] ?? "";
  const start = [...name.slice(0, name.length - ending.length)];
  // A character has at most four bytes.
  let kept = start.slice(0, mostBytes).join("");
  for (let count = Math.min(start.length, mostBytes); length(kept + ending) > mostBytes;) {
    kept = start.slice(0, --count).join("");
  }
  return (kept + ending).replace(/[.\s]+$/, "");
}

/** The same with a number that tells it from others, also where the name is as long as may be: `cat (2).png`. */
export function numberedName(name: string, number: number): string {
  if (number === 1) return name;
  const [, start = "", ending = ""] = /^(.+?)(\.[^.]{1,16})?$/s.exec(name) ?? [];
  const rest = ` (${number})${ending}`, chars = [...start];
  while (new TextEncoder().encode(chars.join("") + rest).length > mostBytes) chars.pop();
  return chars.join("") + rest;
}

const units = ["kB", "MB", "GB", "TB"] as const;

/** A number of bytes for people; `null`: nobody has said how many. */
export function sizeText(bytes: number | null): string {
  if (bytes === null) return "unknown size";
  if (bytes < 1000) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  let value = bytes / 1000, unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

/** Why a file will never be there. */
export function endText({ code, told }: StreamError, direction: "sending" | "receiving"): string {
  const isSending = direction === "sending";
  switch (code) {
    case "REFUSED":
      return isSending ? "the other side does not want it" : "refused";
    case "CANCELLED":
      return told === null ? "cancelled" : "cancelled by the other side";
    case "EXPIRED":
      return "nobody accepted it in time";
    case "LOST":
      return isSending
        ? "the file is not there any more: send it again"
        : "the other side does not have the file any more: ask for it again";
    case "CHANGED":
      return "the file has changed since it was offered: it has to be sent again";
    case "HASH":
    case "SIZE":
      return "what came is not what was offered: it was removed";
    case "PROTOCOL":
      return "ended: the other side does not keep to the rules";
    case "TOO_MANY":
      return "too many files wait on the other side: try again later";
    case "UNSUPPORTED":
      return "files need forward secrecy, which there is not, or not yet";
    case "FAILED":
      return told === null ? "it could not be stored here" : "it could not be stored on the other side";
    case "NO_ROOM":
      return "there is no room for it: it goes on where it is when it is accepted again";
    case "CLOSED":
      return "the conversation has ended";
    default:
      return code satisfies never;
  }
}
