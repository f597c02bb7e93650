import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import type { NodeStatus } from "./node_status.ts";

/** What an operator asks a node. */
export type OperatorQuestion = "status" | "drain" | "undrain";

/** What a node answers. */
export interface OperatorAnswer {
  readonly status: NodeStatus;
  /** Why no client should be sent there; `null` when all is well. */
  readonly notReady: string | null;
}

export interface OperatorQuestionsOptions {
  readonly connection: NatsConnection;
  /** What subjects of the cluster begin with. */
  readonly prefix: string;
  readonly node: string;
  readonly answer: () => OperatorAnswer;
  /** Gives the partitions of this node away and takes none, or ends that; resolves when the others know. */
  readonly drain: (isDraining: boolean) => Promise<void>;
  readonly log: (level: "info" | "warn", message: string, error?: unknown) => void;
}

/** Where a node is asked. */
export function operatorSubject(prefix: string, node: string): string {
  return `${prefix}.${node}.operator`;
}

/** Answers `smp-server cluster` for a node, by core NATS. */
export class OperatorQuestions implements Disposable {
  readonly #options: OperatorQuestionsOptions;
  readonly #subscription: Subscription;

  constructor(options: OperatorQuestionsOptions) {
    this.#options = options;
    const { connection, prefix, node } = options;
    this.#subscription = connection.subscribe(operatorSubject(prefix, node), {
      callback: (error, message) => {
        if (error === null) void this.#serve(message.string(), (text) => message.respond(text));
      },
    });
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
  }

  async #serve(question: string, respond: (text: string) => void): Promise<void> {
    const { answer, drain, log } = this.#options;
    try {
      if (question === "drain" || question === "undrain") {
        log("info", question === "drain" ? "is drained by the operator" : "takes partitions again");
        await drain(question === "drain");
      } else if (question !== "status") return;
      respond(JSON.stringify(answer()));
    } catch (error) {
      log("warn", "Cannot answer the operator", error);
    }
  }
}
