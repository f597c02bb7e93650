import { SmpError, TransportError } from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import type { AtSending } from "../core/connections.ts";
import type { ConnectionEvent } from "../core/types.ts";
import { kindOf } from "../kinds/mod.ts";
import { type AgentError, agentError } from "../protocol/error.ts";
import { type Connection, type FrameRecord, type QueuedDelivery, StoreError } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { Interpreter } from "./interpreter.ts";
import { makeReceivingRoute, subscribedQueue } from "./routes.ts";
import { sealFor } from "./seal.ts";

/** Deliveries that are read from the store at a time. */
const batchSize = 16;

/** What became of a try to deliver. */
type Outcome = "sent" | "retry" | { readonly failed: AgentError };

type Body = Uint8Array<ArrayBuffer> | null;

/** Sends what a route has to deliver, in order, each until it succeeds or cannot. */
export class Sender {
  readonly #id: string;
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  #work: Promise<void> | null = null;
  #isWoken = false;
  readonly #pause = new Pause();
  /** The position of what has been given to a connection last. */
  #attempted = 0;
  #isClosed = false;

  /** Sends nothing yet for the sending route with this ID. */
  constructor(id: string, context: AgentContext, interpreter: Interpreter) {
    this.#id = id;
    this.#context = context;
    this.#interpreter = interpreter;
  }

  /** There is something new to deliver. */
  wake(): void {
    if (this.#isClosed) return;
    this.#isWoken = true;
    this.#work ??= this.#deliverAll();
  }

  /** What waits for another try is tried at once. */
  hurry(): void {
    this.#pause.end();
  }

  /** Stops when what is on its way has come or failed; what was not sent stays in the store. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pause.end();
    await this.#work;
  }

  async #deliverAll(): Promise<void> {
    for (let failures = 0; this.#isWoken && !this.#isClosed;) {
      this.#isWoken = false;
      try {
        while (!this.#isClosed && await this.#deliverBatch());
        failures = 0;
      } catch (error) {
        // The store cannot be read.
        this.#failed(error, failures);
        this.#isWoken = true;
        await this.#wait(++failures);
      }
    }
    // In the same turn as the last look: what comes from now on begins anew.
    this.#work = null;
  }

  /** Delivers what comes next; `false` when there is nothing. */
  async #deliverBatch(): Promise<boolean> {
    const deliveries = await this.#context.store.deliveries(this.#id, batchSize);
    let next = this.#seal(deliveries[0]);
    for (const [i, delivery] of deliveries.entries()) {
      const body = next;
      // While one is on its way the next one is encrypted.
      next = this.#seal(deliveries[i + 1]);
      if (await this.#deliver(delivery, body)) continue;
      await next.catch(() => {});
      break;
    }
    return deliveries.length > 0;
  }

  /** The body of a user message; `null` for others, which may change until they are sent. */
  #seal(delivery: QueuedDelivery | undefined): Promise<Body> {
    const at = this.#context.connections.sending(this.#id);
    const isEarly = delivery !== undefined && at !== undefined && !kindOf(delivery.kind).isEssential;
    const sealing: Promise<Body> = isEarly
      ? sealFor(this.#context.keys, at.route.keys, delivery.plaintext)
      : Promise.resolve(null);
    sealing.catch(() => {});
    return sealing;
  }

  /** Delivers one, however long it takes; `false` when what comes next must be read again. */
  async #deliver(delivery: QueuedDelivery, body: Promise<Body>): Promise<boolean> {
    for (let failures = 1; !this.#isClosed; failures++) {
      const at = this.#context.connections.sending(this.#id);
      if (at === undefined) break;
      const outcome = await this.#try(delivery, at, { body, failures });
      if (this.#isClosed && outcome !== "sent") break;
      if (outcome === "sent") return await this.#settle({ type: "sent", delivery });
      if (outcome !== "retry") {
        await this.#giveUp(delivery, outcome.failed);
        break;
      }
      delivery = { ...delivery, attempted: delivery.attempted || this.#attempted === delivery.position };
      await this.#wait(failures);
    }
    await body.catch(() => {});
    return false;
  }

  async #try(
    delivery: QueuedDelivery,
    at: AtSending,
    { body, failures }: { readonly body: Promise<Body>; readonly failures: number },
  ): Promise<Outcome> {
    try {
      const whole = delivery.plaintext.length === 0 ? await this.#make(delivery, { at, failures }) : delivery;
      if (whole === null) return "retry";
      await this.#send(whole, at, body);
      return "sent";
    } catch (error) {
      return this.#judge(delivery, { error, failures });
    }
  }

  /** Makes the queue for the other direction, and the REPLY that tells of it; `null` when its server refuses to. */
  async #make(
    delivery: QueuedDelivery,
    { at: { connection: { record, receiving } }, failures }: {
      readonly at: AtSending;
      readonly failures: number;
    },
  ): Promise<QueuedDelivery | null> {
    const { position } = delivery;
    const { servers, store } = this.#context;
    if (receiving.length === 0) {
      const queue = await makeReceivingRoute(this.#context).catch((error) => {
        // It says nothing about the other agent's queue, and the next try may be at another server.
        if (!(error instanceof SmpError)) throw error;
        this.#failed(error, failures - 1);
        return null;
      });
      if (queue === null) return null;
      const { route, client } = queue;
      let made;
      try {
        made = await this.#interpreter.do(record.id, { type: "route made", receiving: route, position });
      } finally {
        // It was not stored, or the connection is deleted.
        if (made?.connection.receiving.includes(route) !== true) await this.#context.abandon(route);
      }
      if (made !== null) servers.created(subscribedQueue(this.#context, route), client);
    }
    const deliveries = await store.deliveries(this.#id, batchSize);
    return deliveries.find((other) => other.position === position) ?? delivery;
  }

  async #send(
    { kind, plaintext, ...delivery }: QueuedDelivery,
    { connection, route: { keys: queue } }: AtSending,
    sealed: Promise<Body>,
  ): Promise<void> {
    const { servers, keys } = this.#context;
    const sealing = sealed.then((body) => body ?? sealFor(keys, queue, plaintext));
    const connecting = servers.client(queue.server);
    // Neither is left to itself when the other one fails: closing the agent waits for what was begun.
    await Promise.allSettled([connecting, sealing]);
    const [client, body] = [await connecting, await sealing];
    const { senderId } = queue;
    if (kindOf(kind).isSigned) {
      return await client.send({ senderId, senderKey: await keys.signing(queue.senderKey) }, body);
    }
    // An answer that is lost must not look like a queue that somebody else has secured, over restarts too.
    if (!delivery.attempted) {
      const { route, position, giveUpAt } = delivery;
      await this.#interpreter.do(connection.record.id, { type: "attempted", route, position, giveUpAt });
    }
    this.#attempted = delivery.position;
    await client.send({ senderId }, body);
  }

  #judge(
    delivery: QueuedDelivery,
    { error, failures }: { readonly error: unknown; readonly failures: number },
  ): Outcome {
    const { deadlines, joinTimeout } = this.#context;
    const failed = agentError(error);
    if (error instanceof StoreError) {
      this.#failed(error, failures - 1);
      return "retry";
    }
    const { giveUpAt } = delivery;
    if (giveUpAt !== null && deadlines.isOver(giveUpAt, joinTimeout)) return { failed };
    if (error instanceof TransportError || isAbort(error)) return "retry";
    // What cannot be made or encrypted now cannot be later either.
    if (!(error instanceof SmpError)) return { failed };
    if (error.code === "QUOTA" || error.code === "INTERNAL") return "retry";
    const verdict = kindOf(delivery.kind).refused(error.code, delivery);
    return verdict === "failed" ? { failed } : verdict;
  }

