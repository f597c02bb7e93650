import { sealCredit, sealPacket, type StreamRun } from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import type { StreamPorts } from "./ports.ts";

/**
 * Tells the sender of a stream which chunks were taken: packets on the connection's own routes, which cost no step of the
 * ratchet and nothing in the store. What was not told is told with what follows.
 */
export class Credits {
  readonly #ports: StreamPorts;
  #due: { readonly run: StreamRun; readonly number: number } | null = null;
  #work: Promise<void> | null = null;
  readonly #pause = new Pause();
  #isClosed = false;

  /** Tells nothing yet. */
  constructor(ports: StreamPorts) {
    this.#ports = ports;
  }

  /** All chunks of a run up to a number were taken. */
  tell(run: StreamRun, number: number): void {
    if (this.#isClosed) return;
    this.#due = { run, number };
    this.#work ??= this.#tellAll();
  }

  /** Stops; resolves when nothing is on its way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pause.end();
    await this.#work;
  }

  async #tellAll(): Promise<void> {
    await null;
    for (let failures = 0; this.#due !== null && !this.#isClosed;) {
      const due = this.#due;
      this.#due = null;
      if (await this.#send(due)) failures = 0;
      else {
        this.#due ??= due;
        await this.#pause.wait(backoffDelay(this.#ports.context.retry, ++failures));
      }
    }
    this.#work = null;
  }

  /** Whether a route has taken it. */
  async #send({ run, number }: { readonly run: StreamRun; readonly number: number }): Promise<boolean> {
    const { context: { servers, keys: loaded }, connection } = this.#ports;
    const routes = connection()?.outbound ?? [];
    const sent = await Promise.allSettled(routes.map(async ({ keys }) => {
      const client = await servers.client(keys.server);
      const senderKey = await loaded.signing(keys.senderKey);
      const packet = await sealCredit(run, { number, blockSize: keys.blockSize });
      await client.send({ senderId: keys.senderId, senderKey }, await sealPacket(packet, keys));
    }));
    return sent.some(({ status }) => status === "fulfilled");
  }
}
