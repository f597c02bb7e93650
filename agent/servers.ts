import { type MessageEvent, SmpClient, type SmpClientOptions } from "../client/mod.ts";
import { formatAddress, type PrivateKey, type ServerAddress, SmpError } from "../protocol/mod.ts";
import { inBatches } from "./batches.ts";
import { type Backoff, backoffDelay, Pause } from "./backoff.ts";

/** A queue that is subscribed to. */
export interface SubscribedQueue {
  readonly server: ServerAddress;
  /** Base64. */
  readonly recipientId: string;
  /** Base64. */
  readonly senderId: string;
  /** Loads the key that signs the recipient's commands. */
  readonly loadKey: () => Promise<PrivateKey<"sign">>;
}

/** What is told about servers. */
export interface ServerEvents {
  /** A message of a subscribed queue came through `client`. */
  message(queue: SubscribedQueue, message: MessageEvent, client: SmpClient): void;
  /** Another program has subscribed to the queue. */
  ended(queue: SubscribedQueue): void;
  /** The server will not have the queue any more. */
  refused(queue: SubscribedQueue, error: SmpError): void;
  /** The connection to a server with subscriptions is gone. */
  down(server: ServerAddress, queues: readonly SubscribedQueue[]): void;
  /** The server is back, and so are these subscriptions. */
  up(server: ServerAddress, queues: readonly SubscribedQueue[]): void;
  /** There is a connection to the server. */
  connected(server: ServerAddress): void;
}

/** How servers are connected to. */
export interface ServersOptions {
  readonly client: SmpClientOptions;
  /** Between tries to reach a server with subscriptions. */
  readonly reconnect: Backoff;
  readonly events: ServerEvents;
}

/** Milliseconds after which a connection has worked: one that ends earlier counts as a failure to connect. */
const settleTime = 10_000;

/** Subscriptions that are sent at a time: each has its time from then on. */
export const subscriptionBatch = 100;

/** One connection to each server, made when it is needed, and made again as long as there are subscriptions. */
export class Servers implements AsyncDisposable {
  readonly #options: ServersOptions;
  readonly #links = new Map<string, Link>();
  readonly #abort = new AbortController();

