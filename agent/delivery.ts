import { formatAddress, type ServerAddress, SmpError, TransportError } from "../protocol/mod.ts";
import { backoffDelay, Pause } from "./backoff.ts";
import { transition } from "./connection.ts";
import type { Update } from "./connections.ts";
import { type AgentContext, createReceivingQueue, subscribedQueue } from "./context.ts";
import { sealFor, withReplyQueue } from "./outgoing.ts";
import { AgentError, agentError } from "./protocol/error.ts";
import type { ConnectionRecord, OutboxEntry, SendingQueue, StoreChange } from "./store/store.ts";

/** Entries that are read from the store at a time. */
const batchSize = 16;

/** What became of a try to send. */
type Outcome = "sent" | "again" | { readonly failed: AgentError };

/** Sends what is in the outboxes: each connection's in order, all beside each other, until it succeeds or cannot. */
export class Delivery implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #running = new Map<string, Promise<void>>();
  /** Connections that have something new since their worker last looked. */
  readonly #woken = new Set<string>();
  readonly #pauses = new Map<string, { readonly server: string; readonly pause: Pause }>();
  #isClosed = false;

  /** Sends nothing yet. */
  constructor(context: AgentContext) {
    this.#context = context;
  }

  /** Looks at the outbox of a connection: there is something new. */
  wake(alias: string): void {
    if (this.#isClosed) return;
    this.#woken.add(alias);
    if (this.#running.has(alias)) return;
    const work = this.#workOn(alias).finally(() => {
      this.#running.delete(alias);
      if (this.#woken.has(alias)) this.wake(alias);
    });
    this.#running.set(alias, work);
  }

  /** Tries at once what waits for a server, which can be reached now. */
  reachable(server: ServerAddress): void {
    const name = formatAddress(server);
    for (const waiting of this.#pauses.values()) if (waiting.server === name) waiting.pause.end();
  }

  /** Stops; what was not sent stays in the store. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const { pause } of this.#pauses.values()) pause.end();
    await Promise.all(this.#running.values());
  }

  /** Works until there is nothing to send; goes on after a failure of the store, when that may have passed. */
  async #workOn(alias: string): Promise<void> {
    for (let failures = 1; !this.#isClosed; failures++) {
      try {
        return await this.#work(alias);
      } catch (error) {
        this.#context.emit({ type: "error", connection: alias, error: agentError(error) });
        this.#woken.add(alias);
        await this.#pause(alias, "", failures);
      }
    }
  }

  async #work(alias: string): Promise<void> {
    while (this.#woken.delete(alias)) {
      for (;;) {
        const entries = await this.#context.store.outbox(alias, batchSize);
        if (entries.length === 0) break;
        if (!await this.#deliverAll(alias, entries) && this.#isClosed) return;
      }
    }
  }

  /** Sends entries in order; `false` when one failed, and what it has removed must not be tried. */
  async #deliverAll(alias: string, entries: readonly OutboxEntry[]): Promise<boolean> {
    let next = this.#seal(alias, entries[0]);
    for (const [i, entry] of entries.entries()) {
      const body = next;
      // While one is on its way the next one is encrypted.
      next = this.#seal(alias, entries[i + 1]);
      if (await this.#deliver(entry, body)) continue;
      await next;
      return false;
    }
    return true;
  }

  /** The encrypted body of a user message; `null` for others, which may change until they are sent. */
  async #seal(alias: string, entry: OutboxEntry | undefined): Promise<Uint8Array<ArrayBuffer> | null> {
    const queue = this.#context.connections.find(alias)?.sending;
    return queue && entry?.kind === "MSG" ? await sealFor(this.#context, queue, entry.plaintext) : null;
  }

  /** Sends an entry, however long it takes; `false` when the outbox must be looked at again. */
  async #deliver(entry: OutboxEntry, body: Promise<Uint8Array<ArrayBuffer> | null>): Promise<boolean> {
    const { connections } = this.#context;
    const { alias } = entry;
    for (let failures = 1; !this.#isClosed; failures++) {
      const record = connections.find(alias);
      if (record === undefined || record.sending === null) return false;
      const outcome = await this.#try(entry, record, body);
      if (outcome === "sent") return true;
      if (outcome !== "again") {
        await this.#fail(entry, outcome.failed);
        return false;
      }
      entry = { ...entry, attempted: true };
      await this.#pause(alias, formatAddress(record.sending.server), failures);
    }
    return false;
  }

  /** Waits longer with each failure; less if `server` can be reached again. */
  async #pause(alias: string, server: string, failures: number): Promise<void> {
    if (this.#isClosed) return;
    const pause = new Pause();
    this.#pauses.set(alias, { server, pause });
    await pause.wait(backoffDelay(this.#context.retry, failures));
    this.#pauses.delete(alias);
  }

  async #try(
    entry: OutboxEntry,
    record: ConnectionRecord,
    body: Promise<Uint8Array<ArrayBuffer> | null>,
  ): Promise<Outcome> {
    try {
      const whole = entry.kind === "REPLY" && entry.plaintext.length === 0
        ? await this.#makeReply(entry, record)
        : entry;
      await this.#send(whole, record.sending!, body);
    } catch (error) {
      if (!(error instanceof SmpError || error instanceof TransportError || isAbort(error))) throw error;
      const outcome = this.#judge(entry, error);
      if (outcome !== "sent") return outcome;
    }
    await this.#sent(entry);
    return "sent";
  }

  /** Makes the queue for the other direction, and the REPLY that tells of it. */
  async #makeReply(entry: OutboxEntry, record: ConnectionRecord): Promise<OutboxEntry> {
    const { connections, servers, store, now } = this.#context;
    if (record.receiving === null) {
      const { receiving, client } = await createReceivingQueue(this.#context);
      await connections.update(entry.alias, (current) => withReplyQueue(current, entry, receiving, now()));
      servers.created(subscribedQueue(this.#context, receiving), client);
    }
    const entries = await store.outbox(entry.alias, batchSize);
    return entries.find(({ position }) => position === entry.position) ?? entry;
  }

  async #send(
    { kind, plaintext, ...entry }: OutboxEntry,
    queue: SendingQueue,
    sealed: Promise<Uint8Array<ArrayBuffer> | null>,
  ): Promise<void> {
    const { servers, keys, store } = this.#context;
    const sealing = sealed.then((body) => body ?? sealFor(this.#context, queue, plaintext));
    const connecting = servers.client(queue.server);
    // Neither is left to itself when the other one fails: closing the agent waits for what was begun.
    await Promise.allSettled([connecting, sealing]);
    const [client, body] = [await connecting, await sealing];
    const { senderId } = queue;
    if (kind !== "KEY") {
      return await client.send({ senderId, senderKey: await keys.signing(queue.senderKey) }, body);
    }
    // An answer that is lost must not look like a queue that somebody else has secured, over restarts too.
    if (!entry.attempted) {
      await store.commit([{ type: "put outbox", entry: { ...entry, kind, plaintext, attempted: true } }]);
    }
    await client.send({ senderId }, body);
  }

  #judge({ kind, attempted, createdAt }: OutboxEntry, error: unknown): Outcome {
    const { joinTimeout, now } = this.#context;
    const failed = agentError(error);
    const isGreeting = kind === "KEY" || kind === "HELLO";
    if (isGreeting && now() - createdAt > joinTimeout) return { failed };
    if (!(error instanceof SmpError) || error.code === "QUOTA" || error.code === "INTERNAL") return "again";
    if (error.code !== "AUTH") return { failed };
    // The recipient has not secured the queue yet.
    if (kind === "HELLO") return "again";
    return kind === "KEY" && attempted ? "sent" : { failed };
  }

  async #sent(entry: OutboxEntry): Promise<void> {
    const { alias, kind, position, messageId } = entry;
    let isConnected = false;
    await this.#update(alias, (record) => {
      const { state, effects } = transition(record.state, { type: "sent", message: kind });
      isConnected = effects.includes("connected");
      const changes: StoreChange[] = [{ type: "delete outbox", alias, position }];
      if (messageId > 0) changes.push({ type: "message done", alias, id: messageId });
      return { record: { ...record, state }, changes };
    });
    const { emit } = this.#context;
    if (isConnected) emit({ type: "connected", connection: alias });
    if (messageId > 0) emit({ type: "sent", connection: alias, id: messageId });
  }

  /** Gives up an entry; without KEY and HELLO nothing else can be sent either. */
  async #fail(entry: OutboxEntry, error: AgentError): Promise<void> {
    const { store, emit } = this.#context;
    const { alias } = entry;
    const isAll = entry.kind !== "MSG";
    const lost = isAll ? await store.outbox(alias, Number.MAX_SAFE_INTEGER) : [entry];
    await this.#update(alias, (record) => ({
      record,
      changes: lost.map(({ position }) => ({ type: "delete outbox", alias, position })),
    }));
    if (isAll) emit({ type: "error", connection: alias, error });
    for (const { messageId: id } of lost) if (id > 0) emit({ type: "error", connection: alias, error, id });
  }

  /** The connection may have been deleted meanwhile. */
  async #update(alias: string, step: (record: ConnectionRecord) => Update): Promise<void> {
    try {
      await this.#context.connections.update(alias, step);
    } catch (error) {
      if (!(error instanceof AgentError && error.code === "CONN UNKNOWN")) throw error;
    }
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
