import { checkIsAddress, checkVerifiable, type SmpClientOptions } from "../client/mod.ts";
import {
  formatAddress,
  parseAddress,
  parseServer,
  type QueueInfo,
  type ServerAddress,
} from "../protocol/mod.ts";
import type { Backoff } from "./backoff.ts";
import type { Confirmation } from "./runtime/context.ts";
import type { KeySource } from "./key_pool.ts";
import { encodeExtensions } from "./protocol/extensions.ts";
import type { AgentStore, Connection } from "./store/store.ts";

const longestTimer = 2 ** 31 - 1;

/** How an agent is started. All times are in milliseconds. */
export interface AgentOptions {
  /**
   * The servers on which it makes its queues, `[<password>@]<host>[:port]#<key hash>`; one is chosen by chance each time.
   * Passwords are kept in memory alone, and told to nobody.
   */
  readonly servers: readonly (string | ServerAddress)[];
  /** Where connections and messages are kept; the agent closes it. @default memory */
  readonly store?: AgentStore;
  /** How servers are connected to. */
  readonly client?: Omit<SmpClientOptions, "signal" | "blockSize">;
  /**
   * `automatic`: a message is acknowledged to its server when the reader of `Agent.events` asks for the next event;
   * `manual`: when the application has called `Agent.acknowledge`. What was not acknowledged is told again after a
   * restart. @default automatic
   */
  readonly acknowledge?: "automatic" | "manual";
  /** Is asked before the first confirmation of an invitation is accepted. @default everybody is let in */
  readonly approve?: (confirmation: Confirmation) => boolean | Promise<boolean>;
  /** Key pairs that are made before they are needed, or where they come from. @default 8 */
  readonly keyPool?: number | KeySource;
  /** Events that are kept in memory until they are read from `Agent.events`; more are in the store. @default 256 */
  readonly buffer?: number;
  /** For how long joining is tried. @default 172800000 (2 days) */
  readonly joinTimeout?: number;
  /** Between tries to send and to reach a server. @default from 100 to 30000, growing by half */
  readonly retry?: Backoff;
  /** Time after which messages that are done with are removed from the store. @default never */
  readonly retention?: number;
  /** How many servers messages of a session come through, 1 to 4, where it has as many (sessions.md Redundancy). @default 1 */
  readonly routes?: number;
  /** Time after which the queues of a session are replaced. @default 2592000000 (30 days) */
  readonly routeLifetime?: number;
  /** Time after which a server that cannot be reached, while another can, is lost to sessions. @default 3600000 (1 hour) */
  readonly lostTimeout?: number;
  /** Time after which a stream that was offered, and that nobody has accepted, ends (streams.md). @default 604800000 (7 days) */
  readonly streamOfferLifetime?: number;
  /** Time after which `session` tells that the upgrade of a connection is slow, and UPG is said again. @default 10000 */
  readonly upgradeTimeout?: number;
  /**
   * What was given to `Agent.sendFile` as `Blob`s before a restart, by the stream's ID: they are sent on; others end with
   * `LOST`. Each must have the bytes that it had. @default none
   */
  readonly blobs?: ReadonlyMap<string, Blob>;
  /**
   * Extensions that are announced to other agents, in connections that are made from now on. `session1`: connections to
   * agents that announce it too are upgraded to sessions (docs/protocol.md); others are of no use here. @default none
   */
  readonly extensions?: readonly string[];
  /**
   * The time, milliseconds since 1970: what is stored and told has it. It may be changed at any moment, as a system's clock
   * may. `retention` goes by the system's clock alone. @default Date.now
   */
  readonly now?: () => number;
  /** Closes the agent when it aborts. */
  readonly signal?: AbortSignal;
}

/** What a new connection is called and, for the other side, how it is joined. */
export interface Invitation {
  /** The connection's alias. */
  readonly connection: string;
  /** To be given to the other side over a channel that nobody can change. */
  readonly invitation: QueueInfo;
}

/** A connection as it is now. */
export interface ConnectionInfo {
  /** Its ID, which no other connection ever has, base64. */
  readonly id: string;
  /** The connection's alias. */
  readonly connection: string;
  /** Whether both sides, or in a connection of one direction this side, can send. */
  readonly connected: boolean;
  /** Whether messages can be sent, now or when it is connected. */
  readonly canSend: boolean;
  /** Whether joining was given up, or was refused: nothing can be sent, and nobody will be connected. */
  readonly failed: boolean;
  /** Whether messages can be received. */
  readonly canReceive: boolean;
  /** Whether it was suspended. */
  readonly suspended: boolean;
  /** Messages that could not be decrypted, verified or parsed. */
  readonly unreadable: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Its session (sessions.md); `null` when the other agent has none, or it is not known yet. */
  readonly session: SessionInfo | null;
}

