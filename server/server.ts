import {
  blockSizes,
  type Channel,
  defaultBlockSize,
  formatAddress,
  type ServerExtension,
  serverExtensions,
} from "../protocol/mod.ts";
import { plainHost } from "../cli/plain_host.ts";
import { Authorizer } from "./guard/authorization.ts";
import { aliasesOf } from "./broker/aliases.ts";
import { LocalBrokers } from "./broker/local_brokers.ts";
import type { Broker } from "./broker/broker.ts";
import type { PartitionOwner } from "./broker/owner.ts";
import type { Partitions } from "./broker/partition.ts";
import { Router } from "./broker/router.ts";
import { generateIdentity, type ServerIdentity } from "./config/identity.ts";
import { Admission, type Admitted } from "./guard/admission.ts";
import { checkLimits, type Limits, type LimitSource } from "./config/limits.ts";
import type { NewQueueAccess } from "./config/new_queue_access.ts";
import { NewQueues } from "./guard/new_queues.ts";
import { MemoryGuard } from "./guard/memory_guard.ts";
import { type Gauges, Metrics } from "./observe/metrics.ts";
import { commandWork, extraWork, WorkBudget, type WorkBudgets } from "./guard/work_budget.ts";
import { ReplayGuard } from "./guard/replay_guard.ts";
import { StallWatch } from "./guard/stall_watch.ts";
import { ServerUsage } from "./guard/server_usage.ts";
import { Connections } from "./net/connections.ts";
import { MemoryMessageStore, MemoryQueueStore } from "./store/memory.ts";
import type { MessageStore, PartitionStores, QueueStore } from "./store/store.ts";
import type { Listener } from "./net/accept_loop.ts";
import { type Certificate, CertificateHolder } from "./net/certificate.ts";
import { listenTcp } from "./net/tcp_listener.ts";
import { Turns } from "./guard/turns.ts";
import { Verifier } from "./guard/verifier.ts";
import { WaitingShares } from "./guard/waiting_shares.ts";
import {
  listenWebSocket,
  type Page,
  type PageRequest,
  type WebSocketEvents,
} from "./net/websocket_listener.ts";
import { welcomePage } from "./net/welcome_page.ts";

const watchInterval = 1_000;
/** Far below the shortest time that a stall may take. */
const stallInterval = 250;
const sweepInterval = 60_000;

/** The part of one process in a server of several. */
export interface ServerPlace {
  /** What the broker of this process has. */
  readonly partitions: Partitions;
  /** Makes what sessions give their commands to. `own`: the broker of this process. */
  route(
    own: Broker,
    parts: {
      readonly stores: PartitionStores;
      readonly turns: Turns;
      readonly limits: LimitSource;
      readonly metrics: Metrics;
      readonly stall: StallWatch;
    },
  ): PartitionOwner;
}

/** The part of one process in a server of several, which get partitions from each other while they run. */
export interface ServerCluster {
  /** Makes what sessions give their commands to. `brokers`: those of this process, none yet. */
  route(
    brokers: LocalBrokers,
    parts: { readonly turns: Turns; readonly metrics: Metrics; readonly limits: LimitSource },
  ): PartitionOwner;
}

/** WebSockets over TLS. */
export interface TlsOptions extends Certificate {
  /** TCP port; 0 takes a free one. */
  readonly port: number;
}

