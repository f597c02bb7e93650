import { withRecord } from "../core/connection.ts";
import { type Step, type StepContext, stepTo } from "../core/types.ts";
import { AgentError } from "../protocol/error.ts";
import { checkIntegrity, type LastMessage } from "../protocol/integrity.ts";
import type { Connection, MessageRecord } from "../store/store.ts";
import type { FrameHandler } from "./arrival.ts";
import { withAcknowledged } from "./receipt.ts";
import { mostFrames, withSession } from "./session.ts";

const noHash = new Uint8Array(0);

/** Puts a message on its way. Throws {@linkcode AgentError} (`CONN FULL`) when as many wait as may. */
export function sendFrame(
  connection: Connection,
  { body, time, hash }: {
    readonly body: Uint8Array<ArrayBuffer>;
    readonly time: number;
    readonly hash: Uint8Array<ArrayBuffer>;
  },
  { now }: StepContext,
): Step {
  const { record, session } = connection;
  if (session!.lastNumber - session!.receipted.upTo >= mostFrames) {
    throw new AgentError(
      "CONN FULL",
      `Cannot send to "${record.alias}": ${mostFrames} messages wait for the other side`,
    );
  }
  const id = record.lastMessageId + 1, number = record.lastSent.id + 1;
  const previousHash = previousHashOf(connection);
  const message = { connection: record.id, id, body, at: now, done: false, received: null };
  const lastSent = { id: number, hash };
  return stepTo(withSession(withRecord(connection, { lastMessageId: id, lastSent }), { sentAt: time }), {
    frames: [{ content: { kind: "message", userNumber: number, previousHash, body }, time, messageId: id }],
    changes: [{ type: "put message", message: { ...message, number, delivered: false } }],
  });
}

/** What the next message has as the hash of the one before: 32 bytes, zeros for the first. */
export function previousHashOf({ record: { lastSent } }: Connection): Uint8Array<ArrayBuffer> {
  return lastSent.id === 0 ? new Uint8Array(32) : lastSent.hash.slice();
}

/** What is the last message when one has come: a lower number must not make those that follow look whole. */
function lastReceivedWith({ record: { lastReceived } }: Connection, message: LastMessage): LastMessage {
  return message.id > lastReceived.id ? message : lastReceived;
}

/** What has come before with another number: the application has it, and has acknowledged it or does so by the new number. */
function receiveCopy(
  connection: Connection,
  { userNumber, hash, copy }: {
    readonly userNumber: number;
    readonly hash: Uint8Array<ArrayBuffer>;
    readonly copy: MessageRecord;
  },
): Partial<Step> {
  const known = withRecord(connection, {
    lastReceived: lastReceivedWith(connection, { id: userNumber, hash }),
  });
  const message = { ...copy, received: { ...copy.received!, senderId: userNumber } };
  return {
    connection: copy.done
      ? withSession(known, { acknowledged: withAcknowledged(known.session!, userNumber) })
      : known,
    changes: [{ type: "put message", message }],
  };
}

/** A message of the other side. */
export const receiveMessage: FrameHandler<"message"> = (
  connection,
  { frame: { userNumber, previousHash, body, time }, serverId, serverAt, hash, copy },
  { now },
) => {
  const { record, session } = connection;
  const { lastReceived } = record;
  if (copy !== null) return receiveCopy(connection, { userNumber, hash, copy });
  const id = record.lastMessageId + 1;
  const before = userNumber === 1 ? noHash : previousHash;
  const message: MessageRecord = {
    connection: record.id,
    id,
    body: body.slice(),
    at: now,
    done: false,
    received: {
      integrity: checkIntegrity(lastReceived, { id: userNumber, previousHash: before }),
      serverId,
      serverAt,
      senderId: userNumber,
      senderAt: time,
    },
    number: null,
    delivered: false,
  };
  const changed = withRecord(connection, {
    lastMessageId: id,
    lastReceived: lastReceivedWith(connection, { id: userNumber, hash }),
  });
  return {
    connection: withSession(changed, { waiting: session!.waiting + 1 }),
    changes: [{ type: "put message", message }],
    events: [{ type: "message", id }],
  };
};
