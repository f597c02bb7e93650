import {
  Agent,
  type AgentEvent,
  type AgentStore,
  type Connection,
  type MemoryStore,
  type StoreChange,
} from "../../../agent/mod.ts";
import { decodeFrames, textBytes } from "../../../protocol/mod.ts";
import { keySource } from "../../support/agent.ts";
import { copyOf, lookingOften, sessions } from "../../support/restored.ts";

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
  /** What it was told of a connection that does not go on, or of what is missing. */
  readonly troubles: string[] = [];
  /** Milliseconds by which its clock is ahead. */
  ahead = 0;
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
      client: { connectTimeout: 2_000 },
      ...sessions,
      ...this.#servers.length > 1 && { routes: 2 },
      ...lookingOften,
      now: () => Date.now() + this.ahead,
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
      if (event.message.integrity.type !== "OK") this.troubles.push(event.message.integrity.type);
    } else if (event.type === "delivered") {
      const text = this.texts.get(event.id);
      this.delivered.push({ id: event.id, text, isTrue: text === undefined || this.other.everHad.has(text) });
    } else if (event.type === "security") this.security.push(event.reason);
    else if (event.type === "error" || event.type === "session" && event.change === "slow") {
      this.troubles.push(event.type === "error" ? event.error.message : event.change);
    }
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

  /** Has its own queues replaced. */
  async rotate(): Promise<void> {
    // The store is dead, or the connection is not there yet.
    await this.#agent?.rotate(this.other.name).catch(() => {});
  }

  /** To be started on a backup. */
  async restored({ store, texts, sent, had }: Backup): Promise<void> {
    const kept = await textsIn(store);
    for (const text of await textsIn(this.store)) if (!kept.has(text)) this.lostHad.add(text);
    this.store = store;
    this.texts = new Map(texts);
    const after = this.sent.slice(sent.length).map(({ text }) => ({ text, duty: "may" } as const));
    this.sent = [...sent, ...after];
    this.had = new Set(had);
  }

  async connection(): Promise<Connection> {
    return (await this.store.connections())[0]!;
  }
}

/** What a database has of the other side, what is held included. */
export async function textsIn(store: AgentStore): Promise<Set<string>> {
  const texts = new Set<string>();
  const add = (body: Uint8Array) => texts.add(new TextDecoder().decode(body));
  for (const { record: { id }, session } of await store.connections()) {
    for (const { received, body } of await store.messages(id, { limit: 1000 })) {
      if (received !== null) add(body);
    }
    for (const [from, to] of session?.stored.ranges ?? []) {
      for (let number = from; number <= to; number++) {
        const decoded = decodeFrames((await store.held(id, number))?.frame ?? new Uint8Array(0));
        const frame = decoded.ok ? decoded.frames[0] : undefined;
        if (frame?.kind === "message") add(frame.body);
      }
    }
  }
  return texts;
}

/** A store that is copied when so many changes were made, as a backup would be. */
export function copiedStore(
  store: AgentStore,
  { commits, copied }: { commits: number; copied(copy: MemoryStore): void },
): AgentStore {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (name !== "commit") return typeof value === "function" ? value.bind(target) : value;
      return async (changes: readonly StoreChange[]) => {
        await target.commit(changes);
        if (commits-- === 0) copied(await copyOf(target));
      };
    },
  });
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
      troubles: side.troubles,
      ahead: side.ahead,
      delivered: side.delivered,
      sent: side.sent.map(({ text, duty }) => `${text} ${duty}`),
      had: [...side.had],
      lost: [...side.lostHad],
    })
  }`;
}
