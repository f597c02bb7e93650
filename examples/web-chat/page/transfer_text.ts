import { sizeText } from "../../files.ts";
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
