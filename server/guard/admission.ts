import { clientNetwork, type CountedNetwork, countedNetworks } from "./client_network.ts";
import type { LimitSource } from "../config/limits.ts";
import type { Metrics, Refusal } from "../observe/metrics.ts";
import { LeakyBuckets } from "./leaky_bucket.ts";
import { ConnectionsByNetwork, type OpenConnection } from "./connections_by_network.ts";
import { ServerUsage, type SharedCounts } from "./server_usage.ts";

/** How many seconds' worth of handshakes a client may make at once. */
const handshakeBurst = 10;
/** Established connections of others that a client may displace. */
const displaced = { perSecond: 1, capacity: 10 };

export interface Admitted {
  readonly client: string | null;
  /** Its whole address; `null`: nobody has said. */
  readonly address: string | null;
  /** The client has sent its part of the handshake: what is waited for now is the server's work. */
  spoke(): void;
  established(): void;
  left(): void;
}

/**
 * Where there is no place, the oldest silent connection is evicted of those that share the limit, or of the
 * address that has most; where nobody has two of them, an established one of whoever has most. Keeps
 * addresses in memory only.
 */
export class Admission {
  readonly #limits: LimitSource;
  readonly #metrics: Metrics;
  readonly #connections: SharedCounts;
  readonly #handshakes: SharedCounts;
  readonly #silent = new ConnectionsByNetwork();
  readonly #established = new ConnectionsByNetwork();
  readonly #handshakeRates: LeakyBuckets;
  readonly #displacedRates: LeakyBuckets;
  readonly #newQueueRates: LeakyBuckets;

  constructor(
    limits: LimitSource,
    metrics: Metrics,
    { now = () => performance.now(), usage = new ServerUsage() }: {
      readonly now?: () => number;
      readonly usage?: ServerUsage;
    } = {},
  ) {
    this.#limits = limits;
    this.#metrics = metrics;
    this.#connections = usage.connections;
    this.#handshakes = usage.handshakes;
    this.#handshakeRates = new LeakyBuckets(
      () => {
        const rate = limits().handshakesPerSecondPerIp;
        return { perSecond: rate, capacity: rate * handshakeBurst };
      },
      now,
      { usage, name: "handshakes" },
    );
    this.#displacedRates = new LeakyBuckets(() => displaced, now, { usage, name: "displaced" });
    this.#newQueueRates = new LeakyBuckets(
      () => {
        const perHour = limits().newQueuesPerHourPerIp;
        return { perSecond: perHour / 3600, capacity: perHour };
      },
      now,
      { usage, name: "newQueues" },
    );
  }

  get handshakes(): number {
    return this.#handshakes.all;
  }

  admit(address: string | undefined, close: () => void = () => {}): Admitted | null {
    const client = address === undefined ? null : clientNetwork(address);
    const networks = countedNetworks(client);
    const reason = this.#refusal(networks);
    if (reason !== null) {
      this.#metrics.refuse(reason);
      return null;
    }
    return { ...this.#letIn(client, networks, close), address: address ?? null };
  }

  mayCreate(client: string | null): boolean {
    const allowed = takeAll(this.#newQueueRates, countedNetworks(client));
    if (!allowed) this.#metrics.refuse("new_queue_rate");
    return allowed;
  }

  sweep(): void {
    this.#handshakeRates.sweep();
    this.#displacedRates.sweep();
    this.#newQueueRates.sweep();
  }

  #letIn(
    client: string | null,
    networks: readonly CountedNetwork[],
    close: () => void,
  ): Omit<Admitted, "address"> {
    let state: "silent" | "heard" | "established" | "left" = "silent";
    const spoke = () => {
      if (state !== "silent") return;
      state = "heard";
      this.#silent.delete(connection);
    };
    const endHandshake = () => {
      spoke();
      if (state === "heard") this.#handshakes.add(networks, -1);
    };
    const established = () => {
      if (state !== "silent" && state !== "heard") return;
      endHandshake();
      state = "established";
      this.#established.add(connection);
    };
    const left = () => {
      if (state === "left") return;
      endHandshake();
      state = "left";
      this.#established.delete(connection);
      this.#connections.add(networks, -1);
    };
    const connection: OpenConnection = {
      networks: names(networks),
      end() {
        left();
        close();
      },
    };
    this.#connections.add(networks, 1);
    this.#handshakes.add(networks, 1);
    this.#silent.add(connection);
    return { client, spoke, established, left };
  }

  #refusal(networks: readonly CountedNetwork[]): Refusal | null {
    const limits = this.#limits();
    if (this.#connections.full(networks, limits.connectionsPerIp) !== undefined) return "connections_per_ip";
    if (!takeAll(this.#handshakeRates, networks)) return "handshake_rate";
    const full = this.#handshakes.full(networks, limits.handshakesPerIp);
    if (full !== undefined && !this.#makeRoom("handshakes_per_ip", this.#silent.oldestOf(full))) {
      return "handshakes_per_ip";
    }
    if (
      this.#connections.sum >= limits.connections &&
      !this.#makeRoom("connections", this.#dispensable(networks))
    ) return "connections";
    if (
      this.#handshakes.sum >= limits.handshakes && !this.#makeRoom("handshakes", this.#silent.oldestOfMost())
    ) return "handshakes";
    return null;
  }

  /** The connection that makes room for one of `networks`, which must not have most itself. */
  #dispensable(networks: readonly CountedNetwork[]): OpenConnection | undefined {
    const silent = this.#silent.oldestOfMost();
    if (this.#silent.most > 1) return silent;
    const widest = names(networks).at(-1)!;
    if (this.#established.most <= this.#established.count(widest) + 1) return silent;
    // Bounded, because who is displaced comes back, and would make room again.
    return this.#displacedRates.take(widest) ? this.#established.oldestOfMost() : silent;
  }

  #makeRoom(reason: Refusal, connection: OpenConnection | undefined): boolean {
    if (connection === undefined) return false;
    this.#metrics.refuse(reason);
    connection.end();
    return true;
  }
}

function names(networks: readonly CountedNetwork[]): readonly string[] {
  return networks.length === 0 ? [""] : networks.map(({ network }) => network);
}

/** Up to the first that has none left: who is refused by its own takes none of others'. */
function takeAll(rates: LeakyBuckets, networks: readonly CountedNetwork[]): boolean {
  return networks.every(({ network, share }) => rates.take(network, 1 / share));
}