/** How a server is started. */
export interface SmpServerOptions {
  /** IP address or name to listen on; `::` is all addresses of IPv6 and IPv4, as far as the system has them. @default "::" */
  readonly host?: string;
  /** TCP port; 0 takes a free one. @default 5223 */
  readonly port?: number;
  /** WebSocket port; 0 takes a free one. @default none: no WebSockets */
  readonly webSocketPort?: number;
  /** Port for WebSockets over TLS (`wss`), 0 takes a free one, with the certificate for it. @default none */
  readonly tls?: TlsOptions;
  /** Name that clients reach the server by, for the page that browsers see. @default the one they have asked for */
  readonly publicHost?: string | null;
  /**
   * What browsers are answered that ask a WebSocket port for a page, for a program that serves one on the same port;
   * `null`: what they are answered without this. It must not throw. @default a page with the server's address at `/`
   */
  readonly pages?: (request: PageRequest) => Page | null;
  /** Transport key. @default a new one */
  readonly identity?: ServerIdentity;
  /** Bytes of the blocks that the server proposes: 4096, 8192, 16384, 32768 or 65536. @default 4096 */
  readonly blockSize?: number;
  /** What clients may use beyond 0.3 (extensions.md); none makes the welcome that of 0.3. @default all */
  readonly extensions?: readonly ServerExtension[];
  /**
   * Who may create queues; with a password the server lists `pass1`, by which clients show that they know it. Addresses
   * are those of {@linkcode SmpServer.handle} too: without one it is none of them. @default "anyone"
   */
  readonly create?: NewQueueAccess;
  /** What bounds the server. @default `defaultLimits` */
  readonly limits?: Partial<Limits>;
  /** Where queues are kept. @default in memory */
  readonly queues?: QueueStore;
  /** Where messages are kept. @default in memory */
  readonly messages?: MessageStore;
  /** Where they are kept when they are cut into several partitions, a power of two; instead of `queues` and `messages`. */
  readonly partitions?: readonly PartitionStores[];
  /**
   * How this process is joined with others of the same server, which have other partitions. @default it is alone
   * @internal
   */
  readonly place?: ServerPlace;
  /**
   * How this process is joined with others of a cluster, which has queues and messages; instead of all of these.
   * @default it is alone
   * @internal
   */
  readonly cluster?: ServerCluster;
  /** Refuses handshakes that were played back. @default one that forgets everything when the server stops */
  readonly replayGuard?: Pick<ReplayGuard, "isNew">;
  /**
   * What other processes of the same server use of its limits. @default there are none
   * @internal
   */
  readonly usage?: ServerUsage;
  /**
   * Whether other processes of the same user may listen on the same ports: the system spreads connections over them.
   * On Linux; needs `--unstable-net`. @default false
   */
  readonly reusePort?: boolean;
  /** Counts what happens. @default new ones */
  readonly metrics?: Metrics;
  /** Whether WebSockets come through a reverse proxy on this machine, which names the client in `X-Forwarded-For`. @default false */
  readonly trustForwardedFor?: boolean;
  /** Stops the server when it aborts. */
  readonly signal?: AbortSignal;
  /** Is told about failures of the server itself; never with IDs, keys or addresses. */
  readonly log?: (message: string, error?: unknown) => void;
}

/** A running SMP server. */
export class SmpServer implements AsyncDisposable {
  /** What the server has counted. */
  readonly metrics: Readonly<Metrics>;
  readonly #metrics: Metrics;
  readonly #admission: Admission;
  readonly #verifier = new Verifier();
  readonly #turns = new Turns();
  readonly #budgets: WorkBudgets;
  readonly #brokers: LocalBrokers;
  readonly #authorizer: Authorizer;
  readonly #identity: ServerIdentity;
  #limits: Limits;
  readonly #limitSource: LimitSource = () => this.#limits;
  readonly #log: (message: string, error?: unknown) => void;
  readonly #stall: StallWatch;
  readonly #connections: Connections;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #memory: MemoryGuard;
  readonly #newQueues: NewQueues;
  #wasMemoryShort = false;
  #host = "";
  #tcp: Listener | null = null;
  #webSocket: Listener | null = null;
  #secureWebSocket: Listener | null = null;
  #certificate: CertificateHolder | null = null;
  readonly #stopped = new AbortController();
  #stopping: Promise<void> | null = null;
  #suspended: string | null = null;

