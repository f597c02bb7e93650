import {
  blockSizes,
  type Channel,
  defaultBlockSize,
  formatAddress,
  serverExtensions,
} from "../protocol/mod.ts";
import { plainHost } from "../cli/plain_host.ts";
import { Authorizer } from "./guard/authorization.ts";
import { aliasesOf } from "./broker/aliases.ts";
import { LocalBrokers } from "./broker/local_brokers.ts";
import { Router } from "./broker/router.ts";
import { generateIdentity, type ServerIdentity } from "./config/identity.ts";
import { Admission, type Admitted } from "./guard/admission.ts";
import { checkLimits, type Limits, type LimitSource } from "./config/limits.ts";
import type { NewQueueAccess } from "./config/new_queue_access.ts";
import { NewQueues } from "./guard/new_queues.ts";
import { MemoryGuard } from "./guard/memory_guard.ts";
import { type Gauges, Metrics } from "./observe/metrics.ts";
import { extraWork, refusedWork, WorkBudget, type WorkBudgets } from "./guard/work_budget.ts";
import { ReplayGuard } from "./guard/replay_guard.ts";
import { StallWatch } from "./guard/stall_watch.ts";
import { ServerUsage } from "./guard/server_usage.ts";
import { Connections } from "./net/connections.ts";
import type { PartitionStores } from "./store/store.ts";
import type { Listener } from "./net/accept_loop.ts";
import { type Certificate, CertificateHolder } from "./net/certificate.ts";
import { listenTcp } from "./net/tcp_listener.ts";
import { Turns } from "./guard/turns.ts";
import { Verifier } from "./guard/verifier.ts";
import { WaitingShares } from "./guard/waiting_shares.ts";
import { listenWebSocket, type PageRequest, type WebSocketEvents } from "./net/websocket_listener.ts";
import { type SmpServerOptions, storesOf } from "./server_options.ts";
import { welcomePage } from "./net/welcome_page.ts";

const watchInterval = 1_000;
/** Far below the shortest time that a stall may take. */
const stallInterval = 250;
const sweepInterval = 60_000;

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
  #page: Listener | null = null;
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
        const work = isValid ? extraWork(key) : refusedWork(key);
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
    }, place);
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

  /** The port for pages, if they have one of their own. */
  get pagePort(): number | undefined {
    return this.#page?.port;
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
    const { port = 5223, webSocketPort, pagePort, trustForwardedFor = false, reusePort = false } = options;
    const host = this.#host = plainHost(options.host ?? "::");
    const events: WebSocketEvents = {
      accept: (channel, address) => void this.handle(channel, { address }),
      admit: (address, close) => this.#admit(address, close),
      serve: (channel, admitted) => this.#serveAdmitted(channel, admitted),
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
    if (pagePort !== undefined) this.#page = await listenWebSocket(host, pagePort, events, webSockets);
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
    const { wanted } = this.#memory;
    if (wanted !== null) this.#connections.closeHolders(wanted);
  }

  get #isOpen(): boolean {
    return this.#stopping === null && this.#suspended === null;
  }

  #admit(address: string | undefined, close: () => void): Admitted | null {
    return this.#isOpen ? this.#admission.admit(address, close) : null;
  }

  /** Since it was let in, its peer may have taken its time. */
  #serveAdmitted(channel: Channel, admitted: Admitted): void {
    if (this.#isOpen) return void this.#connections.serve(channel, admitted);
    admitted.left();
    void channel.close();
  }

  async #stop(deadline: number): Promise<void> {
    this.#stopped.abort();
    for (const timer of this.#timers) clearInterval(timer);
    this.#stall.end();
    const listening = [this.#tcp, this.#webSocket, this.#page, this.#secureWebSocket].map((port) =>
      port?.close()
    );
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
    releasesWritten: channel.releasesWritten === true,
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
