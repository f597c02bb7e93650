import type { ServerAddress } from "../../protocol/mod.ts";
import { AgentError, unknownConnection } from "../protocol/error.ts";
import type {
  AgentStore,
  Connection,
  InboundRoute,
  OutboundRoute,
  ReceivingRoute,
  SendingRoute,
} from "../store/store.ts";

/** A connection and one of its receiving routes. */
export interface AtReceiving {
  readonly connection: Connection;
  readonly route: ReceivingRoute;
}

/** A connection and one of its sending routes. */
export interface AtSending {
  readonly connection: Connection;
  readonly route: SendingRoute;
}

/** A connection and one of its inbound routes. */
export interface AtInbound {
  readonly connection: Connection;
  readonly route: InboundRoute;
}

/** A connection and one of its outbound routes. */
export interface AtOutbound {
  readonly connection: Connection;
  readonly route: OutboundRoute;
}

const tables = ["receiving", "sending", "inbound", "outbound"] as const;

/** The connections of an agent in memory, as they are in the store, by ID, alias and route. */
export class Connections {
  readonly #byId = new Map<string, Connection>();
  /** The IDs of connections, by alias; an empty one is reserved. */
  readonly #ids = new Map<string, string>();
  /** The connection of each route. */
  readonly #routes = {
    receiving: new Map<string, string>(),
    sending: new Map<string, string>(),
    inbound: new Map<string, string>(),
    outbound: new Map<string, string>(),
  };
  /** The last change of each connection that has one under way. */
  readonly #work = new Map<string, Promise<unknown>>();

  /** Reads all connections. */
  static async load(store: AgentStore): Promise<Connections> {
    const connections = new Connections();
    for (const connection of await store.connections()) connections.set(connection);
    return connections;
  }

  /** All connections, oldest first. */
  all(): Connection[] {
    return [...this.#byId.values()];
  }

  /** The connection with an ID as it is now. */
  find(id: string): Connection | undefined {
    return this.#byId.get(id);
  }

  /** The connection with an alias as it is now. Throws `AgentError` (`CONN UNKNOWN`). */
  get(alias: string): Connection {
    const connection = this.#byId.get(this.#ids.get(alias) ?? "");
    if (connection === undefined) throw unknownConnection(alias);
    return connection;
  }

  /** The connection that has a receiving route. */
  receiving(route: string): AtReceiving | undefined {
    const connection = this.#byId.get(this.#routes.receiving.get(route) ?? "");
    const found = connection?.receiving.find(({ id }) => id === route);
    return found && { connection: connection!, route: found };
  }

  /** The connection that has a sending route. */
  sending(route: string): AtSending | undefined {
    const connection = this.#byId.get(this.#routes.sending.get(route) ?? "");
    const found = connection?.sending.find(({ id }) => id === route);
    return found && { connection: connection!, route: found };
  }

  /** The connection that has an inbound route. */
  inbound(route: string): AtInbound | undefined {
    const connection = this.#byId.get(this.#routes.inbound.get(route) ?? "");
    const found = connection?.inbound.find(({ id }) => id === route);
    return found && { connection: connection!, route: found };
  }

  /** The connection that has an outbound route. */
  outbound(route: string): AtOutbound | undefined {
    const connection = this.#byId.get(this.#routes.outbound.get(route) ?? "");
    const found = connection?.outbound.find(({ id }) => id === route);
    return found && { connection: connection!, route: found };
  }

  /** Whether a route is on a server. */
  isOn(server: ServerAddress): boolean {
    for (const connection of this.#byId.values()) {
      for (const table of tables) {
        for (const { keys } of connection[table]) if (isSameServer(keys.server, server)) return true;
      }
    }
    return false;
  }

  /** Keeps an alias for a connection while that is made. Throws `AgentError` (`CONN DUPLICATE`) when it is taken. */
  async reserving<T>(alias: string, make: () => Promise<T>): Promise<T> {
    if (this.#ids.has(alias)) {
      throw new AgentError("CONN DUPLICATE", `There is a connection "${alias}" already`);
    }
    this.#ids.set(alias, "");
    try {
      return await make();
    } finally {
      if (this.#ids.get(alias) === "") this.#ids.delete(alias);
    }
  }

  /** Puts a connection that was stored. */
  set(connection: Connection): void {
    const { record: { id, alias } } = connection;
    const before = this.#byId.get(id);
    if (before !== undefined) this.#forgetRoutes(before);
    if (before !== undefined && before.record.alias !== alias) this.#ids.delete(before.record.alias);
    this.#byId.set(id, connection);
    this.#ids.set(alias, id);
    for (const table of tables) for (const route of connection[table]) this.#routes[table].set(route.id, id);
  }

  /** Takes out a connection that was removed from the store. */
  remove(connection: Connection): void {
    const { record: { id, alias } } = connection;
    this.#byId.delete(id);
    this.#ids.delete(alias);
    this.#forgetRoutes(connection);
  }

  /** Does a task when all earlier ones of the connection are done. */
  async serially<T>(id: string, task: () => Promise<T>): Promise<T> {
    const before = this.#work.get(id);
    const work = before === undefined ? task() : before.then(task, task);
    this.#work.set(id, work);
    try {
      return await work;
    } finally {
      if (this.#work.get(id) === work) this.#work.delete(id);
    }
  }

  /** Resolves when no connection has a change under way. */
  async idle(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work.values());
  }

  #forgetRoutes(connection: Connection): void {
    for (const table of tables) for (const { id } of connection[table]) this.#routes[table].delete(id);
  }
}

/** Whether two addresses are the same. */
export function isSameServer(a: ServerAddress, b: ServerAddress): boolean {
  return a.host === b.host && a.port === b.port && a.keyHash === b.keyHash;
}
