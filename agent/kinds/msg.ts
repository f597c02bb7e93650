import { asciiText } from "../../protocol/mod.ts";
import { withReceiving, withRecord } from "../core/connection.ts";
import { type ConnectionEvent, type Step, type StepContext, stepTo } from "../core/types.ts";
import { AgentError } from "../protocol/error.ts";
import { checkIntegrity } from "../protocol/integrity.ts";
import type { Connection, MessageRecord, StoreChange } from "../store/store.ts";
import { encodeFrame } from "./frame.ts";
import type { Head, Kind } from "./kind.ts";

const newline = 0x0a;

const notInSession = { number: null, delivered: false };

/** A message of a user. */
export interface UserMessage extends Head {
  readonly type: "MSG";
  readonly body: Uint8Array;
}

/** MSG (agent.md Agent-to-agent messages). */
export const msg: Kind<UserMessage> = {
  hasHead: true,
  isSigned: true,
  isEssential: false,
  encode: ({ body }) => [`MSG ${body.length}\n`, body, "\n"],
  parse(content) {
    const lineEnd = content.indexOf(newline);
    const size = /^MSG (\d{1,6})$/.exec(asciiText(content, 0, lineEnd))?.[1];
    if (size === undefined) return null;
    const start = lineEnd + 1, end = start + Number(size);
    const isWhole = content.length === end + 2 && content[end] === newline && content[end + 1] === newline;
    return isWhole ? { type: "MSG", body: content.subarray(start, end) } : null;
  },
  receive({ connection, route, received: { message, hash, serverId, serverAt }, now }) {
    const { record, session } = connection;
    // A joiner has heard HELLO by now: it still greets when the other side has no sessions.
    const isFormer = session === null || session.status === "greeting" && record.role === "joiner";
    // What both announce to upgrade goes through the session alone.
    if (route.status !== "active" || !isFormer) return null;
    const { lastReceived } = record;
    const id = record.lastMessageId + 1;
    const stored: MessageRecord = {
      connection: record.id,
      id,
      body: message.body.slice(),
      at: now,
      done: false,
      received: {
        integrity: checkIntegrity(lastReceived, message),
        serverId,
        serverAt,
        senderId: message.id,
        senderAt: message.timestamp.getTime(),
      },
      ...notInSession,
    };
    const changed = withRecord(connection, {
      lastMessageId: id,
      // A lower number must not make those that follow look whole.
      lastReceived: message.id > lastReceived.id ? { id: message.id, hash } : lastReceived,
    });
    // Its server keeps it until the application has acknowledged it.
    const unacknowledged = [...route.unacknowledged, { id, serverId }];
    return stepTo(
      withReceiving(changed, { ...route, lastServerId: serverId, lastHash: hash, unacknowledged }),
      { changes: [{ type: "put message", message: stored }], events: [{ type: "message", id }] },
    );
  },
  sent: (connection) => connection,
  refused: () => "failed",
};

/** The plaintext of a connection's next message. */
export function nextMessage({ record }: Connection, body: Uint8Array, now: number): Uint8Array<ArrayBuffer> {
  const { id, hash } = record.lastSent;
  return encodeFrame(msg, { type: "MSG", body, id: id + 1, timestamp: new Date(now), previousHash: hash });
}

/** Puts a message on its way by all routes. Throws {@linkcode AgentError} (`CONN SIMPLEX`) when there is none. */
export function send(
  connection: Connection,
  { body, plaintext, hash }: Extract<ConnectionEvent, { readonly type: "send" }>,
  { now }: StepContext,
): Step {
  const routes = sendingRoutes(connection);
  const { record } = connection;
  const [id, position] = [record.lastMessageId + 1, record.lastPosition + 1];
  const entry = { connection: record.id, position, kind: "MSG", messageId: id, plaintext, createdAt: now };
  const message = { connection: record.id, id, body, at: now, done: false, received: null, ...notInSession };
  const changes: StoreChange[] = [{ type: "put message", message }, { type: "put outbox", entry }];
  for (const route of routes) {
    const delivery = { connection: record.id, route: route.id, position, attempted: false, giveUpAt: null };
    changes.push({ type: "put delivery", delivery });
  }
  const lastSent = { id: record.lastSent.id + 1, hash };
  return stepTo(withRecord(connection, { lastMessageId: id, lastPosition: position, lastSent }), {
    changes,
    commands: routes.map((route) => ({ type: "deliver", route: route.id })),
  });
}

/** The routes that messages go by. Throws {@linkcode AgentError} (`CONN SIMPLEX`) when there is none. */
export function sendingRoutes({ record: { alias }, sending }: Connection): Connection["sending"] {
  const routes = sending.filter(({ status }) => status !== "failed");
  if (routes.length > 0) return routes;
  const reason = sending.length === 0 ? "it has no queue for this direction" : "joining it was given up";
  throw new AgentError("CONN SIMPLEX", `Cannot send to "${alias}": ${reason}`);
}
