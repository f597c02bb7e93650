import { decodePublicKey, SmpError, type StreamContent } from "../../protocol/mod.ts";
import { changesBetween } from "../core/changes.ts";
import type { Command, Step } from "../core/types.ts";
import { AgentError, agentError } from "../protocol/error.ts";
import type { AgentStore, Connection, DiscardedQueue, EventRecord, StoreChange } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { EventLog } from "./event_log.ts";
import { subscribedInbound } from "./inbound.ts";
import { type Happening, Steps } from "./steps.ts";
import type { UnansweredRepair } from "../session/repair_state.ts";
import { beginRepair, hearRepair } from "./repairs.ts";
import { makeSendingRoute, recipientQueue } from "./routes.ts";
import { makeAnswer, makeBeginning } from "./upgrades.ts";

/** What the interpreter gives to others. */
export interface InterpreterPorts {
  /** Tells of an event that was stored. */
  tell(record: EventRecord): void;
  /** An event is no longer stored. */
  taken(id: number): void;
  /** Acknowledges a message to its server. */
  acknowledge(route: string, serverId: string): Promise<void>;
  /** Looks at what a sending route has to deliver. */
  deliver(route: string): void;
  /** Looks at what an outbound route has to send. */
  sendPackets(route: string): void;
  /** Sends again by an outbound route what may be lost. */
  repeat(route: string): void;
  /** Takes what was left at the server of an inbound route. */
  resume(route: string): void;
  /** Does what a frame of a stream says. */
  stream(connection: string, content: StreamContent): void;
  /** Does what the session of a connection needs beside that. */
  look(connection: string): void;
  /** Says by all routes what this side has to say to repair a session. */
  sayRepair(connection: string): void;
  /** A step was made of a connection that has a session, or may have one. */
  stepped(connection: Connection): void;
  /** Stops working on routes that are not there any more, and has queues deleted. */
  drop(routes: readonly string[], discarded: readonly DiscardedQueue[]): void;
}

/**
 * Does what `step` says: stores the changes, in one transaction, then tells the events, then runs the commands, of which
 * each is another event when it is done. Steps of a connection are made one after the other.
 */
export class Interpreter {
  readonly #context: AgentContext;
  readonly #log: EventLog;
  readonly #steps: Steps;
  readonly #ports: InterpreterPorts;
  /** What the application has just acknowledged, by connection and number: steps that are stored together read the same. */
  readonly #acknowledging = new Map<string, Promise<void>>();

