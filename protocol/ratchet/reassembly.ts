/** From pieces to messages (sessions.md Packets and routes). */
import { equalBytes } from "../bytes.ts";
import { concat } from "./_bytes.ts";
import { largestMessage } from "./header.ts";
import { type MessagePiece, messageTag } from "./packet.ts";

/** Bytes of all pieces that are kept. */
export const mostPieceBytes: number = 2 * largestMessage;
/** The most messages of which pieces are kept. */
export const mostUnfinished = 16;
/** How long pieces are kept after the first of a message, milliseconds: 7 days. */
export const pieceLifetime: number = 7 * 24 * 60 * 60 * 1000;

/** A message of which pieces are missing. */
export interface UnfinishedMessage {
  /** What the caller calls the route that its pieces come on. */
  readonly route: string;
  /** 16 bytes. */
  readonly tag: Uint8Array<ArrayBuffer>;
  /** How many pieces it has. */
  readonly count: number;
  /** Bytes of the whole. */
  readonly total: number;
  /** When the first piece came, milliseconds since 1970. */
  readonly since: number;
  /** By index; `null` for what is missing. */
  readonly pieces: readonly (Uint8Array<ArrayBuffer> | null)[];
  /** How many are missing. */
  readonly missing: number;
  /** Bytes of those that are there. */
  readonly bytes: number;
}

/** Messages of which pieces are missing: a value that nothing changes. */
export interface Reassembly {
  /** The oldest first. */
  readonly unfinished: readonly UnfinishedMessage[];
}

/** Whose pieces are not kept any more, and why: too old, or room for others was needed. */
export interface DroppedMessage {
  /** What the caller calls the route that its pieces came on. */
  readonly route: string;
  /** 16 bytes. */
  readonly tag: Uint8Array<ArrayBuffer>;
  /** Too old, too many messages, or too many bytes. */
  readonly reason: "AGE" | "COUNT" | "BYTES";
}

/**
 * What became of a piece. `kept`: others are missing, and it has to be stored. `repeated`: it was there already. `whole`:
 * the message is complete, and its pieces are gone. `refused`: it is not kept; `CONTRADICTION`: another count, total or
 * content than was said before; `TAG`: the pieces do not make the message that they were said to, and are gone.
 * `dropped`: messages whose pieces are gone, which every outcome can have.
 */
export type Reassembled =
  & { readonly reassembly: Reassembly; readonly dropped: readonly DroppedMessage[] }
  & (
    | { readonly type: "kept" | "repeated" }
    | { readonly type: "whole"; readonly message: Uint8Array<ArrayBuffer> }
    | { readonly type: "refused"; readonly code: "CONTRADICTION" | "TAG" }
  );

/** Nothing is kept. */
export const emptyReassembly: Reassembly = { unfinished: [] };

/**
 * Adds a piece that came on `route` at `now` (milliseconds since 1970). Pieces of one message that come on several routes
 * are kept apart, as routes have pieces of different lengths.
 */
export async function addPiece(
  reassembly: Reassembly,
  piece: MessagePiece,
  { route, now }: { readonly route: string; readonly now: number },
): Promise<Reassembled> {
  const { kept, dropped } = withoutOld(reassembly.unfinished, now);
  const at = kept.findIndex((message) => message.route === route && equalBytes(message.tag, piece.tag));
  const known = kept[at] ?? startOf(piece, route, now);
  if (known.count !== piece.count || known.total !== piece.total) {
    return refuse(kept, dropped, "CONTRADICTION");
  }
  const before = known.pieces[piece.index];
  if (before) {
    if (!equalBytes(before, piece.piece)) return refuse(kept, dropped, "CONTRADICTION");
    return { type: "repeated", reassembly: { unfinished: kept }, dropped };
  }
  const message = withPiece(known, piece);
  if (message.missing === 0) {
    const rest = at < 0 ? kept : kept.toSpliced(at, 1);
    const whole = concat(...message.pieces.flatMap((piece) => piece ?? []));
    if (whole.length !== message.total || !equalBytes(await messageTag(whole), message.tag)) {
      return refuse(rest, dropped, "TAG");
    }
    return { type: "whole", message: whole, reassembly: { unfinished: rest }, dropped };
  }
  const bounded = withRoomFor(message, at < 0 ? [...kept, message] : kept.with(at, message));
  return {
    type: "kept",
    reassembly: { unfinished: bounded.kept },
    dropped: [...dropped, ...bounded.dropped],
  };
}

/** Forgets the pieces that came on a route, whose sender starts its messages again on another. */
export function withoutRoute({ unfinished }: Reassembly, route: string): Reassembly {
  return { unfinished: unfinished.filter((message) => message.route !== route) };
}

type Split = { readonly kept: readonly UnfinishedMessage[]; readonly dropped: readonly DroppedMessage[] };

function withoutOld(unfinished: readonly UnfinishedMessage[], now: number): Split {
  const isOld = ({ since }: UnfinishedMessage) => now - since > pieceLifetime;
  return {
    kept: unfinished.filter((message) => !isOld(message)),
    dropped: unfinished.filter(isOld).map((message) => dropOf(message, "AGE")),
  };
}

/** Drops the oldest others until there is room for a message. */
function withRoomFor(message: UnfinishedMessage, unfinished: readonly UnfinishedMessage[]): Split {
  const dropped: DroppedMessage[] = [];
  let count = unfinished.length;
  let bytes = unfinished.reduce((sum, other) => sum + other.bytes, 0);
  const kept = unfinished.filter((other) => {
    const reason = count > mostUnfinished ? "COUNT" : bytes > mostPieceBytes ? "BYTES" : null;
    if (other === message || reason === null) return true;
    dropped.push(dropOf(other, reason));
    count--;
    bytes -= other.bytes;
    return false;
  });
  return { kept, dropped };
}

function startOf({ tag, count, total }: MessagePiece, route: string, now: number): UnfinishedMessage {
  const pieces = new Array<null>(count).fill(null);
  return { route, tag: tag.slice(), count, total, since: now, pieces, missing: count, bytes: 0 };
}

function withPiece(message: UnfinishedMessage, { index, piece }: MessagePiece): UnfinishedMessage {
  const pieces = message.pieces.with(index, piece.slice());
  return { ...message, pieces, missing: message.missing - 1, bytes: message.bytes + piece.length };
}

function dropOf({ route, tag }: UnfinishedMessage, reason: DroppedMessage["reason"]): DroppedMessage {
  return { route, tag, reason };
}

function refuse(
  unfinished: readonly UnfinishedMessage[],
  dropped: readonly DroppedMessage[],
  code: "CONTRADICTION" | "TAG",
): Reassembled {
  return { type: "refused", code, reassembly: { unfinished }, dropped };
}
