import { checkVerifiable } from "../client/mod.ts";
import {
  decodePublicKey,
  encodePublicKeyText,
  encryptBody,
  paddedBodyLength,
  publicKeyOf,
  type QueueInfo,
  type ServerAddress,
  sha256,
} from "../protocol/mod.ts";
import { transition } from "./connection.ts";
import type { Update } from "./connections.ts";
import type { AgentContext } from "./context.ts";
import { AgentError, agentError } from "./protocol/error.ts";
import { encodeAgentMessage } from "./protocol/message.ts";
import type { ConnectionRecord, OutboxEntry, ReceivingQueue, SendingQueue } from "./store/store.ts";

/** The block size of 0.3 servers, for which bodies are padded. */
const blockSize = 4096;
/** What comes before the first user message in an outbox. */
const messagePositions = 10;
const noHash = new Uint8Array(0);

/**
 * Makes keys for a queue of the other agent. Throws {@linkcode AgentError} when its encryption key is too short or too
 * long, or its server cannot be told from an impostor.
 */
export async function makeSendingQueue(
  { pool, allowUnverified }: Pick<AgentContext, "pool" | "allowUnverified">,
  { server, senderId, encryptionKey }: QueueInfo,
): Promise<SendingQueue> {
  if (!allowUnverified) verifiable(server);
  // The header of a body does not fit a key of 1024 bits (agent.md E2E encryption); a long one leaves a body no room.
  const { bits } = encryptionKey;
  if (bits < 2048 || bits > 4096) {
    throw new AgentError(
      "AGENT A_ENCRYPTION",
      `Cannot join: the encryption key has ${bits} bits, not 2048 to 4096`,
    );
  }
  const [sender, signing] = await Promise.all([pool.take(), pool.take()]);
  return {
    server,
    senderId,
    senderKey: sender.privateKey,
    signingKey: signing.privateKey,
    encryptionKey: encryptionKey.der,
  };
}

/** The first entries of the outbox of a new sending queue: KEY and HELLO, for a joiner of two directions also REPLY. */
export function greetings(alias: string, queue: SendingQueue, now: number, reply: boolean): OutboxEntry[] {
  const entry = (
    position: number,
    kind: OutboxEntry["kind"],
    plaintext: Uint8Array<ArrayBuffer>,
  ): OutboxEntry => ({
    alias,
    position,
    kind,
    messageId: 0,
    plaintext,
    createdAt: now,
    attempted: false,
  });
  const key = encodeAgentMessage({ type: "KEY", senderKey: publicKeyOf(queue.senderKey) });
  const hello = encodeAgentMessage({
    type: "HELLO",
    verificationKey: publicKeyOf(queue.signingKey),
    noAck: false,
    id: 0,
    timestamp: new Date(now),
    previousHash: noHash,
  });
  const entries = [entry(1, "KEY", key), entry(2, "HELLO", hello)];
  return reply ? [...entries, entry(3, "REPLY", noHash)] : entries;
}

/** What to send is when the queue for the other direction was made. */
export function withReplyQueue(
  record: ConnectionRecord,
  entry: OutboxEntry,
  receiving: ReceivingQueue,
  now: number,
): Update {
  const { state } = transition(record.state, { type: "reply queue made" });
  const queueInfo = invitationOf(receiving);
  const plaintext = encodeAgentMessage({
    type: "REPLY",
    queueInfo,
    id: 0,
    timestamp: new Date(now),
    previousHash: noHash,
  });
  return {
    record: { ...record, state, receiving },
    withQueues: true,
    changes: [{ type: "put outbox", entry: { ...entry, plaintext } }],
  };
}

/** What the other side needs to send to a queue. */
export function invitationOf({ server, senderId, decryptionKey }: ReceivingQueue): QueueInfo {
  return { server, senderId, encryptionKey: publicKeyOf(decryptionKey) };
}

/** Puts a user message into the outbox. Throws {@linkcode AgentError} (`CONN SIMPLEX`, `CMD LARGE`). */
export async function withMessage(
  record: ConnectionRecord,
  body: Uint8Array,
  now: number,
): Promise<Update> {
  const { alias, sending, lastSent } = record;
  if (sending === null) {
    throw new AgentError("CONN SIMPLEX", `Cannot send: "${alias}" has no queue for this direction`);
  }
  const senderId = lastSent.id + 1;
  const plaintext = encodeAgentMessage({
    type: "MSG",
    body,
    id: senderId,
    timestamp: new Date(now),
    previousHash: lastSent.hash,
  });
  const most = paddedLength(sending) - 1;
  if (plaintext.length > most) {
    const excess = plaintext.length - most;
    throw new AgentError("CMD LARGE", `Cannot send: the message is ${excess} bytes too long`);
  }
  const id = record.lastMessageId + 1;
  return {
    record: { ...record, lastMessageId: id, lastSent: { id: senderId, hash: await sha256(plaintext) } },
    changes: [
      {
        type: "put outbox",
        entry: {
          alias,
          position: messagePositions + senderId,
          kind: "MSG",
          messageId: id,
          plaintext,
          createdAt: now,
          attempted: false,
        },
      },
      {
        type: "put message",
        message: { alias, id, body: body.slice(), at: now, done: false, received: null },
      },
    ],
  };
}

/** Encrypts and signs a plaintext for a queue: the body of SEND. */
export async function sealFor(
  { keys }: Pick<AgentContext, "keys">,
  queue: SendingQueue,
  plaintext: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  return await encryptBody(plaintext, {
    encryptionKey: decodePublicKey(queue.encryptionKey),
    signingKey: await keys.signing(queue.signingKey),
    paddedLength: paddedLength(queue),
  });
}

function paddedLength({ encryptionKey }: SendingQueue): number {
  return paddedBodyLength(blockSize, decodePublicKey(encryptionKey).bits);
}

/** A key as it is compared and shown. */
export function keyText(der: Uint8Array): string {
  return encodePublicKeyText(decodePublicKey(der));
}

function verifiable(server: ServerAddress): void {
  try {
    checkVerifiable(server);
  } catch (error) {
    throw agentError(error);
  }
}
