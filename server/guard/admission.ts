import { clientNetwork } from "./client_network.ts";
import type { LimitSource } from "../config/limits.ts";
import type { Metrics, Refusal } from "../observe/metrics.ts";
import { RateLimit } from "./rate_limit.ts";

/** How many seconds' worth of handshakes a client may make at once. */
const handshakeBurst = 10;
const hour = 3_600_000;

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

/** Decides who may connect and create queues, by the limits in all and per address. Keeps addresses in memory only. */
export class Admission {
  readonly #limits: LimitSource;
  readonly #metrics: Metrics;
  readonly #perClient = new Map<string, number>();
  readonly #handshakesPerClient = new Map<string, number>();
  /** How to end the connections in whose handshakes the client has said nothing yet, by client, the oldest first. */
  readonly #silent = new Map<string, Set<() => void>>();
  readonly #handshakeRates: RateLimit;
  readonly #newQueueRates: RateLimit;
  #connections = 0;
  #handshakes = 0;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(limits: LimitSource, metrics: Metrics, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#metrics = metrics;
    this.#handshakeRates = new RateLimit(now);
    this.#newQueueRates = new RateLimit(now);
  }

  /** Connections in their handshake. */
  get handshakes(): number {
    return this.#handshakes;
  }

  /**
   * Lets a connection in, from `address` if it has one; `null` when a limit is reached, which is counted. Where one
   * address has too many handshakes, the oldest connection that says nothing is ended by its `close` instead.
   */
  admit(address: string | undefined, close: () => void = () => {}): Admitted | null {
    const client = address === undefined ? null : clientNetwork(address);
    if (client !== null) this.#makeRoom(client);
    const reason = this.#connectionRefusal(client);
    if (reason !== null) {
      this.#metrics.refuse(reason);
      return null;
    }
    this.#connections++;
    this.#handshakes++;
    if (client !== null) {
      add(this.#perClient, client, 1);
      add(this.#handshakesPerClient, client, 1);
    }
    const spoke = () => {
      const silent = client === null ? undefined : this.#silent.get(client);
      silent?.delete(end);
      if (silent?.size === 0) this.#silent.delete(client!);
    };
    let isInHandshake = true;
    const endHandshake = () => {
      if (!isInHandshake) return;
      isInHandshake = false;
      spoke();
      this.#handshakes--;
      if (client !== null) add(this.#handshakesPerClient, client, -1);
    };
    const end = () => {
      endHandshake();
      close();
    };
    if (client !== null) this.#silent.set(client, (this.#silent.get(client) ?? new Set()).add(end));
    return {
      client,
      spoke,
      established: endHandshake,
      left: () => {
        endHandshake();
        this.#connections--;
        if (client !== null) add(this.#perClient, client, -1);
      },
    };
  }

  /** Whether a client may create one more queue; counts it if so, and the refusal if not. */
  mayCreate(client: string | null): boolean {
    const perHour = this.#limits().newQueuesPerHourPerIp;
    if (client === null || perHour === 0) return true;
    const allowed = this.#newQueueRates.take(client, { perSecond: perHour / 3600, burst: perHour });
    if (!allowed) this.#metrics.refuse("new_queue_rate");
    return allowed;
  }

  /** Forgets the clients that are back at their full rate. */
  sweep(): void {
    this.#handshakeRates.forget(handshakeBurst * 1000);
    this.#newQueueRates.forget(hour);
  }

  /** Ends the oldest silent connection of a client that may have no more handshakes. */
  #makeRoom(client: string): void {
    const { handshakesPerIp } = this.#limits();
    if (handshakesPerIp === 0 || (this.#handshakesPerClient.get(client) ?? 0) < handshakesPerIp) return;
    for (const end of this.#silent.get(client) ?? []) {
      this.#metrics.refuse("handshakes_per_ip");
      return end();
    }
  }

  #connectionRefusal(client: string | null): Refusal | null {
    const { connections, connectionsPerIp, handshakes, handshakesPerIp } = this.#limits();
    if (this.#connections >= connections) return "connections";
    if (this.#handshakes >= handshakes) return "handshakes";
    if (client === null) return null;
    if (connectionsPerIp > 0 && (this.#perClient.get(client) ?? 0) >= connectionsPerIp) {
      return "connections_per_ip";
    }
    if (handshakesPerIp > 0 && (this.#handshakesPerClient.get(client) ?? 0) >= handshakesPerIp) {
      return "handshakes_per_ip";
    }
    const rate = this.#limits().handshakesPerSecondPerIp;
    if (rate > 0 && !this.#handshakeRates.take(client, { perSecond: rate, burst: rate * handshakeBurst })) {
      return "handshake_rate";
    }
    return null;
  }
}

function add(counts: Map<string, number>, client: string, change: 1 | -1): void {
  const count = (counts.get(client) ?? 0) + change;
  if (count === 0) counts.delete(client);
  else counts.set(client, count);
}
