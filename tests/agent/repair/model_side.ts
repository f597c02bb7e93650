import {
  Agent,
  type AgentEvent,
  type AgentStore,
  type Connection,
  type MemoryStore,
} from "../../../agent/mod.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { keySource } from "../../support/agent.ts";
import { copyOf, sessions } from "../../support/restored.ts";

/** What a message that was sent must do: `may`: what a restored database does not know of, and what no store took. */
export interface Sent {
  readonly text: string;
  readonly duty: "must" | "may";
}

/** What a backup has, beside the database. */
export interface Backup {
  readonly store: MemoryStore;
  readonly texts: ReadonlyMap<number, string>;
  readonly sent: readonly Sent[];
  readonly had: ReadonlySet<string>;
}

/** One side: its database, its lives, and what its application knows. */
export class Side {
  readonly name: string;
  readonly #servers: readonly string[];
  #agent: Agent | null = null;
  #reading: Promise<void> = Promise.resolve();
  isDead = false;
  /** Whether its store will die. */
  isMortal = false;
  store: AgentStore;
  sent: Sent[] = [];
  texts = new Map<number, string>();
  /** What the application was told, in this line of databases and in all. */
  had = new Set<string>();
  readonly everHad = new Set<string>();
  /** What was had after the backup that was restored. */
  readonly lostHad = new Set<string>();
  readonly delivered: { readonly id: number; readonly text: string | undefined; readonly isTrue: boolean }[] =
    [];
  readonly security: string[] = [];
  other!: Side;

  constructor(name: string, servers: readonly string[], store: AgentStore) {
    this.name = name;
    this.#servers = servers;
    this.store = store;
  }

  get isAlive(): boolean {
    return this.#agent !== null && !this.isDead;
  }

  async start(used: AgentStore = this.store): Promise<void> {
    this.isDead = false;
    this.isMortal = used !== this.store;
    const agent = await Agent.start({
      servers: this.#servers,
      keyPool: keySource(),
      retry: { first: 5, most: 50 },
      client: { connectTimeout: 500 },
      ...sessions,
      ...this.#servers.length > 1 && { routes: 2 },
      store: used,
    });
    this.#agent = agent;
    this.#reading = (async () => {
      for await (const event of agent.events()) this.#told(event);
    })();
    await agent.subscribeAll();
  }

  #told(event: AgentEvent): void {
    if (event.type === "message") {
      const text = new TextDecoder().decode(event.message.body);
      this.had.add(text);
      this.everHad.add(text);
    } else if (event.type === "delivered") {
      const text = this.texts.get(event.id);
      this.delivered.push({ id: event.id, text, isTrue: text === undefined || this.other.everHad.has(text) });
    } else if (event.type === "security") this.security.push(event.reason);
  }

  async stop(): Promise<void> {
    await this.#agent?.close();
    await this.#reading;
    this.#agent = null;
  }

  async send(text: string): Promise<void> {
    const at = this.sent.length;
    this.sent.push({ text, duty: "may" });
    try {
      const id = await this.#agent!.send(this.other.name, textBytes(text));
      this.texts.set(id, text);
      this.sent[at] = { text, duty: "must" };
    } catch {
      // The store is dead: it may have it.
    }
  }

  async backup(): Promise<Backup> {
    const { texts, sent, had } = this;
    const before = { texts: new Map(texts), sent: [...sent], had: new Set(had) };
    return { store: await copyOf(this.store), ...before };
  }

  /** To be started on a backup. */
  restored({ store, texts, sent, had }: Backup): void {
    this.store = store;
    this.texts = new Map(texts);
    const after = this.sent.slice(sent.length).map(({ text }) => ({ text, duty: "may" } as const));
    this.sent = [...sent, ...after];
    for (const text of this.had) if (!had.has(text)) this.lostHad.add(text);
    this.had = new Set(had);
  }

  async connection(): Promise<Connection> {
    return (await this.store.connections())[0]!;
  }
}

/** What is known of a side, for whoever has to find out what has gone wrong. */
export async function stateOf(side: Side): Promise<string> {
  const { record: { id }, session, inbound, outbound } = await side.connection();
  const { receipted, stored, lastNumber, lastEncrypted, lastTaken, receiptDue, fork, undecrypted, parted } =
    session!;
  const frames = await side.store.frames(id, 0, 100);
  return `${side.name} ${
    JSON.stringify({
      ...{ receipted, stored, lastNumber, lastEncrypted, lastTaken, receiptDue, undecrypted, parted },
      fork: fork && [fork.number, fork.later?.number],
      frames: frames.map(({ number }) => number),
      routes: [inbound.length, outbound.map(({ cursor }) => cursor)],
      stage: session!.keys.repair?.stage?.type,
      security: side.security,
      delivered: side.delivered,
      sent: side.sent.map(({ text, duty }) => `${text} ${duty}`),
      had: [...side.had],
      lost: [...side.lostHad],
    })
  }`;
}