  private constructor(
    options: SmpServerOptions,
    { identity, stores, aliases }: {
      readonly identity: ServerIdentity;
      readonly stores: readonly PartitionStores[];
      readonly aliases: ReadonlyMap<string, string>;
    },
  ) {
    const { blockSize = defaultBlockSize, extensions = serverExtensions } = options;
    if (!blockSizes.includes(blockSize)) {
      throw new RangeError(`Cannot use blockSize ${blockSize}: it must be one of ${blockSizes.join(", ")}`);
    }
    const unknown = extensions.find((name) => !serverExtensions.includes(name));
    if (unknown !== undefined) {
      throw new RangeError(`Cannot use extension ${unknown}: there are ${serverExtensions.join(", ")}`);
    }
    this.#limits = checkLimits(options.limits);
    this.#newQueues = new NewQueues(options.create);
    this.#identity = identity;
    this.#log = quietLog(options.log);
    this.metrics = this.#metrics = options.metrics ?? new Metrics();
    const { usage = new ServerUsage(), place, cluster } = options;
    this.#admission = new Admission(this.#limitSource, this.#metrics, { usage });
    this.#budgets = {
      refused: new WorkBudget(() => this.#limits.refusedTimePerSecondPerIp, {
        shared: { usage, name: "refused" },
      }),
      extra: new WorkBudget(() => this.#limits.extraTimePerSecondPerIp, { shared: { usage, name: "extra" } }),
    };
    this.#memory = new MemoryGuard(
      () => ({
        connections: this.#connections.size,
        ...this.#brokers.kept,
        opened: this.#brokers.opened,
      }),
      this.#limitSource,
      { others: usage },
    );
    usage.serve({ limits: this.#limitSource, held: () => this.#memory.held });
    this.#authorizer = new Authorizer(
      (...work) => this.#verifier.verify(...work),
      (source, key, isValid) => {
        const name = isValid ? "extra" : "refused";
        const work = isValid ? extraWork(key) : commandWork(key);
        this.#budgets[name].chargeClient(source, work);
        if (work > 0) source.charge?.(name, work);
      },
    );
    this.#brokers = new LocalBrokers(stores, {
      authorizer: this.#authorizer,
      metrics: this.#metrics,
      limits: this.#limitSource,
      mayCreate: (client) => this.#admission.mayCreate(client),
      isMemoryShort: () => this.#memory.isShort(),
      // Each process counts the share of an address in it alone, which is about that of any other.
      shares: new WaitingShares(() => this.#memory.free / usage.processes),
      log: this.#log,
    }, place?.partitions);
    this.#stall = new StallWatch({ limits: this.#limitSource, log: this.#log });
    this.#connections = new Connections({
      identity,
      blockSize,
      replayGuard: options.replayGuard ?? new ReplayGuard(),
      broker: cluster?.route(this.#brokers, {
        turns: this.#turns,
        metrics: this.#metrics,
        limits: this.#limitSource,
      }) ??
        place?.route(this.#brokers.all[0]!, {
          stores: stores[0]!,
          turns: this.#turns,
          limits: this.#limitSource,
          metrics: this.#metrics,
          stall: this.#stall,
        }) ??
        new Router({ owners: this.#brokers.all, aliases }),
      limits: this.#limitSource,
      metrics: this.#metrics,
      budgets: this.#budgets,
      memory: this.#memory,
      turns: this.#turns,
      extensions: new Set(serverExtensions.filter((name) => extensions.includes(name))),
      newQueues: this.#newQueues,
      stall: this.#stall,
    });
  }

  /**
   * Starts a server; resolves when it accepts connections.
   * Throws `RangeError` for an option that cannot be, `TransportError` (`NETWORK`) when a port cannot be had.
   */
  static async start(options: SmpServerOptions = {}): Promise<SmpServer> {
    options.signal?.throwIfAborted();
    const identity = options.identity ?? await generateIdentity();
    const stores = storesOf(options);
    const server = new SmpServer(options, { identity, stores, aliases: await aliasesOf(stores) });
    try {
      await server.#listen(options);
      server.#watch();
      options.signal?.throwIfAborted();
    } catch (error) {
      await server.stop();
      throw error;
    }
    options.signal?.addEventListener("abort", () => void server.stop(), { signal: server.#stopped.signal });
    return server;
  }

  /** The address that clients need: host (`localhost` for all addresses), TCP port and key hash. */
  get address(): string {
    // What is listened on everywhere is no address to connect to.
    const host = ["::", "0.0.0.0"].includes(this.#host) ? "localhost" : this.#host;
    return formatAddress({ host, port: this.port, keyHash: this.keyHash });
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

  /** The port for WebSockets over TLS, if there is one. */
  get tlsPort(): number | undefined {
    return this.#secureWebSocket?.port;
  }

  /**
   * Gives new connections another TLS certificate; those that are there go on. Throws `RangeError` when certificate and
   * key cannot be used, and changes nothing then.
   */
  setCertificate(certificate: Certificate): void {
    this.#certificate?.set(certificate);
  }

  /** How many connections there are, those in the handshake included. */
  get connections(): number {
    return this.#connections.size;
  }

  /** What the server is at the moment. */
  gauges(): Gauges {
    return {
      connections: this.#connections.size,
      handshakes: this.#admission.handshakes,
      ...this.#brokers.counts,
      ...this.#brokers.kept,
      opened: this.#brokers.opened,
      cryptoInWork: this.#authorizer.inWork,
      memory: Deno.memoryUsage().rss,
      memoryHeld: this.#memory.held,
    };
  }

  /** Why nothing new should be sent here at the moment; `null` when all is well. */
  notReady(): string | null {
    if (this.#stopping !== null) return "the server is stopping";
    if (this.#suspended !== null) return this.#suspended;
    return this.#memory.isShort() ? "memory is short" : null;
  }

  /**
   * Closes all connections, and takes no others until {@linkcode resume}; `reason` is that of {@linkcode notReady}.
   * Resolves when all are closed.
   * @internal
   */
  async suspend(reason: string): Promise<void> {
    this.#suspended = reason;
    await this.#connections.close();
  }

  /**
   * Takes connections again.
   * @internal
   */
  resume(): void {
    this.#suspended = null;
  }

  /**
   * Changes who may create queues, at once and for all connections: one that has given another password must give this
   * one. Connections that are older than a first password are not told of `pass1`: they must be made anew for it. Throws
   * `RangeError`, never with the password, and changes nothing then.
   */
  setCreate(access: NewQueueAccess): void {
    this.#newQueues.set(access);
  }

  /** Changes the limits; connections that are there stay. Throws `RangeError` that names the limit, and changes nothing then. */
  setLimits(limits: Partial<Limits>): void {
    this.#limits = checkLimits({ ...this.#limits, ...limits });
  }

  /**
   * Serves one connection over any channel, which the server owns from now on; resolves when it has ended.
   * Never rejects. Refuses the connection when the server stops or a limit is reached; limits per address apply when
   * the client's IP `address` is given.
   */
  handle(channel: Channel, { address }: { readonly address?: string | undefined } = {}): Promise<void> {
    const quiet = quietChannel(channel);
    const admitted = this.#admit(address, () => void quiet.close());
    return admitted === null ? quiet.close() : this.#connections.serve(quiet, admitted);
  }

  /**
   * Stops accepting and closes all connections; resolves when nothing of the server is left.
   * Within `deadline` milliseconds, 0 unless given, commands in work are finished and answered before.
   */
  stop({ deadline = 0 }: { readonly deadline?: number } = {}): Promise<void> {
    return this.#stopping ??= this.#stop(deadline);
  }

  /** Stops the server at once. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #listen(options: SmpServerOptions): Promise<void> {
    const { port = 5223, webSocketPort, trustForwardedFor = false, reusePort = false } = options;
    const host = this.#host = plainHost(options.host ?? "::");
    const events: WebSocketEvents = {
      accept: (channel, address) => void this.handle(channel, { address }),
      admit: (address, close) => this.#admit(address, close),
      serve: (channel, admitted) => void this.#connections.serve(channel, admitted),
      log: this.#log,
    };
    this.#tcp = listenTcp(host, port, events, { reusePort });
    const { tls, publicHost = null } = options;
    const welcome = welcomePage({ publicHost, port: () => this.port, keyHash: this.keyHash });
    const page = async (request: PageRequest) => options.pages?.(request) ?? await welcome(request);
    const webSockets = { limits: this.#limitSource, trustForwardedFor, reusePort, page };
    if (webSocketPort !== undefined) {
      this.#webSocket = await listenWebSocket(host, webSocketPort, events, webSockets);
    }
    if (tls === undefined) return;
    const certificate = this.#certificate = new CertificateHolder(tls);
    this.#secureWebSocket = await listenWebSocket(host, tls.port, events, { ...webSockets, certificate });
  }

  #watch(): void {
    this.#timers.push(
      setInterval(() => this.#stall.look(), stallInterval),
      setInterval(() => {
        this.#checkMemory();
        this.#connections.closeSlow();
        this.#connections.closeIdle();
      }, watchInterval),
      setInterval(() => {
        this.#admission.sweep();
        this.#budgets.refused.sweep();
        this.#budgets.extra.sweep();
        void this.#brokers.sweep();
      }, sweepInterval),
    );
  }

  #checkMemory(): void {
    this.#memory.look();
    const isShort = this.#memory.isShort();
    if (isShort !== this.#wasMemoryShort) {
      this.#log(isShort ? "Memory is short: new queues and messages are refused" : "Memory is enough again");
    }
    this.#wasMemoryShort = isShort;
  }

  #admit(address: string | undefined, close: () => void): Admitted | null {
    return this.#stopping === null && this.#suspended === null ? this.#admission.admit(address, close) : null;
  }

  async #stop(deadline: number): Promise<void> {
    this.#stopped.abort();
    for (const timer of this.#timers) clearInterval(timer);
    this.#stall.end();
    const listening = [this.#tcp?.close(), this.#webSocket?.close(), this.#secureWebSocket?.close()];
    if (deadline > 0) await this.#finishWork(deadline);
    await Promise.all([this.#connections.close(), ...listening]);
    await Promise.all([this.#verifier[Symbol.asyncDispose](), this.#turns[Symbol.asyncDispose]()]);
  }

  async #finishWork(deadline: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, deadline);
    await Promise.race([late, Promise.all([this.#connections.finish(), this.#brokers.idle()])]);
    clearTimeout(timer);
  }
}

function storesOf({ queues, messages, partitions, cluster }: SmpServerOptions): readonly PartitionStores[] {
  if (cluster !== undefined) {
    if (queues === undefined && messages === undefined && partitions === undefined) return [];
    throw new RangeError("Cannot use stores of this process beside those of a cluster");
  }
  if (partitions === undefined) {
    return [{ queues: queues ?? new MemoryQueueStore(), messages: messages ?? new MemoryMessageStore() }];
  }
  if (queues === undefined && messages === undefined) return partitions;
  throw new RangeError("Cannot use queues or messages beside partitions, which have their own");
}

/** What is told to it happens where nothing may be left undone. */
function quietLog(log: SmpServerOptions["log"]): (message: string, error?: unknown) => void {
  return (message, error) => {
    try {
      log?.(message, error);
    } catch {
      // There is nobody to tell.
    }
  };
}

/** Its `close` never throws or rejects, whoever made it. */
function quietChannel(channel: Channel): Channel {
  return {
    read: (size) => channel.read(size),
    isReady: (size) => channel.isReady?.(size) ?? false,
    write: (units) => channel.write(units),
    end: () => channel.end(),
    async close() {
      try {
        await channel.close();
      } catch {
        // There is nobody to tell.
      }
    },
  };
}
