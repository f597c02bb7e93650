import { deferred, formatAddress, type QueueInfo, type ServerAddress } from "../../protocol/mod.ts";
import { counted } from "../../cli/counted.ts";
import { UsageError } from "../../cli/options.ts";
import { Agent } from "../agent.ts";
import { tellUnreachable } from "../service/reach.ts";
import type { AgentEvent } from "../events.ts";
import type { ConnectionInfo } from "../options.ts";
import type { SqliteStore } from "../store/sqlite.ts";
import type { Connection } from "../store/store.ts";
import { defaultDatabase, readServer, readTimeout, sessionsOf } from "./arguments.ts";
import { Interrupted, Late, type Surroundings } from "./command.ts";
import { exists, openStore, withAdvice } from "./database.ts";
import { Troubles } from "./troubles.ts";

/** What a command that uses servers was given. */
export interface SessionOptions {
  readonly db: string | undefined;
  readonly "passphrase-file": string | undefined;
  readonly server: readonly string[];
  readonly "allow-unverified": boolean;
  readonly "no-sessions": boolean;
  readonly routes: string | undefined;
  readonly timeout: string | undefined;
}

/** What a command needs of a session. */
export interface SessionNeeds {
  /** Whether the database may be made. */
  readonly mayMake: boolean;
  /** Whether a server for new queues is needed, of the database as it is. */
  readonly needsServer: (connections: readonly Connection[]) => boolean;
}

/** Milliseconds after which it is told why something takes long. */
const patience = 500;

/** Milliseconds for which the other side's part of an upgrade is waited for, and for which receipts are. */
const upgradePatience = 10_000;
const receiptPatience = 2_000;

/** Milliseconds between two looks at what a session has still to do. */
const interval = 20;

/** Milliseconds for which a message that is being printed is waited for when the command is to end. */
const grace = 500;

/** An agent in the service of one command, until that is done, its time is over or the user ends it. */
export class Session {
  readonly agent: Agent;
  readonly store: SqliteStore;
  readonly #troubles: Troubles;
  /** A message that is being printed and acknowledged. */
  #giving: Promise<void> = Promise.resolve();
  /** Rejects when nothing is waited for any more. */
  readonly #over = deferred<never>();
  #isOver = false;

  readonly #allowUnverified: boolean;

  private constructor(
    agent: Agent,
    { store, allowUnverified, tell }: {
      readonly store: SqliteStore;
      readonly allowUnverified: boolean;
      readonly tell: (line: string) => void;
    },
  ) {
    this.#allowUnverified = allowUnverified;
    this.agent = agent;
    this.store = store;
    this.#troubles = new Troubles(tell);
    this.#over.promise.catch(() => {});
  }

