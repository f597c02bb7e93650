/** The end of a session: the other side has deleted the connection (sessions.md Content frames). */
import { type SessionEvent, type Step, stepTo } from "../core/types.ts";
import type { Connection, StoreChange, StoredEvent } from "../store/store.ts";
import type { FrameHandler } from "./arrival.ts";
import { union } from "./number_set.ts";
import { dropInbound } from "./routes.ts";
import { withSession } from "./session.ts";

/** Nothing more comes or goes; what is stored stays. */
export const receiveClose: FrameHandler<"close"> = (connection, _arrived, context) => {
  if (connection.session?.status === "closed") return null;
  const dropped = dropInbound(connection, connection.inbound, context);
  const outbound = connection.outbound.map(({ id }) => id);
  return {
    ...dropped,
    connection: withSession({ ...dropped.connection, outbound: [] }, { status: "closed", receiptDue: false }),
    commands: [
      ...dropped.commands,
      { type: "drop", routes: outbound, discarded: [] },
      { type: "give up frames" },
    ],
    events: [{ type: "session", change: "closed" }],
  };
};

/** Frames that nobody will take: of messages that no server has the application is told. */
export function gaveUpFrames(
  connection: Connection,
  { frames }: Extract<SessionEvent, { readonly type: "gave up frames" }>,
): Step {
  const { record: { id }, session } = connection;
  const changes: StoreChange[] = [], events: StoredEvent[] = [];
  for (const { number, messageId } of frames) {
    changes.push({ type: "delete frame", connection: id, number });
    if (messageId === 0 || number <= session!.lastTaken) continue;
    events.push({
      type: "error",
      code: "SMP AUTH",
      message: "The other side has deleted the connection",
      id: messageId,
    });
  }
  const upTo = frames.at(-1)?.number ?? session!.lastNumber;
  const receipted = union(session!.receipted, { upTo, ranges: [] });
  return stepTo(withSession(connection, { receipted }), { changes, events });
}
