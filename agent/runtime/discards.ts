import { formatAddress, type ServerAddress, SmpError } from "../../protocol/mod.ts";
import { type Backoff, backoffDelay, Pause } from "../backoff.ts";
import { discardedOf } from "../session/former.ts";
import type { DiscardedQueue, InboundRoute, ReceivingRoute, StoreChange } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { recipientQueue } from "./routes.ts";

interface Waiting {
  readonly server: string;
  readonly work: Promise<void>;
  readonly pause: Pause;
}

/** Deletes the queues of deleted connections, and those that came to belong to none, at their servers: stored until that is done, or given up. */
export class Discards implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #retry: Backoff;
  readonly #queues = new Map<string, Waiting>();
  #isClosed = false;

  /** Deletes nothing yet. */
  constructor(context: AgentContext) {
    this.#context = context;
    this.#retry = { ...context.retry, most: Math.max(context.retry.most, 3_600_000), factor: 2 };
  }

  /** What is stored of a route's queue when its connection is deleted. */
  discarded(route: ReceivingRoute | InboundRoute): DiscardedQueue {
    const { deadlines, discardTimeout } = this.#context;
    return discardedOf(route, deadlines.after(discardTimeout));
  }

  /**
   * Has a queue deleted that was made for a connection and does not belong to it: that is deleted by now, or could not be
   * stored. Resolves when it is stored as discarded, as far as that can be, and where its server is connected after the
   * first try.
   */
  async abandon(route: ReceivingRoute | InboundRoute): Promise<void> {
    const { store, servers } = this.#context;
    const queue = this.discarded(route);
    await store.commit([{ type: "put discarded", queue }]).catch(() => {});
    const deleting = this.discard(queue);
    if (servers.isConnected(queue.server)) await deleting;
  }

  /** Has a queue deleted that was stored as discarded; resolves after the first try. */
  async discard(queue: DiscardedQueue): Promise<void> {
    if (this.#isClosed || this.#queues.has(queue.id)) return;
    const pause = new Pause();
    let tried = () => {};
    const first = new Promise<void>((resolve) => tried = resolve);
    const work = this.#delete(queue, pause, tried).finally(() => {
      tried();
      this.#queues.delete(queue.id);
    });
    this.#queues.set(queue.id, { server: formatAddress(queue.server), work, pause });
    await first;
  }

  /** A server can be reached: what waits for it is tried at once. */
  reachable(address: ServerAddress): void {
    const name = formatAddress(address);
    for (const { server, pause } of this.#queues.values()) if (server === name) pause.end();
  }

  /** Stops; what is not done is done after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const { pause } of this.#queues.values()) pause.end();
    await Promise.all([...this.#queues.values()].map(({ work }) => work));
  }

  async #delete(queue: DiscardedQueue, pause: Pause, tried: () => void): Promise<void> {
    const { store, deadlines, discardTimeout } = this.#context;
    for (let failures = 1; !this.#isClosed; failures++) {
      if (await this.#try(queue) || deadlines.isOver(queue.giveUpAt, discardTimeout)) {
        const change: StoreChange = { type: "delete discarded", id: queue.id };
        if (await store.commit([change]).then(() => true, () => false)) return;
      }
      tried();
      if (!this.#isClosed) await pause.wait(backoffDelay(this.#retry, failures));
    }
  }

  /** Whether the server has not got the queue any more. */
  async #try(queue: DiscardedQueue): Promise<boolean> {
    try {
      const client = await this.#context.servers.client(queue.server);
      await client.deleteQueue(await recipientQueue(this.#context, queue));
      return true;
    } catch (error) {
      return error instanceof SmpError && error.code === "AUTH";
    }
  }
}
