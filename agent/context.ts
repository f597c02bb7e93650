import type { SmpClient } from "../client/mod.ts";
import {
  decodePublicKey,
  encodeBase64,
  type PublicKey,
  randomBytes,
  type ServerAddress,
} from "../protocol/mod.ts";
import type { Backoff } from "./backoff.ts";
import type { Connections } from "./connections.ts";
import type { AgentEvent } from "./events.ts";
import type { KeySource, LoadedKeys } from "./key_pool.ts";
import type { Servers, SubscribedQueue } from "./servers.ts";
import type { AgentStore, ConnectionRecord, ReceivingQueue } from "./store/store.ts";

/** Who asks to be let into a connection. */
export interface Confirmation {
  /** The connection's alias. */
  readonly connection: string;
  /** The key that the sender will sign with. */
  readonly senderKey: PublicKey;
}

/** What the parts of an agent share. */
export interface AgentContext {
  readonly store: AgentStore;
  readonly connections: Connections;
  readonly servers: Servers;
  readonly pool: KeySource;
  readonly keys: LoadedKeys;
  readonly now: () => number;
  /** Between tries to send. */
  readonly retry: Backoff;
  /** Milliseconds for which KEY and HELLO are tried. */
  readonly joinTimeout: number;
  /** Whether the application acknowledges messages itself. */
  readonly manual: boolean;
  /** Whether servers without a key hash are taken. */
  readonly allowUnverified: boolean;
  readonly approve: (confirmation: Confirmation) => boolean | Promise<boolean>;
  /** A server of the agent's own. */
  server(): ServerAddress;
  emit(event: AgentEvent): void;
  /** Resolves when the application has taken enough events for another message. */
  room(): Promise<void>;
}

/** A new alias: base64 of 12 random bytes. */
export function newAlias(): string {
  return encodeBase64(randomBytes(12));
}

/** A queue that was just made, and the connection that is subscribed to it. */
export interface CreatedQueue {
  readonly receiving: ReceivingQueue;
  readonly client: SmpClient;
}

/** Makes a queue on one of the agent's servers and subscribes to it. Throws `TransportError`, `SmpError`. */
export async function createReceivingQueue(context: AgentContext): Promise<CreatedQueue> {
  const { pool, servers, keys } = context;
  const server = context.server();
  // First: what is taken from the pool and not used is lost, and costly to make.
  const client = await servers.client(server);
  const [recipient, decryption] = await Promise.all([pool.take(), pool.take()]);
  const keyPair = {
    publicKey: decodePublicKey(recipient.publicKey),
    privateKey: await keys.signing(recipient.privateKey),
  };
  const { recipientId, senderId } = await client.createQueue({ keyPair });
  const receiving = {
    server,
    recipientId,
    senderId,
    recipientKey: recipient.privateKey,
    decryptionKey: decryption.privateKey,
    senderKey: null,
    verificationKey: null,
  };
  return { receiving, client };
}

/** What is subscribed to for a connection that receives. */
export function subscribedQueue(
  { keys }: Pick<AgentContext, "keys">,
  { server, recipientId, senderId, recipientKey }: ReceivingQueue,
): SubscribedQueue {
  return { server, recipientId, senderId, loadKey: () => keys.signing(recipientKey) };
}

/** A connection without queues, of this moment. */
export function emptyRecord(alias: string, createdAt: number): Omit<ConnectionRecord, "state"> {
  const none = new Uint8Array(0);
  return {
    alias,
    createdAt,
    receiving: null,
    sending: null,
    lastMessageId: 0,
    lastSent: { id: 0, hash: none },
    lastReceived: { id: 0, hash: none },
    lastServerId: "",
    lastPlaintextHash: none,
    suspended: false,
    unreadable: 0,
  };
}
