import { formatAddress, type ServerAddress } from "../../protocol/mod.ts";
import type { AgentContext } from "./context.ts";
import type { EncryptedReceipt } from "./frames.ts";
import type { Interpreter } from "./interpreter.ts";
import { PacketReceiver } from "./packet_receiver.ts";
import { PacketSender } from "./packet_sender.ts";
import { PieceBudget } from "./piece_budget.ts";
import { type Incoming, Receiver } from "./receiver.ts";
import { Sender } from "./sender.ts";

/** The workers of all routes: one each, made when there is something to do. */
export class Workers implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  readonly #pieces: PieceBudget;
  readonly #receivers = new Map<string, Receiver | PacketReceiver>();
  readonly #senders = new Map<string, Sender>();
  readonly #packetSenders = new Map<string, PacketSender>();
  /** Workers of deleted connections that have not stopped yet. */
  readonly #stopping = new Set<Promise<void>>();
  #isClosed = false;

  /** Does nothing yet. */
  constructor(context: AgentContext, interpreter: Interpreter) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#pieces = new PieceBudget(context, interpreter);
  }

  /** A server has delivered a message on a receiving or an inbound route. */
  receive(route: string, incoming: Incoming): void {
    const { connections } = this.#context;
    if (this.#isClosed) return;
    let receiver = this.#receivers.get(route);
    if (receiver === undefined) {
      if (connections.receiving(route) !== undefined) {
        receiver = new Receiver(route, this.#context, this.#interpreter);
      } else if (connections.inbound(route) !== undefined) {
        receiver = new PacketReceiver(route, {
          context: this.#context,
          interpreter: this.#interpreter,
          pieces: this.#pieces,
        });
      } else return;
      this.#receivers.set(route, receiver);
    }
    receiver.take(incoming);
  }

  /** Takes what was left at the server of an inbound route. */
  resume(route: string): void {
    const receiver = this.#receivers.get(route);
    if (receiver instanceof PacketReceiver) receiver.resume();
  }

  /** Acknowledges a message to its server, where that has delivered it. */
  async acknowledge(route: string, serverId: string): Promise<void> {
    const receiver = this.#receivers.get(route);
    if (receiver instanceof Receiver) await receiver.acknowledge(serverId);
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

  /** There is something new to send on an outbound route. */
  sendPackets(route: string): void {
    this.#packetSender(route)?.wake();
  }

  /** Sends a receipt on an outbound route; `taken` is called when its server has taken it. */
  sendReceipt(route: string, receipt: EncryptedReceipt, taken: () => void): void {
    this.#packetSender(route)?.sendReceipt(receipt, taken);
  }

  /** Sends again on an outbound route what may be lost. */
  repeat(route: string): void {
    this.#packetSender(route)?.repeat();
  }

  /** A server can be reached: what waits for it is tried at once. */
  reachable(server: ServerAddress): void {
    const name = formatAddress(server);
    for (const [route, sender] of this.#senders) {
      const keys = this.#context.connections.sending(route)?.route.keys;
      if (keys !== undefined && formatAddress(keys.server) === name) sender.hurry();
    }
    for (const [route, sender] of this.#packetSenders) {
      const keys = this.#context.connections.outbound(route)?.route.keys;
      if (keys !== undefined && formatAddress(keys.server) === name) sender.hurry();
    }
  }

  /** Stops the workers of routes that are not there any more. */
  stop(routes: readonly string[]): void {
    for (const id of routes) {
      this.#stop(this.#receivers, id);
      this.#stop(this.#senders, id);
      this.#stop(this.#packetSenders, id);
    }
  }

  /** Stops all workers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.stop([...this.#receivers.keys(), ...this.#senders.keys(), ...this.#packetSenders.keys()]);
    await Promise.all(this.#stopping);
  }

  #packetSender(route: string): PacketSender | undefined {
    if (this.#isClosed || this.#context.connections.outbound(route) === undefined) return undefined;
    let sender = this.#packetSenders.get(route);
    if (sender === undefined) {
      this.#packetSenders.set(route, sender = new PacketSender(route, this.#context, this.#interpreter));
    }
    return sender;
  }

  #stop(workers: Map<string, { close(): Promise<void> }>, id: string): void {
    const stopping = workers.get(id)?.close();
    if (stopping === undefined) return;
    workers.delete(id);
    this.#stopping.add(stopping);
    void stopping.finally(() => this.#stopping.delete(stopping));
  }
}
