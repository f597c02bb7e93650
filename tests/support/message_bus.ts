import type { NatsConnection } from "@nats-io/nats-core";
import { nextTurn } from "../../server/next_turn.ts";
import type { NodeStreamsOptions } from "../../server/cluster/node_streams.ts";

interface Message {
  readonly subject: string;
  readonly data: Uint8Array;
}

/** Messages that nobody keeps, as nodes of a cluster exchange them over NATS: in order, each once or not at all. */
export class MessageBus {
  /** Whether a message is lost on its way. */
  loses: (subject: string, data: Uint8Array) => boolean = () => false;
  readonly #subscribers = new Map<string, (data: Uint8Array) => void>();
  readonly #waiting: Message[] = [];
  #delivering: Promise<void> | null = null;

  /** The connection of a node, as far as its streams use one. */
  engine(): NodeStreamsOptions["engine"] {
    const connection: Pick<NatsConnection, "subscribe" | "publish" | "flush"> = {
      subscribe: (subject, options) => {
        this.#subscribers.set(subject, (data) => void options?.callback?.(null, { data } as never));
        return { unsubscribe: () => this.#subscribers.delete(subject) } as never;
      },
      publish: (subject, data) => {
        if (!(data instanceof Uint8Array)) throw new TypeError("only bytes can be published");
        this.#waiting.push({ subject, data });
        this.#delivering ??= this.#deliver();
      },
      flush: () => this.#delivering ?? Promise.resolve(),
    };
    return { connection: connection as NatsConnection, listen: () => () => {} };
  }

  async #deliver(): Promise<void> {
    while (this.#waiting.length > 0) {
      await nextTurn();
      for (const { subject, data } of this.#waiting.splice(0)) {
        if (!this.loses(subject, data)) this.#subscribers.get(subject)?.(data);
      }
    }
    this.#delivering = null;
  }
}
