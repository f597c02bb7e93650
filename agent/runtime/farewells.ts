import { encodeFrame, frameKinds, ratchetEncrypt, sealPacket, splitMessage } from "../../protocol/mod.ts";
import type { Connection, Farewell } from "../store/store.ts";
import type { AgentContext } from "./context.ts";

/** Milliseconds for which one try lasts at most. */
const patience = 10_000;

/**
 * What tells the other side that a connection is deleted, by each route; none when nothing can. It is one message, which
 * the other side decrypts once.
 */
export async function farewellsOf(
  { session, outbound }: Connection,
  { now, giveUpAt }: { readonly now: number; readonly giveUpAt: number },
): Promise<Farewell[]> {
  if (session?.status !== "active") return [];
  // Before its `ready` it is not known which kinds the other side knows; it takes no notice of others.
  if (!(session.keys.kinds?.includes(frameKinds.close) ?? true)) return [];
  const frame = encodeFrame({ kind: "close", number: session.lastNumber + 1, time: now });
  const made = await ratchetEncrypt(session.ratchet!, frame);
  if (!made.ok) return [];
  return outbound.map(({ id, keys: { server, senderId, senderKey, routeId, routeKey, blockSize } }) => (
    { id, server, senderId, senderKey, routeId, routeKey, blockSize, message: made.message, giveUpAt }
  ));
}

/** Tells it once; throws when the server has not taken it. */
export async function sayFarewell(
  { servers, keys, signal: closing }: AgentContext,
  { message, ...route }: Farewell,
): Promise<void> {
  const signal = AbortSignal.any([closing, AbortSignal.timeout(patience)]);
  const client = await servers.client(route.server);
  const queue = { senderId: route.senderId, senderKey: await keys.signing(route.senderKey) };
  for (const packet of await splitMessage(message, route.blockSize)) {
    await client.send(queue, await sealPacket(packet, route), { signal });
  }
}