  /** Connects to nothing yet. */
  constructor(options: ServersOptions) {
    const client = { ...options.client, signal: this.#abort.signal };
    this.#options = { ...options, client };
  }

  /** The connection to a server. Throws `TransportError` when it cannot be had now. */
  client(server: ServerAddress): Promise<SmpClient> {
    return this.#link(server).client();
  }

  /** Subscribes to a queue, and again whenever the connection was lost. Throws `SmpError`, `TransportError`. */
  subscribe(queue: SubscribedQueue): Promise<void> {
    return this.#link(queue.server).subscribe(queue);
  }

  /** Remembers a queue that was created, and so subscribed to, through `client`. */
  created(queue: SubscribedQueue, client: SmpClient): void {
    this.#link(queue.server).created(queue, client);
  }

  /** Forgets a queue. */
  forget({ server, recipientId }: Pick<SubscribedQueue, "server" | "recipientId">): void {
    this.#link(server).forget(recipientId);
  }

  /** Closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new DOMException("The agent was closed", "AbortError"));
    await Promise.all([...this.#links.values()].map((link) => link.close()));
  }

  #link(server: ServerAddress): Link {
    const name = formatAddress(server);
    let link = this.#links.get(name);
    if (link === undefined) this.#links.set(name, link = new Link(server, this.#options));
    return link;
  }
}

/** The connection to one server and the subscriptions there. */
class Link {
  readonly #server: ServerAddress;
  readonly #options: ServersOptions;
  readonly #queues = new Map<string, SubscribedQueue>();
  #client: SmpClient | null = null;
  #connecting: Promise<SmpClient> | null = null;
  #reconnecting: Promise<void> | null = null;
  /** Tries to connect, and connections that ended soon, one after the other. */
  #failures = 0;
  readonly #work = new Set<Promise<void>>();
  readonly #pause = new Pause();
  #isClosed = false;

  constructor(server: ServerAddress, options: ServersOptions) {
    this.#server = server;
    this.#options = options;
  }

  client(): Promise<SmpClient> {
    if (this.#client !== null) return Promise.resolve(this.#client);
    return this.#connecting ??= this.#connect().finally(() => this.#connecting = null);
  }

  async subscribe(queue: SubscribedQueue): Promise<void> {
    const own = await ownQueue(queue);
    const client = await this.client();
    const { recipientId } = queue;
    const isNew = !this.#queues.has(recipientId);
    // Before the answer, which may be a message.
    this.#queues.set(recipientId, queue);
    try {
      await client.subscribe(own);
    } catch (error) {
      if (isNew) this.#queues.delete(recipientId);
      throw error;
    }
  }

  created(queue: SubscribedQueue, client: SmpClient): void {
    this.#queues.set(queue.recipientId, queue);
    if (this.#client === client || this.#isClosed) return;
    // Its subscription went with that connection, while the queue was stored.
    this.#options.events.down(this.#server, [queue]);
    if (this.#client === null) this.#reconnect();
    else this.#do(this.#resubscribe(this.#client, [queue]));
  }

  forget(recipientId: string): void {
    this.#queues.delete(recipientId);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pause.end();
    await this.#connecting?.catch(() => {});
    await this.#client?.close();
    await this.#reconnecting;
    await Promise.all(this.#work);
  }

  async #connect(): Promise<SmpClient> {
    const client = await SmpClient.connect(this.#server, this.#options.client);
    this.#client = client;
    this.#do(this.#read(client));
    this.#options.events.connected(this.#server);
    if (this.#queues.size > 0) this.#do(this.#resubscribe(client, [...this.#queues.values()]));
    return client;
  }

  /** Work that is waited for when the link is closed. */
  #do(work: Promise<void>): void {
    const done = work.finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  async #read(client: SmpClient): Promise<void> {
    const { events } = this.#options;
    const began = performance.now();
    try {
      for await (const event of client.events()) {
        const queue = this.#queues.get(event.recipientId);
        if (queue === undefined) continue;
        if (event.type === "MSG") {
          events.message(queue, event, client);
        } else {
          this.#queues.delete(event.recipientId);
          events.ended(queue);
        }
      }
    } catch {
      // The connection failed: what follows sees to it.
    }
    await client.close();
    this.#client = null;
    if (performance.now() - began > settleTime) this.#failures = 0;
    if (this.#isClosed || this.#queues.size === 0) return;
    events.down(this.#server, [...this.#queues.values()]);
    this.#reconnect();
  }

  #reconnect(): void {
    this.#reconnecting ??= this.#tryAgain().finally(() => this.#reconnecting = null);
  }

  async #tryAgain(): Promise<void> {
    while (!this.#isClosed && this.#queues.size > 0) {
      if (this.#failures > 0) await this.#pause.wait(backoffDelay(this.#options.reconnect, this.#failures));
      this.#failures++;
      try {
        if (!this.#isClosed) return void await this.client();
      } catch {
        // It is tried again, later each time.
      }
    }
  }

  async #resubscribe(client: SmpClient, queues: readonly SubscribedQueue[]): Promise<void> {
    const back: SubscribedQueue[] = [];
    await inBatches(queues, subscriptionBatch, async (queue) => {
      try {
        await client.subscribe(await ownQueue(queue));
        back.push(queue);
      } catch (error) {
        // Any other failure ends the connection, and it is tried again.
        if (!(error instanceof SmpError)) return await client.close();
        if (error.code === "INTERNAL") return await client.close();
        this.#queues.delete(queue.recipientId);
        this.#options.events.refused(queue, error);
      }
    });
    if (this.#client === client) this.#options.events.up(this.#server, back);
  }
}

async function ownQueue({ recipientId, senderId, loadKey }: SubscribedQueue) {
  return { recipientId, senderId, recipientKey: await loadKey() };
}
