import type { MessageEvent, SmpClient } from "../../client/mod.ts";
import { SmpError } from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import { deliveredAgain } from "../core/step.ts";
import { AgentError } from "../protocol/error.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";
import { recipientQueue } from "./routes.ts";
import { open } from "./seal.ts";

/** How often it is tried to open a message: one that cannot be must not hold up its queue for ever. */
const mostTries = 5;

/**
 * Messages of a route that wait for the application. A server sends none while there is one, unless that has expired or
 * another program has acknowledged it.
 */
const mostUnacknowledged = 16;

/** A message of a server, and the connection that it came through. */
export interface Incoming {
  readonly message: MessageEvent;
  readonly client: SmpClient;
}

/**
 * Handles the messages of one route, one after the other: stores, tells, then acknowledges them. A failure holds up this
 * route alone: the message is handled again until that succeeds.
 */
export class Receiver {
  readonly #id: string;
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  #work: Promise<void> | null = null;
  /**
   * The message that waits for the one that is being handled. A further one replaces it: a server sends none before an
   * acknowledgement but another copy, or what it will deliver again.
   */
  #waiting: Incoming | null = null;
  /** The message that was delivered last. */
  #current: Incoming | null = null;
  /**
   * The message that was acknowledged last, and where. ACK, all that a server without window1 has, names no message: for a
   * second copy of one, which a repeated SUB brings, it would acknowledge the next one, unseen.
   */
  #acknowledged: Incoming | null = null;
  /** Whether a message was left at its server because too many wait for the application. */
  #hasLeft = false;
  readonly #pause = new Pause();
  #isClosed = false;

  /** Handles what it is given for the receiving route with this ID. */
  constructor(id: string, context: AgentContext, interpreter: Interpreter) {
    this.#id = id;
    this.#context = context;
    this.#interpreter = interpreter;
  }

  /** Handles a message after the one that is being handled. */
  take(incoming: Incoming): void {
    if (this.#isClosed) return;
    this.#waiting = incoming;
    this.#work ??= this.#handleAll();
  }

  /** Acknowledges a message to its server, if that has delivered it, and none since, on a connection that is still there. */
  async acknowledge(serverId: string): Promise<void> {
    const { connections, servers } = this.#context;
    const route = connections.receiving(this.#id)?.route;
    if (route === undefined) return;
    if (this.#hasLeft) {
      this.#hasLeft = false;
      return servers.resubscribe(this.#id);
    }
    const queue = await recipientQueue(this.#context, route.keys);
    // In the same turn as ACK: what is sent before it could have another message delivered.
    const current = this.#current;
    if (current === null || current.message.messageId !== serverId) return;
    const { message, client } = current;
    const last = this.#acknowledged;
    if (last !== null && last.client === client && last.message.messageId === serverId) return;
    if (!servers.mayAcknowledge(this.#id, message, client)) return;
    this.#acknowledged = current;
    try {
      await client.acknowledge(queue, serverId);
    } catch (error) {
      this.#acknowledged = null;
      // Another program has the queue, and the message too: whoever subscribes next gets it, also here.
      if (error instanceof SmpError && error.code === "NO_MSG") return;
      // Whether the server has it is unknown: subscribed again, it delivers this message again, or the next one.
      if (!this.#isClosed) servers.resubscribe(this.#id);
    }
  }

  /** Stops when the message that is being handled is, or waits for another try. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#waiting = null;
    this.#pause.end();
    await this.#work;
  }

  async #handleAll(): Promise<void> {
    for (let incoming; (incoming = this.#waiting) !== null;) {
      this.#waiting = null;
      await this.#handle(incoming);
    }
    // In the same turn as the last look: what comes from now on begins anew.
    this.#work = null;
  }

  async #handle(incoming: Incoming): Promise<void> {
    const { connections, retry, failed } = this.#context;
    for (let failures = 1; !this.#isClosed; failures++) {
      const at = connections.receiving(this.#id);
      if (at === undefined) return;
      this.#current = incoming;
      try {
        return await this.#try(incoming, failures);
      } catch (error) {
        if (this.#isClosed) return;
        if (failures === 1) failed(at.connection.record.id, error);
        await this.#pause.wait(backoffDelay(retry, failures));
        // A newer copy says which connection it can be acknowledged on.
        incoming = this.#waiting ?? incoming;
        this.#waiting = null;
      }
    }
  }

  async #try(
    { message: { messageId: serverId, timestamp, body } }: Incoming,
    tries: number,
  ): Promise<void> {
    const { connections, keys } = this.#context;
    const { connection, route } = connections.receiving(this.#id)!;
    const { id } = connection.record;
    const again = deliveredAgain(connection, route, serverId);
    if (again !== null) {
      if (again.commands.length > 0) await this.acknowledge(serverId);
      return;
    }
    if (route.unacknowledged.length >= mostUnacknowledged) {
      this.#hasLeft = true;
      return;
    }
    // A key of its own that cannot be used says nothing of a message.
    await keys.decrypting(route.keys.decryptionKey);
    const opened = await open(this.#context, route, body).catch((error) => {
      if (tries < mostTries || this.#isClosed) throw error;
      return new AgentError("INTERNAL", `A message cannot be read: ${error}`, { cause: error });
    });
    if (opened instanceof AgentError) {
      await this.#interpreter.do(id, { type: "unreadable", route: this.#id, serverId, error: opened });
    } else {
      const received = { ...opened, serverId, serverAt: timestamp.getTime() };
      await this.#interpreter.do(id, { type: "received", route: this.#id, received });
    }
  }
}
