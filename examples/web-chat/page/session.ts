import { Agent, AgentError } from "@simplexmq/smp/agent";
import { formatAddress } from "@simplexmq/smp/protocol";
import type { IndexedDbStore } from "@simplexmq/smp/agent/indexeddb";
import type { PageConfig } from "../smp_server.ts";
import type { FileStore } from "./file_store.ts";
import type { Passwords } from "./passwords.ts";
import { chosenServers, transportTo } from "./servers.ts";
import { Transfers } from "./transfers.ts";

/** The database of this page. */
export const databaseName = "smp-web-chat";
/** Milliseconds between tries to reach the server. */
const retry = { first: 100, most: 5_000 };

/** Deliveries of a conversation that are looked at. */
const mostQueued = 100_000;

/** An agent in this page, whose conversations are received as soon as the server can be reached. */
export class ChatSession {
  readonly agent: Agent;
  readonly #store: IndexedDbStore;

  private constructor(agent: Agent, store: IndexedDbStore) {
    this.agent = agent;
    this.#store = store;
  }

  /** Starts the agent, which closes the store with the page. Throws what the agent throws. */
  static async start(
    config: PageConfig,
    { store, files, passwords }: {
      readonly store: IndexedDbStore;
      readonly files: FileStore;
      readonly passwords: Passwords;
    },
  ): Promise<ChatSession> {
    const agent = await Agent.start({
      servers: chosenServers(config),
      store,
      client: {
        transport: transportTo(config),
        password: (server) => passwords.of(formatAddress(server)),
      },
      // Making keys keeps a phone busy.
      keyPool: 4,
      retry,
      blobs: Transfers.blobs(files),
      extensions: config.sessions ? ["session1"] : [],
    });
    return new ChatSession(agent, store);
  }

  /** The numbers of a conversation's messages that wait to be sent. */
  async queued(id: string): Promise<Set<number>> {
    const routes = await this.#store.waitingRoutes();
    const entries = await Promise.all(routes.map((route) => this.#store.deliveries(route, mostQueued)));
    const queued = entries.flat().filter(({ connection }) => connection === id);
    return new Set([...queued, ...await this.#frames(id)].map(({ messageId }) => messageId));
  }

  /** What no server has yet of a conversation's session. */
  async #frames(id: string): Promise<readonly { readonly messageId: number }[]> {
    const connection = (await this.#store.connections()).find(({ record }) => record.id === id);
    if (connection === undefined || connection.session === null) return [];
    const sent = Math.max(0, ...connection.outbound.map(({ cursor }) => cursor));
    return await this.#store.frames(id, sent, mostQueued);
  }

  /** Subscribes to all conversations; whether the server has answered for one. What fails is told by events. */
  async subscribe(): Promise<boolean> {
    try {
      return (await this.agent.subscribeAll()).length > 0;
    } catch (error) {
      // The agent was closed meanwhile.
      if (error instanceof AgentError) return false;
      throw error;
    }
  }
}
