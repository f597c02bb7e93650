import type { StreamError } from "@simplexmq/smp/agent";
import { sizeText } from "../../files.ts";
import type { FileEntry } from "./file_store.ts";
import type { FileState } from "./transfers.ts";

/** What is said of a file. */
export function statusText({ status, direction, size, bytes, isPaused, note }: FileState): string {
  switch (status) {
    case "offered":
      return direction === "sending" ? "waiting to be accepted" : note;
    case "going": {
      const done = size === null ? sizeText(bytes) : `${sizeText(bytes)} of ${sizeText(size)}`;
      return isPaused ? `${done}, paused` : done;
    }
    case "done":
      return direction === "sending" ? "✓✓ received by the other side" : note || "received";
    case "ended":
      return note;
    default:
      return status satisfies never;
  }
}

/** Why a file will never be there. */
export function endText({ code, told }: StreamError, { direction }: Pick<FileEntry, "direction">): string {
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
        ? "this page does not have the file any more: send it again"
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
      return "files need forward secrecy, which this conversation does not have, or not yet";
    case "FAILED":
      return told === null ? "it could not be stored here" : "it could not be stored on the other side";
    case "CLOSED":
      return "the conversation has ended";
    default:
      return code satisfies never;
  }
}
