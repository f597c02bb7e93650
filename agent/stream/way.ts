import type { MessageEvent, SmpClient } from "../../client/mod.ts";
import { openPacket, type ServerAddress, SmpError } from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import { type MadeInbound, makeInbound } from "../runtime/inbound.ts";
import { recipientQueue } from "../runtime/routes.ts";
import { discardedOf } from "../session/former.ts";
import type { StreamLink } from "./links.ts";
import type { StreamPorts } from "./ports.ts";

/** Milliseconds for which the server of a way is tried to be reached before another one is made. */
const patience = 10_000;

/** A queue of this side for one run of a stream: deleted when that is over, also after a crash. */
export class Way {
  /** What the sender is told of it. */
  readonly record: MadeInbound["record"];
  readonly #ports: StreamPorts;
  readonly #made: MadeInbound;
  readonly #window: number;
  #link: StreamLink;
  /** The message to be acknowledged next, with all before it. */
  #acknowledging: { client: SmpClient; messageId: string } | null = null;
  #work: Promise<void> | null = null;
  /** Between two attempts to acknowledge. */
  readonly #pause = new Pause();
  #isDeleted = false;
  /** Connections that were lost since something new has come. */
  #losses = 0;

  private constructor(ports: StreamPorts, made: MadeInbound, link: StreamLink, window: number) {
    this.#ports = ports;
    this.#made = made;
    this.#link = link;
    this.#window = window;
    this.record = made.record;
  }

  /** Makes a queue on a server. Throws `TransportError`, `SmpError`, and what the store throws. */
  static async make(ports: StreamPorts, server: ServerAddress, window: number): Promise<Way> {
    const { context, links } = ports;
    const link = await links.use(server);
    try {
      const what = { status: "active", replaces: null, leaving: null } as const;
      const made = await makeInbound(context, { server, via: link.client, ...what });
      const way = new Way(ports, made, link, window);
      try {
        const queue = discardedOf(made.route, context.deadlines.after(context.discardTimeout));
        await context.store.commit([{ type: "put discarded", queue }]);
        await way.#subscribe();
      } catch (error) {
        await way.delete();
        throw error;
      }
      return way;
    } catch (error) {
      link.release();
      throw error;
    }
  }

  /**
   * Gives what packets of the queue carry, acknowledged when the next one is asked for, over lost connections; after each
   * of these `null`: what came before it to the server may be lost. Ends when `signal` aborts, or when the queue is gone or its
   * server cannot be reached.
   */
  async *packets(signal: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer> | null, void, void> {
    while (!signal.aborted) {
      const { client } = this.#link;
      const events = client.events(this.#made.route.keys)[Symbol.asyncIterator]();
      for (;;) {
        const event = await until(events.next().catch(() => null), signal);
        if (event === null || event.done) break;
        // Another program has the queue: no way to go on with it.
        if (event.value.type === "END") return;
        const content = await this.#contentOf(event.value);
        if (content !== null) yield content;
        this.#acknowledge(client, event.value.messageId);
      }
      if (signal.aborted || !await this.#again(signal)) return;
      yield null;
    }
  }

  /** Something new has come by it. */
  advanced(): void {
    this.#losses = 0;
  }

  /** Deletes the queue: at once where that can be, else when its server can be reached. */
  async delete(): Promise<void> {
    const { context } = this.#ports;
    const { route } = this.#made;
    this.#isDeleted = true;
    this.#pause.end();
    try {
      // By this connection first: it has what was not read of the queue.
      await this.#link.client.deleteQueue(await recipientQueue(context, route.keys));
      await context.store.commit([{ type: "delete discarded", id: route.id }]);
    } catch {
      await context.abandon(route);
    } finally {
      this.#link.release();
      await this.#work;
    }
  }

  async #contentOf({ body }: MessageEvent): Promise<Uint8Array<ArrayBuffer> | null> {
    const opened = await openPacket(body as Uint8Array<ArrayBuffer>, this.#made.route.keys, {
      isLent: true,
    });
    return opened.ok && opened.packet.type === "stream chunk" ? opened.packet.content : null;
  }

  async #subscribe(): Promise<void> {
    const { client } = this.#link;
    const queue = await recipientQueue(this.#ports.context, this.#made.route.keys);
    await client.subscribe(queue, { window: this.#window });
  }

  /** Subscribes again by another connection; `false`: the queue is gone, or its server has been for long. */
  async #again(signal: AbortSignal): Promise<boolean> {
    const { context: { retry }, links } = this.#ports;
    const pause = new Pause();
    const end = () => pause.end();
    signal.addEventListener("abort", end);
    try {
      this.#link.release();
      // A server that takes each subscription and closes the connection is not one that is back.
      if (this.#losses++ > 0) await pause.wait(backoffDelay(retry, this.#losses - 1));
      const began = performance.now();
      for (let failures = 1; !signal.aborted; failures++) {
        this.#link.release();
        try {
          this.#link = await links.use(this.#made.route.keys.server, signal);
          await this.#subscribe();
          this.#pause.end();
          return true;
        } catch (error) {
          if (error instanceof SmpError && error.code === "AUTH") return false;
          if (performance.now() - began > patience) return false;
          await pause.wait(backoffDelay(retry, failures));
        }
      }
      return false;
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  /** One acknowledgement at a time is on its way: the next one is of all that came meanwhile. */
  #acknowledge(client: SmpClient, messageId: string): void {
    this.#acknowledging = { client, messageId };
    this.#work ??= this.#acknowledgeAll();
  }

  async #acknowledgeAll(): Promise<void> {
    const queue = await recipientQueue(this.#ports.context, this.#made.route.keys);
    let failures = 0;
    for (let next; (next = this.#acknowledging) !== null;) {
      this.#acknowledging = null;
      try {
        await next.client.acknowledge(queue, next.messageId);
        failures = 0;
      } catch (error) {
        // With any other failure the connection ends, or the message comes again and is acknowledged then.
        const isUndone = error instanceof SmpError && error.code === "INTERNAL";
        if (!isUndone || this.#isDeleted) continue;
        // When the window is full nothing comes before the server has done it.
        await this.#pause.wait(backoffDelay(this.#ports.context.retry, ++failures));
        // By another connection it comes again.
        if (next.client === this.#link.client) this.#acknowledging ??= next;
        else failures = 0;
      }
    }
    this.#work = null;
  }
}

/** What a promise gives; `null` when the signal aborts before. */
async function until<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return null;
  let abort = () => {};
  const aborted = new Promise<null>((resolve) => {
    abort = () => resolve(null);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
