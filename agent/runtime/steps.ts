import { deferred } from "../../protocol/mod.ts";
import { changesBetween } from "../core/changes.ts";
import { step } from "../core/step.ts";
import type { ConnectionEvent, Step } from "../core/types.ts";
import type { Connection, EventRecord, StoreChange } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { EventLog } from "./event_log.ts";
import { sealFrames } from "./frames.ts";

type Context = Pick<
  AgentContext,
  "connections" | "store" | "announced" | "now" | "deadlines" | "discardTimeout"
>;

/** Steps of one connection that are stored together at most. */
const mostTogether = 64;

/**
 * What happens, or how it is made of the connection as it is when its turn comes; `null`: nothing happens. `unstored`: what
 * steps before it change that are stored with it.
 */
export type Happening =
  | ConnectionEvent
  | ((
    connection: Connection,
    unstored: readonly StoreChange[],
  ) => ConnectionEvent | null | Promise<ConnectionEvent | null>);

/** What is told of steps that were stored. */
export interface StepsPorts {
  /** Tells of an event. */
  tell(record: EventRecord): void;
  /** An event is no longer stored. */
  taken(record: EventRecord): void;
}

interface Waiting {
  readonly happening: Happening;
  readonly isTogether: boolean;
  readonly settled: PromiseWithResolvers<Step | null>;
}

/** A step that was made, and what of it was numbered. */
interface Made {
  readonly waiting: Waiting;
  /** Whether it may happen again after a power cut. */
  readonly mayBeLost: boolean;
  readonly step: Step;
  readonly records: readonly EventRecord[];
  readonly taken: EventRecord | undefined;
}

/**
 * Makes the steps of each connection one after the other, and stores each in one transaction, or several that wait and
 * may be stored together.
 */
export class Steps {
  readonly #context: Context;
  readonly #log: EventLog;
  readonly #ports: StepsPorts;
  readonly #waiting = new Map<string, Waiting[]>();

  /** Does nothing by itself. */
  constructor(context: Context, log: EventLog, ports: StepsPorts) {
    this.#context = context;
    this.#log = log;
    this.#ports = ports;
  }

  /**
   * Makes a step when its turn comes; gives it when it is stored, `null` when there is none. `isTogether`: it reads
   * nothing from the store that steps before it change, but what it is given of that, and can be stored with the one
   * before it. Throws what the store throws.
   */
  make(id: string, happening: Happening, isTogether: boolean): Promise<Step | null> {
    const waiting: Waiting = { happening, isTogether, settled: deferred<Step | null>() };
    const queue = this.#waiting.get(id) ?? [];
    queue.push(waiting);
    this.#waiting.set(id, queue);
    void this.#context.connections.serially(id, () => this.#next(id));
    return waiting.settled.promise;
  }

  /** Makes what waits longest, with what follows it and can be stored together; never rejects. */
  async #next(id: string): Promise<void> {
    const queue = this.#waiting.get(id);
    const first = queue?.shift();
    // It was stored with those before it.
    if (queue === undefined || first === undefined) return;
    const batch = [first];
    while (queue[0]?.isTogether === true && batch.length < mostTogether) {
      batch.push(queue.shift()!);
    }
    if (queue.length === 0) this.#waiting.delete(id);
    const made: Made[] = [];
    try {
      await this.#makeAll(id, batch, made);
    } catch (error) {
      for (const { records, waiting } of made) {
        for (const record of records) this.#log.remove(record);
        waiting.settled.reject(error);
      }
    }
  }

  async #makeAll(id: string, batch: readonly Waiting[], made: Made[]): Promise<void> {
    const { connections, store } = this.#context;
    const before = connections.find(id);
    if (before === undefined) return batch.forEach(({ settled }) => settled.resolve(null));
    let after = before;
    const unstored: StoreChange[] = [];
    for (const waiting of batch) {
      try {
        const one = await this.#make(after, waiting, unstored);
        if (one === null) {
          waiting.settled.resolve(null);
          continue;
        }
        made.push(one);
        unstored.push(...one.step.changes);
        after = one.step.connection;
      } catch (error) {
        waiting.settled.reject(error);
      }
    }
    const changes = changesBetween(before, after);
    for (const { step, records, taken } of made) changes.push(...step.changes, ...changesOf(records, taken));
    const mayBeLost = made.every((one) => one.mayBeLost);
    if (changes.length > 0) await store.commit(changes, { mayBeLost });
    connections.set(after);
    for (const { waiting, step, records, taken } of made) {
      if (taken !== undefined) this.#ports.taken(taken);
      for (const record of records) this.#ports.tell(record);
      waiting.settled.resolve(step);
    }
  }

  async #make(
    connection: Connection,
    waiting: Waiting,
    unstored: readonly StoreChange[],
  ): Promise<Made | null> {
    const { record: { id } } = connection;
    const { announced, now, deadlines, discardTimeout } = this.#context;
    const { happening } = waiting;
    const event = typeof happening === "function" ? await happening(connection, unstored) : happening;
    if (event === null) return null;
    const context = { now: now(), announced, discardUntil: deadlines.after(discardTimeout) };
    const stepped = step(connection, event, context);
    const made = stepped.frames.length > 0 ? await withFrames(stepped) : stepped;
    const records = this.#log.number(id, made.events);
    const taken = event.type === "acknowledged" ? this.#log.ofMessage(id, event.id) : undefined;
    // What a server has taken goes to it again when that is not known any more, as after the end of the program.
    const mayBeLost = event.type === "frames sent" && made.commands.length === 0;
    return { waiting, mayBeLost, step: made, records, taken };
  }
}

function changesOf(records: readonly EventRecord[], taken: EventRecord | undefined): StoreChange[] {
  const changes = records.map((event): StoreChange => ({ type: "put event", event }));
  return taken === undefined ? changes : [...changes, { type: "delete event", id: taken.id }];
}

/** A step with its frames in the session: numbered, and encrypted where that may be. */
async function withFrames(made: Step): Promise<Step> {
  const { connection, frames } = await sealFrames(made.connection, made.frames);
  const isReady = frames.some(({ message }) => message.length > 0);
  return {
    ...made,
    connection,
    changes: [...made.changes, ...frames.map((frame): StoreChange => ({ type: "put frame", frame }))],
    // First: others wait for a server.
    commands: [
      ...isReady
        ? connection.outbound.map(({ id: route }) => ({ type: "send packets", route }) as const)
        : [],
      ...made.commands,
    ],
  };
}
