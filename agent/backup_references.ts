import type { PutChange } from "./store/parse_change.ts";

/** Checks that the changes of a backup fit each other: no ID is used twice, and all belongs to what came before. */
export class References {
  /** The IDs of the connections. */
  readonly connections = new Set<string>();
  /** How many messages there are. */
  messages = 0;
  readonly #aliases = new Set<string>();
  /** The connection of each route. */
  readonly #routes = {
    "put receiving": new Map<string, string>(),
    "put sending": new Map<string, string>(),
    "put inbound": new Map<string, string>(),
    "put outbound": new Map<string, string>(),
  };
  readonly #sessions = new Set<string>();
  /** The positions of each connection's outbox. */
  readonly #outbox = new Map<string, Set<number>>();
  readonly #events = new Set<number>();

  /** Takes the next change. Throws `TypeError`. */
  check(change: PutChange): void {
    switch (change.type) {
      case "put connection": {
        const { id, alias } = change.record;
        if (this.connections.has(id) || this.#aliases.has(alias)) {
          throw new TypeError("a connection is there twice");
        }
        this.connections.add(id);
        this.#aliases.add(alias);
        return;
      }
      case "put receiving":
      case "put sending":
      case "put inbound":
      case "put outbound": {
        this.#owner(change.connection);
        const { id } = change.route;
        const all = Object.values(this.#routes);
        if (all.some((routes) => routes.has(id))) throw new TypeError("a route is there twice");
        this.#routes[change.type].set(id, change.connection);
        return;
      }
      case "put session":
        this.#owner(change.connection);
        if (this.#sessions.has(change.connection)) throw new TypeError("a session is there twice");
        this.#sessions.add(change.connection);
        return;
      case "put frame":
        return this.#owner(change.frame.connection);
      case "put held":
        return this.#owner(change.held.connection);
      case "put piece":
        if (this.#routes["put inbound"].get(change.piece.route) !== change.piece.connection) {
          throw new TypeError("a piece has no route");
        }
        return;
      case "put outbox": {
        const { connection, position } = change.entry;
        this.#owner(connection);
        const positions = this.#outbox.get(connection) ?? new Set();
        this.#outbox.set(connection, positions.add(position));
        return;
      }
      case "put delivery": {
        const { connection, route, position } = change.delivery;
        if (
          this.#routes["put sending"].get(route) !== connection ||
          !this.#outbox.get(connection)?.has(position)
        ) {
          throw new TypeError("a delivery has no route or no entry");
        }
        return;
      }
      case "put message":
        this.#owner(change.message.connection);
        this.messages++;
        return;
      case "put event":
        this.#owner(change.event.connection);
        if (this.#events.has(change.event.id)) throw new TypeError("an event is there twice");
        this.#events.add(change.event.id);
        return;
      case "put discarded":
        return;
      default:
        return change satisfies never;
    }
  }

  #owner(connection: string): void {
    if (!this.connections.has(connection)) throw new TypeError("something belongs to no connection");
  }
}
