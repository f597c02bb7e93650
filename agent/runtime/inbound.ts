import type { SmpClient } from "../../client/mod.ts";
import {
  decodeBase64,
  decodePublicKey,
  encodeBase64,
  exportPrivateKey,
  formatAddress,
  parseAddress,
  randomBytes,
  routeIdLength,
  type RouteRecord,
  senderKeyOf,
  senderKeyPrimes,
  type ServerAddress,
  SmpError,
} from "../../protocol/mod.ts";
import { newId } from "../core/connection.ts";
import { AgentError } from "../protocol/error.ts";
import type { SubscribedQueue } from "../servers.ts";
import type { InboundRoute, OutboundRoute } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { newQueue } from "./new_queue.ts";
import { recipientQueue, takePair, verifiable } from "./routes.ts";

/** Bytes of the blocks in which routes are read. */
const ownBlockSize = 4096;

/** Messages of an inbound route that a server delivers at a time. */
const window = 64;

/** A route whose queue was just made and secured, what the other side needs to send to it, and the subscribed connection. */
export interface MadeInbound {
  readonly route: InboundRoute;
  readonly record: RouteRecord;
  readonly client: SmpClient;
}

/**
 * Makes a queue on a server and secures it with a key of its own, by a connection that is given or the agent's. Throws
 * `TransportError`, `SmpError`.
 */
export async function makeInbound(
  context: AgentContext,
  { server, via, ...what }: Pick<InboundRoute, "status" | "replaces" | "leaving"> & {
    readonly server: ServerAddress;
    readonly via?: SmpClient;
  },
): Promise<MadeInbound> {
  const { servers, keys, spare } = context;
  const client = via ?? await servers.client(server);
  const blockSize = via?.blockSize ?? ownBlockSize;
  const [recipient, sender] = await Promise.all([takePair(context, 1024), takePair(context, 2048)]);
  const keyPair = {
    publicKey: decodePublicKey(recipient.publicKey),
    privateKey: await keys.signing(recipient.privateKey),
  };
  const { recipientId, senderId } = await newQueue(context, { server, client, keyPair }).catch((error) => {
    // With another error the server may have a queue with this key.
    if (error instanceof SmpError) {
      spare[1024].push(recipient);
      spare[2048].push(sender);
    }
    throw error;
  });
  const route: InboundRoute = {
    id: newId(),
    keys: {
      server,
      recipientId,
      senderId,
      recipientKey: recipient.privateKey,
      routeId: randomBytes(routeIdLength),
      routeKey: randomBytes(32),
      blockSize,
      createdAt: context.now(),
    },
    ...what,
    endedBy: null,
    lastServerId: "",
    suspended: false,
  };
  try {
    await client.secureQueue(await recipientQueue(context, route.keys), decodePublicKey(sender.publicKey));
  } catch (error) {
    await context.abandon(route);
    throw error;
  }
  const { routeId, routeKey } = route.keys;
  const record = {
    routeId,
    server: formatAddress(server),
    senderId: decodeBase64(senderId)!,
    ...senderKeyPrimes(sender.privateKey),
    routeKey,
    blockSize,
  };
  return { route, record, client };
}

/** The way that the other agent tells of; an error when it cannot be used. */
export async function outboundOf(
  { allowUnverified }: Pick<AgentContext, "allowUnverified">,
  { server: address, senderId, routeId, routeKey, blockSize, p, q }: RouteRecord,
): Promise<OutboundRoute | AgentError> {
  const server = parseAddress(address);
  if (!allowUnverified) {
    try {
      verifiable(server);
    } catch (error) {
      if (error instanceof AgentError) return error;
      throw error;
    }
  }
  const key = await senderKeyOf({ p, q });
  if (key === null) {
    return new AgentError("AGENT A_MESSAGE", "The other agent's route has a key that does not work");
  }
  const keys = {
    server,
    senderId: encodeBase64(senderId),
    senderKey: await exportPrivateKey(key.privateKey),
    routeId: routeId.slice(),
    routeKey: routeKey.slice(),
    blockSize,
  };
  return { id: newId(), keys, isProven: false, replaces: null, cursor: 0 };
}

/** What is subscribed to for an inbound route. */
export function subscribedInbound(
  { keys }: Pick<AgentContext, "keys">,
  { id, keys: { server, recipientId, senderId, recipientKey } }: InboundRoute,
): SubscribedQueue {
  return { id, server, recipientId, senderId, loadKey: () => keys.signing(recipientKey), window };
}
