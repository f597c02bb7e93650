import type { PublicKey, ServerAddress } from "../../protocol/mod.ts";
import type { Backoff } from "../backoff.ts";
import type { Connections } from "../core/connections.ts";
import type { Deadlines } from "../deadlines.ts";
import type { KeySource, LeastBits, LoadedKeys, StoredKeyPair } from "../key_pool.ts";
import type { Servers } from "../servers.ts";
import type { AgentStore, InboundRoute, ReceivingRoute } from "../store/store.ts";
import type { Making } from "./making.ts";
import type { RefusedPasswords } from "./refused_passwords.ts";
import type { SlowLane } from "./slow_lane.ts";

/** Who asks to be let into a connection. */
export interface Confirmation {
  /** The connection's alias. */
  readonly connection: string;
  /** The key that the sender will sign with. */
  readonly senderKey: PublicKey;
}

/** What the parts of an agent share. */
export interface AgentContext {
  readonly store: AgentStore;
  readonly connections: Connections;
  readonly servers: Servers;
  readonly pool: KeySource;
  /** Key pairs that were taken for something that a server has refused. */
  readonly spare: Readonly<Record<LeastBits, StoredKeyPair[]>>;
  readonly keys: LoadedKeys;
  /** The queues that servers are being asked for. */
  readonly making: Making;
  /** Where signatures by keys are verified that are costly to use. */
  readonly slowLane: SlowLane;
  readonly now: () => number;
  readonly deadlines: Deadlines;
  /** Between tries. */
  readonly retry: Backoff;
  /** Milliseconds for which a joiner's KEY and HELLO are tried. */
  readonly joinTimeout: number;
  /** Milliseconds for which a server is asked to delete a queue: it deletes what nobody uses by itself. */
  readonly discardTimeout: number;
  /** The extensions that are announced to other agents. */
  readonly announced: readonly string[];
  /** Whether servers without a key hash are taken. */
  readonly allowUnverified: boolean;
  readonly approve: (confirmation: Confirmation) => boolean | Promise<boolean>;
  /** Aborts when the agent is closed. */
  readonly signal: AbortSignal;
  /** A server of the agent's own. */
  server(): ServerAddress;
  /** The password of a server, if it is known. */
  password(server: ServerAddress): string | undefined;
  readonly refusedPasswords: RefusedPasswords;
  /** All of them. */
  ownServers(): readonly ServerAddress[];
  /** How many inbound routes a session has. */
  readonly routes: number;
  /** Milliseconds after which an inbound route is replaced because of its age. */
  readonly routeLifetime: number;
  /** Milliseconds after which a server that cannot be reached, while others can, is lost. */
  readonly lostTimeout: number;
  /** Milliseconds without an answer after which an upgrade is slow, and UPG is said again. */
  readonly upgradeTimeout: number;
  /** Has the queue of a route deleted that was made and belongs to no connection. */
  abandon(route: ReceivingRoute | InboundRoute): Promise<void>;
  /** Takes a packet of streams that has come on an inbound route of a connection; `false`: it is of none. */
  streamPacket(connection: string, content: Uint8Array<ArrayBuffer>): Promise<boolean>;
  /** Tells of a failure that passes, once until it was read. */
  failed(connection: string, error: unknown): void;
}
