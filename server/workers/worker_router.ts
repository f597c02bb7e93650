import type { ClientTransmission } from "../../protocol/mod.ts";
import { failure } from "../broker/command_runner.ts";
import { Router } from "../broker/router.ts";
import type { Forwarded } from "../broker/restoring.ts";
import type { BrokerConnection } from "../broker/subscriptions.ts";
import type { LimitSource } from "../config/limits.ts";
import type { Metrics } from "../observe/metrics.ts";

/** Knows of what connections have open at it. */
export interface OpenCounter {
  /** How many queue IDs a connection has open, those that it is about to open included. */
  opened(connection: BrokerConnection): number;
}

/** What the sessions of a worker give their commands to: what a connection may have open, it may have at all workers together. */
export class WorkerRouter extends Router {
  readonly #counters: readonly OpenCounter[];
  readonly #limits: LimitSource;
  readonly #metrics: Metrics;

  constructor({ counters, limits, metrics, ...options }: ConstructorParameters<typeof Router>[0] & {
    readonly counters: readonly OpenCounter[];
    readonly limits: LimitSource;
    readonly metrics: Metrics;
  }) {
    super(options);
    this.#counters = counters;
    this.#limits = limits;
    this.#metrics = metrics;
  }

  override submit(
    connection: BrokerConnection,
    transmission: ClientTransmission,
    forwarded?: Forwarded,
  ): Promise<void> {
    const { command: { type }, corrId, queueId } = transmission;
    if (type !== "OPEN" || this.#mayOpen(connection, queueId)) {
      return super.submit(connection, transmission, forwarded);
    }
    // Before the signature is verified: it says nothing about the queue.
    this.#metrics.refuse("opened");
    this.#metrics.answered("OPEN", "ERR QUOTA");
    connection.answer({ corrId, queueId, response: failure("QUOTA") });
    return Promise.resolve();
  }

  #mayOpen(connection: BrokerConnection, queueId: string): boolean {
    let opened = 0;
    for (const counter of this.#counters) opened += counter.opened(connection);
    return opened < this.#limits().openedPerConnection || this.isOpened(connection, queueId);
  }
}
