import type { AgentStore } from "../../agent/mod.ts";
import type { Transport } from "../../client/mod.ts";
import type { Channel } from "../../protocol/mod.ts";

/** What an agent goes through at each await on its store or on the network. */
export interface Steps {
  /** Before and after what others can see: a commit, a connection, bytes that are written or were read. */
  step(): Promise<void>;
  /** Before what nobody can see. */
  look(): Promise<void>;
}

async function around<T>(steps: Steps, task: () => Promise<T>): Promise<T> {
  await steps.step();
  const result = await task();
  await steps.step();
  return result;
}

/** A store whose every call goes through steps; closing it leaves `store` open. */
export function steppingStore(store: AgentStore, steps: Steps): AgentStore {
  const reading = async <T>(read: () => Promise<T>) => {
    await steps.look();
    return await read();
  };
  return {
    connections: () => reading(() => store.connections()),
    discarded: () => reading(() => store.discarded()),
    waitingRoutes: () => reading(() => store.waitingRoutes()),
    deliveries: (route, limit) => reading(() => store.deliveries(route, limit)),
    frames: (connection, after, limit) => reading(() => store.frames(connection, after, limit)),
    held: (connection, number) => reading(() => store.held(connection, number)),
    pieces: (connection) => reading(() => store.pieces(connection)),
    undelivered: (connection, from, to, limit) =>
      reading(() => store.undelivered(connection, from, to, limit)),
    message: (connection, id) => reading(() => store.message(connection, id)),
    messages: (connection, query) => reading(() => store.messages(connection, query)),
    events: (after, limit) => reading(() => store.events(after, limit)),
    commit: (changes) => around(steps, () => store.commit(changes)),
    prune: (before) => around(steps, () => store.prune(before)),
    snapshot: () => store.snapshot(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A transport whose every connection, read and write goes through steps; `opened` is told each real channel. */
export function steppingTransport(
  transport: Transport,
  steps: Steps,
  opened: (channel: Channel) => void = () => {},
): Transport {
  return async (address, signal) => {
    const channel = await around(steps, async () => {
      const channel = await transport(address, signal);
      opened(channel);
      return channel;
    });
    return {
      read: async (size) => {
        const bytes = await channel.read(size);
        await steps.step();
        return bytes;
      },
      write: (units) => around(steps, () => channel.write(units)),
      end: () => channel.end(),
      close: () => channel.close(),
    };
  };
}

/** What happens to a life at a step. */
export type Fault = "die" | "cut" | "restart";

/**
 * The life of an agent inside this program. When it dies its connections are closed, as a system closes those of a
 * process, and none of its calls of the store and the network ever comes back, until it is buried.
 */
export class Life implements Steps {
  /** Steps that were gone through. */
  steps = 0;
  /** Resolves when it has died. */
  readonly died: Promise<void>;
  #isDead = false;
  readonly #dying = Promise.withResolvers<void>();
  readonly #never = Promise.withResolvers<never>();
  readonly #faults: ReadonlyMap<number, Fault>;
  readonly #restart: () => void;
  readonly #channels = new Set<Channel>();

  /** `faults`: what happens at which step, from 1. */
  constructor(faults: ReadonlyMap<number, Fault>, restart: () => void) {
    this.#faults = faults;
    this.#restart = restart;
    this.died = this.#dying.promise;
    this.#never.promise.catch(() => {});
  }

  /** Whether nothing that it does counts any more. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** See {@linkcode Steps}. */
  async step(): Promise<void> {
    await this.look();
    const fault = this.#faults.get(++this.steps);
    if (fault === "restart") this.#restart();
    if (fault === "cut") this.#cut();
    if (fault === "die") this.die();
    await this.look();
  }

  /** See {@linkcode Steps}. */
  look(): Promise<void> {
    return this.#isDead ? this.#never.promise : Promise.resolve();
  }

  /** Its own channel to a server. */
  opened(channel: Channel): void {
    this.#channels.add(channel);
    if (this.#isDead) this.#cut();
  }

  /** Dies now. */
  die(): void {
    this.#isDead = true;
    this.#cut();
    this.#dying.resolve();
  }

  /** Lets all calls fail that have not come back, so that the agent can be closed. */
  bury(): void {
    this.#never.reject(new Error("the agent is dead"));
  }

  #cut(): void {
    for (const channel of this.#channels) void channel.close();
    this.#channels.clear();
  }
}
