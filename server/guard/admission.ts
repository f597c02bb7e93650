import { clientNetwork, type CountedNetwork, countedNetworks } from "./client_network.ts";
import type { LimitSource } from "../config/limits.ts";
import type { Metrics, Refusal } from "../observe/metrics.ts";
import { LeakyBuckets } from "./leaky_bucket.ts";
import { type SilentConnection, SilentConnections } from "./silent_connections.ts";

/** How many seconds' worth of handshakes a client may make at once. */
const handshakeBurst = 10;

/** A connection that was let in. */
export interface Admitted {
  /** What limits per address count by, if the address is known. */
  readonly client: string | null;
  /** What the client has to say in the handshake has come: from now on it is waited for work, not for the client. */
  spoke(): void;
  /** The handshake is done. */
  established(): void;
  /** The connection is gone. */
  left(): void;
}

/**
 * Decides who may connect and create queues, by the limits in all and per address. Keeps addresses in memory only.
 *
 * Where there is no place for a handshake, the oldest connection that says nothing makes room: of those that share
 * the limit, or of the address that has most of them where the limit is one in all.
 */
export class Admission {
  readonly #limits: LimitSource;
  readonly #metrics: Metrics;
  readonly #connections = new Counts();
  readonly #handshakes = new Counts();
  readonly #silent = new SilentConnections();
  readonly #handshakeRates: LeakyBuckets;
  readonly #newQueueRates: LeakyBuckets;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(limits: LimitSource, metrics: Metrics, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#metrics = metrics;
    this.#handshakeRates = new LeakyBuckets(() => {
      const rate = limits().handshakesPerSecondPerIp;
      return { perSecond: rate, capacity: rate * handshakeBurst };
    }, now);
    this.#newQueueRates = new LeakyBuckets(() => {
      const perHour = limits().newQueuesPerHourPerIp;
      return { perSecond: perHour / 3600, capacity: perHour };
    }, now);
  }

  /** Connections in their handshake. */
  get handshakes(): number {
    return this.#handshakes.all;
  }

  /**
   * Lets a connection in, from `address` if it has one; `null` when a limit is reached, which is counted. `close` ends
   * it while it says nothing, to make room for another one.
   */
  admit(address: string | undefined, close: () => void = () => {}): Admitted | null {
    const client = address === undefined ? null : clientNetwork(address);
    const networks = client === null ? [] : countedNetworks(client);
    const reason = this.#refusal(networks);
    if (reason !== null) {
      this.#metrics.refuse(reason);
      return null;
    }
    return this.#letIn(client, networks, close);
  }

  /** Whether a client may create one more queue; counts it if so, and the refusal if not. */
  mayCreate(client: string | null): boolean {
    const allowed = client === null || takeAll(this.#newQueueRates, countedNetworks(client));
    if (!allowed) this.#metrics.refuse("new_queue_rate");
    return allowed;
  }

  /** Forgets the clients that are back at their full rate. */
  sweep(): void {
    this.#handshakeRates.sweep();
    this.#newQueueRates.sweep();
  }

  #letIn(client: string | null, networks: readonly CountedNetwork[], close: () => void): Admitted {
    let state: "silent" | "heard" | "established" | "left" = "silent";
    const spoke = () => {
      if (state !== "silent") return;
      state = "heard";
      this.#silent.delete(silent);
    };
    const established = () => {
      spoke();
      if (state !== "heard") return;
      state = "established";
      this.#handshakes.add(networks, -1);
    };
    const left = () => {
      established();
      if (state === "left") return;
      state = "left";
      this.#connections.add(networks, -1);
    };
    const silent: SilentConnection = {
      networks: client === null ? [""] : networks.map(({ network }) => network),
      end() {
        left();
        close();
      },
    };
    this.#connections.add(networks, 1);
    this.#handshakes.add(networks, 1);
    this.#silent.add(silent);
    return { client, spoke, established, left };
  }

  /** Why a connection of `networks` is refused; makes room for it where that is possible. */
  #refusal(networks: readonly CountedNetwork[]): Refusal | null {
    const limits = this.#limits();
    if (this.#connections.full(networks, limits.connectionsPerIp) !== undefined) return "connections_per_ip";
    if (!takeAll(this.#handshakeRates, networks)) return "handshake_rate";
    const full = this.#handshakes.full(networks, limits.handshakesPerIp);
    if (full !== undefined && !this.#makeRoom("handshakes_per_ip", this.#silent.oldestOf(full))) {
      return "handshakes_per_ip";
    }
    if (this.#connections.all >= limits.connections && !this.#makeRoom("connections")) return "connections";
    if (this.#handshakes.all >= limits.handshakes && !this.#makeRoom("handshakes")) return "handshakes";
    return null;
  }

  #makeRoom(reason: Refusal, connection = this.#silent.oldestOfMost()): boolean {
    if (connection === undefined) return false;
    this.#metrics.refuse(reason);
    connection.end();
    return true;
  }
}

/** How many there are, in all and of each network. */
class Counts {
  all = 0;
  readonly #perNetwork = new Map<string, number>();

  add(networks: readonly CountedNetwork[], change: 1 | -1): void {
    this.all += change;
    for (const { network } of networks) {
      const count = (this.#perNetwork.get(network) ?? 0) + change;
      if (count === 0) this.#perNetwork.delete(network);
      else this.#perNetwork.set(network, count);
    }
  }

  /** The first network that has its share of `limit`; 0 is no limit. */
  full(networks: readonly CountedNetwork[], limit: number): string | undefined {
    if (limit === 0) return undefined;
    return networks.find(({ network, share }) => (this.#perNetwork.get(network) ?? 0) >= limit * share)
      ?.network;
  }
}

/** Takes one of each network's rate, up to the first that has none left: who is refused by its own takes none of others'. */
function takeAll(rates: LeakyBuckets, networks: readonly CountedNetwork[]): boolean {
  return networks.every(({ network, share }) => rates.take(network, 1 / share));
}
