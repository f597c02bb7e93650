import type { MessageEvent, QueueEvent, SmpClient } from "../client/mod.ts";
import { deferred, type ServerAddress, SmpError, TransportError } from "../protocol/mod.ts";
import { type Backoff, backoffDelay } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { ServerEvents, SubscribedQueue } from "./server_events.ts";
import { WorkQueue } from "./work_queue.ts";

/** Subscriptions that are sent at a time: each has its time from then on. */
export const subscriptionBatch = 100;

/** How subscriptions are kept. */
export interface SubscriptionsOptions {
  /** Between tries to subscribe to one queue. */
  readonly reconnect: Backoff;
  readonly clock: Clock;
  readonly events: ServerEvents;
  /** The queue with this ID is not wanted any more, though nobody has forgotten it. */
  readonly dropped: (id: string) => void;
  /** Has aborted when everything is being closed: nothing is told any more. */
  readonly signal: AbortSignal;
}

/** A queue that is to be subscribed to whenever there is a connection, and what is so on the current one. */
interface Wanted {
  readonly queue: SubscribedQueue;
  /** What the owner believes. */
  told: "nothing" | "up" | "down";
  /** Calls of `subscribe` that have no result yet. */
  waiting: PromiseWithResolvers<void>[];
  progress: "idle" | "queued" | "sent";
  /** Another SUB is to follow the one under way. */
  isAskedAgain: boolean;
  /** The number of the last subscription; `null` when there is none, or none that is known of. */
  since: number | null;
  /** The number of the last END that came while a SUB was under way. */
  endedAt: number;
  failures: number;
  pause: AbortController | null;
  /**
   * Whether only the next answer to SUB tells which message is delivered: from when one is sent until one has come, and
   * after an ACK of which nothing is known.
   */
  isDoubtful: boolean;
  /** What came meanwhile: of a queue with a window as much as may be, else the last message. */
  held: readonly MessageEvent[];
}

/** Messages of a queue that wait for the answer to SUB at most; more than any window. */
const mostHeld = 256;

/** Queues that are told of together when the last of them has been tried; `back`: those that are subscribed to. */
interface Group {
  left: number;
  readonly back: Wanted[];
}

interface Session {
  readonly client: SmpClient;
  readonly work: WorkQueue;
}

/** The subscriptions on one server: each queue's is kept up by itself, whatever becomes of the others. */
export class Subscriptions implements AsyncDisposable {
  readonly #server: ServerAddress;
  readonly #options: SubscriptionsOptions;
  readonly #wanted = new Map<string, Wanted>();
  readonly #byRecipientId = new Map<string, Wanted>();
  #session: Session | null = null;
  /** What goes on beside the current session's work. */
  readonly #pending = new Set<Promise<void>>();

