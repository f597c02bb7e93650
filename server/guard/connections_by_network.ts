export interface OpenConnection {
  readonly networks: readonly string[];
  end(): void;
}

/** Everything takes constant time: what a flood makes the server do must not grow with it. */
export class ConnectionsByNetwork {
  readonly #byNetwork = new Map<string, Set<OpenConnection>>();
  /** At `n` the widest networks that have `n` connections, those first that have had so many the longest. */
  readonly #byCount: Set<string>[] = [];
  #most = 0;

  get most(): number {
    return this.#most;
  }

  count(network: string): number {
    return this.#byNetwork.get(network)?.size ?? 0;
  }

  add(connection: OpenConnection): void {
    for (const network of connection.networks) {
      const connections = this.#byNetwork.get(network);
      if (connections === undefined) this.#byNetwork.set(network, new Set([connection]));
      else connections.add(connection);
    }
    this.#recount(connection.networks.at(-1)!, 1);
  }

  delete(connection: OpenConnection): void {
    const widest = connection.networks.at(-1)!;
    if (!this.#byNetwork.get(widest)?.has(connection)) return;
    this.#recount(widest, -1);
    for (const network of connection.networks) {
      const connections = this.#byNetwork.get(network)!;
      connections.delete(connection);
      if (connections.size === 0) this.#byNetwork.delete(network);
    }
  }

  oldestOf(network: string): OpenConnection | undefined {
    return first(this.#byNetwork.get(network) ?? []);
  }

  oldestOfMost(): OpenConnection | undefined {
    const network = first(this.#byCount[this.#most] ?? []);
    return network === undefined ? undefined : this.oldestOf(network);
  }

  #recount(network: string, change: 1 | -1): void {
    const size = this.#byNetwork.get(network)!.size;
    const [before, after] = change === 1 ? [size - 1, size] : [size, size - 1];
    this.#byCount[before]?.delete(network);
    if (after > 0) (this.#byCount[after] ??= new Set()).add(network);
    if (after > this.#most) this.#most = after;
    while (this.#most > 0 && this.#byCount[this.#most]!.size === 0) this.#most--;
  }
}

function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value;
  return undefined;
}
