import { sealCredit, sealPacket, type StreamRun } from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import type { OutboundRoute } from "../store/store.ts";
import type { StreamPorts } from "./ports.ts";

interface Credit {
  readonly run: StreamRun;
  readonly number: number;
}

/**
 * Tells the sender of a stream which chunks were taken: packets on the connection's own routes, which cost no step of the
 * ratchet and nothing in the store. What was not told is told with what follows. No route waits for another one, whose
 * server may not answer.
 */
export class Credits {
  readonly #ports: StreamPorts;
  /** What is told last, and the last of that which some server has taken while it was the last. */
  #due: Credit | null = null;
  #told: Credit | null = null;
  /** What goes on by each route, by its ID. */
  readonly #work = new Map<string, Promise<void>>();
  readonly #pauses = new Set<Pause>();
  #isClosed = false;

  /** Tells nothing yet. */
  constructor(ports: StreamPorts) {
    this.#ports = ports;
  }

  /** All chunks of a run up to a number were taken. */
  tell(run: StreamRun, number: number): void {
    if (this.#isClosed) return;
    this.#due = { run, number };
    this.#begin();
  }

  /** Stops; resolves when nothing is on its way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const pause of this.#pauses) pause.end();
    await Promise.all(this.#work.values());
  }

  #begin(): void {
    for (const { id } of this.#ports.connection()?.outbound ?? []) {
      if (!this.#work.has(id)) this.#work.set(id, this.#tellBy(id));
    }
  }

  async #tellBy(id: string): Promise<void> {
    // Else this could end before it is known as the work under way.
    await null;
    let last: Credit | null = null;
    for (let failures = 0; !this.#isClosed;) {
      const due = this.#due;
      const route = this.#ports.connection()?.outbound.find((one) => one.id === id);
      if (due === null || due === last || route === undefined) break;
      if (await this.#send(due, route)) {
        [last, failures] = [due, 0];
        // By another route more may have been taken meanwhile.
        if (due === this.#due) this.#told = due;
        continue;
      }
      // Nothing is told again for this route alone.
      if (this.#isClosed || this.#due === this.#told) break;
      await this.#wait(backoffDelay(this.#ports.context.retry, ++failures));
      if (this.#due === this.#told) break;
    }
    // In the same turn as the last look: what is told from now on begins anew, also by a route in place of this one.
    this.#work.delete(id);
    if (!this.#isClosed && this.#due !== this.#told) this.#begin();
  }

  /** Whether the server of a route has taken it. */
  async #send({ run, number }: Credit, { keys }: OutboundRoute): Promise<boolean> {
    const { context: { servers, keys: loaded } } = this.#ports;
    try {
      const client = await servers.client(keys.server);
      const senderKey = await loaded.signing(keys.senderKey);
      const packet = await sealCredit(run, { number, blockSize: keys.blockSize });
      await client.send({ senderId: keys.senderId, senderKey }, await sealPacket(packet, keys));
      return true;
    } catch {
      return false;
    }
  }

  async #wait(milliseconds: number): Promise<void> {
    const pause = new Pause();
    this.#pauses.add(pause);
    await pause.wait(milliseconds);
    this.#pauses.delete(pause);
  }
}
