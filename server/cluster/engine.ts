import {
  type ConnectionOptions,
  errors,
  type NatsConnection,
  NatsConnectionImpl,
  nkeyAuthenticator,
} from "@nats-io/nats-core/internal";
import { osReason } from "../../cli/os_error.ts";
import { readRegular } from "../../cli/regular_file.ts";
import { type ClusterClock, steadyClock } from "./clock.ts";
import {
  type EngineAddress,
  formatServer,
  isLoopback,
  parseEngineAddress,
  type ServerAddress,
} from "./engine_address.ts";
import { EngineError } from "./error.ts";
import { readServerInfo, refusalOf } from "./server_info.ts";
import { checkSyncInterval } from "./sync_interval.ts";
import { type TransportOptions, useTransport } from "./engine_transport.ts";

/** Milliseconds. */
export const engineTimes = {
  ping: 1000,
  info: 3000,
  connect: 1000,
  betweenAttempts: 250,
  jitter: 250,
  syncCheck: 1500,
};

export interface EngineOptions {
  /** `nats://host:port[,…]`, or `tls://…`. Only these servers are connected to, whatever others they know. */
  readonly address: string;
  readonly user?: string;
  readonly password?: string;
  /** Path of a file with an nkey seed (`SU…`). */
  readonly nkeyFile?: string;
  /** Path of a PEM file with certificates that are trusted besides Mozilla's; makes `nats://` encrypted too. */
  readonly caFile?: string;
  /** Also connects unencrypted to other machines. @default false */
  readonly allowPlain?: boolean;
  /** What the servers call this connection. */
  readonly name: string;
  readonly log: (level: "info" | "warn", message: string, error?: unknown) => void;
  /** @default the machine's */
  readonly clock?: ClusterClock;
  /** Ends connecting; a connected engine is ended by disposing it. */
  readonly signal?: AbortSignal;
}

/** How often a server is tried when this process starts. */
const firstAttempts = 5;

/** `at` is the time of the engine's clock, milliseconds. */
export type EngineEvent =
  /** There is no connection to any server. */
  | { readonly type: "lost"; readonly at: number }
  /** There is one again. What was asked before it was lost may have been done or not. */
  | { readonly type: "back"; readonly at: number; readonly server: string };

/** A connection to the NATS servers of a cluster that is made again when it is lost. */
export class Engine implements AsyncDisposable {
  /** What the packages of NATS take. */
  readonly connection: NatsConnection;
  readonly #clock: ClusterClock;
  readonly #log: EngineOptions["log"];
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  readonly #ended: Promise<void>;
  #lostAt: number | null = null;

  private constructor(connection: NatsConnection, { clock = steadyClock, log }: EngineOptions) {
    this.connection = connection;
    this.#clock = clock;
    this.#log = log;
    this.#ended = this.#follow();
  }

  /**
   * Connects to the first server that can be used. Throws `RangeError` for options that are wrong, and `EngineError`
   * with the reasons of all servers.
   */
  static async connect(options: EngineOptions): Promise<Engine> {
    const address = addressOf(options);
    const credentials = await readCredentials(options, address);
    const signal = options.signal ?? new AbortController().signal;
    const refusals: EngineError[] = [];
    for (const server of address.servers) {
      let connection: NatsConnection;
      try {
        connection = await connectTo(server, address, { ...credentials, name: options.name, signal });
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        refusals.push(error);
        continue;
      }
      const engine = new Engine(connection, options);
      try {
        await engine.#checkSyncInterval();
        signal.throwIfAborted();
        options.log("info", `connected to NATS server ${formatServer(server)}`);
        return engine;
      } catch (error) {
        await engine[Symbol.asyncDispose]();
        throw error;
      }
    }
    const telling = refusals.find(({ code }) => code !== "UNREACHABLE") ?? refusals[0]!;
    const reasons = refusals.map(({ message }) => message).join("; ");
    throw new EngineError(telling.code, `Cannot connect to NATS: ${reasons}`, { cause: telling });
  }

  /** Since when there is no connection to any server, by the engine's clock; `null` while there is one. */
  get lostAt(): number | null {
    return this.#lostAt;
  }

