import { checkVerifiable, type SmpClient } from "../../client/mod.ts";
import { decodePublicKey, type QueueInfo, type ServerAddress, SmpError } from "../../protocol/mod.ts";
import { newId } from "../core/connection.ts";
import type { LeastBits, StoredKeyPair } from "../key_pool.ts";
import { AgentError, agentError } from "../protocol/error.ts";
import type { SubscribedQueue } from "../servers.ts";
import type { ReceivingKeys, ReceivingRoute, SendingRoute } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { newQueue } from "./new_queue.ts";

/** A route whose queue was just made, and the connection that is subscribed to it. */
export interface MadeRoute {
  readonly route: ReceivingRoute;
  readonly client: SmpClient;
}

/** Makes a queue on one of the agent's servers and subscribes to it. Throws `TransportError`, `SmpError`. */
export async function makeReceivingRoute(context: AgentContext): Promise<MadeRoute> {
  const { servers, keys, spare } = context;
  const server = context.server();
  // First: what is taken from the pool and not used is lost, and costly to make.
  const client = await servers.client(server);
  const [recipient, decryption] = await Promise.all([
    takePair(context, 1024),
    takePair(context, 2048),
  ]);
  const keyPair = {
    publicKey: decodePublicKey(recipient.publicKey),
    privateKey: await keys.signing(recipient.privateKey),
  };
  const { recipientId, senderId } = await newQueue(context, { server, client, keyPair }).catch((error) => {
    // With another error the server may have a queue with this key.
    if (error instanceof SmpError) {
      spare[1024].push(recipient);
      spare[2048].push(decryption);
    }
    throw error;
  });
  const route: ReceivingRoute = {
    id: newId(),
    keys: {
      server,
      recipientId,
      senderId,
      recipientKey: recipient.privateKey,
      decryptionKey: decryption.privateKey,
      senderKey: null,
      verificationKey: null,
    },
    status: "new",
    lastServerId: "",
    lastHash: new Uint8Array(0),
    unacknowledged: [],
    suspended: false,
  };
  return { route, client };
}

/** A key pair that was left, or a new one. */
export function takePair(
  { pool, spare }: Pick<AgentContext, "pool" | "spare">,
  least: LeastBits,
): Promise<StoredKeyPair> {
  const pair = spare[least].pop();
  return pair === undefined ? pool.take(least) : Promise.resolve(pair);
}

/**
 * Makes keys for a queue of the other agent. Throws {@linkcode AgentError} when its encryption key is too short or too
 * long, or its server cannot be told from an impostor.
 */
export async function makeSendingRoute(
  { pool, allowUnverified }: Pick<AgentContext, "pool" | "allowUnverified">,
  { server, senderId, encryptionKey }: QueueInfo,
): Promise<SendingRoute> {
  if (!allowUnverified) verifiable(server);
  // The header of a body does not fit a key of 1024 bits (agent.md E2E encryption); a long one leaves a body no room.
  const { bits } = encryptionKey;
  if (bits < 2048 || bits > 4096) {
    throw new AgentError(
      "AGENT A_ENCRYPTION",
      `Cannot join: the encryption key has ${bits} bits, not 2048 to 4096`,
    );
  }
  const [sender, signing] = await Promise.all([pool.take(1024), pool.take(1024)]);
  const keys = {
    server,
    senderId,
    senderKey: sender.privateKey,
    signingKey: signing.privateKey,
    encryptionKey: encryptionKey.der,
  };
  return { id: newId(), keys, status: "new" };
}

/** What is subscribed to for a route. */
export function subscribedQueue(
  { keys }: Pick<AgentContext, "keys">,
  { id, keys: { server, recipientId, senderId, recipientKey } }: ReceivingRoute,
): SubscribedQueue {
  return { id, server, recipientId, senderId, loadKey: () => keys.signing(recipientKey) };
}

/** A queue as its recipient's commands need it. */
export async function recipientQueue(
  { keys }: Pick<AgentContext, "keys">,
  { recipientId, senderId, recipientKey }: Pick<ReceivingKeys, "recipientId" | "senderId" | "recipientKey">,
) {
  return { recipientId, senderId, recipientKey: await keys.signing(recipientKey) };
}

/** Throws {@linkcode AgentError} for a server that cannot be told from an impostor. */
export function verifiable(server: ServerAddress): void {
  try {
    checkVerifiable(server);
  } catch (error) {
    throw agentError(error);
  }
}
