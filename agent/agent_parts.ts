import type { ServerAddress } from "../protocol/mod.ts";
import { systemClock } from "./clock.ts";
import { Connections, isSameServer } from "./core/connections.ts";
import { deadlinesFrom } from "./deadlines.ts";
import { KeyPool, LoadedKeys } from "./key_pool.ts";
import { type AgentOptions, checkServers } from "./options.ts";
import type { AgentContext } from "./runtime/context.ts";
import { Discards } from "./runtime/discards.ts";
import { EventLog } from "./runtime/event_log.ts";
import { Events } from "./runtime/events.ts";
import { Interpreter } from "./runtime/interpreter.ts";
import { Making } from "./runtime/making.ts";
import { Moves } from "./runtime/moves.ts";
import { RefusedPasswords } from "./runtime/refused_passwords.ts";
import { RepairSpeaker } from "./runtime/repair_speaker.ts";
import { Repetitions } from "./runtime/repetitions.ts";
import { Retention } from "./runtime/retention.ts";
import { serverNotices } from "./runtime/server_notices.ts";
import { Sessions } from "./runtime/sessions.ts";
import { SlowLane } from "./runtime/slow_lane.ts";
import { Workers } from "./runtime/workers.ts";
import { ServerPasswords } from "./server_passwords.ts";
import { Servers } from "./servers.ts";
import { started } from "./session/fork.ts";
import { MemoryStore } from "./store/memory.ts";
import type { AgentStore } from "./store/store.ts";
import { StreamLinks } from "./stream/links.ts";
import { Streams } from "./stream/streams.ts";

/** What works in an agent from its start to its end, each with what it needs of the others. */
export class AgentParts implements AsyncDisposable {
  readonly context: AgentContext;
  readonly events: Events;
  readonly log: EventLog;
  readonly interpreter: Interpreter;
  readonly workers: Workers;
  readonly sessions: Sessions;
  readonly repetitions: Repetitions;
  readonly discards: Discards;
  readonly moves: Moves;
  readonly streams: Streams;
  readonly #speaker: RepairSpeaker;
  readonly #abort = new AbortController();
  #servers: readonly ServerAddress[];
  readonly #passwords: ServerPasswords;
  readonly #retention: Retention | null;

