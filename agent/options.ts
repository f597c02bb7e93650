import { checkVerifiable, type SmpClientOptions } from "../client/mod.ts";
import { formatAddress, parseAddress, type QueueInfo, type ServerAddress } from "../protocol/mod.ts";
import type { Backoff } from "./backoff.ts";
import type { Confirmation } from "./context.ts";
import type { KeySource } from "./key_pool.ts";
import type { AgentStore, ConnectionRecord } from "./store/store.ts";

const longestTimer = 2 ** 31 - 1;

/** How an agent is started. All times are in milliseconds. */
export interface AgentOptions {
  /** The servers on which it makes its queues, `<host>[:port]#<key hash>`; one is chosen by chance each time. */
  readonly servers: readonly (string | ServerAddress)[];
  /** Where connections and messages are kept; the agent closes it. @default memory */
  readonly store?: AgentStore;
  /** How servers are connected to. */
  readonly client?: Omit<SmpClientOptions, "signal" | "blockSize">;
  /**
   * `automatic`: a message is acknowledged to its server when the application has been told of it; `manual`: when the
   * application has called `Agent.acknowledge`, so that what it has not done with comes again. @default automatic
   */
  readonly acknowledge?: "automatic" | "manual";
  /** Is asked before the first confirmation of an invitation is accepted. @default everybody is let in */
  readonly approve?: (confirmation: Confirmation) => boolean | Promise<boolean>;
  /** Key pairs that are made before they are needed, or where they come from. @default 8 */
  readonly keyPool?: number | KeySource;
  /** Messages that may wait to be read from `Agent.events`; others wait at their servers. @default 256 */
  readonly buffer?: number;
  /** For how long joining is tried. @default 172800000 (2 days) */
  readonly joinTimeout?: number;
  /** Between tries to send and to reach a server. @default from 100 to 30000, growing by half */
  readonly retry?: Backoff;
  /** Time after which messages that are done with are removed from the store. @default never */
  readonly retention?: number;
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
  /** The connection's alias. */
  readonly connection: string;
  /** Whether both sides, or in a connection of one direction this side, can send. */
  readonly connected: boolean;
  /** Whether messages can be sent, now or when it is connected. */
  readonly canSend: boolean;
  /** Whether messages can be received. */
  readonly canReceive: boolean;
  /** Whether it was suspended. */
  readonly suspended: boolean;
  /** Messages that could not be decrypted, verified or parsed. */
  readonly unreadable: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** What is told of a connection. */
export function connectionInfo(record: ConnectionRecord): ConnectionInfo {
  const { alias, state, suspended, unreadable, createdAt } = record;
  return {
    connection: alias,
    connected: state.connected,
    canSend: record.sending !== null,
    canReceive: record.receiving !== null,
    suspended,
    unreadable,
    createdAt,
  };
}

/** A server as a value. Throws `ParseError`. */
export function serverOf(server: string | ServerAddress): ServerAddress {
  return typeof server === "string" ? parseAddress(server) : server;
}

/** Throws `RangeError` when there is no server, `ParseError` for one that cannot be, `TransportError` (`BAD_HASH`). */
export function checkServers(servers: readonly (string | ServerAddress)[], allowUnverified: boolean): void {
  if (servers.length === 0) throw new RangeError("Cannot start an agent without servers: give at least one");
  for (const server of servers) {
    const address = parseAddress(formatAddress(serverOf(server)));
    if (!allowUnverified) checkVerifiable(address);
  }
}

/** Throws what {@linkcode checkServers} throws, and `RangeError` for another option that cannot be. */
export function checkOptions(
  { servers, client, keyPool = 0, buffer = 1, joinTimeout = 1, retention = 1, retry }: AgentOptions,
): void {
  checkServers(servers, client?.allowUnverified ?? false);
  const { first = 1, most = 1 } = retry ?? {};
  const numbers = {
    keyPool: typeof keyPool === "number" ? keyPool : 0,
    buffer,
    joinTimeout,
    retention,
    "retry.first": first,
    "retry.most": most,
  };
  for (const [name, value] of Object.entries(numbers)) {
    const least = name === "keyPool" ? 0 : 1;
    const largest = name.startsWith("retry") ? longestTimer : Number.MAX_SAFE_INTEGER;
    if (Number.isInteger(value) && value >= least && value <= largest) continue;
    throw new RangeError(`Cannot use option ${name}: ${value} is not a whole number from ${least}`);
  }
}
