import { asciiText, equalBytes } from "../../protocol/mod.ts";
import { withRecord } from "../core/connection.ts";
import { type Command, stepTo } from "../core/types.ts";
import type { Head, Kind } from "./kind.ts";
import type { Connection } from "../store/store.ts";
import { settle } from "./settle.ts";

const newline = 0x0a;

/** The answer to a UPG that comes again, which may be lost: the initiator's UPG, or what the joiner sends in the session. */
function answerAgain({ session, outbound, record }: Connection): Command[] {
  if (record.role === "initiator") return session?.status === "answered" ? [{ type: "say again" }] : [];
  return session?.status === "active" ? outbound.map(({ id: route }) => ({ type: "repeat", route })) : [];
}

/** What a side begins its session with. */
export interface UpgradeMessage extends Head {
  readonly type: "UPG";
  /** As protocol/ratchet/upgrade.ts writes it; empty: the initiator asks for the joiner's. */
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
    if (received.message.upgrade.length === 0 && !isInitiator) {
      const commands: Command[] = status === "offered" ? [{ type: "say again" }] : answerAgain(connection);
      return settle({ connection, route }, received.serverId, { hash: received.hash, commands });
    }
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
      commands: isRepeated ? answerAgain(connection) : [],
    });
  },
  sent: (connection) => connection,
  refused: () => "failed",
};
