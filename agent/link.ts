import { type MessageEvent, SmpClient, type SmpClientOptions } from "../client/mod.ts";
import type { ServerAddress } from "../protocol/mod.ts";
import { backoffDelay } from "./backoff.ts";
import type { SubscribedQueue } from "./server_events.ts";
import { Subscriptions, type SubscriptionsOptions } from "./subscriptions.ts";

/** How one server is connected to. */
export interface LinkOptions extends SubscriptionsOptions {
  readonly client: Omit<SmpClientOptions, "signal">;
}

/** How a server is reached, and for how many milliseconds; `null` when it was never tried. */
export interface LinkState {
  readonly server: ServerAddress;
  readonly state: "connected" | "connecting" | "unreachable" | "idle";
  readonly for: number | null;
}

/** Milliseconds after which a connection has worked: one that ends earlier counts as a failure to connect. */
const settleTime = 10_000;

/** Milliseconds after which a connection is closed that no queue is wanted on and nobody has asked for. */
const idleTime = 300_000;

/** The same for a server that nobody needs any more: what is under way there may end. */
const graceTime = 10_000;

/** The connection to one server: made when it is needed, and made again as long as queues there are wanted. */
export class Link implements AsyncDisposable {
  readonly #server: ServerAddress;
  readonly #options: LinkOptions;
  readonly #subscriptions: Subscriptions;
  #client: SmpClient | null = null;
  #connecting: Promise<SmpClient> | null = null;
  #isReconnecting = false;
  #pause: AbortController | null = null;
  /** Tries to connect that failed, and connections that ended soon, one after the other. */
  #failures = 0;
  /** When the server could not be reached, or was lost, for the first time since there was a connection. */
  #downSince: number | null = null;
  /** When there was a connection, or it was lost, or the first one tried. */
  #changed: number | null = null;
  /** When a client was asked for last. */
  #lastAsked = 0;
  /** Whether it is closed soon if nobody asks for it. */
  #isLeaving = false;
  readonly #work = new Set<Promise<unknown>>();

  /** Connects to nothing yet. */
  constructor(server: ServerAddress, options: LinkOptions) {
    this.#server = server;
    this.#options = options;
    this.#subscriptions = new Subscriptions(server, options);
  }

  /** The server. */
  get server(): ServerAddress {
    return this.#server;
  }

  /** Whether queues are wanted there. */
  get isWanted(): boolean {
    return this.#subscriptions.size > 0;
  }

  /** Whether nothing is there and nothing is being made. */
  get isAtRest(): boolean {
    return this.#client === null && this.#connecting === null && this.#work.size === 0;
  }

  /** Whether there is a connection. */
  get isConnected(): boolean {
    return this.#client !== null;
  }

  /** Milliseconds for which the server could not be reached; 0 while there is a connection, or nobody has tried. */
  get downFor(): number {
    return this.#downSince === null ? 0 : this.#options.clock.now() - this.#downSince;
  }

  /** How it is now. */
  get state(): LinkState {
    const now = this.#options.clock.now();
    const isOpen = this.#client !== null;
    const isTried = this.#connecting !== null || this.#isReconnecting;
    const since = isOpen ? this.#changed : this.#downSince ?? this.#changed;
    return {
      server: this.#server,
      state: isOpen
        ? "connected"
        : this.#downSince !== null
        ? "unreachable"
        : isTried
        ? "connecting"
        : "idle",
      for: since === null ? null : now - since,
    };
  }

