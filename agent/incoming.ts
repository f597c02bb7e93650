import type { MessageEvent, SmpClient } from "../client/mod.ts";
import {
  decodePublicKey,
  decryptBody,
  type EncryptedBody,
  equalBytes,
  modulusLength,
  ParseError,
  type PublicKey,
  sha256,
  SmpError,
  splitBody,
  verifyBody,
} from "../protocol/mod.ts";
import { transition } from "./connection.ts";
import type { Update } from "./connections.ts";
import type { AgentContext } from "./context.ts";
import type { ReceivedMessage } from "./events.ts";
import { greetings, makeSendingQueue } from "./outgoing.ts";
import { AgentError, agentError } from "./protocol/error.ts";
import { checkIntegrity } from "./protocol/integrity.ts";
import { type AgentMessage, parseAgentMessage } from "./protocol/message.ts";
import type { ConnectionRecord, MessageRecord, ReceivingQueue } from "./store/store.ts";

/** A message of a server, and where it came from. */
interface Incoming {
  readonly alias: string;
  readonly message: MessageEvent;
  readonly client: SmpClient;
}

/** A message that was decrypted. */
interface Decrypted {
  readonly body: EncryptedBody;
  readonly message: AgentMessage;
  /** SHA-256 of the plaintext. */
  readonly hash: Uint8Array<ArrayBuffer>;
}

/** What is done when a message was handled. */
type Handled = "acknowledge" | "application acknowledges";

/**
 * Handles messages of servers, each connection's one after the other: stores, tells, and then acknowledges them.
 * A failure on the way leaves a message at its server, which delivers it again on the next subscription.
 */
export class Incomings implements AsyncDisposable {
  readonly #context: AgentContext;
  /** Called when something new is in an outbox. */
  readonly #wake: (alias: string) => void;
  readonly #running = new Map<string, Promise<void>>();
  /**
   * The message that waits for the one that is being handled, by alias. A further one replaces it: a server sends none
   * before an acknowledgment but another copy, or what it will deliver again.
   */
  readonly #waiting = new Map<string, Incoming>();
  /** The messages that the application has to acknowledge, by alias: at most one a connection. */
  readonly #unacknowledged = new Map<string, { readonly id: number; readonly incoming: Incoming }>();
  /**
   * The last message that was acknowledged on each connection to a server. ACK names no message: for a second copy of
   * one, which a repeated SUB brings, it would acknowledge the next one, unseen.
   */
  readonly #acknowledged = new WeakMap<SmpClient, Map<string, string>>();
  #isClosed = false;

  /** Handles what it is given from now on. */
  constructor(context: AgentContext, wake: (alias: string) => void) {
    this.#context = context;
    this.#wake = wake;
  }

  /** Handles a message after the earlier one of its connection. */
  take(incoming: Incoming): void {
    const { alias } = incoming;
    if (this.#isClosed) return;
    if (this.#running.has(alias)) this.#waiting.set(alias, incoming);
    else this.#running.set(alias, this.#handleAll(incoming));
  }

  /** Tells the server that the application has done with a message; nothing when it has already. */
  async acknowledge(alias: string, id: number): Promise<void> {
    const { store } = this.#context;
    const message = await store.message(alias, id);
    if (message === null || message.received === null) {
      throw new AgentError("CMD PROHIBITED", `Cannot acknowledge: "${alias}" has received no message ${id}`);
    }
    if (!message.done) await store.commit([{ type: "message done", alias, id }]);
    const waiting = this.#unacknowledged.get(alias);
    if (waiting?.id !== id) return;
    this.#unacknowledged.delete(alias);
    await this.#acknowledge(waiting.incoming);
  }

  /** Finishes what is being handled. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#running.values());
  }

  async #handleAll(first: Incoming): Promise<void> {
    const { alias } = first;
    for (let incoming: Incoming | undefined = first; incoming !== undefined;) {
      try {
        await this.#handle(incoming);
      } catch (error) {
        this.#context.emit({ type: "error", connection: alias, error: agentError(error) });
        // It is delivered again on the next connection.
        await incoming.client.close();
      }
      incoming = this.#waiting.get(alias);
      this.#waiting.delete(alias);
    }
    this.#running.delete(alias);
  }

  async #handle(incoming: Incoming): Promise<void> {
    const record = this.#context.connections.find(incoming.alias);
    if (record === undefined || record.receiving === null) return;
    const handled = incoming.message.messageId === record.lastServerId
      ? await this.#handleAgain(incoming, record)
      : await this.#handleNew(incoming, record, record.receiving);
    if (handled === "acknowledge") await this.#acknowledge(incoming);
  }

  /** The server delivers what it has not been told to forget. */
  async #handleAgain(incoming: Incoming, { alias }: ConnectionRecord): Promise<Handled> {
    const recent = await this.#context.store.messages(alias);
    const stored = recent.findLast(({ received }) => received?.serverId === incoming.message.messageId);
    return stored === undefined || stored.done ? "acknowledge" : await this.#tell(incoming, stored);
  }

  async #handleNew(
    incoming: Incoming,
    record: ConnectionRecord,
    queue: ReceivingQueue,
  ): Promise<Handled> {
    const decrypted = await this.#decrypt(record, queue, incoming.message.body);
    if (decrypted instanceof AgentError) return await this.#reject(incoming, decrypted, true);
    const { message, hash } = decrypted;
    // The sender repeats what it cannot know to have arrived.
    if (equalBytes(hash, record.lastPlaintextHash)) return await this.#settle(incoming, null);
    const { effects } = transition(record.state, { type: "received", message: message.type });
    if (effects.includes("prohibited")) return await this.#prohibit(incoming, record, message);
    switch (message.type) {
      case "KEY":
        return await this.#confirm(incoming, queue, message.senderKey, hash);
      case "HELLO":
        return await this.#greet(incoming, message.verificationKey, decrypted);
      case "REPLY":
        return await this.#answer(incoming, message, hash);
      case "MSG":
        return await this.#deliver(incoming, message, hash);
      default:
        return message satisfies never;
    }
  }

