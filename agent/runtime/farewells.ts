import { encodeFrame, frameKinds, ratchetEncrypt, sealPacket, splitMessage } from "../../protocol/mod.ts";
import type { Connection, OutboundRoute } from "../store/store.ts";
import type { AgentContext } from "./context.ts";

/** Milliseconds for which the other side of a deleted connection is tried to be told. */
const patience = 10_000;

/** What tells the other side that a connection is deleted; `null` when nothing can. */
export async function farewellOf(
  { session }: Connection,
  now: number,
): Promise<Uint8Array<ArrayBuffer> | null> {
  if (session?.status !== "active") return null;
  // Before its `ready` it is not known which kinds the other side knows; it takes no notice of others.
  if (!(session.keys.kinds?.includes(frameKinds.close) ?? true)) return null;
  const frame = encodeFrame({ kind: "close", number: session.lastNumber + 1, time: now });
  const made = await ratchetEncrypt(session.ratchet!, frame);
  return made.ok ? made.message : null;
}

/** Tells the other sides of deleted connections, once: nothing is kept of these. */
export class Farewells implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #work = new Set<Promise<void>>();

  /** Tells nobody yet. */
  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** Tells by all routes; resolves when those have taken it whose servers are connected, or have failed. */
  async say(routes: readonly OutboundRoute[], message: Uint8Array<ArrayBuffer> | null): Promise<void> {
    if (message === null) return;
    await Promise.all(routes.map(async (route) => {
      const isConnected = this.#context.servers.isConnected(route.keys.server);
      const work = this.#say(route, message).catch(() => {}).finally(() => this.#work.delete(work));
      this.#work.add(work);
      if (isConnected) await work;
    }));
  }

  /** Resolves when nothing is under way; the agent's signal must have aborted. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#work);
  }

  async #say({ keys }: OutboundRoute, message: Uint8Array<ArrayBuffer>): Promise<void> {
    const { servers, keys: loaded, signal: closing } = this.#context;
    const signal = AbortSignal.any([closing, AbortSignal.timeout(patience)]);
    const client = await servers.client(keys.server);
    const senderKey = await loaded.signing(keys.senderKey);
    for (const packet of await splitMessage(message, keys.blockSize)) {
      await client.send({ senderId: keys.senderId, senderKey }, await sealPacket(packet, keys), { signal });
    }
  }
}
