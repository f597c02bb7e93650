import { formatAddress, type QueueInfo, type ServerAddress } from "../protocol/mod.ts";
import { AgentParts } from "./agent_parts.ts";
import { type AgentCommand, type AgentResponse, execute } from "./command.ts";
import { newId } from "./core/connection.ts";
import type { AgentEvent } from "./events.ts";
import { invitationOf } from "./kinds/reply.ts";
import {
  type AgentOptions,
  checkOptions,
  type ConnectionInfo,
  connectionInfo,
  type Invitation,
  type LeaveProgress,
  serverOf,
} from "./options.ts";
import { AgentError, agentError, unknownConnection } from "./protocol/error.ts";
import { deleteConnection } from "./runtime/deletion.ts";
import type { EventOptions } from "./runtime/events.ts";
import { NewConnections } from "./runtime/new_connections.ts";
import { type AgentNumbers, agentNumbers } from "./runtime/numbers.ts";
import { outgoing } from "./runtime/outgoing.ts";
import { Subscribing } from "./runtime/subscribing.ts";
import { suspendConnection } from "./runtime/suspension.ts";
import { safetyCodeOf, verifySession } from "./runtime/verification.ts";
import type { MessageQuery, MessageRecord } from "./store/store.ts";
import type { AgentStreams } from "./stream/agent_streams.ts";
import { StreamCommands } from "./stream/commands.ts";
import { StreamError } from "./stream/error.ts";
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

/**
 * Duplex connections over two queues, end-to-end encrypted, with messages whole and in order (agent.md).
 *
 * Commands reject with {@linkcode AgentError}. What was stored goes on after a restart on the same store.
 */
export class Agent implements AsyncDisposable, AgentStreams {
  readonly #parts: AgentParts;
  readonly #newConnections: NewConnections;
  readonly #subscribing: Subscribing;
  readonly #streaming: StreamCommands;
  #closing: Promise<void> | null = null;

  private constructor(parts: AgentParts) {
    const { context, streams } = parts;
    this.#parts = parts;
    this.#newConnections = new NewConnections(context, parts);
    this.#subscribing = new Subscribing(context, parts);
    const command = <T>(execute: () => Promise<T>) => this.#command(execute);
    this.#streaming = new StreamCommands({ context, streams, command });
  }

  /**
   * Starts an agent: what waits to be sent is sent from now on, messages come after {@linkcode Agent.subscribe}, and
   * events that were stored and not taken are told first.
   * Throws `ParseError`, `TypeError` or `TransportError` (`BAD_HASH`) for a server, `RangeError` for another option, and what the store throws.
   */
  static async start(options: AgentOptions): Promise<Agent> {
    checkOptions(options);
    const { signal } = options;
    signal?.throwIfAborted();
    const parts = await AgentParts.start(options);
    const agent = new Agent(parts);
    const close = () => void agent.close();
    if (signal?.aborted) close();
    signal?.addEventListener("abort", close, { once: true, signal: parts.signal });
    return agent;
  }

  /** The servers on which new queues are made, without passwords. */
  get servers(): readonly ServerAddress[] {
    return this.#parts.servers;
  }