  /** Calls `listener` with every event from now on, until what is returned is called. */
  listen(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Leaves its server for the next one, or connects to the same one anew where there is no other: for who is connected
   * but not served.
   */
  async changeServer(): Promise<void> {
    if (this.#lostAt !== null) return;
    const current = this.connection.getServer();
    const all = this.connection.getServers().map(({ listen }) => listen);
    // The client tries them in this order.
    this.connection.setServers([...all.filter((other) => other !== current), current]);
    await this.connection.reconnect();
  }

  /** Closes the connection; what is under way fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    await this.connection.close();
    await this.#ended;
  }

  async #checkSyncInterval(): Promise<void> {
    const { synced } = await checkSyncInterval(this.connection, engineTimes.syncCheck);
    if (synced.length > 0) return;
    this.#log(
      "warn",
      "could not check that NATS servers run with `sync_interval: always`, which they must " +
        "(they tell it where the system account exports $SYS.REQ.SERVER.PING.JSZ)",
    );
  }

  async #follow(): Promise<void> {
    for await (const status of this.connection.status()) {
      switch (status.type) {
        case "disconnect":
          this.#lost();
          break;
        case "reconnect":
          await this.#back(status.server);
          break;
        case "error":
          this.#log("warn", "a NATS server reported an error", status.error);
          break;
      }
    }
  }

  #lost(): void {
    if (this.#lostAt !== null) return;
    this.#lostAt = this.#clock.now();
    this.#log("warn", "lost the connection to NATS");
    this.#tell({ type: "lost", at: this.#lostAt });
  }

  async #back(server: string): Promise<void> {
    if (this.#lostAt === null) return;
    const refusal = refusalOf(this.connection.info ?? {});
    if (refusal !== null) {
      this.#log("warn", `cannot use NATS server ${server}: ${refusal.message}`);
      await this.connection.reconnect();
      return;
    }
    this.#lostAt = null;
    this.#log("info", `connected to NATS server ${server} again`);
    this.#tell({ type: "back", at: this.#clock.now(), server });
  }

  #tell(event: EngineEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

function addressOf(
  { address: text, caFile, allowPlain = false, user, nkeyFile }: EngineOptions,
): EngineAddress {
  const parsed = parseEngineAddress(text);
  const address = { ...parsed, isEncrypted: parsed.isEncrypted || caFile !== undefined };
  const open = address.servers.find((server) => !isLoopback(server));
  if (!address.isEncrypted && open !== undefined && !allowPlain) {
    throw new RangeError(
      `Cannot connect to NATS server ${
        formatServer(open)
      }: it is not on this machine, and messages would cross the ` +
        "network unencrypted: use tls:// or a CA file, or allow it",
    );
  }
  if (user !== undefined && nkeyFile !== undefined) {
    throw new RangeError("Cannot connect to NATS: both a user and an nkey are given");
  }
  return address;
}

interface Credentials {
  readonly login: Pick<ConnectionOptions, "user" | "pass" | "authenticator">;
  readonly transport: TransportOptions;
}

async function readCredentials(
  { user, password = "", nkeyFile, caFile }: EngineOptions,
  { isEncrypted }: EngineAddress,
): Promise<Credentials> {
  const transport = { isEncrypted, ...(caFile === undefined ? {} : { ca: await readText(caFile) }) };
  if (user !== undefined) return { login: { user, pass: password }, transport };
  if (nkeyFile === undefined) return { login: {}, transport };
  const seed = /^SU[A-Z2-7]{56}$/m.exec(await readText(nkeyFile))?.[0];
  if (seed === undefined) {
    throw new EngineError("FILE", `Cannot read ${nkeyFile}: it has no nkey seed of a user (SU…)`);
  }
  return { login: { authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)) }, transport };
}

async function readText(path: string): Promise<string> {
  try {
    return await readRegular(path);
  } catch (cause) {
    throw new EngineError("FILE", `Cannot read ${path}: ${osReason(cause)}`, { cause });
  }
}

/** Tries one server; the others are those that are tried when the connection is lost. */
async function connectTo(
  server: ServerAddress,
  { servers, isEncrypted }: EngineAddress,
  { login, transport, name, signal }: Credentials & { readonly name: string; readonly signal: AbortSignal },
): Promise<NatsConnection> {
  // First by hand: it says what is wrong before credentials are sent, and leaves no socket behind.
  const info = await readServerInfo(server, { timeout: engineTimes.info, signal });
  const refusal = refusalOf(info) ??
    (isEncrypted && info.tls_required !== true && info.tls_available !== true
      ? new EngineError("TLS", "it does not offer TLS: add a `tls` block to its configuration")
      : !isEncrypted && info.tls_required === true
      ? new EngineError("TLS", "it requires TLS: use tls:// or a CA file")
      : null);
  const place = formatServer(server);
  if (refusal !== null) throw new EngineError(refusal.code, `${place}: ${refusal.message}`);
  const connect = () =>
    NatsConnectionImpl.connect({
      ...login,
      name,
      // Alone at first: of several, only the last one's reason would be told.
      servers: [place],
      noRandomize: true,
      resolve: false,
      // Called before each attempt, the only place to say how this connection is made.
      reconnectToServer: () => (useTransport(transport), null),
      ignoreClusterUpdates: true,
      ignoreAuthErrorAbort: true,
      timeout: engineTimes.connect,
      pingInterval: engineTimes.ping,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
      reconnectTimeWait: engineTimes.betweenAttempts,
      reconnectJitter: engineTimes.jitter,
      reconnectJitterTLS: engineTimes.jitter,
    });
  let connection: NatsConnection;
  try {
    connection = await patiently(connect, signal);
  } catch (cause) {
    signal.throwIfAborted();
    const isLate = cause instanceof errors.TimeoutError;
    const code = cause instanceof errors.AuthorizationError
      ? "UNAUTHORIZED"
      : isEncrypted && !isLate
      ? "TLS"
      : "UNREACHABLE";
    throw new EngineError(code, `${place}: ${isLate ? "it does not answer" : reasonOf(cause)}`, { cause });
  }
  connection.setServers([place, ...servers.filter((other) => other !== server).map(formatServer)]);
  // It may have been started anew since it was asked.
  const later = refusalOf(connection.info ?? {});
  if (later === null) return connection;
  await connection.close();
  throw new EngineError(later.code, `${place}: ${later.message}`);
}

/** A server that has answered a moment ago may be slow, not gone; the time of an attempt is that of reconnecting, too. */
async function patiently(
  connect: () => Promise<NatsConnection>,
  signal: AbortSignal,
): Promise<NatsConnection> {
  for (let attempt = 1;; attempt++) {
    signal.throwIfAborted();
    try {
      return await connect();
    } catch (error) {
      if (!(error instanceof errors.TimeoutError) || attempt === firstAttempts) throw error;
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
