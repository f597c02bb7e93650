import {
  decodeBase64,
  encodeBase64,
  equalBytes,
  type Reassembly,
  type UnfinishedMessage,
} from "../../protocol/mod.ts";
import { withRecord } from "../core/connection.ts";
import { type SessionEvent, type Step, stepTo } from "../core/types.ts";
import type { Connection, PieceRecord } from "../store/store.ts";

/** An unfinished message is not kept any more, and counted: it comes again when the other side gets no receipt. */
export function dropPieces(
  connection: Connection,
  { route, tag }: Extract<SessionEvent, { readonly type: "drop pieces" }>,
): Step {
  const { record: { id, unreadable }, reassembly } = connection;
  const left = reassembly?.unfinished.filter((one) => one.route !== route || !equalBytes(one.tag, tag));
  if (left === undefined || left.length === reassembly?.unfinished.length) return stepTo(connection);
  const changed = withRecord({ ...connection, reassembly: { unfinished: left } }, {
    unreadable: unreadable + 1,
  });
  return stepTo(changed, {
    changes: [{ type: "delete pieces", connection: id, route, tag: encodeBase64(tag) }],
  });
}

/** The unfinished messages of stored pieces. */
export function reassemblyOf(pieces: readonly PieceRecord[]): Reassembly {
  const unfinished = new Map<string, UnfinishedMessage>();
  for (const { route, tag, index, count, total, since, piece } of pieces) {
    const key = `${route} ${tag}`;
    const before = unfinished.get(key) ??
      {
        route,
        tag: decodeBase64(tag)!,
        count,
        total,
        since,
        pieces: new Array<null>(count).fill(null),
        missing: count,
        bytes: 0,
      };
    unfinished.set(key, {
      ...before,
      pieces: before.pieces.with(index, piece),
      missing: before.missing - 1,
      bytes: before.bytes + piece.length,
    });
  }
  return { unfinished: [...unfinished.values()] };
}