  /** Does nothing by itself. */
  constructor(context: AgentContext, log: EventLog, ports: InterpreterPorts) {
    this.#context = context;
    this.#log = log;
    this.#ports = ports;
    this.#steps = new Steps(context, log, {
      tell: (record) => ports.tell(record),
      taken: (record) => this.#taken(record),
    });
  }

  /**
   * Makes an event happen to a connection and runs the commands; nothing when it is deleted. Throws what the store, a
   * server or the application throws: then it may happen again. `isTogether`: see `Steps.make`.
   */
  async do(
    id: string,
    happening: Happening,
    { isTogether = false }: { readonly isTogether?: boolean } = {},
  ): Promise<Step | null> {
    const made = await this.#steps.make(id, happening, isTogether);
    if (made?.connection.session != null) this.#ports.stepped(made.connection);
    for (const command of made?.commands ?? []) await this.#run(id, command);
    return made;
  }

  /** Stores a connection that is made, with what comes with it. */
  async add(
    connection: Connection,
    changes: readonly StoreChange[],
    commands: readonly Command[],
  ): Promise<void> {
    const { connections, store } = this.#context;
    await store.commit([...changesBetween(null, connection), ...changes]);
    connections.set(connection);
    for (const command of commands) await this.#run(connection.record.id, command);
  }

  /** The application has done with a message; that it says so again before it is stored changes nothing. */
  acknowledged(id: string, message: number): Promise<void> {
    const name = `${id} ${message}`;
    const before = this.#acknowledging.get(name);
    if (before !== undefined) return before;
    const happening = acknowledging(this.#context.store, message);
    const done = this.do(id, happening, { isTogether: true }).then(() => {}).finally(() =>
      this.#acknowledging.delete(name)
    );
    this.#acknowledging.set(name, done);
    return done;
  }

  /** Events that are not of messages were taken. */
  async take(records: readonly EventRecord[]): Promise<void> {
    // They would be told again, as after the end of the program.
    const changes = records.map(({ id }) => ({ type: "delete event", id }) as const);
    await this.#context.store.commit(changes, { mayBeLost: true });
    for (const record of records) this.#taken(record);
  }

  #taken(record: EventRecord): void {
    this.#log.remove(record);
    this.#ports.taken(record.id);
  }

  async #run(id: string, command: Command): Promise<void> {
    switch (command.type) {
      case "approve":
        return await this.#approve(id, command);
      case "secure":
        return await this.#secure(id, command);
      case "join": {
        const { route, received } = command;
        const sending = await makeSendingRoute(this.#context, received.message.queueInfo).catch((error) => {
          if (error instanceof AgentError) return error;
          throw error;
        });
        await this.do(id, { type: "joined", route, received, sending });
        return;
      }
      case "acknowledge":
        return await this.#ports.acknowledge(command.route, command.serverId);
      case "deliver":
        return this.#ports.deliver(command.route);
      case "send packets":
        return this.#ports.sendPackets(command.route);
      case "repeat":
        return this.#ports.repeat(command.route);
      case "resume":
        return this.#ports.resume(command.route);
      case "stream":
        return this.#ports.stream(id, command.content);
      case "drop":
        return this.#ports.drop(command.routes, command.discarded);
      case "offer":
      case "fall back":
      case "encrypt":
      case "give up frames":
      case "look at routes":
      case "tell receipt":
        return this.#ports.look(id);
      case "repair":
        await this.repair(id);
        return;
      case "hear repair":
        await this.do(id, (connection) => hearRepair(this.#context, connection, command.content));
        return;
      case "say repair":
        return this.#ports.sayRepair(id);
      case "say again":
        return await this.sayAgain(id, false);
      case "answer":
        return await this.#answer(id, command);
      case "begin": {
        const { route, received } = command;
        await this.do(id, async (connection) => {
          const begun = await makeBeginning(this.#context, connection, received.message.upgrade.slice());
          return { type: "begun", route, received, begun };
        });
        return;
      }
      default:
        return command satisfies never;
    }
  }

  /** Begins to repair a session, if that may be; `insteadOf`: anew, if that is still what is under way. */
  async repair(id: string, insteadOf: UnansweredRepair | null = null): Promise<void> {
    await this.do(id, (connection) => beginRepair(this.#context, connection, insteadOf));
  }

  /** Says this side's UPG again where it is not on its way; `isLate`: the other side has not answered it for a time. */
  async sayAgain(id: string, isLate: boolean): Promise<void> {
    await this.do(id, async ({ sending }) => {
      const waiting = await Promise.all(sending.map((route) => this.#context.store.deliveries(route.id, 1)));
      return { type: "unanswered", isLate, isOnWay: waiting.some((deliveries) => deliveries.length > 0) };
    });
  }

  async #answer(
    id: string,
    { route, received }: Extract<Command, { readonly type: "answer" }>,
  ): Promise<void> {
    const { connections, servers } = this.#context;
    const connection = connections.find(id);
    if (connection === undefined) return;
    const { made, begun } = await makeAnswer(this.#context, connection, received.message.upgrade.slice());
    let isStored = false;
    try {
      const step = await this.do(id, { type: "answered", route, received, begun });
      isStored = made !== null && (step?.connection.inbound.includes(made.route) ?? false);
    } finally {
      if (made !== null && !isStored) await this.#context.abandon(made.route);
    }
    if (made !== null && isStored) {
      servers.created(subscribedInbound(this.#context, made.route), made.client);
    }
  }

  async #approve(
    id: string,
    { route, received }: Extract<Command, { readonly type: "approve" }>,
  ): Promise<void> {
    const { connections, approve, signal } = this.#context;
    const connection = connections.find(id);
    if (connection === undefined) return;
    const { senderKey } = received.message;
    // Nobody would wait for the answer.
    signal.throwIfAborted();
    const isApproved = await untilAborted(
      Promise.resolve(approve({ connection: connection.record.alias, senderKey })),
      signal,
    );
    await this.do(id, { type: "approved", route, received, isApproved });
  }

  async #secure(
    id: string,
    { route, received, isRetry }: Extract<Command, { readonly type: "secure" }>,
  ): Promise<void> {
    const { connections, servers } = this.#context;
    const keys = connections.receiving(route)?.route.keys;
    if (keys === undefined) return;
    const client = await servers.client(keys.server);
    let refused: AgentError | null = null;
    try {
      await client.secureQueue(await recipientQueue(this.#context, keys), decodePublicKey(keys.senderKey!));
    } catch (error) {
      if (!(error instanceof SmpError) || error.code === "INTERNAL") throw error;
      // Only this agent can secure the queue: it was done, but the answer was lost.
      if (error.code !== "AUTH" || !isRetry) refused = agentError(error);
    }
    await this.do(id, { type: "secured", route, received, error: refused });
  }
}

/** The application has done with a message. */
function acknowledging(store: AgentStore, id: number): Happening {
  return async ({ record, session }, unstored) => {
    // A copy that has just come has given it another number.
    const put = unstored.findLast((change) => change.type === "put message" && change.message.id === id);
    const message = put?.type === "put message" ? put.message : session && await store.message(record.id, id);
    const number = message === null || message.done ? 0 : message.received?.senderId ?? 0;
    return { type: "acknowledged", id, number };
  };
}

/** What a promise gives; rejects with the signal's reason when that aborts before. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
