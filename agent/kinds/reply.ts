import {
  asciiText,
  formatQueueInfo,
  parseQueueInfo,
  publicKeyOf,
  type QueueInfo,
  textBytes,
} from "../../protocol/mod.ts";
import { isDuplexJoiner, withReceiving } from "../core/connection.ts";
import { type ConnectionEvent, type Step, type StepContext, stepTo } from "../core/types.ts";
import { AgentError } from "../protocol/error.ts";
import { encodeExtensions } from "../protocol/extensions.ts";
import { otherReplied } from "../session/greeting.ts";
import { announcedIn, withTranscript } from "../session/session.ts";
import type { Connection, ReceivingKeys, ReceivingRoute } from "../store/store.ts";
import { encodeFrame } from "./frame.ts";
import { greet } from "./greet.ts";
import type { Head, Kind } from "./kind.ts";
import { settle } from "./settle.ts";

/** The queue for the other direction. */
export interface ReplyMessage extends Head {
  readonly type: "REPLY";
  readonly queueInfo: QueueInfo;
}

/** REPLY (agent.md Agent-to-agent messages). */
export const reply: Kind<ReplyMessage> = {
  hasHead: true,
  isSigned: true,
  isEssential: true,
  encode: ({ queueInfo }) => [`REPLY ${formatQueueInfo(queueInfo)}`],
  parse(content) {
    const match = /^REPLY (\S*)\n$/.exec(asciiText(content));
    return match && { type: "REPLY", queueInfo: parseQueueInfo(match[1]!) };
  },
  receive({ connection, route, received }) {
    if (!isAwaited(connection, route)) return null;
    return stepTo(connection, { commands: [{ type: "join", route: route.id, received }] });
  },
  sent: (connection) => connection,
  refused: () => "failed",
};

/** Whether a REPLY is followed: one is. */
function isAwaited({ record, sending }: Connection, { status }: ReceivingRoute): boolean {
  return record.role === "initiator" && sending.length === 0 && status === "active";
}

/** The keys for the queue of a REPLY are made, or it cannot be used: then another may come. Nothing when none is awaited. */
export function joined(
  connection: Connection,
  route: ReceivingRoute,
  { received, sending }: Extract<ConnectionEvent, { readonly type: "joined" }>,
  context: StepContext,
): Step {
  if (!isAwaited(connection, route)) return stepTo(connection);
  const { serverId, hash } = received;
  if (sending instanceof AgentError) {
    const { code, message } = sending;
    return settle({ connection, route }, serverId, { events: [{ type: "error", code, message }] });
  }
  // Tried as long as the connection is there: the joiner may be offline for longer than any joining takes.
  const greeted = greet(connection, sending, { ...context, giveUpAt: null, withReply: false });
  const replied = otherReplied(greeted.connection, invitationOf(route.keys), {
    queue: received.message.queueInfo,
    extensions: received.message.previousHash,
  });
  return settle({ connection, route }, serverId, { ...greeted, connection: replied, hash });
}

/** The queue for the other direction is made: the entry of the outbox can tell of it. */
export function routeMade(
  connection: Connection,
  { receiving, position }: Extract<ConnectionEvent, { readonly type: "route made" }>,
  { now, announced }: StepContext,
): Step {
  if (!isDuplexJoiner(connection) || connection.receiving.length > 0) return stepTo(connection);
  const queueInfo = invitationOf(receiving.keys);
  // What HELLO has announced, whatever this agent does by now.
  const inHello = connection.session?.keys.transcript.joinerHelloExtensions;
  const extensions = inHello === undefined
    ? encodeExtensions(announcedIn(connection, announced))
    : textBytes(inHello);
  const head = { id: 0, timestamp: new Date(now), previousHash: extensions };
  const plaintext = encodeFrame(reply, { type: "REPLY", queueInfo, ...head });
  const { id } = connection.record;
  const entry = { connection: id, position, kind: "REPLY", messageId: 0, plaintext, createdAt: now };
  const said = { replyQueue: formatQueueInfo(queueInfo), replyExtensions: asciiText(extensions) };
  return stepTo(withTranscript(withReceiving(connection, receiving), said), {
    changes: [{ type: "put outbox", entry }],
  });
}

/** What the other side needs to send to a queue. */
export function invitationOf({ server, senderId, decryptionKey }: ReceivingKeys): QueueInfo {
  return { server, senderId, encryptionKey: publicKeyOf(decryptionKey) };
}