  async #decrypt(
    { state }: ConnectionRecord,
    { decryptionKey, verificationKey }: ReceivingQueue,
    bytes: Uint8Array,
  ): Promise<Decrypted | AgentError> {
    const key = await this.#context.keys.decrypting(decryptionKey);
    const verifier = verificationKey && decodePublicKey(verificationKey);
    // Before HELLO nothing says how long the sender's signatures are; most are as long as our own.
    const own = key.modulusLength;
    const lengths = verifier
      ? [modulusLength(verifier.bits)]
      : [own, ...[128, 256, 384, 512].filter((n) => n !== own)];
    for (const signature of lengths) {
      const body = split(bytes, signature, own);
      const plaintext = body && await decryptBody(body, key);
      if (body === null || plaintext === null) continue;
      if (verifier && !await verifyBody(body, verifier)) {
        return new AgentError("AGENT A_SIGNATURE", "A message is not signed by the other agent");
      }
      const message = parseAgentMessage(plaintext);
      if (message === null) {
        return new AgentError("AGENT A_MESSAGE", "A message of the other agent cannot be parsed");
      }
      // HELLO brings the key that it is signed with; one that comes later is refused because of the state.
      const carried = message.type === "HELLO" && state.receiving === "secured"
        ? message.verificationKey
        : null;
      if (carried !== null && !await verifyBody(body, carried)) {
        return new AgentError("AGENT A_SIGNATURE", "The other agent's HELLO is not signed with its own key");
      }
      return { body, message, hash: await sha256(plaintext) };
    }
    return new AgentError("AGENT A_ENCRYPTION", "A message of the other agent cannot be decrypted");
  }

  /** Drops a message, once and for all; `isUnreadable`: it is counted. */
  async #reject(incoming: Incoming, error: AgentError, isUnreadable: boolean): Promise<Handled> {
    const handled = await this.#settle(incoming, null, isUnreadable);
    this.#context.emit({ type: "error", connection: incoming.alias, error });
    return handled;
  }

  async #prohibit(incoming: Incoming, { state }: ConnectionRecord, message: AgentMessage): Promise<Handled> {
    const error = new AgentError(
      "AGENT A_PROHIBITED",
      `The other agent has sent ${message.type}, which is not allowed now`,
    );
    if (message.type === "KEY" && state.receiving !== "none") {
      this.#context.emit({ type: "security", connection: incoming.alias, reason: "second confirmation" });
    }
    return await this.#reject(incoming, error, false);
  }

  /** KEY: the queue is secured with the sender's key. */
  async #confirm(
    incoming: Incoming,
    queue: ReceivingQueue,
    senderKey: PublicKey,
    hash: Uint8Array<ArrayBuffer>,
  ): Promise<Handled> {
    const { alias, client } = incoming;
    const { connections, keys, approve, emit } = this.#context;
    const isFirst = queue.senderKey === null;
    if (isFirst && !await approve({ connection: alias, senderKey })) {
      emit({ type: "security", connection: alias, reason: "confirmation not approved" });
      return await this.#settle(incoming, null);
    }
    await connections.update(alias, (record) => ({
      record: {
        ...record,
        state: transition(record.state, { type: "received", message: "KEY" }).state,
        receiving: { ...queue, senderKey: senderKey.der },
      },
      withQueues: true,
    }));
    const { recipientId, senderId, recipientKey } = queue;
    try {
      const own = { recipientId, senderId, recipientKey: await keys.signing(recipientKey) };
      await client.secureQueue(own, senderKey);
    } catch (error) {
      // Only this agent can secure the queue: it was done, but the answer was lost.
      if (!(error instanceof SmpError && error.code === "AUTH" && !isFirst)) throw error;
    }
    return await this.#settle(incoming, (record) => {
      const { state } = transition(record.state, { type: "secured" });
      return { record: { ...record, state, lastPlaintextHash: hash } };
    });
  }

  /** HELLO: from now on messages are verified. */
  async #greet(incoming: Incoming, verificationKey: PublicKey, { hash }: Decrypted): Promise<Handled> {
    let isConnected = false;
    const handled = await this.#settle(incoming, (record) => {
      const { state, effects } = transition(record.state, { type: "received", message: "HELLO" });
      isConnected = effects.includes("connected");
      const receiving = record.receiving && { ...record.receiving, verificationKey: verificationKey.der };
      return { record: { ...record, state, receiving, lastPlaintextHash: hash }, withQueues: true };
    });
    if (isConnected) this.#context.emit({ type: "connected", connection: incoming.alias });
    return handled;
  }

  /** REPLY: the queue for the other direction is joined. */
  async #answer(
    incoming: Incoming,
    { queueInfo }: Extract<AgentMessage, { readonly type: "REPLY" }>,
    hash: Uint8Array<ArrayBuffer>,
  ): Promise<Handled> {
    const { alias } = incoming;
    let sending;
    try {
      sending = await makeSendingQueue(this.#context, queueInfo);
    } catch (error) {
      if (error instanceof AgentError) return await this.#reject(incoming, error, false);
      throw error;
    }
    const handled = await this.#settle(incoming, (record) => {
      const { state } = transition(record.state, { type: "received", message: "REPLY" });
      const entries = greetings(alias, sending, this.#context.now(), false);
      return {
        record: { ...record, state, sending, lastPlaintextHash: hash },
        withQueues: true,
        changes: entries.map((entry) => ({ type: "put outbox", entry })),
      };
    });
    this.#wake(alias);
    return handled;
  }

  async #deliver(
    incoming: Incoming,
    message: Extract<AgentMessage, { readonly type: "MSG" }>,
    hash: Uint8Array<ArrayBuffer>,
  ): Promise<Handled> {
    const { alias, message: { messageId, timestamp } } = incoming;
    let stored: MessageRecord | null = null;
    await this.#settle(incoming, (record) => {
      const integrity = checkIntegrity(record.lastReceived, message);
      const isNext = message.id > record.lastReceived.id;
      stored = {
        alias,
        id: record.lastMessageId + 1,
        body: message.body.slice(),
        at: this.#context.now(),
        done: false,
        received: {
          integrity,
          serverId: messageId,
          serverAt: timestamp.getTime(),
          senderId: message.id,
          senderAt: message.timestamp.getTime(),
        },
      };
      return {
        record: {
          ...record,
          lastMessageId: stored.id,
          // A lower number must not make those that follow look whole.
          lastReceived: isNext ? { id: message.id, hash } : record.lastReceived,
          lastPlaintextHash: hash,
        },
        changes: [{ type: "put message", message: stored }],
      };
    });
    return await this.#tell(incoming, stored!);
  }

  /** Gives a stored message to the application. */
  async #tell(incoming: Incoming, stored: MessageRecord): Promise<Handled> {
    const { alias } = incoming;
    const { store, manual, emit, room } = this.#context;
    await room();
    if (this.#isClosed) return "application acknowledges";
    if (manual) this.#unacknowledged.set(alias, { id: stored.id, incoming });
    emit({ type: "message", connection: alias, message: receivedMessage(stored) });
    if (manual) return "application acknowledges";
    await store.commit([{ type: "message done", alias, id: stored.id }]);
    return "acknowledge";
  }

  /** Stores that a message was handled, with what it has changed. */
  async #settle(
    { alias, message }: Incoming,
    change: ((record: ConnectionRecord) => Update) | null,
    isUnreadable = false,
  ): Promise<Handled> {
    await this.#context.connections.update(alias, (before) => {
      const update = change?.(before) ?? { record: before };
      const unreadable = before.unreadable + Number(isUnreadable);
      return { ...update, record: { ...update.record, lastServerId: message.messageId, unreadable } };
    });
    return "acknowledge";
  }

  async #acknowledge({ alias, message: { messageId }, client }: Incoming): Promise<void> {
    const { connections, keys } = this.#context;
    const queue = connections.find(alias)?.receiving;
    if (!queue) return;
    const { recipientId, senderId, recipientKey } = queue;
    const own = { recipientId, senderId, recipientKey: await keys.signing(recipientKey) };
    const acknowledged = this.#acknowledged.get(client) ?? new Map<string, string>();
    if (acknowledged.get(recipientId) === messageId) return;
    this.#acknowledged.set(client, acknowledged.set(recipientId, messageId));
    try {
      await client.acknowledge(own);
    } catch (error) {
      // Whether the server has it is unknown: on the next connection the message comes again, or the next one does.
      if (!(error instanceof SmpError && error.code === "NO_MSG")) await client.close();
    }
  }
}

/** A stored message as the application sees it. */
export function receivedMessage({ id, at, body, received }: MessageRecord): ReceivedMessage {
  const { integrity, serverId, serverAt, senderId, senderAt } = received!;
  return {
    id,
    receivedAt: new Date(at),
    body,
    integrity,
    server: { id: serverId, at: new Date(serverAt) },
    sender: { id: senderId, at: new Date(senderAt) },
  };
}

function split(bytes: Uint8Array, signature: number, header: number): EncryptedBody | null {
  try {
    return splitBody(bytes, { signature, header });
  } catch (error) {
    if (error instanceof ParseError) return null;
    throw error;
  }
}
