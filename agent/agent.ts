import { formatAddress, type QueueInfo, type ServerAddress } from "../protocol/mod.ts";
import { systemClock } from "./clock.ts";
import { type AgentCommand, type AgentResponse, execute } from "./command.ts";
import { newId } from "./core/connection.ts";
import { Connections, isSameServer } from "./core/connections.ts";
import { deadlinesFrom } from "./deadlines.ts";
import type { AgentEvent } from "./events.ts";
import { KeyPool, LoadedKeys } from "./key_pool.ts";
import { invitationOf } from "./kinds/reply.ts";
import {
  type AgentOptions,
  checkOptions,
  checkServers,
  type ConnectionInfo,
  connectionInfo,
  type Invitation,
  type LeaveProgress,
  serverOf,
} from "./options.ts";
import { AgentError, agentError, unknownConnection } from "./protocol/error.ts";
import type { AgentContext } from "./runtime/context.ts";
import { deleteConnection } from "./runtime/deletion.ts";
import { Discards } from "./runtime/discards.ts";
import { EventLog } from "./runtime/event_log.ts";
import { type EventOptions, Events } from "./runtime/events.ts";
import { Interpreter } from "./runtime/interpreter.ts";
import { Making } from "./runtime/making.ts";
import { Moves } from "./runtime/moves.ts";
import { NewConnections } from "./runtime/new_connections.ts";
import { type AgentNumbers, agentNumbers } from "./runtime/numbers.ts";
import { outgoing } from "./runtime/outgoing.ts";
import { RefusedPasswords } from "./runtime/refused_passwords.ts";
import { RepairSpeaker } from "./runtime/repair_speaker.ts";
import { Repetitions } from "./runtime/repetitions.ts";
import { Retention } from "./runtime/retention.ts";
import { serverNotices } from "./runtime/server_notices.ts";
import { Sessions } from "./runtime/sessions.ts";
import { SlowLane } from "./runtime/slow_lane.ts";
import { Subscribing } from "./runtime/subscribing.ts";
import { suspendConnection } from "./runtime/suspension.ts";
import { safetyCodeOf, verifySession } from "./runtime/verification.ts";
import { Workers } from "./runtime/workers.ts";
import { Servers } from "./servers.ts";
import { started } from "./session/fork.ts";
import type { AgentStreams } from "./stream/agent_streams.ts";
import { StreamCommands } from "./stream/commands.ts";
import { StreamError } from "./stream/error.ts";
import { StreamLinks } from "./stream/links.ts";
import { Streams } from "./stream/streams.ts";
import type {
  OutgoingStream,
  ReceivedFile,
  ReceiveFileOptions,
  SendFileOptions,
  StreamDescription,
  StreamOffer,
  WritableFile,
  WritableOutgoingStream,
} from "./stream/types.ts";
import { ServerPasswords } from "./server_passwords.ts";
import { MemoryStore } from "./store/memory.ts";
import type { AgentStore, MessageQuery, MessageRecord } from "./store/store.ts";

/**
 * Duplex connections over two queues, end-to-end encrypted, with messages whole and in order (agent.md).
 *
 * Commands reject with {@linkcode AgentError}. What was stored goes on after a restart on the same store.
 */
