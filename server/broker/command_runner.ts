import type { ClientTransmission, ServerResponse } from "../../protocol/mod.ts";
import type { Metrics } from "../observe/metrics.ts";
import { onlyPlace, type Place, type Side } from "./paired_serial.ts";
import { QueueOrder } from "./queue_order.ts";
import type { Forwarded } from "./restoring.ts";
import type { BrokerConnection } from "./subscriptions.ts";

export type SmpErrorCode = (ServerResponse & { type: "ERR" })["error"];

export type Reply = (response: ServerResponse, queueId?: string) => void;

export interface Submitted {
  readonly connection: BrokerConnection;
  readonly transmission: ClientTransmission;
  /** Absent when a session of this process has submitted it. */
  readonly forwarded?: Forwarded | undefined;
}

export class CommandRunner {
  readonly order: QueueOrder;
  readonly #metrics: Metrics;
  readonly #log: (message: string, error: unknown) => void;
  #inWork = 0;
  #wakeIdle: (() => void)[] = [];

  /** `isPaired`: a SEND and an ACK of a queue may be stored at a time. */
  constructor(metrics: Metrics, log: (message: string, error: unknown) => void, isPaired = false) {
    this.order = new QueueOrder(isPaired);
    this.#metrics = metrics;
    this.#log = log;
  }

  async run(submitted: Submitted, work: (reply: Reply) => Promise<void>): Promise<void> {
    this.#inWork++;
    await this.#run(submitted, work, onlyPlace);
    this.#done();
  }

  runInOrder(
    recipientId: string,
    submitted: Submitted,
    work: (reply: Reply, place: Place) => Promise<void>,
    side?: Side,
  ): void {
    this.#inWork++;
    this.order.run(recipientId, async (place) => {
      await this.#run(submitted, work, place);
      this.#done();
    }, side);
  }

  /** Does in the order of a queue what no command waits for. */
  continue(recipientId: string, work: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#inWork++;
    this.order.run(recipientId, async () => {
      try {
        await work();
      } catch (error) {
        this.#failed(error);
      }
      this.#done();
      resolve();
    });
    return promise;
  }

  async idle(): Promise<void> {
    while (this.#inWork > 0) await new Promise<void>((resolve) => this.#wakeIdle.push(resolve));
  }

  async #run(
    { connection, transmission: { corrId, queueId, command } }: Submitted,
    work: (reply: Reply, place: Place) => Promise<void>,
    place: Place,
  ): Promise<void> {
    let answered = false;
    const reply = (response: ServerResponse, id = queueId) => {
      answered = true;
      this.#metrics.answered(command.type, answerName(response));
      connection.answer({ corrId, queueId: id, response });
    };
    try {
      await work(reply, place);
    } catch (error) {
      await place.alone();
      this.#failed(error);
      if (!answered) reply({ type: "ERR", error: "INTERNAL" });
    }
  }

  #failed(error: unknown): void {
    this.#metrics.internalErrors++;
    this.#log("Cannot execute a command: the server failed", error);
  }

  #done(): void {
    if (--this.#inWork > 0) return;
    for (const wake of this.#wakeIdle.splice(0)) wake();
  }
}

export function failure(error: SmpErrorCode): ServerResponse {
  return { type: "ERR", error };
}

function answerName(response: ServerResponse): string {
  return response.type === "ERR" ? `ERR ${response.error}` : response.type;
}
