import { padRepair, sealPacket } from "../../protocol/mod.ts";
import { unansweredRepair } from "../session/repair_state.ts";
import type { OutboundRoute } from "../store/store.ts";
import type { AgentContext } from "./context.ts";

/** Milliseconds for which one saying is tried: it is said again later. */
const patience = 30_000;

/** Says what a side has to say to repair a session, by all routes; who wants it answered has it said again. */
export class RepairSpeaker implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #work = new Set<Promise<void>>();

  /** Says nothing yet. */
  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** Says it once, if there is something to be said. */
  say(connection: string): void {
    const { connections, signal } = this.#context;
    const { session, outbound } = connections.find(connection) ?? {};
    const stage = session && unansweredRepair(session);
    if (stage == null || signal.aborted) return;
    for (const route of outbound ?? []) {
      const work = this.#say(route, stage.said).catch(() => {}).finally(() => this.#work.delete(work));
      this.#work.add(work);
    }
  }

  /** Resolves when nothing is under way; the agent's signal must have aborted. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#work);
  }

  async #say({ keys }: OutboundRoute, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { servers, keys: loaded, signal: closing } = this.#context;
    const signal = AbortSignal.any([closing, AbortSignal.timeout(patience)]);
    const client = await servers.client(keys.server);
    const senderKey = await loaded.signing(keys.senderKey);
    const body = await sealPacket(padRepair({ bytes }, keys.blockSize), keys);
    await client.send({ senderId: keys.senderId, senderKey }, body, { signal });
  }
}
