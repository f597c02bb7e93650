import { encodeBase64, equalBytes } from "../../protocol/mod.ts";
import { withRecord } from "../core/connection.ts";
import { type SessionEvent, type Step, stepTo } from "../core/types.ts";
import type { Connection } from "../store/store.ts";

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
