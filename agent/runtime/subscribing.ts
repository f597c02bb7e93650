import { SmpError } from "../../protocol/mod.ts";
import { inBatches } from "../batches.ts";
import { AgentError } from "../protocol/error.ts";
import { type SubscribedQueue, subscriptionBatch } from "../servers.ts";
import type { Connection } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { Events } from "./events.ts";
import { subscribedInbound } from "./inbound.ts";
import { subscribedQueue } from "./routes.ts";
import type { Sessions } from "./sessions.ts";

/** Has messages of connections received here. */
export class Subscribing {
  readonly #context: AgentContext;
  readonly #events: Events;
  readonly #sessions: Sessions;

  /** Does nothing yet. */
  constructor(
    context: AgentContext,
    { events, sessions }: { readonly events: Events; readonly sessions: Sessions },
  ) {
    this.#context = context;
    this.#events = events;
    this.#sessions = sessions;
  }

  /** See `Agent.subscribe`. */
  async subscribe(alias: string): Promise<void> {
    const { connections, servers } = this.#context;
    const connection = connections.get(alias);
    const { record: { id, role, reply } } = connection;
    const queues = this.#queues(connection);
    // The queue of a joiner is subscribed to when it is made.
    if (queues.length === 0 && !(role === "joiner" && reply)) throw simplex(connection);
    this.#events.subscribing(id);
    const tried = await Promise.allSettled(queues.map((queue) =>
      servers.subscribe(queue).catch((error) => {
        const isGone = error instanceof SmpError && error.code === "AUTH";
        if (!isGone || !this.#sessions.forgotten(queue.id)) throw error;
      })
    ));
    const failed = tried.flatMap((one) => one.status === "rejected" ? [one.reason] : []);
    if (failed.length > 0 && failed.length === tried.length) throw failed[0];
    // The others are tried on, which `up` tells of, unless their servers have refused.
    for (const error of failed) {
      if (error instanceof SmpError && error.code !== "INTERNAL") this.#events.failed(id, error);
    }
  }

  /** See `Agent.subscribeAll`; `subscribe` is the agent's command for one. */
  async subscribeAll(subscribe: (alias: string) => Promise<void>): Promise<string[]> {
    const all = this.#context.connections.all().filter((connection) => this.#queues(connection).length > 0);
    const done = await inBatches(all, subscriptionBatch, async ({ record: { id, alias } }) => {
      try {
        await subscribe(alias);
        return [alias];
      } catch (error) {
        this.#events.failed(id, error);
        return [];
      }
    });
    return done.flat();
  }

  /** The queues that a connection receives from. */
  #queues({ receiving, inbound }: Connection): SubscribedQueue[] {
    return [
      ...receiving.map((route) => subscribedQueue(this.#context, route)),
      ...inbound.map((route) => subscribedInbound(this.#context, route)),
    ];
  }
}

/** A connection has no queue for what is asked for. */
export function simplex({ record: { alias } }: Connection): AgentError {
  return new AgentError("CONN SIMPLEX", `"${alias}" has no queue for this direction`);
}