  /** Wants nothing yet, and has no connection. */
  constructor(server: ServerAddress, options: SubscriptionsOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** How many queues are wanted. */
  get size(): number {
    return this.#wanted.size;
  }

  /** See `Servers.subscribe`. */
  subscribe(queue: SubscribedQueue): Promise<void> {
    const wanted = this.#wanted.get(queue.id) ?? this.#add(queue);
    const waiting = deferred<void>();
    wanted.waiting.push(waiting);
    if (wanted.progress === "idle") this.#start(wanted);
    return waiting.promise;
  }

  /** Wants a queue that was created, and so subscribed to, through `client`. */
  created(queue: SubscribedQueue, client: SmpClient): void {
    // Somebody was earlier, and may wait for it.
    if (this.#wanted.has(queue.id)) return;
    const wanted = this.#add(queue);
    if (this.#session?.client === client) {
      wanted.told = "up";
      wanted.since = 0;
      // What is created has a window of one.
      if (queue.window !== undefined) this.#start(wanted);
      return;
    }
    // Its subscription went with that connection, while the queue was stored.
    wanted.told = "down";
    this.#options.events.down(this.#server, [queue]);
    this.#start(wanted);
  }

  /**
   * Sends SUB again if there is a connection: the server delivers a message that is not acknowledged again. What came
   * before its answer is not wanted: it may be acknowledged already.
   */
  resubscribe(id: string): void {
    const wanted = this.#wanted.get(id);
    if (wanted !== undefined && this.#session !== null) wanted.isDoubtful = true;
    // In a pause after a failure it is sent when that is over.
    if (wanted !== undefined && wanted.pause === null) this.#start(wanted);
  }

  /**
   * Whether ACK, which names no message, is for this one that came through `client`: not when a SUB may have another one
   * delivered, which would be acknowledged unseen. The answer to SUB delivers it again.
   */
  mayAcknowledge(id: string, message: MessageEvent, client: SmpClient): boolean {
    const wanted = this.#wanted.get(id);
    return wanted !== undefined && this.#session?.client === client && isDelivered(wanted, message);
  }

  /** Wants a queue no more. */
  forget(id: string): void {
    const wanted = this.#wanted.get(id);
    if (wanted === undefined) return;
    this.#remove(wanted);
    reject(wanted, new DOMException("The queue was forgotten", "AbortError"));
  }

  /** Subscribes to all queues on a new connection. */
  connected(client: SmpClient): void {
    this.#session = { client, work: new WorkQueue(subscriptionBatch) };
    const all = [...this.#wanted.values()];
    for (let at = 0; at < all.length; at += subscriptionBatch) {
      const part = all.slice(at, at + subscriptionBatch);
      const group: Group = { left: part.length, back: [] };
      for (const wanted of part) this.#start(wanted, group);
    }
  }

  /** There is no connection, and could be none. */
  failed(error: unknown): void {
    for (const wanted of this.#wanted.values()) reject(wanted, error);
  }

  /** The connection is gone. */
  lost(error: unknown): void {
    this.#endSession();
    const down: SubscribedQueue[] = [];
    for (const wanted of this.#wanted.values()) {
      stop(wanted);
      reject(wanted, error);
      if (wanted.told !== "up") continue;
      wanted.told = "down";
      down.push(wanted.queue);
    }
    if (down.length > 0) this.#options.events.down(this.#server, down);
  }

  /** Takes what the server sends. */
  received(event: QueueEvent, client: SmpClient): void {
    const wanted = this.#byRecipientId.get(event.recipientId);
    if (wanted === undefined) return;
    if (event.type === "MSG") this.#message(wanted, event, client);
    // Only the answer to SUB tells whether this is the end of the subscription that it makes.
    else if (wanted.progress !== "idle") wanted.endedAt = event.sequence;
    else if (wanted.since !== null && event.sequence > wanted.since) this.#end(wanted);
  }

  #message(wanted: Wanted, event: MessageEvent, client: SmpClient): void {
    if (wanted.isDoubtful) this.#hold(wanted, event);
    else if (isDelivered(wanted, event)) this.#options.events.message(wanted.queue, event, client);
  }

  #hold(wanted: Wanted, event: MessageEvent): void {
    if (wanted.queue.window === undefined) wanted.held = [event];
    else if (wanted.held.length < mostHeld) wanted.held = [...wanted.held, event];
    else {
      wanted.held = [];
      wanted.isAskedAgain = wanted.progress === "sent";
    }
  }

  /** Wants nothing any more; resolves when nothing is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#endSession();
    for (const wanted of this.#wanted.values()) {
      this.#remove(wanted);
      reject(wanted, this.#options.signal.reason);
    }
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  #add(queue: SubscribedQueue): Wanted {
    const wanted: Wanted = {
      queue,
      told: "nothing",
      waiting: [],
      progress: "idle",
      isAskedAgain: false,
      since: null,
      endedAt: 0,
      failures: 0,
      pause: null,
      isDoubtful: false,
      held: [],
    };
    this.#wanted.set(queue.id, wanted);
    this.#byRecipientId.set(queue.recipientId, wanted);
    return wanted;
  }

  #remove(wanted: Wanted): void {
    const { id, recipientId } = wanted.queue;
    stop(wanted);
    this.#wanted.delete(id);
    if (this.#byRecipientId.get(recipientId) === wanted) this.#byRecipientId.delete(recipientId);
  }

  #drop(wanted: Wanted): void {
    this.#remove(wanted);
    this.#options.dropped(wanted.queue.id);
  }

  #end(wanted: Wanted): void {
    this.#drop(wanted);
    this.#options.events.ended(wanted.queue);
  }

  #endSession(): void {
    if (this.#session !== null) this.#do(this.#session.work[Symbol.asyncDispose]());
    this.#session = null;
  }

  #do(work: Promise<void>): void {
    const done = work.finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }

  /** Sends SUB when it is its turn, if there is a connection. */
  #start(wanted: Wanted, group: Group = { left: 1, back: [] }): void {
    const session = this.#session;
    if (session === null) return;
    if (wanted.progress !== "idle") {
      wanted.isAskedAgain = wanted.progress === "sent";
      return;
    }
    endPause(wanted);
    wanted.progress = "queued";
    session.work.add(() => this.#try(session, wanted, group));
  }

  async #try(session: Session, wanted: Wanted, group: Group): Promise<void> {
    if (this.#isCurrent(session, wanted)) {
      wanted.progress = "sent";
      wanted.isDoubtful = true;
      const outcome = await sendSub(session.client, wanted.queue);
      if (this.#isCurrent(session, wanted)) {
        wanted.progress = "idle";
        if ("error" in outcome) this.#failedToSubscribe(session, wanted, outcome);
        else this.#subscribed(session, { wanted, sequence: outcome.sequence, group });
      }
    }
    if (--group.left === 0) this.#tellUp(session, group.back);
  }

  #isCurrent(session: Session, wanted: Wanted): boolean {
    return this.#session === session && this.#wanted.get(wanted.queue.id) === wanted;
  }

  #subscribed(
    { client }: Session,
    { wanted, sequence, group }: {
      readonly wanted: Wanted;
      readonly sequence: number;
      readonly group: Group;
    },
  ): void {
    wanted.since = sequence;
    wanted.failures = 0;
    // The caller learns it from the promise.
    if (wanted.told === "nothing" && wanted.waiting.length > 0) wanted.told = "up";
    for (const { resolve } of wanted.waiting.splice(0)) resolve();
    if (wanted.endedAt > sequence) return this.#end(wanted);
    group.back.push(wanted);
    if (wanted.isAskedAgain) {
      wanted.isAskedAgain = false;
      this.#start(wanted);
    } else {
      const { held } = wanted;
      endDoubt(wanted);
      for (const event of held) this.#message(wanted, event, client);
    }
  }