  /** The connection, or a new one at once. */
  client(): Promise<SmpClient> {
    this.#lastAsked = this.#options.clock.now();
    if (this.#client !== null) return Promise.resolve(this.#client);
    return this.#connecting ??= this.#connect();
  }

  /** See `Servers.subscribe`. */
  subscribe(queue: SubscribedQueue): Promise<void> {
    const subscribed = this.#subscriptions.subscribe(queue);
    // Now, even if the next try to connect is not due; what it fails with is what `subscribed` rejects with.
    if (this.#client === null) this.#do(this.client().catch(() => {}));
    return subscribed;
  }

  /** See `Servers.created`. */
  created(queue: SubscribedQueue, client: SmpClient): void {
    this.#subscriptions.created(queue, client);
    this.#keepConnected();
  }

  /** See `Servers.forget`. */
  forget(id: string): void {
    this.#subscriptions.forget(id);
  }

  /** See `Servers.mayAcknowledge`. */
  mayAcknowledge(id: string, message: MessageEvent, client: SmpClient): boolean {
    return this.#subscriptions.mayAcknowledge(id, message, client);
  }

  /** See `Servers.resubscribe`. */
  resubscribe(id: string): void {
    this.#subscriptions.resubscribe(id);
  }

  /** Closes the connection soon, unless somebody asks for it or wants a queue there. */
  leave(): void {
    if (this.#client === null || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#do(this.#closeUnlessAsked(this.#client).finally(() => this.#isLeaving = false));
  }

  /** Resolves when nothing is under way any more; the signal of the options must have aborted. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#pause?.abort();
    this.#do(this.#subscriptions[Symbol.asyncDispose]());
    await this.#connecting?.catch(() => {});
    await this.#client?.close();
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /** Work that is waited for when the link is closed. */
  #do(work: Promise<unknown>): void {
    const done = work.finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  async #connect(): Promise<SmpClient> {
    let client;
    this.#changed ??= this.#options.clock.now();
    try {
      const { client: options, signal } = this.#options;
      client = await SmpClient.connect(this.#server, { ...options, signal });
    } catch (error) {
      this.#connecting = null;
      this.#downSince ??= this.#options.clock.now();
      this.#failures++;
      this.#subscriptions.failed(error);
      this.#keepConnected();
      throw error;
    }
    this.#connecting = null;
    if (this.#options.signal.aborted) await client.close();
    else this.#serve(client);
    return client;
  }

  #serve(client: SmpClient): void {
    this.#client = client;
    this.#downSince = null;
    this.#pause?.abort();
    const began = this.#changed = this.#options.clock.now();
    this.#do(client.closed.then((error) => this.#lost(error, began)));
    this.#do(this.#read(client));
    this.#do(this.#closeWhenIdle(client));
    this.#subscriptions.connected(client);
    this.#options.events.connected(this.#server);
  }

  async #read(client: SmpClient): Promise<void> {
    try {
      for await (const event of client.events()) {
        if (this.#client !== client) break;
        this.#subscriptions.received(event, client);
      }
    } catch {
      // The connection is gone, which `closed` tells too.
    }
    await client.close();
  }

  async #closeWhenIdle(client: SmpClient): Promise<void> {
    const { clock } = this.#options;
    const closed = new AbortController();
    void client.closed.then(() => closed.abort());
    while (this.#client === client) {
      await clock.wait(idleTime, closed.signal);
      const isIdle = this.#subscriptions.size === 0 && clock.now() - this.#lastAsked >= idleTime;
      if (this.#client === client && isIdle) await client.close();
    }
  }

  async #closeUnlessAsked(client: SmpClient): Promise<void> {
    const asked = this.#lastAsked;
    const closed = new AbortController();
    void client.closed.then(() => closed.abort());
    await this.#options.clock.wait(graceTime, closed.signal);
    const isUnused = this.#subscriptions.size === 0 && this.#lastAsked === asked;
    if (this.#client === client && isUnused) await client.close();
  }

  #lost(error: unknown, began: number): void {
    this.#client = null;
    this.#changed = this.#options.clock.now();
    this.#failures = this.#changed - began > settleTime ? 0 : this.#failures + 1;
    this.#subscriptions.lost(error);
    this.#keepConnected();
  }

  #mustConnect(): boolean {
    return this.#client === null && this.#subscriptions.size > 0;
  }

  #keepConnected(): void {
    if (this.#isReconnecting || !this.#mustConnect()) return;
    this.#isReconnecting = true;
    this.#do(this.#reconnect());
  }

  async #reconnect(): Promise<void> {
    while (this.#mustConnect()) {
      if (this.#failures > 0) await this.#wait(backoffDelay(this.#options.reconnect, this.#failures));
      if (this.#mustConnect()) await this.client().catch(() => {});
    }
    // In the same turn as the last look: a connection that is lost from now on is made again by another call.
    this.#isReconnecting = false;
  }

  async #wait(milliseconds: number): Promise<void> {
    const pause = this.#pause = new AbortController();
    await this.#options.clock.wait(milliseconds, pause.signal);
    this.#pause = null;
  }
}
