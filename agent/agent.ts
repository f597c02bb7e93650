import { parseQueueInfo, type QueueInfo, type ServerAddress, SmpError } from "../protocol/mod.ts";
import { inBatches } from "./batches.ts";
import type { AgentCommand, AgentResponse } from "./command.ts";
import { newConnection } from "./connection.ts";
import { Connections } from "./connections.ts";
import {
  type AgentContext,
  createReceivingQueue,
  emptyRecord,
  newAlias,
  subscribedQueue,
} from "./context.ts";
import { Delivery } from "./delivery.ts";
import type { AgentEvent } from "./events.ts";
import { EventStream } from "./event_stream.ts";
import { Incomings } from "./incoming.ts";
import { KeyPool, LoadedKeys } from "./key_pool.ts";
import {
  type AgentOptions,
  checkOptions,
  checkServers,
  type ConnectionInfo,
  connectionInfo,
  type Invitation,
  serverOf,
} from "./options.ts";
import { greetings, invitationOf, makeSendingQueue, withMessage } from "./outgoing.ts";
import { AgentError, agentError } from "./protocol/error.ts";
import { Servers, type SubscribedQueue, subscriptionBatch } from "./servers.ts";
import { MemoryStore } from "./store/memory.ts";
import type { AgentStore, ConnectionRecord, MessageQuery, MessageRecord } from "./store/store.ts";

const pruneInterval = 3_600_000;

/**
 * Duplex connections over two queues, end-to-end encrypted, with messages whole and in order (agent.md).
 *
 * Commands reject with {@linkcode AgentError}. What was stored goes on after a restart on the same store.
 */
