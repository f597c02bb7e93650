import { tcpTransport, type Transport } from "../../client/mod.ts";
import { deferred } from "../../protocol/mod.ts";
import { MemoryMessageStore, MemoryQueueStore, type SmpServer } from "../../server/mod.ts";
import { steadyPort } from "./ports.ts";
import { startServer } from "./server.ts";

/** A server that can be killed: the next one on its port has its queues, and none of their messages. */
export class MortalServer implements AsyncDisposable {
  readonly #queues: MemoryQueueStore;
  #messages: MemoryMessageStore;
  /** The one that runs. */
  now: SmpServer;

  private constructor(queues: MemoryQueueStore, messages: MemoryMessageStore, server: SmpServer) {
    this.#queues = queues;
    this.#messages = messages;
    this.now = server;
  }

  /** Starts the first one. */
  static async start(): Promise<MortalServer> {
    const queues = new MemoryQueueStore(), messages = new MemoryMessageStore();
    return new MortalServer(queues, messages, await startServer({ queues, messages, port: steadyPort() }));
  }

  /** Messages that it has. */
  get messages(): number {
    return this.now.gauges().messages;
  }

  /** Recipient IDs of all queues. */
  get queues(): Set<string> {
    return new Set(this.#queues.records().map(({ recipientId }) => recipientId));
  }

  /** Messages that it has in other queues. */
  messagesBeside(queues: ReadonlySet<string>): number {
    return this.#messages.messages().filter(([recipientId]) => !queues.has(recipientId)).toArray().length;
  }

  /** Another one takes its place. */
  async kill(): Promise<void> {
    const { port } = this.now;
    await this.now.stop();
    this.#messages = new MemoryMessageStore();
    this.now = await startServer({ queues: this.#queues, messages: this.#messages, port });
  }

  /** Stops it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.now.stop();
  }
}

/** Connections from which nothing comes any more once they are held, until all are lost. */
export function holdable() {
  let isHeld = false;
  let lost = deferred<void>();
  const transport: Transport = async (server, signal) => {
    const channel = await tcpTransport(server, signal);
    return {
      async read(size) {
        const bytes = await channel.read(size);
        if (!isHeld) return bytes;
        await lost.promise;
        throw new Error("the connection is lost");
      },
      write: (units) => channel.write(units),
      end: () => channel.end(),
      close: () => channel.close(),
    };
  };
  return {
    transport,
    hold: () => void (isHeld = true),
    lose() {
      isHeld = false;
      lost.resolve();
      lost = deferred();
    },
  };
}