export class Agent implements AsyncDisposable, AgentStreams {
  readonly #context: AgentContext;
  readonly #events: Events;
  readonly #log: EventLog;
  readonly #interpreter: Interpreter;
  readonly #workers: Workers;
  readonly #sessions: Sessions;
  readonly #speaker: RepairSpeaker;
  readonly #repetitions: Repetitions;
  readonly #discards: Discards;
  readonly #moves: Moves;
  readonly #streams: Streams;
  readonly #newConnections: NewConnections;
  readonly #subscribing: Subscribing;
  readonly #streaming: StreamCommands;
  readonly #abort: AbortController;
  #servers: readonly ServerAddress[];
  readonly #passwords: ServerPasswords;
  readonly #retention: Retention | null;
  #closing: Promise<void> | null = null;

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
    this.#abort = new AbortController();
    const { retry = { first: 100, most: 30_000 }, keyPool = 8, buffer = 256, now = Date.now } = options;
    const servers = new Servers({
      client,
      reconnect: retry,
      isNeeded: (server) =>
        connections.isOn(server) || this.#servers.some((own) => isSameServer(own, server)),
      events: serverNotices(() => ({
        connections,
        events: this.#events,
        workers: this.#workers,
        sessions: this.#sessions,
        discards: this.#discards,
      })),
    });
    const context = this.#context = {
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
      abandon: (route) => this.#discards.abandon(route),
      streamPacket: (connection, content) => this.#streams.packet(connection, content),
      failed: (connection: string, error: unknown) => this.#events.failed(connection, error),
    };
    this.#log = log;
    this.#interpreter = new Interpreter(context, log, {
      tell: (record) => {
        this.#events.add(record);
        const { connection, event } = record;
        if (event.type === "session" && event.change === "closed") this.#streams.stop(connection);
      },
      stream: (connection, content) => this.#streams.frame(connection, content),
      taken: (id) => this.#events.taken(id),
      acknowledge: (route, serverId) => this.#workers.acknowledge(route, serverId),
      deliver: (route) => this.#workers.deliver(route),
      sendPackets: (route) => this.#workers.sendPackets(route),
      repeat: (route) => this.#workers.repeat(route),
      resume: (route) => this.#workers.resume(route),
      look: (connection) => this.#sessions.look(connection),
      sayRepair: (connection) => this.#speaker.say(connection),
      stepped: (connection) => {
        this.#repetitions.look(connection);
        this.#streams.stepped(connection);
      },
      drop: (routes, discarded) => {
        for (const route of routes) servers.forget(route);
        this.#workers.stop(routes);
        for (const queue of discarded) void this.#discards.discard(queue);
        servers.tidy();
        this.#moves.ended();
      },
    });
    this.#workers = new Workers(context, this.#interpreter);
    this.#sessions = new Sessions(context, this.#interpreter, this.#workers);
    this.#speaker = new RepairSpeaker(context);
    this.#repetitions = new Repetitions(context, this.#interpreter, this.#speaker);
    this.#discards = new Discards(context);
    this.#moves = new Moves(context, this.#interpreter);
    this.#events = new Events(context, this.#interpreter, {
      isManual: options.acknowledge === "manual",
      room: buffer,
      log,
    });
    this.#streams = new Streams(context, this.#interpreter, {
      links: new StreamLinks(client),
      lifetime: options.streamOfferLifetime ?? 7 * 86_400_000,
      blobs: options.blobs ?? new Map(),
      told: {
        offered: (event) => this.#events.pass(event),
        withdrawn: (connection, id) => this.#events.withdraw(connection, id),
      },
    });
    const [interpreter, discards] = [this.#interpreter, this.#discards];
    this.#newConnections = new NewConnections(context, { interpreter, discards });
    this.#subscribing = new Subscribing(context, { events: this.#events, sessions: this.#sessions });
    const command = <T>(execute: () => Promise<T>) => this.#command(execute);
    this.#streaming = new StreamCommands({ context, streams: this.#streams, command });
    this.#retention = retention;
    retention?.begin();
    this.#sessions.begin();
    this.#streams.begin();
  }

  /**
   * Starts an agent: what waits to be sent is sent from now on, messages come after {@linkcode Agent.subscribe}, and
   * events that were stored and not taken are told first.
   * Throws `ParseError` or `TransportError` (`BAD_HASH`) for a server, `RangeError` for another option, and what the store throws.
   */
  static async start(options: AgentOptions): Promise<Agent> {
    checkOptions(options);
    const { store = new MemoryStore(), signal, now = Date.now } = options;
    signal?.throwIfAborted();
    const retention = options.retention === undefined ? null : new Retention(store, options.retention);
    await retention?.prune();
    const log = await EventLog.load(store, now());
    const connections = await Connections.load(store);
    const [waiting, discarded] = [await store.waitingRoutes(), await store.discarded()];
    for (const connection of connections.all()) connections.set(started(connection));
    // Nothing is under way before the store was read: whoever gets no agent cannot close it.
    const agent = new Agent(options, { connections, store, log, retention });
    for (const route of waiting) agent.#workers.deliver(route);
    for (const queue of discarded) void agent.#discards.discard(queue);
    for (const connection of connections.all()) {
      const { record, session, outbound } = connection;
      if (session === null) continue;
      agent.#repetitions.resume(connection);
      agent.#sessions.look(record.id);
      for (const { id, cursor } of outbound) {
        if (cursor < session.lastEncrypted) agent.#workers.sendPackets(id);
      }
    }
    const close = () => void agent.close();
    if (signal?.aborted) close();
    signal?.addEventListener("abort", close, { once: true, signal: agent.#abort.signal });
    return agent;
  }

  /** The servers on which new queues are made, without passwords. */
  get servers(): readonly ServerAddress[] {
    return this.#servers;
  }

  /** Changes the servers on which new queues are made; passwords that were given before stay. Throws `ParseError`, and `RangeError` when there is none. */
  setServers(servers: readonly (string | ServerAddress)[]): void {
    checkServers(servers, this.#context.allowUnverified);
    this.#servers = this.#passwords.take(servers);
  }

  /** Does what a command says, for programs that have commands as values. */
  execute(command: AgentCommand): Promise<AgentResponse> {
    return execute(this, command);
  }

  /** Makes a connection and the invitation to it (NEW); its messages come from {@linkcode Agent.events}. */
  create(alias: string = newId()): Promise<Invitation> {
    return this.#command(() => this.#newConnections.create(alias));
  }

  /**
   * Joins a connection by an invitation (JOIN); gives its alias when that is stored: the rest goes on by itself until
   * there is a `connected` or `error` event. Without `reply` it is a connection of one direction.
   */
  join(
    invitation: QueueInfo | string,
    { alias = newId(), reply = true }: { readonly alias?: string; readonly reply?: boolean } = {},
  ): Promise<string> {
    return this.#command(() => this.#newConnections.join(invitation, { alias, reply }));
  }

  /**
   * Receives a connection's messages here from now on (SUB), also after connections to its server were lost. When the
   * server cannot be reached now it rejects, but goes on trying: an `up` event tells when it has succeeded. Of several
   * servers one that can be reached is enough.
   * In the mode `manual` events of the connection that were read and not taken are told again.
   */
  subscribe(alias: string): Promise<void> {
    return this.#command(() => this.#subscribing.subscribe(alias));
  }

  /**
   * Receives the messages of all connections here from now on (SUBALL); gives the aliases of those that could be
   * subscribed at once. For each of the others there is an `error` event, and later `up` if that can be.
   */
  subscribeAll(): Promise<string[]> {
    return this.#command(() => this.#subscribing.subscribeAll((alias) => this.subscribe(alias)));
  }

  /**
   * Sends a message (SEND); gives its number when it is stored. It is sent when that is possible, in order: a `sent`
   * event tells when the server has it, an `error` event with its number when it cannot be sent for good.
   */
  send(alias: string, body: Uint8Array): Promise<number> {
    return this.#command(async () => {
      const { connections, now } = this.#context;
      const own = body.slice();
      const made = await this.#interpreter.do(
        connections.get(alias).record.id,
        (connection) => outgoing(connection, own, now()),
        { isTogether: true },
      );
      if (made === null) throw unknownConnection(alias);
      this.#sessions.look(made.connection.record.id);
      return made.connection.record.lastMessageId;
    });
  }

  /** Tells that the application has done with a message: its server forgets it and delivers the next one. */
  acknowledge(alias: string, id: number): Promise<void> {
    return this.#command(async () => {
      const { connections, store } = this.#context;
      const { record } = connections.get(alias);
      const message = await store.message(record.id, id);
      if (message === null || message.received === null) {
        throw new AgentError(
          "CMD PROHIBITED",
          `Cannot acknowledge: "${alias}" has received no message ${id}`,
        );
      }
      if (!message.done) await this.#interpreter.acknowledged(record.id, id);
    });
  }

  /**
   * Lets nobody send to the connection any more (OFF); what waits in its queues can still be received. In a session the
   * other agent's receipts do not come either: after 500 frames nothing more is sent. Rejects with `CMD PROHIBITED` while
   * the connection is being upgraded, which goes through its queues.
   */
  suspend(alias: string): Promise<void> {
    return this.#command(async () => {
      await suspendConnection(this.#context, this.#interpreter, alias);
      this.#moves.ended();
    });
  }

  /**
   * Deletes a connection with its messages (DEL). Its queue is deleted at once where the server is connected, and else
   * when that can be reached, over restarts.
   */
  delete(alias: string): Promise<void> {
    return this.#command(() =>
      deleteConnection(this.#context, {
        log: this.#log,
        events: this.#events,
        workers: this.#workers,
        sessions: this.#sessions,
        repetitions: this.#repetitions,
        discards: this.#discards,
        streams: this.#streams,
      }, alias)
    );
  }

  /**
   * The safety code of a connection's session, 60 digits in twelve groups: the same on both sides when nobody is between
   * them. `null` before there is a session. Throws {@linkcode AgentError} (`CONN UNKNOWN`).
   */
  safetyCode(alias: string): string | null {
    return safetyCodeOf(this.#context.connections.get(alias));
  }

  /** Marks a connection's safety code as compared, or not. Rejects with `CMD PROHIBITED` before there is a session. */
  verify(alias: string, isVerified = true): Promise<void> {
    return this.#command(() => verifySession(this.#context, this.#interpreter, { alias, isVerified }));
  }

  /**
   * Has the queues of a connection's session replaced by new ones, on other servers where there are some; resolves when
   * that is stored: a `route` event tells of each that has moved. Rejects with `CMD PROHIBITED` without a session.
   */
  rotate(alias: string): Promise<void> {
    return this.#command(() => this.#moves.rotate(alias));
  }

  /**
   * Leaves a server: it is taken off the list, and what comes through it for sessions moves to the others. Yields how many
   * queues of sessions are still there, first now, then at each change, and ends at 0; to stop reading stops nothing.
   * `staying`: queues of connections without a session, which cannot move. Rejects with `RangeError` when there is no
   * other server.
   */
  async *leave(server: string | ServerAddress): AsyncGenerator<LeaveProgress, void, void> {
    const left = serverOf(server);
    this.setServers(this.#servers.filter((other) => formatAddress(other) !== formatAddress(left)));
    yield* this.#moves.leave(left);
  }

  /**
   * Sets how many servers the messages of a connection's session come through, 1 to 4; `null`: as many as those of others.
   * Rejects with `RangeError`, and with `CMD PROHIBITED` without a session.
   */
  setRoutes(alias: string, routes: number | null): Promise<void> {
    return this.#command(() => this.#moves.setRoutes(alias, routes));
  }

  /** See {@linkcode AgentStreams.offerStream}. */
  offerStream(alias: string, description: StreamDescription = {}): Promise<WritableOutgoingStream> {
    return this.#streaming.offerStream(alias, description);
  }

  /** See {@linkcode AgentStreams.sendFile}. */
  sendFile(alias: string, source: string | Blob, options: SendFileOptions = {}): Promise<OutgoingStream> {
    return this.#streaming.sendFile(alias, source, options);
  }

  /** See {@linkcode AgentStreams.receiveFile}. */
  receiveFile(
    offer: StreamOffer,
    target: string | WritableFile,
    options: ReceiveFileOptions = {},
  ): Promise<ReceivedFile> {
    return this.#streaming.receiveFile(offer, target, options);
  }

  /** See {@linkcode AgentStreams.streams}. */
  streams(alias?: string): (OutgoingStream | StreamOffer)[] {
    return this.#streaming.streams(alias);
  }

  /** All connections, oldest first. */
  connections(): ConnectionInfo[] {
    return this.#context.connections.all().map(connectionInfo);
  }

  /** How the agent is now, in numbers: of connections, messages, streams, and how servers are reached. */
  numbers(): Promise<AgentNumbers> {
    return this.#command(() => agentNumbers(this.#context, this.#streams.list()));
  }

  /** A connection as it is now. Throws {@linkcode AgentError} (`CONN UNKNOWN`). */
  connection(alias: string): ConnectionInfo {
    return connectionInfo(this.#context.connections.get(alias));
  }

  /** The invitation to a connection that was made here and that nobody has joined yet; `null` for others. */
  invitation(alias: string): QueueInfo | null {
    const { record, receiving: [route] } = this.#context.connections.get(alias);
    return record.role === "initiator" && route?.status === "new" ? invitationOf(route.keys) : null;
  }

  /** Messages of a connection that are in the store, sent and received, oldest first. */
  messages(alias: string, query?: MessageQuery): Promise<MessageRecord[]> {
    return this.#command(() => {
      const { connections, store } = this.#context;
      return store.messages(connections.get(alias).record.id, query);
    });
  }

  /**
   * What happens, for one reader at a time; ends when the agent is closed. An event is taken when the reader asks for
   * the next one, and a message acknowledged then; in the mode `manual` messages wait for {@linkcode Agent.acknowledge}.
   * With `take: "manual"` all that have an `eventId` wait for {@linkcode Agent.take}.
   */
  events(options: EventOptions = {}): AsyncGenerator<AgentEvent, void, void> {
    return this.#events.read(options);
  }

  /** Tells that the application has done with an event; a message is acknowledged. Nothing when it has already. */
  take(eventId: number): Promise<void> {
    return this.#command(() => this.#events.take(eventId));
  }

  /** Tells again, in their order, the events of a connection that were read and not taken. Throws {@linkcode AgentError}. */
  repeat(alias: string): void {
    this.#events.repeat(this.#context.connections.get(alias).record.id);
  }

  /** Finishes what is being stored and closes everything; what was not sent is sent after the next start. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  /** Closes the agent. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#retention?.[Symbol.dispose]();
    this.#abort.abort(new DOMException("The agent was closed", "AbortError"));
    this.#moves.ended();
    const { servers, pool, store, slowLane, making } = this.#context;
    slowLane[Symbol.dispose]();
    await making.close();
    try {
      // First: what it leaves undone is noted in the store.
      await this.#streams[Symbol.asyncDispose]();
      await Promise.all([
        this.#events[Symbol.asyncDispose](),
        servers[Symbol.asyncDispose](),
        this.#workers[Symbol.asyncDispose](),
        this.#sessions[Symbol.asyncDispose](),
        this.#repetitions[Symbol.asyncDispose](),
        this.#speaker[Symbol.asyncDispose](),
        this.#discards[Symbol.asyncDispose](),
        pool[Symbol.asyncDispose](),
      ]);
    } finally {
      await store[Symbol.asyncDispose]();
    }
  }

  async #command<T>(execute: () => Promise<T>): Promise<T> {
    try {
      if (this.#closing !== null) throw new AgentError("INTERNAL", "The agent is closed");
      return await execute();
    } catch (error) {
      throw error instanceof StreamError ? error : agentError(error);
    }
  }
}
