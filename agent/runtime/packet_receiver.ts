import type { SmpClient } from "../../client/mod.ts";
import { openPacket, SmpError } from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import { mostWaiting } from "../session/session.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";
import { type IncomingPacket, openPackets } from "./packets.ts";
import type { PieceBudget } from "./piece_budget.ts";
import type { Incoming } from "./receiver.ts";
import { switching } from "./repairs.ts";
import { recipientQueue } from "./routes.ts";

/** Packets that are handled together, in one transaction. */
const batchSize = 64;

/** Packets that wait at most; more than any window: others come again. */
const mostQueued = 256;

/**
 * Handles the packets of one inbound route: opens them, stores what they bring, then acknowledges the last one, and those
 * before it by that. A failure holds up this route alone: the packets are handled again until that succeeds.
 */
export class PacketReceiver {
  readonly #id: string;
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  readonly #pieces: Pick<PieceBudget, "settle">;
  #work: Promise<void> | null = null;
  /** In the order in which they came. */
  #queue: Incoming[] = [];
  /**
   * The connection on which packets were left at their server because too much waits here, until they are asked for: to
   * acknowledge one behind them would acknowledge them too.
   */
  #left: SmpClient | null = null;
  readonly #pause = new Pause();
  #isClosed = false;

  /** Handles what it is given for the inbound route with this ID; `pieces`: what the agent's connections hold. */
  constructor(
    id: string,
    { context, interpreter, pieces }: {
      readonly context: AgentContext;
      readonly interpreter: Interpreter;
      readonly pieces: Pick<PieceBudget, "settle">;
    },
  ) {
    this.#id = id;
    this.#context = context;
    this.#interpreter = interpreter;
    this.#pieces = pieces;
  }

  /** Handles a packet after those that came before it. */
  take(incoming: Incoming): void {
    if (this.#isClosed || this.#isBehindLeft(incoming)) return;
    if (this.#queue.length < mostQueued) this.#queue.push(incoming);
    else this.#left = incoming.client;
    this.#work ??= this.#handleAll();
  }

  /** Takes what was left at the server, if something was. */
  resume(): void {
    if (this.#left === null || this.#isClosed || this.#isFull()) return;
    this.#left = null;
    // What comes before its answer is not passed on.
    this.#context.servers.resubscribe(this.#id);
  }

  /** Stops when what is being handled is, or waits for another try. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#queue = [];
    this.#pause.end();
    await this.#work;
  }

  async #handleAll(): Promise<void> {
    const { connections, retry, failed } = this.#context;
    // Else this could end before it is known as the work under way.
    await null;
    for (let failures = 0; this.#queue.length > 0 && !this.#isClosed;) {
      const at = connections.inbound(this.#id);
      if (at === undefined) break;
      const batch = this.#queue.slice(0, batchSize);
      if (this.#isFull()) {
        this.#left = batch.at(-1)!.client;
        this.#queue = [];
        break;
      }
      try {
        await this.#handle(batch);
        this.#queue.splice(0, batch.length);
        failures = 0;
      } catch (error) {
        if (this.#isClosed) break;
        if (++failures === 1) failed(at.connection.record.id, error);
        await this.#pause.wait(backoffDelay(retry, failures));
      }
    }
    // In the same turn as the last look: what comes from now on begins anew.
    this.#work = null;
    this.resume();
  }

  #isBehindLeft({ client }: Incoming): boolean {
    // A new connection begins with the first one that is not acknowledged.
    if (client !== this.#left) this.#left = null;
    return this.#left !== null;
  }

  /** Whether the application has too much to acknowledge. */
  #isFull(): boolean {
    const { connection } = this.#context.connections.inbound(this.#id) ?? {};
    return (connection?.session?.waiting ?? 0) >= mostWaiting;
  }

  async #handle(batch: readonly Incoming[]): Promise<void> {
    const { connections, now } = this.#context;
    const at = connections.inbound(this.#id);
    if (at === undefined) return;
    const { connection: { record }, route: { keys } } = at;
    const incoming = await Promise.all(batch.map(async ({ message }): Promise<IncomingPacket> => {
      const opened = await openPacket(message.body.slice(), keys);
      const { messageId: serverId, timestamp } = message;
      return { serverId, serverAt: timestamp.getTime(), packet: opened.ok ? opened.packet : null };
    }));
    for (let rest = await this.#withoutStreams(record.id, incoming); rest.length > 0;) {
      let count = rest.length, isSwitching = false;
      await this.#interpreter.do(record.id, async (connection) => {
        const opened = await openPackets(this.#context, connection, {
          route: this.#id,
          incoming: rest,
          now: now(),
        });
        ({ count, isSwitching } = opened);
        return { type: "packets", route: this.#id, opened };
      });
      const isSwitched = isSwitching &&
        await this.#interpreter.do(record.id, (connection) => switching(this.#context, connection)) !== null;
      // What the new session has not been made for is not read.
      rest = rest.slice(isSwitching && !isSwitched ? count + 1 : count);
    }
    await this.#pieces.settle(record.id);
    await this.#acknowledge(batch.at(-1)!);
  }

  /** The packets that are not of streams, which change nothing that is stored. */
  async #withoutStreams(
    connection: string,
    incoming: readonly IncomingPacket[],
  ): Promise<readonly IncomingPacket[]> {
    const left: IncomingPacket[] = [];
    for (const one of incoming) {
      const { packet } = one;
      const isOfStream = packet?.type === "stream chunk" &&
        await this.#context.streamPacket(connection, packet.content);
      if (!isOfStream) left.push(one);
    }
    return left;
  }

  async #acknowledge({ message: { messageId }, client }: Incoming): Promise<void> {
    const { connections, servers } = this.#context;
    const keys = connections.inbound(this.#id)?.route.keys;
    if (keys === undefined) return;
    try {
      await client.acknowledge(await recipientQueue(this.#context, keys), messageId);
    } catch (error) {
      // It is acknowledged, or another program has the queue: whoever subscribes next gets it, also here.
      if (error instanceof SmpError && error.code === "NO_MSG") return;
      // Whether the server has it is unknown: subscribed again, it delivers again what it has not.
      if (!this.#isClosed) servers.resubscribe(this.#id);
    }
  }
}