  /**
   * Has `use` work with an agent. Throws what it throws, {@linkcode Interrupted}, and {@linkcode Late} when the time of
   * `--timeout` is over; the message of both ends with what `left` gives.
   */
  static async use<T>(
    options: SessionOptions,
    surroundings: Surroundings,
    { needs, left, cancel, use }: {
      readonly needs: SessionNeeds;
      readonly left?: () => string;
      /** What is done before it stops when the user ends it. */
      readonly cancel?: (session: Session) => Promise<void>;
      readonly use: (session: Session) => Promise<T>;
    },
  ): Promise<T> {
    const milliseconds = readTimeout(options.timeout);
    sessionsOf(options);
    const given = options.server.map((server) => readServer(server, options["allow-unverified"]));
    const late = new AbortController();
    const stop = AbortSignal.any([surroundings.signal, late.signal]);
    const path = options.db ?? defaultDatabase;
    let session: Session | undefined;
    let stopping: Promise<void> | undefined;
    const timer = milliseconds === undefined ? undefined : setTimeout(() => late.abort(), milliseconds);
    try {
      session = await Session.#open({ ...options, server: given }, surroundings, needs);
      const opened = session;
      const closing = () => {
        const cancelling = surroundings.signal.aborted ? cancel?.(opened).catch(() => {}) : undefined;
        stopping = Promise.resolve(cancelling).then(() => opened.#stop());
      };
      stop.addEventListener("abort", closing, { once: true });
      stop.throwIfAborted();
      return await use(session);
    } catch (error) {
      if (error instanceof UsageError || !stop.aborted) throw withAdvice(error, path);
      const rest = left === undefined ? "" : `; ${left()}`;
      if (surroundings.signal.aborted) throw new Interrupted(`interrupted${rest}`);
      const last = session === undefined ? undefined : session.#troubles.last;
      const cause = last === undefined ? "" : ` (${last})`;
      throw new Late(`not done in ${counted(Number(options.timeout), "second")}${cause}${rest}`);
    } finally {
      clearTimeout(timer);
      await stopping;
      await session?.agent.close();
    }
  }

  static async #open(
    options: SessionOptions,
    surroundings: Surroundings,
    { mayMake, needsServer }: SessionNeeds,
  ): Promise<Session> {
    const { db = defaultDatabase, "passphrase-file": passphraseFile, "allow-unverified": allowUnverified } =
      options;
    if (options.server.length === 0 && mayMake && needsServer([]) && !await exists(db)) throw serverMissing();
    const store = await openStore({ path: db, passphraseFile, mayMake }, surroundings);
    try {
      const connections = await store.connections();
      const known = serversOf(connections, "receiving");
      const usable = known.filter((server) => allowUnverified || server.includes("#"));
      const servers = options.server.length > 0 ? options.server : usable;
      if (servers.length === 0 && needsServer(connections)) {
        throw serverMissing();
      }
      // An agent has a server in any case; this one makes no queue.
      const some = servers.length > 0 ? servers : [...known, ...serversOf(connections, "sending")];
      if (some.length === 0) {
        throw new Error(`${db} has no connections: "smp-agent invite" and "smp-agent join" make one`);
      }
      const agent = await Agent.start({
        servers: some,
        store,
        client: { allowUnverified },
        acknowledge: "manual",
        keyPool: surroundings.keys ?? 0,
        ...sessionsOf(options),
        retry: { first: 100, most: 5_000 },
      });
      return new Session(agent, { store, allowUnverified, tell: surroundings.tell });
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A connection. Throws an `Error` when there is none. */
  connection(name: string): ConnectionInfo {
    const found = this.agent.connections().find(({ connection }) => connection === name);
    if (found !== undefined) return found;
    throw new Error(`There is no connection "${name}"; "smp-agent list" prints those that there are`);
  }

  /** The invitation of a connection that nobody has joined. Throws an `Error` when somebody has. */
  invitation(name: string): QueueInfo {
    const invitation = this.agent.invitation(this.connection(name).connection);
    if (invitation !== null) return invitation;
    throw new Error(`"${name}" was joined already, or was not made by an invitation of this side`);
  }

  /**
   * Has `handle` judge events until it gives something; tells of what goes wrong meanwhile. Rejects when the session
   * ends before.
   */
  async read<T extends object>(handle: (event: AgentEvent) => Promise<T | null>): Promise<T> {
    for await (const event of this.agent.events({ take: "manual" })) {
      const result = await handle(event);
      this.#troubles.hear(event);
      if (result !== null) return result;
    }
    throw new Error("The agent was closed");
  }

  /** Prints something, then takes the event that it tells of: if the command is ended meanwhile, both or none. */
  async give(eventId: number, print: () => Promise<void>): Promise<void> {
    this.#giving = print().then(() => this.agent.take(eventId));
    await Promise.race([this.#giving, this.#over.promise]);
  }

  /** Receives a connection's messages from now on, or as soon as that can be. */
  async subscribe(name: string): Promise<void> {
    try {
      await this.agent.subscribe(name);
    } catch (error) {
      // That the command was ended is told by itself.
      if (!this.#isOver) this.#troubles.failed(name, error);
    }
  }

  /** Waits until both sides of a connection can send. Throws when that can never be. */
  async untilConnected(name: string): Promise<void> {
    if (this.connection(name).connected) return;
    await this.#explaining(name, () => this.#untilConnected(name));
  }

  /** Waits until the server has a message. Throws why it cannot be sent. */
  async untilSent(name: string, id: number): Promise<void> {
    await this.#explaining(name, () => this.#untilSent(name, id));
  }

  /** The routes that messages of a connection's session come through, and the servers of them. */
  async inboundOf(name: string): Promise<{ readonly id: string; readonly server: string }[]> {
    const connection = (await this.store.connections()).find(({ record: { alias } }) => alias === name);
    return (connection?.inbound ?? []).map(({ id, keys }) => ({ id, server: formatAddress(keys.server) }));
  }

  /** Waits until a connection has so many routes to receive by, and the other side uses all. */
  async untilRoutes(name: string, count: number): Promise<void> {
    for (;;) {
      const connection = (await this.store.connections()).find(({ record: { alias } }) => alias === name);
      const inbound = connection?.inbound ?? [];
      if (inbound.length === count && inbound.every(({ status }) => status === "active")) return;
      await this.#wait();
    }
  }

  /** Waits until these routes are gone. Nothing tells of it. */
  async untilGone(routes: readonly { readonly id: string }[]): Promise<void> {
    const isOld = ({ id }: { readonly id: string }) => routes.some((route) => route.id === id);
    while ((await this.store.connections()).some(({ inbound }) => inbound.some(isOld))) await this.#wait();
  }

  /** Waits until a connection has a session, if both sides have announced one; not for ever: what runs next goes on. */
  async untilSecret(name: string, tell: (line: string) => void): Promise<void> {
    if (await this.#untilSettled(name, upgradePatience)) return;
    tell(`"${name}" has no forward secrecy yet: that begins when both sides run at the same time again`);
  }

  /** Waits until the other side was told what was received, if it can be. */
  async untilReceipted(name: string): Promise<void> {
    await this.#untilSettled(name, receiptPatience);
  }

  /** Waits until all that the other side is to know has left, for a time. */
  async untilTold(name: string, limit: number): Promise<void> {
    await this.#untilSettled(name, limit);
  }

  /** Waits until a connection has a session. Throws when that can never be. */
  async untilSession(name: string, tell: (line: string) => void): Promise<void> {
    await this.subscribe(name);
    if (!this.connection(name).connected) {
      tell(`waiting for "${name}": the other side must join, and run now`);
      await this.untilConnected(name);
    }
    let isTold = false;
    for (const end = performance.now() + patience;;) {
      const { session } = this.connection(name);
      if (session === null) throw new Error(`"${name}" has no session, which streams and files need`);
      if (session.closed) throw new Error(`the other side of "${name}" has deleted the connection`);
      if (session.active && await this.#knowsOther(name)) return;
      if (!isTold && performance.now() > end) {
        tell(`waiting for "${name}": the other side must run now`);
        isTold = true;
      }
      await this.#wait();
    }
  }

  /** Whether the other side has said what it knows, which it does first. Nothing tells of it. */
  async #knowsOther(name: string): Promise<boolean> {
    const connection = (await this.store.connections()).find(({ record: { alias } }) => alias === name);
    return (connection?.session?.keys.kinds ?? null) !== null;
  }

  /** Whether the session of a connection, if there is to be one, has begun, and nothing is left to be told. Nothing tells of it. */
  async #untilSettled(name: string, limit: number): Promise<boolean> {
    const end = performance.now() + limit;
    for (;;) {
      if ((await this.store.connections()).every((connection) => isSettled(connection, name))) return true;
      if (performance.now() > end) return false;
      await this.#wait();
    }
  }

  async #wait(): Promise<void> {
    await Promise.race([new Promise((resolve) => setTimeout(resolve, interval)), this.#over.promise]);
  }

  async #untilSent(name: string, id: number): Promise<void> {
    await this.read(async (event) => {
      if (!("connection" in event) || event.connection !== name) return null;
      if (event.type === "message") return null;
      if (event.eventId !== undefined) await this.agent.take(event.eventId);
      if (event.type === "error" && event.id === id) throw event.error;
      return event.type === "sent" && event.id === id ? event : null;
    });
  }

  async #untilConnected(name: string): Promise<void> {
    await this.read(async (event) => {
      if (!("connection" in event) || event.connection !== name) return null;
      if (event.type === "message") return null;
      if (event.eventId !== undefined) await this.agent.take(event.eventId);
      if (event.type === "connected") return event;
      if (event.type === "end") throw new Error(ended(name));
      if (event.type === "error" && event.eventId !== undefined && this.connection(name).failed) {
        throw event.error;
      }
      return null;
    });
  }

  /** Does what may take long, and tells then which of a connection's servers cannot be reached: agents try in silence. */
  async #explaining(name: string, work: () => Promise<void>): Promise<void> {
    const done = new AbortController();
    let probing: Promise<void> | undefined;
    const timer = setTimeout(() => probing = this.#probe(name, done.signal).catch(() => {}), patience);
    try {
      await work();
    } finally {
      clearTimeout(timer);
      done.abort();
      await probing;
    }
  }

  async #probe(name: string, signal: AbortSignal): Promise<void> {
    const connections = (await this.store.connections()).filter(({ record: { alias } }) => alias === name);
    const servers = new Set([...serversOf(connections, "sending"), ...serversOf(connections, "receiving")]);
    await tellUnreachable([...servers], {
      allowUnverified: this.#allowUnverified,
      signal,
      tell: (line) => this.#troubles.say(name, line),
    });
  }

  async #stop(): Promise<void> {
    const waited = deferred<void>();
    const timer = setTimeout(waited.resolve, grace);
    await Promise.race([this.#giving, waited.promise]).catch(() => {});
    clearTimeout(timer);
    this.#isOver = true;
    this.#over.reject(new Error("The command was ended"));
    await this.agent.close();
  }
}

function serverMissing(): UsageError {
  return new UsageError("--server is missing: the server for the new queue, whose address it prints");
}

/** Whether a connection's queue to receive from has still to be made, on a server of this agent. */
export function isUnmade({ record: { role, reply }, receiving, inbound, sending }: Connection): boolean {
  const isOpen = sending.some(({ status }) => status !== "failed");
  return role === "joiner" && reply && receiving.length + inbound.length === 0 && isOpen;
}

function isSettled({ record: { alias }, session, outbound }: Connection, name: string): boolean {
  if (alias !== name || session === null || session.status === "closed") return true;
  return session.status === "active" && !session.receiptDue &&
    outbound.some(({ cursor }) => cursor >= session.lastNumber);
}

/** What `end` means for a command that waits for something of a connection. */
export function ended(name: string): string {
  return `another program receives the messages of "${name}" now: is a copy of this database in use?`;
}

/** The servers of the routes of connections, each once. */
export function serversOf(connections: readonly Connection[], side: "receiving" | "sending"): string[] {
  const servers = connections.flatMap(({ receiving, inbound, sending, outbound }): ServerAddress[] => {
    const routes = side === "receiving" ? [...receiving, ...inbound] : [...sending, ...outbound];
    return routes.map(({ keys }) => keys.server);
  });
  return [...new Set(servers.map(formatAddress))];
}