  #failedToSubscribe(session: Session, wanted: Wanted, { error, isFinal }: Failure): void {
    wanted.isAskedAgain = false;
    // Else it is not known what the server has done.
    if (!(error instanceof SmpError)) wanted.since = null;
    const isTold = reject(wanted, error);
    // The server has not subscribed again: the end that came meanwhile is that of the subscription before.
    if (!isFinal && wanted.since !== null && wanted.endedAt > wanted.since) return this.#end(wanted);
    if (!isFinal) return this.#do(this.#tryLater(session, wanted));
    this.#drop(wanted);
    if (!isTold) this.#options.events.refused(wanted.queue, error);
  }

  async #tryLater(session: Session, wanted: Wanted): Promise<void> {
    const { clock, reconnect } = this.#options;
    const pause = wanted.pause = new AbortController();
    await clock.wait(backoffDelay(reconnect, ++wanted.failures), pause.signal);
    if (wanted.pause !== pause) return;
    wanted.pause = null;
    if (this.#isCurrent(session, wanted)) this.#start(wanted);
  }

  #tellUp(session: Session, back: readonly Wanted[]): void {
    const queues: SubscribedQueue[] = [];
    for (const wanted of back) {
      if (!this.#isCurrent(session, wanted) || wanted.told === "up") continue;
      wanted.told = "up";
      queues.push(wanted.queue);
    }
    if (queues.length > 0) this.#options.events.up(this.#server, queues);
  }
}

interface Failure {
  readonly error: Error;
  /** It would be the same the next time. */
  readonly isFinal: boolean;
}

async function sendSub(
  client: SmpClient,
  { recipientId, senderId, loadKey, window }: SubscribedQueue,
): Promise<{ readonly sequence: number } | Failure> {
  try {
    const recipientKey = await loadKey();
    const queue = { recipientId, senderId, recipientKey };
    return { sequence: await client.subscribe(queue, window === undefined ? {} : { window }) };
  } catch (cause) {
    const error = cause instanceof Error ? cause : new Error("Cannot subscribe to the queue", { cause });
    const isPassing = error instanceof SmpError ? error.code === "INTERNAL" : error instanceof TransportError;
    return { error, isFinal: !isPassing };
  }
}

/** Rejects the calls of `subscribe` that wait; `false` when there are none. */
function reject(wanted: Wanted, error: unknown): boolean {
  if (wanted.waiting.length === 0) return false;
  if (wanted.told === "nothing") wanted.told = "down";
  for (const { reject } of wanted.waiting.splice(0)) reject(error);
  return true;
}

/** What was under way on a connection is of no interest any more. */
function stop(wanted: Wanted): void {
  endPause(wanted);
  wanted.progress = "idle";
  wanted.isAskedAgain = false;
  wanted.since = null;
  wanted.endedAt = 0;
  wanted.failures = 0;
  endDoubt(wanted);
}

/** Whether a message is the one that the server has delivered last, as far as can be known. */
function isDelivered({ isDoubtful, since }: Wanted, { sequence }: MessageEvent): boolean {
  return !isDoubtful && since !== null && sequence >= since;
}

function endDoubt(wanted: Wanted): void {
  wanted.isDoubtful = false;
  wanted.held = [];
}

function endPause(wanted: Wanted): void {
  wanted.pause?.abort();
  wanted.pause = null;
}
