import { type AgentOptions, type AgentStore, MemoryStore } from "../../agent/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { connectAgents, TestAgent } from "./agent.ts";
import { readyPair } from "./ready_pair.ts";
import { until } from "./wait.ts";

/** Options of agents that have sessions. */
export const sessions = { extensions: ["session1"], upgradeTimeout: 100 } as const;

/** Options of agents that look at what is due every two seconds, not every minute. */
export const lookingOften = { lostTimeout: 8_000 } as const;

/** What is stored now, in another store. */
export async function copyOf(store: AgentStore): Promise<MemoryStore> {
  const copy = new MemoryStore();
  for await (const change of store.snapshot()) await copy.commit([change]);
  return copy;
}

/** An agent that can be closed, and started again on what was stored at another time. */
export class Restorable implements AsyncDisposable {
  readonly #server: string | readonly string[];
  readonly #options: Partial<AgentOptions>;
  store: AgentStore = new MemoryStore();
  #agent: TestAgent | null = null;
  /** The other side, as this one calls it. */
  readonly other: string;

  constructor(server: string | readonly string[], other: string, options: Partial<AgentOptions> = {}) {
    this.#server = server;
    this.other = other;
    this.#options = options;
  }

  get agent(): TestAgent {
    return this.#agent!;
  }

  /** Starts on a store; `used`: what the agent is given in its place. */
  async start(store = this.store, used: AgentStore = store): Promise<void> {
    this.store = store;
    this.#agent = await TestAgent.start(this.#server, { ...sessions, ...this.#options, store: used });
    await this.#agent.agent.subscribeAll();
  }

  async stop(): Promise<void> {
    await this.#agent?.[Symbol.asyncDispose]();
    this.#agent = null;
  }

  /** Starts again on a store. */
  async restore(store: AgentStore): Promise<void> {
    await this.stop();
    await this.start(store);
  }

  backup(): Promise<MemoryStore> {
    return copyOf(this.store);
  }

  send(text: string): Promise<number> {
    return this.agent.send(this.other, text);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

type Servers = string | readonly string[];

/** Two agents with a session whose first routes are replaced, on servers that have no others: alice has made the invitation. */
export async function connected(
  servers: SmpServer | { readonly alice: SmpServer; readonly bob: SmpServer },
  { ports, ...options }: Partial<AgentOptions> & {
    /** The ports by which they reach the servers. @default the servers' own */
    readonly ports?: { readonly alice: number; readonly bob: number };
  } = {},
): Promise<{ readonly alice: Restorable; readonly bob: Restorable }> {
  const own = "alice" in servers ? servers : { alice: servers, bob: servers };
  const addressOf = ({ address, port }: SmpServer, by = port) => address.replace(`:${port}`, `:${by}`);
  const addresses = {
    alice: addressOf(own.alice, ports?.alice),
    bob: addressOf(own.bob, ports?.bob),
  };
  const stores = await readyPair(servers, { names: ["bob", "alice"], ...ports && { ports } });
  if (stores === null) return await connectedOver(addresses, options);
  const alice = new Restorable(addresses.alice, "bob", options);
  const bob = new Restorable(addresses.bob, "alice", options);
  await alice.start(stores.alice);
  await bob.start(stores.bob);
  return { alice, bob };
}

/** The same, on any servers, each with its own; `used`: what the agents are given in place of their stores. */
export async function connectedOver(
  servers: { readonly alice: Servers; readonly bob: Servers },
  options: Partial<AgentOptions> = {},
  used: (name: "alice" | "bob", store: AgentStore) => AgentStore = (_, store) => store,
): Promise<{ readonly alice: Restorable; readonly bob: Restorable }> {
  const alice = new Restorable(servers.alice, "bob", options);
  const bob = new Restorable(servers.bob, "alice", options);
  await alice.start(alice.store, used("alice", alice.store));
  await bob.start(bob.store, used("bob", bob.store));
  await connectAgents(alice.agent, bob.agent, ["bob", "alice"]);
  for (const { agent } of [alice, bob]) {
    await agent.next("route", ({ direction }) => direction === "receiving");
    await agent.next("route", ({ direction }) => direction === "sending");
  }
  return { alice, bob };
}

/** Each sends to the other until it has come; at the end both know that. */
export async function talk(alice: Restorable, bob: Restorable, ...texts: readonly string[]): Promise<void> {
  const pairs = [[alice, bob], [bob, alice]] as const;
  const last = new Map<Restorable, number>();
  for (const text of texts) {
    for (const [from, to] of pairs) {
      last.set(from, await from.send(text));
      await to.agent.next("message", ({ message: { body } }) => new TextDecoder().decode(body) === text);
    }
  }
  for (const [from, id] of last) await from.agent.next("delivered", (event) => event.id === id);
}

/** The texts of messages that came and were not asked for, with what is wrong with them. */
export function textsOf({ agent }: Restorable): string[] {
  return agent.events.flatMap((event) => {
    if (event.type !== "message") return [];
    const { body, integrity } = event.message;
    const text = new TextDecoder().decode(body);
    return integrity.type === "OK" ? [text] : [`${text} ${JSON.stringify(integrity).replace(/[{}"]/g, "")}`];
  });
}

/** Waits until a text has come. */
export async function untilText(to: Restorable, text: string): Promise<void> {
  await until(() => textsOf(to).some((came) => came === text || came.startsWith(`${text} `)));
}

/** The reasons of the security events that came. */
export function reasonsOf({ agent }: Restorable): string[] {
  return agent.events.flatMap((event) => event.type === "security" ? [event.reason] : []);
}
