import { formatAddress, type ServerAddress, SmpError } from "../../protocol/mod.ts";
import { type Backoff, backoffDelay, Pause } from "../backoff.ts";
import { discardedOf } from "../session/former.ts";
import type {
  Connection,
  Discarded,
  DiscardedQueue,
  Farewell,
  InboundRoute,
  ReceivingRoute,
  StoreChange,
} from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { farewellsOf, sayFarewell } from "./farewells.ts";
import { recipientQueue } from "./routes.ts";

/** What is still to be said to others: more is not said. */
const mostFarewells = 1_000;

interface Waiting {
  readonly isFarewell: boolean;
  readonly server: string;
  readonly work: Promise<void>;
  readonly pause: Pause;
}

/**
 * Deletes the queues of deleted connections, and those that came to belong to none, at their servers, and tells the other
 * sides: stored until that is done, or given up.
 */
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

  /** What is stored to tell the other side of a connection that it is deleted. */
  async farewells(connection: Connection): Promise<Farewell[]> {
    const { deadlines, discardTimeout, now } = this.#context;
    const giveUpAt = deadlines.after(discardTimeout);
    const before = [...this.#queues.values()].filter(({ isFarewell }) => isFarewell).length;
    const farewells = await farewellsOf(connection, { now: now(), giveUpAt });
    return farewells.slice(0, Math.max(0, mostFarewells - before));
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

  /** Does what was stored as left to be done; resolves after the first try. */
  async discard(queue: Discarded): Promise<void> {
    if (this.#isClosed || this.#queues.has(queue.id)) return;
    const pause = new Pause();
    let tried = () => {};
    const first = new Promise<void>((resolve) => tried = resolve);
    const work = this.#delete(queue, pause, tried).finally(() => {
      tried();
      this.#queues.delete(queue.id);
    });
    const isFarewell = "message" in queue;
    this.#queues.set(queue.id, { isFarewell, server: formatAddress(queue.server), work, pause });
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

  async #delete(queue: Discarded, pause: Pause, tried: () => void): Promise<void> {
    const { store, deadlines, discardTimeout } = this.#context;
    let isDone = false;
    for (let failures = 1; !this.#isClosed; failures++) {
      // While the store is full the same is not said again and again.
      isDone ||= await this.#try(queue) || deadlines.isOver(queue.giveUpAt, discardTimeout);
      if (isDone) {
        const change: StoreChange = { type: "delete discarded", id: queue.id };
        if (await store.commit([change]).then(() => true, () => false)) return;
      }
      tried();
      if (!this.#isClosed) await pause.wait(backoffDelay(this.#retry, failures));
    }
  }

  /** Whether the server has not got the queue any more, or has what it is to pass on. */
  async #try(queue: Discarded): Promise<boolean> {
    try {
      if ("message" in queue) {
        await sayFarewell(this.#context, queue);
        return true;
      }
      const client = await this.#context.servers.client(queue.server);
      await client.deleteQueue(await recipientQueue(this.#context, queue));
      return true;
    } catch (error) {
      return error instanceof SmpError && error.code === "AUTH";
    }
  }
}
