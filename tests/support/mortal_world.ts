import { assert, assertEquals } from "@std/assert";
import { MemoryStore, type StoreChange } from "../../agent/mod.ts";
import { type Channel, memoryChannelPair, networkError } from "../../protocol/mod.ts";
import { MemoryMessageStore, MemoryQueueStore, type SmpServer } from "../../server/mod.ts";
import { TestAgent } from "./agent.ts";
import { startServer } from "./server.ts";

const limits = { newQueuesPerHourPerIp: 0, handshakesPerSecondPerIp: 0 };

/** A server that can be started again with all that it has stored, and an agent on it that lives on. */
export class World implements AsyncDisposable {
  readonly #queues = new MemoryQueueStore();
  readonly #messages = new MemoryMessageStore();
  #server: SmpServer | null = null;
  #restarting: Promise<void> = Promise.resolve();
  address = "";
  peer!: TestAgent;

  private constructor(readonly extensions: readonly string[]) {}

  /** Starts it; all its agents announce `extensions`. */
  static async start(extensions: readonly string[] = []): Promise<World> {
    const world = new World(extensions);
    await world.#start();
    world.address = world.#server!.address;
    const client = { transport: world.transport };
    world.peer = await TestAgent.start(world.address, { client, extensions });
    return world;
  }

  /** Connects to the server, which has no port of its own here. */
  readonly transport = (): Promise<Channel> => {
    if (this.#server === null) return Promise.reject(networkError("connect", new Error("refused")));
    const [clientEnd, serverEnd] = memoryChannelPair();
    void this.#server.handle(serverEnd);
    return Promise.resolve(clientEnd);
  };

  /** Stops the server at once, and starts it again. */
  readonly restart = (): void => {
    const server = this.#server;
    this.#server = null;
    this.#restarting = this.#restarting.then(async () => {
      await server?.stop();
      if (this.#server === null) await this.#start();
    });
  };

  /** The recipient IDs of all queues. */
  queues(): Set<string> {
    return new Set([...this.#queues.records()].map(({ recipientId }) => recipientId));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#restarting;
    await this.peer[Symbol.asyncDispose]();
    await this.#server!.stop();
  }

  async #start(): Promise<void> {
    this.#server = await startServer({ queues: this.#queues, messages: this.#messages, limits });
  }
}

/** A store in memory that remembers what was ever committed. */
export class WitnessStore extends MemoryStore {
  /** The connection of every queue, by recipient ID. */
  readonly queues = new Map<string, string>();
  /** The events that are no longer stored, as `<connection> <type> <id>`. */
  readonly taken = new Set<string>();
  readonly #events = new Map<number, string>();

  override async commit(changes: readonly StoreChange[]): Promise<void> {
    await super.commit(changes);
    for (const change of changes) {
      if ((change.type === "put receiving" || change.type === "put inbound") && change.withKeys) {
        this.queues.set(change.route.keys.recipientId, change.connection);
      }
      if (change.type === "put event") {
        const { id, connection, event } = change.event;
        assert(!this.#events.has(id), `event ${id} is stored twice`);
        this.#events.set(id, `${connection} ${event.type} ${"id" in event ? event.id : ""}`);
      }
      if (change.type === "delete event") {
        this.taken.add(this.#events.get(change.id)!);
        this.#events.delete(change.id);
      }
    }
  }

  /** Looks whether nothing is left to be done. */
  async assertSettled(): Promise<void> {
    const left: unknown[] = [];
    for await (const change of this.snapshot()) {
      if (change.type === "put outbox" || change.type === "put delivery" || change.type === "put discarded") {
        left.push(change);
      }
      if (change.type === "put receiving" && change.route.unacknowledged.length > 0) left.push(change);
    }
    assertEquals(left, []);
  }
}
