import { formatAddress, type ServerAddress } from "../../protocol/mod.ts";
import type { Connection } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";
import { type Incoming, Receiver } from "./receiver.ts";
import { Sender } from "./sender.ts";

/** The workers of all routes: one each, made when there is something to do. */
export class Workers implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  readonly #receivers = new Map<string, Receiver>();
  readonly #senders = new Map<string, Sender>();
  /** Workers of deleted connections that have not stopped yet. */
  readonly #stopping = new Set<Promise<void>>();
  #isClosed = false;

  /** Does nothing yet. */
  constructor(context: AgentContext, interpreter: Interpreter) {
    this.#context = context;
    this.#interpreter = interpreter;
  }

  /** A server has delivered a message on a receiving route. */
  receive(route: string, incoming: Incoming): void {
    if (this.#isClosed || this.#context.connections.receiving(route) === undefined) return;
    let receiver = this.#receivers.get(route);
    if (receiver === undefined) {
      this.#receivers.set(route, receiver = new Receiver(route, this.#context, this.#interpreter));
    }
    receiver.take(incoming);
  }

  /** Acknowledges a message to its server, where that has delivered it. */
  async acknowledge(route: string, serverId: string): Promise<void> {
    await this.#receivers.get(route)?.acknowledge(serverId);
  }

  /** There is something new to deliver on a sending route. */
  deliver(route: string): void {
    if (this.#isClosed || this.#context.connections.sending(route) === undefined) return;
    let sender = this.#senders.get(route);
    if (sender === undefined) {
      this.#senders.set(route, sender = new Sender(route, this.#context, this.#interpreter));
    }
    sender.wake();
  }

  /** A server can be reached: what waits for it is tried at once. */
  reachable(server: ServerAddress): void {
    const name = formatAddress(server);
    for (const [route, sender] of this.#senders) {
      const keys = this.#context.connections.sending(route)?.route.keys;
      if (keys !== undefined && formatAddress(keys.server) === name) sender.hurry();
    }
  }

  /** Stops the workers of a connection that was deleted. */
  stop({ receiving, sending }: Connection): void {
    for (const { id } of receiving) this.#stop(this.#receivers, id);
    for (const { id } of sending) this.#stop(this.#senders, id);
  }

  /** Stops all workers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const id of [...this.#receivers.keys()]) this.#stop(this.#receivers, id);
    for (const id of [...this.#senders.keys()]) this.#stop(this.#senders, id);
    await Promise.all(this.#stopping);
  }

  #stop(workers: Map<string, Receiver | Sender>, id: string): void {
    const stopping = workers.get(id)?.close();
    if (stopping === undefined) return;
    workers.delete(id);
    this.#stopping.add(stopping);
    void stopping.finally(() => this.#stopping.delete(stopping));
  }
}