  /** Gives a delivery up; without KEY and HELLO nothing else can be sent either. */
  async #giveUp(delivery: QueuedDelivery, error: AgentError): Promise<void> {
    const isRoute = kindOf(delivery.kind).isEssential;
    for (let failures = 0; !this.#isClosed; failures++) {
      try {
        const at = this.#context.connections.sending(this.#id);
        if (at === undefined) return;
        await this.#interpreter.do(at.connection.record.id, async (connection) => {
          // In its turn: nothing is sent on the route between the look and what is stored.
          const deliveries = isRoute
            ? await this.#context.store.deliveries(this.#id, Number.MAX_SAFE_INTEGER)
            : [delivery];
          const frames = isRoute ? await this.#waitingFrames(connection) : [];
          return { type: "given up", route: this.#id, deliveries, frames, error, isRoute };
        });
        return;
      } catch (error) {
        this.#failed(error, failures);
        await this.#wait(failures + 1);
      }
    }
  }

  /** The frames that wait for a session that will not be. */
  async #waitingFrames({ record: { id }, session }: Connection): Promise<FrameRecord[]> {
    if (session === null || session.status === "active") return [];
    return await this.#context.store.frames(id, 0, session.lastNumber);
  }

  /** Stores what became of a delivery, until that succeeds: it is not sent again because a disk is full. */
  async #settle(event: Extract<ConnectionEvent, { readonly type: "sent" }>): Promise<boolean> {
    for (let failures = 0; !this.#isClosed || failures === 0; failures++) {
      const at = this.#context.connections.sending(this.#id);
      if (at === undefined) return false;
      try {
        await this.#interpreter.do(at.connection.record.id, event, { isTogether: true });
        return true;
      } catch (error) {
        this.#failed(error, failures);
        await this.#wait(failures + 1);
      }
    }
    return false;
  }

  /** Tells of a failure, the first time. */
  #failed(error: unknown, failures: number): void {
    const at = this.#context.connections.sending(this.#id);
    if (failures === 0 && at !== undefined) this.#context.failed(at.connection.record.id, error);
  }

  /** Waits longer with each failure. */
  async #wait(failures: number): Promise<void> {
    if (!this.#isClosed) await this.#pause.wait(backoffDelay(this.#context.retry, failures));
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
