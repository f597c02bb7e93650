/**
 * An SMP 0.3 server that can run inside any Deno program; `server/main.ts` is the executable.
 *
 * Queues and messages are kept in memory: they are gone when the server stops.
 *
 * @example Start a server on a free port
 * ```ts
 * import { SmpServer } from "@simplexmq/smp/server";
 *
 * await using server = await SmpServer.start({ host: "127.0.0.1", port: 0 });
 * console.log(server.address);
 * ```
 *
 * @module
 */
import { type Channel, formatAddress, serverHandshake } from "../protocol/mod.ts";
import { blockSizes, defaultBlockSize } from "../protocol/mod.ts";
import { Broker } from "./broker.ts";
import { generateIdentity, type ServerIdentity } from "./identity.ts";
import { checkLimits, type Limits } from "./limits.ts";
import { type Metrics, newMetrics } from "./metrics.ts";
import { Session } from "./session.ts";
import { MemoryMessageStore, MemoryQueueStore } from "./store/memory.ts";
import type { MessageStore, QueueStore } from "./store/store.ts";
import { type Listener, type ListenerEvents, listenTcp } from "./tcp_listener.ts";
import { listenWebSocket } from "./websocket_listener.ts";

export { formatIdentity, generateIdentity, parseIdentity, type ServerIdentity } from "./identity.ts";
export { defaultLimits, type Limits } from "./limits.ts";
export { type Metrics, newMetrics } from "./metrics.ts";
export { MemoryMessageStore, MemoryQueueStore } from "./store/memory.ts";
export type { MessageStore, QueueRecord, QueueStore, StoredMessage } from "./store/store.ts";

/** How a server is started. */
export interface SmpServerOptions {
  /** IP address or name to listen on. @default "0.0.0.0" */
  readonly host?: string;
  /** TCP port; 0 takes a free one. @default 5223 */
  readonly port?: number;
  /** WebSocket port; 0 takes a free one. @default none: no WebSockets */
  readonly webSocketPort?: number;
  /** Transport key. @default a new one */
  readonly identity?: ServerIdentity;
  /** Bytes of the blocks that the server proposes: 4096, 8192, 16384, 32768 or 65536. @default 4096 */
  readonly blockSize?: number;
  /** What bounds the server. @default `defaultLimits` */
  readonly limits?: Partial<Limits>;
  /** Where queues are kept. @default in memory */
  readonly queues?: QueueStore;
  /** Where messages are kept. @default in memory */
  readonly messages?: MessageStore;
  /** Stops the server when it aborts. */
  readonly signal?: AbortSignal;
  /** Is told about failures of the server itself; never with IDs, keys or addresses. */
  readonly log?: (message: string, error: unknown) => void;
}

/** A running SMP server. */
export class SmpServer implements AsyncDisposable {
  /** What the server has counted. */
  readonly metrics: Readonly<Metrics>;
  readonly #metrics: Metrics;
  readonly #broker: Broker;
  readonly #identity: ServerIdentity;
  readonly #blockSize: number;
  readonly #limits: Limits;
  readonly #log: (message: string, error: unknown) => void;
  /** The connections, each with the end of its work. */
  readonly #connections = new Map<Channel, Promise<void>>();
  #host = "";
  #tcp: Listener | null = null;
  #webSocket: Listener | null = null;
  /** Lets go of the signal that could stop the server. */
  readonly #stopped = new AbortController();
  #stopping: Promise<void> | null = null;

  private constructor(options: SmpServerOptions, identity: ServerIdentity) {
    const { blockSize = defaultBlockSize } = options;
    if (!blockSizes.includes(blockSize)) {
      throw new RangeError(`Cannot use blockSize ${blockSize}: it must be one of ${blockSizes.join(", ")}`);
    }
    this.#blockSize = blockSize;
    this.#limits = checkLimits(options.limits);
    this.#identity = identity;
    this.#log = options.log ?? (() => {});
    this.metrics = this.#metrics = newMetrics();
    this.#broker = new Broker({
      queues: options.queues ?? new MemoryQueueStore(),
      messages: options.messages ?? new MemoryMessageStore(),
      metrics: this.#metrics,
      log: this.#log,
    });
  }

  /**
   * Starts a server; resolves when it accepts connections.
   * Throws `RangeError` for an option that cannot be, `TransportError` (`NETWORK`) when a port cannot be had.
   */
  static async start(options: SmpServerOptions = {}): Promise<SmpServer> {
    options.signal?.throwIfAborted();
    const server = new SmpServer(options, options.identity ?? await generateIdentity());
    try {
      await server.#listen(options);
      options.signal?.throwIfAborted();
    } catch (error) {
      await server.stop();
      throw error;
    }
    options.signal?.addEventListener("abort", () => void server.stop(), { signal: server.#stopped.signal });
    return server;
  }

  /** The address that clients need: host, TCP port and key hash. */
  get address(): string {
    return formatAddress({ host: this.#host, port: this.port, keyHash: this.keyHash });
  }

  /** Base64 of SHA-256 over the server's public key. */
  get keyHash(): string {
    return this.#identity.keyHash;
  }

  /** The TCP port. */
  get port(): number {
    return this.#tcp!.port;
  }

  /** The WebSocket port, if there is one. */
  get webSocketPort(): number | undefined {
    return this.#webSocket?.port;
  }

  /** How many connections there are, those in the handshake included. */
  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Serves one connection over any channel, which the server owns from now on; resolves when it has ended.
   * Never rejects. Refuses the connection when the server stops or has too many.
   */
  handle(channel: Channel): Promise<void> {
    if (this.#stopping !== null || this.#connections.size >= this.#limits.connections) {
      this.#metrics.connectionsRefused++;
      return channel.close();
    }
    this.#metrics.connectionsAccepted++;
    const work = this.#serve(channel).finally(() => this.#connections.delete(channel));
    this.#connections.set(channel, work);
    return work;
  }

  /** Stops accepting, closes all connections and resolves when nothing of the server is left. */
  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  /** Stops the server. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #listen({ host = "0.0.0.0", port = 5223, webSocketPort }: SmpServerOptions): Promise<void> {
    this.#host = host;
    const events: ListenerEvents = { accept: (channel) => void this.handle(channel), log: this.#log };
    this.#tcp = listenTcp(host, port, events);
    if (webSocketPort === undefined) return;
    const limits = { timeout: this.#limits.handshakeTimeout, requests: this.#limits.connections };
    this.#webSocket = await listenWebSocket(host, webSocketPort, events, limits);
  }

  async #serve(channel: Channel): Promise<void> {
    const timer = setTimeout(() => channel.close(), this.#limits.handshakeTimeout);
    let blocks;
    try {
      blocks = await serverHandshake(channel, { ...this.#identity.keyPair, blockSize: this.#blockSize });
    } catch {
      // transport.md Handshake, 4: closed without an answer, whatever it was
      this.#metrics.handshakesFailed++;
      return await channel.close();
    } finally {
      clearTimeout(timer);
    }
    await new Session(blocks, { broker: this.#broker, limits: this.#limits, metrics: this.#metrics }).run();
  }

  async #stop(): Promise<void> {
    this.#stopped.abort();
    const listening = [this.#tcp?.close(), this.#webSocket?.close()];
    const connections = [...this.#connections];
    await Promise.all([
      ...connections.map(([channel]) => channel.close()),
      ...connections.map(([, work]) => work),
      ...listening,
    ]);
  }
}