  /** Changes the servers on which new queues are made; passwords that were given before stay. Throws `ParseError`, and `RangeError` when there is none. */
  setServers(servers: readonly (string | ServerAddress)[]): void {
    this.#parts.setServers(servers);
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
      const { connections, now } = this.#parts.context;
      const own = body.slice();
      const made = await this.#parts.interpreter.do(
        connections.get(alias).record.id,
        (connection) => outgoing(connection, own, now()),
        { isTogether: true },
      );
      if (made === null) throw unknownConnection(alias);
      this.#parts.sessions.look(made.connection.record.id);
      return made.connection.record.lastMessageId;
    });
  }

  /** Tells that the application has done with a message: its server forgets it and delivers the next one. */
  acknowledge(alias: string, id: number): Promise<void> {
    return this.#command(async () => {
      const { connections, store } = this.#parts.context;
      const { record } = connections.get(alias);
      const message = await store.message(record.id, id);
      if (message === null || message.received === null) {
        throw new AgentError(
          "CMD PROHIBITED",
          `Cannot acknowledge: "${alias}" has received no message ${id}`,
        );
      }
      if (!message.done) await this.#parts.interpreter.acknowledged(record.id, id);
    });
  }

  /**
   * Lets nobody send to the connection any more (OFF); what waits in its queues can still be received. In a session the
   * other agent's receipts do not come either: after 500 frames nothing more is sent. Rejects with `CMD PROHIBITED` while
   * the connection is being upgraded, which goes through its queues.
   */
  suspend(alias: string): Promise<void> {
    return this.#command(async () => {
      await suspendConnection(this.#parts.context, this.#parts.interpreter, alias);
      this.#parts.moves.ended();
    });
  }

  /**
   * Deletes a connection with its messages (DEL). Its queue is deleted at once where the server is connected, and else
   * when that can be reached, over restarts.
   */
  delete(alias: string): Promise<void> {
    return this.#command(() => deleteConnection(this.#parts.context, this.#parts, alias));
  }

  /**
   * The safety code of a connection's session, 60 digits in twelve groups: the same on both sides when nobody is between
   * them. `null` before there is a session. Throws {@linkcode AgentError} (`CONN UNKNOWN`).
   */
  safetyCode(alias: string): string | null {
    return safetyCodeOf(this.#parts.context.connections.get(alias));
  }

  /**
   * Marks a connection's safety code as compared; `false`: takes that back. Give the code that was compared, as
   * {@linkcode Agent.safetyCode} gave it: a repair of the session meanwhile has made another one, which is not marked then.
   * Rejects with `CMD PROHIBITED` for that, and before there is a session.
   */
  verify(alias: string, compared: boolean | string = true): Promise<void> {
    return this.#command(() =>
      verifySession(this.#parts.context, this.#parts.interpreter, { alias, compared })
    );
  }

  /**
   * Has the queues of a connection's session replaced by new ones, on other servers where there are some; resolves when
   * that is stored: a `route` event tells of each that has moved. Rejects with `CMD PROHIBITED` without a session.
   */
  rotate(alias: string): Promise<void> {
    return this.#command(() => this.#parts.moves.rotate(alias));
  }

  /**
   * Leaves a server: it is taken off the list, and what comes through it for sessions moves to the others. Yields how many
   * queues of sessions are still there, first now, then at each change, and ends at 0; to stop reading stops nothing.
   * `staying`: queues of connections without a session, which cannot move. Rejects with `RangeError` when there is no
   * other server.
   */
  async *leave(server: string | ServerAddress): AsyncGenerator<LeaveProgress, void, void> {
    const left = serverOf(server);
    this.setServers(this.#parts.servers.filter((other) => formatAddress(other) !== formatAddress(left)));
    yield* this.#parts.moves.leave(left);
  }

  /**
   * Sets how many servers the messages of a connection's session come through, 1 to 4; `null`: as many as those of others.
   * Rejects with `RangeError`, and with `CMD PROHIBITED` without a session.
   */
  setRoutes(alias: string, routes: number | null): Promise<void> {
    return this.#command(() => this.#parts.moves.setRoutes(alias, routes));
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
    return this.#parts.context.connections.all().map(connectionInfo);
  }

  /** How the agent is now, in numbers: of connections, messages, streams, and how servers are reached. */
  numbers(): Promise<AgentNumbers> {
    return this.#command(() => agentNumbers(this.#parts.context, this.#parts.streams.list()));
  }

  /** A connection as it is now. Throws {@linkcode AgentError} (`CONN UNKNOWN`). */
  connection(alias: string): ConnectionInfo {
    return connectionInfo(this.#parts.context.connections.get(alias));
  }

  /** The invitation to a connection that was made here and that nobody has joined yet; `null` for others. */
  invitation(alias: string): QueueInfo | null {
    const { record, receiving: [route] } = this.#parts.context.connections.get(alias);
    return record.role === "initiator" && route?.status === "new" ? invitationOf(route.keys) : null;
  }

  /** Messages of a connection that are in the store, sent and received, oldest first. */
  messages(alias: string, query?: MessageQuery): Promise<MessageRecord[]> {
    return this.#command(() => {
      const { connections, store } = this.#parts.context;
      return store.messages(connections.get(alias).record.id, query);
    });
  }

  /**
   * What happens, for one reader at a time; ends when the agent is closed. An event is taken when the reader asks for
   * the next one, and a message acknowledged then; in the mode `manual` messages wait for {@linkcode Agent.acknowledge}.
   * With `take: "manual"` all that have an `eventId` wait for {@linkcode Agent.take}.
   */
  events(options: EventOptions = {}): AsyncGenerator<AgentEvent, void, void> {
    return this.#parts.events.read(options);
  }

  /** Tells that the application has done with an event; a message is acknowledged. Nothing when it has already. */
  take(eventId: number): Promise<void> {
    return this.#command(() => this.#parts.events.take(eventId));
  }

  /** Tells again, in their order, the events of a connection that were read and not taken. Throws {@linkcode AgentError}. */
  repeat(alias: string): void {
    this.#parts.events.repeat(this.#parts.context.connections.get(alias).record.id);
  }

  /** Finishes what is being stored and closes everything; what was not sent is sent after the next start. */
  close(): Promise<void> {
    return this.#closing ??= this.#parts[Symbol.asyncDispose]();
  }

  /** Closes the agent. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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
