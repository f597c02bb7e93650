import { tcpTransport, type Transport } from "../../client/mod.ts";
import { deferred } from "../../protocol/mod.ts";
import { MemoryMessageStore, MemoryQueueStore, type SmpServer } from "../../server/mod.ts";
import { steadyPort } from "./ports.ts";
import { startServer } from "./server.ts";

/** A server that can be killed: the next one on its port has its queues, and none of their messages. */
export class MortalServer implements AsyncDisposable {
  readonly #queues: MemoryQueueStore;
  /** The one that runs. */
  now: SmpServer;

  private constructor(queues: MemoryQueueStore, server: SmpServer) {
    this.#queues = queues;
    this.now = server;
  }

  /** Starts the first one. */
  static async start(): Promise<MortalServer> {
    const queues = new MemoryQueueStore();
    const options = { queues, messages: new MemoryMessageStore(), port: steadyPort() };
    return new MortalServer(queues, await startServer(options));
  }

  /** Messages that it has. */
  get messages(): number {
    return this.now.gauges().messages;
  }

  /** Another one takes its place. */
  async kill(): Promise<void> {
    const { port } = this.now;
    await this.now.stop();
    this.now = await startServer({ queues: this.#queues, messages: new MemoryMessageStore(), port });
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
