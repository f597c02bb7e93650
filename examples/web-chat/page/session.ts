import { Agent, AgentError } from "@simplexmq/smp/agent";
import type { IndexedDbStore } from "@simplexmq/smp/agent/indexeddb";
import type { Transport } from "@simplexmq/smp/client";
import { connectWebSocket, parseAddress, TransportError } from "@simplexmq/smp/protocol";
import type { PageConfig } from "../smp_server.ts";

/** The database of this page. */
export const databaseName = "smp-web-chat";
/** Milliseconds between tries to reach the server. */
const retry = { first: 100, most: 5_000 };

/** What is told besides the agent's events. */
export interface SessionEvents {
  /** The server answers or not. */
  reached(isReached: boolean): void;
  /** The server refuses a conversation. */
  refused(connection: string, error: AgentError): void;
}

/** An agent in this page, whose conversations are received as soon as the server can be reached. */
export class ChatSession {
  readonly agent: Agent;
  /** The numbers of a conversation's messages that wait to be sent. */
  readonly queued: (connection: string) => Promise<Set<number>>;
  readonly #events: SessionEvents;

  private constructor(agent: Agent, store: IndexedDbStore, events: SessionEvents) {
    this.agent = agent;
    this.#events = events;
    this.queued = async (connection) => {
      const entries = await store.outbox(connection, Number.MAX_SAFE_INTEGER);
      return new Set(entries.map(({ messageId }) => messageId));
    };
  }

  /** Starts the agent, which closes the store with the page. Throws what the agent throws. */
  static async start(
    config: PageConfig,
    store: IndexedDbStore,
    events: SessionEvents,
  ): Promise<ChatSession> {
    const agent = await Agent.start({
      servers: [config.server],
      store,
      client: { transport: transportTo(config) },
      // Making keys keeps a phone busy.
      keyPool: 4,
      retry,
    });
    return new ChatSession(agent, store, events);
  }

  /** Subscribes to all conversations, until the server has answered for each. */
  async subscribe(): Promise<void> {
    let waiting = this.agent.connections().filter(({ canReceive }) => canReceive);
    for (let delay = retry.first; waiting.length > 0; delay = Math.min(retry.most, delay * 1.5)) {
      const again = await Promise.all(waiting.map(({ connection }) => this.#subscribe(connection)));
      waiting = waiting.filter((_, i) => again[i]);
      this.#events.reached(waiting.length === 0);
      if (waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }

  /** Whether it must be tried again. */
  async #subscribe(connection: string): Promise<boolean> {
    try {
      await this.agent.subscribe(connection);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (error.code.startsWith("BROKER ") || error.code === "SMP INTERNAL") return true;
      // A conversation that was deleted meanwhile is refused by the agent itself.
      if (error.code.startsWith("SMP ")) this.#events.refused(connection, error);
    }
    return false;
  }
}

/** Leads to the page's server, by whatever address others know it, and to no other: the page may not connect to them. */
function transportTo({ server, webSocketUrl }: PageConfig): Transport {
  const { keyHash } = parseAddress(server);
  return ({ host, keyHash: other }, signal) => {
    if (other === keyHash) return connectWebSocket(webSocketUrl, signal);
    const message = `Cannot connect to ${host}: this page connects to its own server alone`;
    return Promise.reject(new TransportError("NETWORK", message));
  };
}