/** The session of a connection as it is now. */
export interface SessionInfo {
  /** Whether messages go through it; else they wait for it, unless it is closed. */
  readonly active: boolean;
  /** Whether the other side has deleted the connection. */
  readonly closed: boolean;
  /** Since when, milliseconds since 1970; `null` before. */
  readonly since: number | null;
  /** Whether the user has compared the safety code. */
  readonly verified: boolean;
  /** The servers that messages come from, and those that they go to. */
  readonly servers: {
    readonly receiving: readonly ServerAddress[];
    readonly sending: readonly ServerAddress[];
  };
}

/** Routes that messages of a session come through at most. */
export const mostRoutes = 4;

/** How far a server is left. */
export interface LeaveProgress {
  /** Queues of sessions there. */
  readonly left: number;
  /** Queues there that cannot move: of connections without a session, and suspended ones. */
  readonly staying: number;
}

/** What is told of a connection. */
export function connectionInfo(
  { record, receiving, sending, session, inbound, outbound }: Connection,
): ConnectionInfo {
  const { id, alias, connected, unreadable, createdAt } = record;
  return {
    id,
    connection: alias,
    connected,
    canSend: outbound.length > 0 || sending.some(({ status }) => status !== "failed"),
    failed: sending.length > 0 && sending.every(({ status }) => status === "failed"),
    canReceive: receiving.length + inbound.length > 0,
    suspended: [...receiving, ...inbound].some(({ suspended }) => suspended),
    unreadable,
    createdAt,
    session: session === null || session.status === "greeting" ? null : {
      active: session.status === "active",
      closed: session.status === "closed",
      since: session.keys.since,
      verified: session.keys.verified,
      servers: {
        receiving: inbound.map(({ keys }) => keys.server),
        sending: outbound.map(({ keys }) => keys.server),
      },
    },
  };
}

/** A server as a value, without a password. Throws `ParseError`. */
export function serverOf(server: string | ServerAddress): ServerAddress {
  return typeof server === "string" ? parseServer(server).server : server;
}

/** Throws `RangeError` when there is no server, `ParseError` for one that cannot be, `TransportError` (`BAD_HASH`). */
export function checkServers(servers: readonly (string | ServerAddress)[], allowUnverified: boolean): void {
  if (servers.length === 0) throw new RangeError("Cannot start an agent without servers: give at least one");
  for (const server of servers) {
    checkIsAddress(server);
    const address = parseAddress(formatAddress(serverOf(server)));
    if (!allowUnverified) checkVerifiable(address);
  }
}

/** Throws what {@linkcode checkServers} throws, and `RangeError` for another option that cannot be. */
export function checkOptions(
  {
    servers,
    client,
    keyPool = 0,
    buffer = 1,
    joinTimeout = 1,
    retention = 1,
    routes = 1,
    routeLifetime = 1,
    lostTimeout = 1,
    streamOfferLifetime = 1,
    upgradeTimeout = 1,
    retry,
    extensions = [],
  }: AgentOptions,
): void {
  checkServers(servers, client?.allowUnverified ?? false);
  encodeExtensions(extensions);
  const { first = 1, most = 1 } = retry ?? {};
  const numbers = {
    keyPool: typeof keyPool === "number" ? keyPool : 0,
    buffer,
    joinTimeout,
    retention,
    routes,
    routeLifetime,
    lostTimeout,
    streamOfferLifetime,
    upgradeTimeout,
    "retry.first": first,
    "retry.most": most,
  };
  for (const [name, value] of Object.entries(numbers)) {
    const least = name === "keyPool" ? 0 : 1;
    const largest = name === "routes"
      ? mostRoutes
      : name.startsWith("retry") || name === "upgradeTimeout"
      ? longestTimer
      : Number.MAX_SAFE_INTEGER;
    if (Number.isInteger(value) && value >= least && value <= largest) continue;
    throw new RangeError(
      `Cannot use option ${name}: ${value} is not a whole number from ${least} to ${largest}`,
    );
  }
}