export class Agent implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #events: EventStream<AgentEvent>;
  readonly #delivery: Delivery;
  readonly #incomings: Incomings;
  readonly #retention: number | undefined;
  #servers: readonly ServerAddress[];
  #timer: ReturnType<typeof setInterval> | undefined;
  #closing: Promise<void> | null = null;

  private constructor(options: AgentOptions, connections: Connections, store: AgentStore) {
    this.#servers = options.servers.map(serverOf);
    this.#retention = options.retention;
    const { retry = { first: 100, most: 30_000 }, keyPool = 8, buffer = 256 } = options;
    const events = this.#events = new EventStream<AgentEvent>(buffer);
    const keys = new LoadedKeys();
    const servers = new Servers({
      client: options.client ?? {},
      reconnect: retry,
      events: {
        message: ({ server, recipientId }, message, client) => {
          const alias = connections.byQueue(server, recipientId);
          if (alias !== undefined) this.#incomings.take({ alias, message, client });
        },
        ended: (queue) => this.#forEach([queue], (connection) => events.put({ type: "end", connection })),
        refused: (queue, error) =>
          this.#forEach(
            [queue],
            (connection) => events.put({ type: "error", connection, error: agentError(error) }),
          ),
        down: (server, queues) => events.put({ type: "down", server, connections: this.#aliases(queues) }),
        up: (server, queues) => events.put({ type: "up", server, connections: this.#aliases(queues) }),
        connected: (server) => this.#delivery.reachable(server),
      },
    });
    this.#context = {
      store,
      connections,
      servers,
      keys,
      pool: typeof keyPool === "number" ? new KeyPool(keyPool) : keyPool,
      now: Date.now,
      retry,
      joinTimeout: options.joinTimeout ?? 2 * 86_400_000,
      allowUnverified: options.client?.allowUnverified ?? false,
      manual: options.acknowledge === "manual",
      approve: options.approve ?? (() => true),
      server: () => this.#servers[Math.floor(Math.random() * this.#servers.length)]!,
      emit: (event) => events.put(event),
      room: () => events.room(),
    };
    this.#delivery = new Delivery(this.#context);
    this.#incomings = new Incomings(this.#context, (alias) => this.#delivery.wake(alias));
  }

  /**
   * Starts an agent: what waits to be sent is sent from now on, messages come after {@linkcode Agent.subscribe}.
   * Throws `ParseError` or `TransportError` (`BAD_HASH`) for a server, `RangeError` for another option, and what the store throws.
   */
  static async start(options: AgentOptions): Promise<Agent> {
    checkOptions(options);
    const { store = new MemoryStore(), signal } = options;
    signal?.throwIfAborted();
    const agent = new Agent(options, await Connections.load(store), store);
    await agent.#prune();
    if (options.retention !== undefined) {
      agent.#timer = setInterval(() => void agent.#prune().catch(() => {}), pruneInterval);
    }
    for (const alias of await store.outboxAliases()) agent.#delivery.wake(alias);
    const close = () => void agent.close();
    if (signal?.aborted) close();
    signal?.addEventListener("abort", close, { once: true });
    return agent;
  }

  /** The servers on which new queues are made. */
  get servers(): readonly ServerAddress[] {
    return this.#servers;
  }

  /** Changes the servers on which new queues are made. Throws `ParseError`, and `RangeError` when there is none. */
  setServers(servers: readonly (string | ServerAddress)[]): void {
    checkServers(servers, this.#context.allowUnverified);
    this.#servers = servers.map(serverOf);
  }

  /** Does what a command says, for programs that have commands as values. */
  async execute(command: AgentCommand): Promise<AgentResponse> {
    switch (command.type) {
      case "NEW":
        return { type: "INV", ...await this.create(command.connection) };
      case "JOIN": {
        const { invitation, connection: alias, reply = true } = command;
        return {
          type: "OK",
          connection: await this.join(invitation, { reply, ...(alias !== undefined && { alias }) }),
        };
      }
      case "SUBALL":
        return { type: "SUBSCRIBED", connections: await this.subscribeAll() };
      case "SEND":
        return {
          type: "STORED",
          connection: command.connection,
          id: await this.send(command.connection, command.body),
        };
      case "SUB":
        await this.subscribe(command.connection);
        break;
      case "ACK":
        await this.acknowledge(command.connection, command.id);
        break;
      case "OFF":
        await this.suspend(command.connection);
        break;
      case "DEL":
        await this.delete(command.connection);
        break;
      default:
        return command satisfies never;
    }
    return { type: "OK", connection: command.connection };
  }

  /** Makes a connection and the invitation to it (NEW); its messages come from {@linkcode Agent.events}. */
  create(alias: string = newAlias()): Promise<Invitation> {
    return this.#command(async () => {
      const { connections, servers, now } = this.#context;
      connections.checkNew(alias);
      const { receiving, client } = await createReceivingQueue(this.#context);
      await connections.add({
        ...emptyRecord(alias, now()),
        state: newConnection("initiator", true),
        receiving,
      });
      servers.created(subscribedQueue(this.#context, receiving), client);
      return { connection: alias, invitation: invitationOf(receiving) };
    });
  }

  /**
   * Joins a connection by an invitation (JOIN); gives its alias when that is stored: the rest goes on by itself until
   * there is a `connected` or `error` event. Without `reply` it is a connection of one direction.
   */
  join(
    invitation: QueueInfo | string,
    { alias = newAlias(), reply = true }: { readonly alias?: string; readonly reply?: boolean } = {},
  ): Promise<string> {
    return this.#command(async () => {
      const { connections, now } = this.#context;
      const queueInfo = typeof invitation === "string" ? parseQueueInfo(invitation) : invitation;
      connections.checkNew(alias);
      const sending = await makeSendingQueue(this.#context, queueInfo);
      const record = { ...emptyRecord(alias, now()), state: newConnection("joiner", reply), sending };
      const entries = greetings(alias, sending, now(), reply);
      await connections.add(record, entries.map((entry) => ({ type: "put outbox", entry })));
      this.#delivery.wake(alias);
      return alias;
    });
  }

  /** Receives a connection's messages here from now on (SUB). */
  subscribe(alias: string): Promise<void> {
    return this.#command(async () => {
      const { connections, servers } = this.#context;
      await servers.subscribe(subscribedQueue(this.#context, receivingOf(connections.get(alias))));
    });
  }

  /**
   * Receives the messages of all connections here from now on (SUBALL); gives the aliases of those that could be
   * subscribed. For each of the others there is an `error` event.
   */
  subscribeAll(): Promise<string[]> {
    return this.#command(async () => {
      const aliases = this.#context.connections.all().filter(({ receiving }) => receiving !== null)
        .map(({ alias }) => alias);
      const done = await inBatches(aliases, subscriptionBatch, async (connection) => {
        try {
          await this.subscribe(connection);
          return [connection];
        } catch (error) {
          this.#events.put({ type: "error", connection, error: agentError(error) });
          return [];
        }
      });
      return done.flat();
    });
  }

  /**
   * Sends a message (SEND); gives its number when it is stored. It is sent when that is possible, in order: a `sent`
   * event tells when the server has it, an `error` event with its number when it cannot be sent for good.
   */
  send(alias: string, body: Uint8Array): Promise<number> {
    return this.#command(async () => {
      const { connections, now } = this.#context;
      const { lastMessageId } = await connections.update(alias, (record) => withMessage(record, body, now()));
      this.#delivery.wake(alias);
      return lastMessageId;
    });
  }

  /** Tells that the application has done with a message, in the mode `manual`: the next one of the connection comes. */
  acknowledge(alias: string, id: number): Promise<void> {
    return this.#command(async () => {
      this.#context.connections.get(alias);
      await this.#incomings.acknowledge(alias, id);
    });
  }

  /** Lets nobody send to the connection's queue any more (OFF); what waits there can still be received. */
  suspend(alias: string): Promise<void> {
    return this.#command(async () => {
      const { connections, servers } = this.#context;
      const queue = receivingOf(connections.get(alias));
      const client = await servers.client(queue.server);
      await client.suspendQueue(await this.#ownQueue(queue));
      await connections.update(alias, (record) => ({ record: { ...record, suspended: true } }));
    });
  }

  /** Deletes a connection with its messages, here and on its server (DEL). */
  delete(alias: string): Promise<void> {
    return this.#command(async () => {
      const { connections, servers } = this.#context;
      const queue = connections.get(alias).receiving;
      if (queue !== null) {
        const client = await servers.client(queue.server);
        try {
          await client.deleteQueue(await this.#ownQueue(queue));
        } catch (error) {
          // The server has not got it any more.
          if (!(error instanceof SmpError && error.code === "AUTH")) throw error;
        }
        servers.forget(queue);
      }
      await connections.remove(alias);
    });
  }

  /** All connections, oldest first. */
  connections(): ConnectionInfo[] {
    return this.#context.connections.all().map(connectionInfo);
  }

  /** The invitation to a connection that was made here and that nobody has joined yet; `null` for others. */
  invitation(alias: string): QueueInfo | null {
    const { state, receiving } = this.#context.connections.get(alias);
    return state.role === "initiator" && state.receiving === "new" ? invitationOf(receiving!) : null;
  }

  /** Messages of a connection that are in the store, sent and received, oldest first. */
  messages(alias: string, query?: MessageQuery): Promise<MessageRecord[]> {
    return this.#command(() => this.#context.store.messages(alias, query));
  }

  /** What happens, for one reader at a time; ends when the agent is closed. */
  events(): AsyncGenerator<AgentEvent, void, void> {
    return this.#events.read();
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
    clearInterval(this.#timer);
    this.#events.close();
    const { servers, pool, store } = this.#context;
    await Promise.all([
      servers[Symbol.asyncDispose](),
      this.#delivery[Symbol.asyncDispose](),
      this.#incomings[Symbol.asyncDispose](),
      pool[Symbol.asyncDispose](),
    ]);
    await store[Symbol.asyncDispose]();
  }

  async #command<T>(execute: () => Promise<T>): Promise<T> {
    try {
      if (this.#closing !== null) throw new AgentError("INTERNAL", "The agent is closed");
      return await execute();
    } catch (error) {
      throw agentError(error);
    }
  }

  async #prune(): Promise<void> {
    if (this.#retention !== undefined) await this.#context.store.prune(steadyNow() - this.#retention);
  }

  async #ownQueue({ recipientId, senderId, recipientKey }: NonNullable<ConnectionRecord["receiving"]>) {
    return { recipientId, senderId, recipientKey: await this.#context.keys.signing(recipientKey) };
  }

  #aliases(queues: readonly SubscribedQueue[]): string[] {
    const aliases: string[] = [];
    this.#forEach(queues, (alias) => aliases.push(alias));
    return aliases;
  }

  #forEach(queues: readonly SubscribedQueue[], use: (alias: string) => void): void {
    for (const { server, recipientId } of queues) {
      const alias = this.#context.connections.byQueue(server, recipientId);
      if (alias !== undefined) use(alias);
    }
  }
}

function receivingOf({ alias, receiving }: ConnectionRecord): NonNullable<ConnectionRecord["receiving"]> {
  if (receiving !== null) return receiving;
  throw new AgentError("CONN SIMPLEX", `"${alias}" has no queue for this direction`);
}

/** The system's clock, but no later than when it would be had nobody set it: no history is dropped because a clock jumps. */
function steadyNow(): number {
  return Math.min(Date.now(), performance.timeOrigin + performance.now());
}
