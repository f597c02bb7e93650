import { asciiText, equalBytes } from "../../protocol/mod.ts";
import { withRecord } from "../core/connection.ts";
import { stepTo } from "../core/types.ts";
import type { Head, Kind } from "./kind.ts";
import { settle } from "./settle.ts";

const newline = 0x0a;

/** What a side begins its session with. */
export interface UpgradeMessage extends Head {
  readonly type: "UPG";
  /** As protocol/ratchet/upgrade.ts writes it. */
  readonly upgrade: Uint8Array;
}

/** UPG (sessions.md The upgrade of a connection). */
export const upg: Kind<UpgradeMessage> = {
  hasHead: true,
  isSigned: true,
  isEssential: true,
  encode: ({ upgrade }) => [`UPG ${upgrade.length}\n`, upgrade, "\n"],
  parse(content) {
    const lineEnd = content.indexOf(newline);
    const size = /^UPG (\d{1,5})$/.exec(asciiText(content, 0, lineEnd))?.[1];
    if (size === undefined) return null;
    const start = lineEnd + 1, end = start + Number(size);
    const isWhole = content.length === end + 2 && content[end] === newline && content[end + 1] === newline;
    return isWhole ? { type: "UPG", upgrade: content.slice(start, end) } : null;
  },
  receive({ connection, route, received }) {
    const { session, record } = connection;
    if (session === null || route.status !== "active") return null;
    const isInitiator = record.role === "initiator";
    const { status, keys: { transcript } } = session;
    if (status === (isInitiator ? "agreed" : "offered")) {
      const type = isInitiator ? "answer" : "begin";
      return stepTo(connection, { commands: [{ type, route: route.id, received }] });
    }
    const known = isInitiator ? transcript.joinerUpgrade : transcript.initiatorUpgrade;
    const isRepeated = known !== undefined && equalBytes(known, received.message.upgrade);
    const unreadable = record.unreadable + (isRepeated ? 0 : 1);
    return settle({ connection, route }, received.serverId, {
      connection: withRecord(connection, { unreadable }),
      hash: received.hash,
    });
  },
  sent: (connection) => connection,
  refused: () => "failed",
};
