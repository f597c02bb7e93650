/** What a side knows of the frames that the other one has, by digests (sessions.md Repair). */
import { digestLength, emptyDigest, type Frame, frameKinds, mostRanges } from "../../protocol/mod.ts";
import type { Session } from "../store/store.ts";

/** Whether the other side is known to tell digests. */
export function tellsDigests({ keys: { kinds } }: Session): boolean {
  return kinds?.includes(frameKinds.digest) ?? false;
}

/** Whether receipts of the other side can be compared with what this one has sent. */
export function isCompared(session: Session): boolean {
  return tellsDigests(session) && session.receiptedDigest != null;
}

/** The digest of what this side has stored; `null` when a receipt cannot tell all of that. */
export function toldDigest({ stored, storedDigest }: Session): Uint8Array<ArrayBuffer> | null {
  return storedDigest !== undefined && stored.ranges.length <= mostRanges ? storedDigest : null;
}

/** The digest that follows a receipt in its message, if one does. */
export function digestBehind(next: Frame | undefined): Uint8Array<ArrayBuffer> | null {
  return next?.kind === "digest" ? next.digest.slice() : null;
}

/** A session of a version that told no digests tells those of what comes from now on. */
export function withDigest(session: Session): Session {
  return session.storedDigest?.length === digestLength
    ? session
    : { ...session, storedDigest: emptyDigest() };
}
