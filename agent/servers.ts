import type { MessageEvent, SmpClient, SmpClientOptions } from "../client/mod.ts";
import { formatAddress, type ServerAddress } from "../protocol/mod.ts";
import type { Backoff } from "./backoff.ts";
import { type Clock, systemClock } from "./clock.ts";
import { Link, type LinkOptions, type LinkState } from "./link.ts";
import type { ServerEvents, SubscribedQueue } from "./server_events.ts";

export type { ServerEvents, SubscribedQueue } from "./server_events.ts";
export { subscriptionBatch } from "./subscriptions.ts";

/** How servers are connected to. */
export interface ServersOptions {
  readonly client: Omit<SmpClientOptions, "signal">;
  /** Between tries to reach a server with wanted queues, and to subscribe to a queue. */
  readonly reconnect: Backoff;
  readonly events: ServerEvents;
  /** Whether something may have to be sent to a server or received from it. @default of every server */
  readonly isNeeded?: (server: ServerAddress) => boolean;
  /** @default the system's */
  readonly clock?: Clock;
}

/**
 * One connection to each server, made when it is needed, and made again as long as queues there are wanted.
 *
 * What fails for one queue concerns that queue: only the failure of a connection concerns all on it, and then those of
 * that server.
 */
export class Servers implements AsyncDisposable {
  readonly #options: LinkOptions;
  readonly #links = new Map<string, Link>();
  /** The links of the wanted queues, by the queues' IDs. */
  readonly #byQueue = new Map<string, Link>();
  readonly #abort = new AbortController();
  readonly #isNeeded: (server: ServerAddress) => boolean;

  /** Connects to nothing yet. */
  constructor(
    { client, reconnect, events, isNeeded = () => true, clock = systemClock }: ServersOptions,
  ) {
    this.#isNeeded = isNeeded;
    this.#options = {
      client,
      signal: this.#abort.signal,
      reconnect,
      events,
      clock,
      dropped: (id) => this.#byQueue.delete(id),
    };
  }

  /** The connection to a server, made at once if there is none. Throws `TransportError` when it cannot be had now. */
  client(server: ServerAddress): Promise<SmpClient> {
    return this.#link(server).client();
  }

  /** Whether there is a connection to a server. */
  isConnected(server: ServerAddress): boolean {
    return this.#links.get(formatAddress(server))?.isConnected ?? false;
  }

  /** How the servers are reached that something was asked of. */
  states(): LinkState[] {
    return [...this.#links.values()].map((link) => link.state);
  }

  /** Whether a queue is wanted. */
  isWanted(id: string): boolean {
    return this.#byQueue.has(id);
  }

  /** Whether a server could not be reached for that many milliseconds, while another one can be now. */
  isLost(server: ServerAddress, milliseconds: number): boolean {
    const link = this.#links.get(formatAddress(server));
    if (link === undefined || link.downFor < milliseconds || link.isConnected) return false;
    return [...this.#links.values()].some((other) => other.isConnected);
  }

  /**
   * Subscribes to a queue now, also when it is subscribed to already: the server then delivers an unacknowledged message
   * again. From now on it is wanted: it is subscribed to again whenever it has to be, until it is forgotten, refused or
   * ended. Rejects with what the first try fails with: after `TransportError` and `SmpError` `INTERNAL` the queue stays
   * wanted, and `up` tells when it is subscribed to; after any other error it is not wanted any more, and not told to be
   * refused.
   */
  subscribe(queue: SubscribedQueue): Promise<void> {
    const { signal } = this.#abort;
    return signal.aborted ? Promise.reject(signal.reason) : this.#linkOf(queue).subscribe(queue);
  }

  /** Wants a queue that was created, and so subscribed to, through `client`, which may be gone by now. */
  created(queue: SubscribedQueue, client: SmpClient): void {
    if (!this.#abort.signal.aborted) this.#linkOf(queue).created(queue, client);
  }

  /** Subscribes once more to a wanted queue if there is a connection: an unacknowledged message is delivered again. */
  resubscribe(id: string): void {
    this.#byQueue.get(id)?.resubscribe(id);
  }

  /**
   * Whether ACK, which names no message, is for this one that came through `client`. When it is not, the next answer to
   * SUB delivers what is not acknowledged again.
   */
  mayAcknowledge(id: string, message: MessageEvent, client: SmpClient): boolean {
    return this.#byQueue.get(id)?.mayAcknowledge(id, message, client) ?? false;
  }

  /** Wants a queue no more; a call of {@linkcode Servers.subscribe} that waits rejects with an `AbortError`. */
  forget(id: string): void {
    const link = this.#byQueue.get(id);
    this.#byQueue.delete(id);
    link?.forget(id);
  }

  /** Closes the connections soon that nobody needs any more, and forgets their servers. */
  tidy(): void {
    for (const [name, link] of this.#links) {
      if (link.isWanted || this.#isNeeded(link.server)) continue;
      if (link.isAtRest) this.#links.delete(name);
      else link.leave();
    }
  }

  /** Closes all connections; resolves when nothing is under way any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new DOMException("The agent was closed", "AbortError"));
    await Promise.all([...this.#links.values()].map((link) => link[Symbol.asyncDispose]()));
  }

  #linkOf({ id, server }: SubscribedQueue): Link {
    const link = this.#link(server);
    this.#byQueue.set(id, link);
    return link;
  }

  #link(server: ServerAddress): Link {
    const name = formatAddress(server);
    let link = this.#links.get(name);
    if (link === undefined) this.#links.set(name, link = new Link(server, this.#options));
    return link;
  }
}