  private constructor(
    options: AgentOptions,
    { connections, store, log, retention }: {
      readonly connections: Connections;
      readonly store: AgentStore;
      readonly log: EventLog;
      readonly retention: Retention | null;
    },
  ) {
    const passwords = this.#passwords = new ServerPasswords(options.client?.password);
    this.#servers = passwords.take(options.servers);
    const client = { ...options.client, password: (server: ServerAddress) => passwords.of(server) };
    const { retry = { first: 100, most: 30_000 }, keyPool = 8, buffer = 256, now = Date.now } = options;
    const servers = new Servers({
      client,
      reconnect: retry,
      isNeeded: (server) =>
        connections.isOn(server) || this.#servers.some((own) => isSameServer(own, server)),
      events: serverNotices(() => ({
        connections,
        events: this.events,
        workers: this.workers,
        sessions: this.sessions,
        discards: this.discards,
      })),
    });
    const context = this.context = {
      store,
      connections,
      servers,
      keys: new LoadedKeys(),
      slowLane: new SlowLane(),
      making: new Making(),
      pool: typeof keyPool === "number" ? new KeyPool(keyPool) : keyPool,
      spare: { 1024: [], 2048: [] },
      now,
      deadlines: deadlinesFrom(now(), systemClock),
      retry,
      joinTimeout: options.joinTimeout ?? 2 * 86_400_000,
      discardTimeout: 30 * 86_400_000,
      announced: options.extensions ?? [],
      allowUnverified: options.client?.allowUnverified ?? false,
      approve: options.approve ?? (() => true),
      signal: this.#abort.signal,
      server: () => this.#servers[Math.floor(Math.random() * this.#servers.length)]!,
      password: client.password,
      refusedPasswords: new RefusedPasswords(),
      ownServers: () => this.#servers,
      routes: options.routes ?? 1,
      routeLifetime: options.routeLifetime ?? 30 * 86_400_000,
      lostTimeout: options.lostTimeout ?? 3_600_000,
      upgradeTimeout: options.upgradeTimeout ?? 10_000,
      abandon: (route) => this.discards.abandon(route),
      streamPacket: (connection, content) => this.streams.packet(connection, content),
      failed: (connection: string, error: unknown) => this.events.failed(connection, error),
    };
    this.log = log;
    this.interpreter = new Interpreter(context, log, {
      tell: (record) => {
        this.events.add(record);
        const { connection, event } = record;
        if (event.type === "session" && event.change === "closed") this.streams.stop(connection);
      },
      stream: (connection, content) => this.streams.frame(connection, content),
      taken: (id) => this.events.taken(id),
      acknowledge: (route, serverId) => this.workers.acknowledge(route, serverId),
      deliver: (route) => this.workers.deliver(route),
      sendPackets: (route) => this.workers.sendPackets(route),
      repeat: (route) => this.workers.repeat(route),
      resume: (route) => this.workers.resume(route),
      look: (connection) => this.sessions.look(connection),
      sayRepair: (connection) => this.#speaker.say(connection),
      stepped: (connection) => {
        this.repetitions.look(connection);
        this.streams.stepped(connection);
      },
      drop: (routes, discarded) => {
        for (const route of routes) servers.forget(route);
        this.workers.stop(routes);
        for (const queue of discarded) void this.discards.discard(queue);
        servers.tidy();
        this.moves.ended();
      },
    });
    this.workers = new Workers(context, this.interpreter);
    this.sessions = new Sessions(context, this.interpreter, this.workers);
    this.#speaker = new RepairSpeaker(context);
    this.repetitions = new Repetitions(context, this.interpreter, this.#speaker);
    this.discards = new Discards(context);
    this.moves = new Moves(context, this.interpreter);
    this.events = new Events(context, this.interpreter, {
      isManual: options.acknowledge === "manual",
      room: buffer,
      log,
    });
    this.streams = new Streams(context, this.interpreter, {
      links: new StreamLinks(client),
      lifetime: options.streamOfferLifetime ?? 7 * 86_400_000,
      blobs: options.blobs ?? new Map(),
      told: {
        offered: (event) => this.events.pass(event),
        withdrawn: (connection, id) => this.events.withdraw(connection, id),
      },
    });
    this.#retention = retention;
    retention?.begin();
    this.sessions.begin();
    this.streams.begin();
  }

  /** Reads what is stored, and goes on with it. Throws what the store throws. */
  static async start(options: AgentOptions): Promise<AgentParts> {
    const { store = new MemoryStore(), now = Date.now } = options;
    const retention = options.retention === undefined ? null : new Retention(store, options.retention);
    await retention?.prune();
    const log = await EventLog.load(store, now());
    const connections = await Connections.load(store);
    const [waiting, discarded] = [await store.waitingRoutes(), await store.discarded()];
    for (const connection of connections.all()) connections.set(started(connection));
    // Nothing is under way before the store was read: whoever gets no agent cannot close it.
    const parts = new AgentParts(options, { connections, store, log, retention });
    for (const route of waiting) parts.workers.deliver(route);
    for (const queue of discarded) void parts.discards.discard(queue);
    for (const connection of connections.all()) {
      const { record, session, outbound } = connection;
      if (session === null) continue;
      parts.repetitions.resume(connection);
      parts.sessions.look(record.id);
      for (const { id, cursor } of outbound) {
        if (cursor < session.lastEncrypted) parts.workers.sendPackets(id);
      }
    }
    return parts;
  }

  /** Is aborted when they end. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The servers on which new queues are made, without passwords. */
  get servers(): readonly ServerAddress[] {
    return this.#servers;
  }

  /** Changes them; passwords that were given before stay. Throws `ParseError`, and `RangeError` when there is none. */
  setServers(servers: readonly (string | ServerAddress)[]): void {
    checkServers(servers, this.context.allowUnverified);
    this.#servers = this.#passwords.take(servers);
  }

  /** Finishes what is being stored and ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#retention?.[Symbol.dispose]();
    this.#abort.abort(new DOMException("The agent was closed", "AbortError"));
    this.moves.ended();
    const { connections, servers, pool, store, slowLane, making } = this.context;
    slowLane[Symbol.dispose]();
    await making.close();
    try {
      // First: what it leaves undone is noted in the store.
      await this.streams[Symbol.asyncDispose]();
      await Promise.all([
        this.events[Symbol.asyncDispose](),
        servers[Symbol.asyncDispose](),
        this.workers[Symbol.asyncDispose](),
        this.sessions[Symbol.asyncDispose](),
        this.repetitions[Symbol.asyncDispose](),
        this.#speaker[Symbol.asyncDispose](),
        this.discards[Symbol.asyncDispose](),
        pool[Symbol.asyncDispose](),
      ]);
    } finally {
      // What the application has begun: it could be stored by nobody, or over what the store's next agent stores.
      await connections.idle();
      await store[Symbol.asyncDispose]();
    }
  }
}
