import { counted } from "../../cli/counted.ts";
import { defaultPort, type QueueInfo, type ServerAddress } from "../../protocol/mod.ts";
import type { Agent } from "../agent.ts";
import type { Clock } from "../clock.ts";
import { AgentError, unknownConnection } from "../protocol/error.ts";
import type { StreamOffer } from "../stream/types.ts";
import { type Asker, Askers, type Question } from "./askers.ts";
import type { Extension, ServiceResponse } from "./command.ts";
import type { RequestId } from "./json.ts";
import { KeptReceipts } from "./kept_receipts.ts";
import type { ServiceLog } from "./log.ts";
import { Taker } from "./taker.ts";
import { responseTo, setOwner, type Subscriber, type Told, type Watch } from "./watch.ts";

/** What is kept of a session. */
interface Client {
  /** The connections that it owns, by ID. */
  readonly owned: Set<string>;
  /** Connections with events that it had no room for. */
  readonly behind: Set<string>;
  isCatchingUp: boolean;
}

/** Connections of which events are told again at a time. */
const repeatBatch = 64;

/**
 * Tells sessions what happens to connections: answers go to the session that has asked, all else to the one that the
 * connection belongs to. An event is taken when it was written, a message where that is asked for after its ACK; what
 * nobody was told stays stored, and is told to whoever subscribes.
 */
export class Notifier implements AsyncDisposable {
  readonly agent: Agent;
  readonly #clock: Clock;
  readonly #log: ServiceLog | undefined;
  readonly #clients = new Map<Subscriber, Client>();
  readonly #watches = new Map<string, Watch>();
  readonly #askers = new Askers();
  readonly #receipts: KeptReceipts;
  readonly #work = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  readonly #taker: Taker;
  /** Streams of the other sides that sessions have accepted. */
  readonly joined = new WeakSet<StreamOffer>();

  /** Tells nothing yet. */
  constructor(agent: Agent, clock: Clock, log?: ServiceLog) {
    this.agent = agent;
    this.#log = log;
    this.#clock = clock;
    this.#taker = new Taker(agent, { clock, signal: this.#abort.signal });
    this.#receipts = new KeptReceipts(this.#taker);
  }

  /** A session begins. */
  attach(subscriber: Subscriber): void {
    this.#clients.set(subscriber, { owned: new Set(), behind: new Set(), isCatchingUp: false });
    this.#askers.attach(subscriber);
  }

  /** A session has ended: its connections belong to nobody, and what it waits for comes to their next owners. */
  release(subscriber: Subscriber): void {
    const client = this.#clients.get(subscriber);
    if (client === undefined) return;
    this.#clients.delete(subscriber);
    this.#askers.release(subscriber);
    for (const id of client.owned) {
      const watch = this.#watches.get(id);
      if (watch?.owner !== subscriber) continue;
      // What is being written is not taken.
      setOwner(watch, null);
      this.#watches.delete(id);
    }
  }

  /** Whether a connection belongs to a session. */
  owns(subscriber: Subscriber, id: string): boolean {
    return this.#watches.get(id)?.owner === subscriber;
  }

  /** Whether a connection belongs to any session. */
  isOwned(alias: string): boolean {
    return (this.#watchOf(alias)?.owner ?? null) !== null;
  }

  /** A connection that was made by a session belongs to it. Throws `AgentError` when it is deleted by now. */
  claim(subscriber: Subscriber, alias: string): void {
    const client = this.#clients.get(subscriber);
    if (client === undefined) return;
    const { id } = this.agent.connection(alias);
    const watch = this.#watch(id, alias);
    const { owner } = watch;
    if (owner === subscriber) {
      // Told once more, as it asks for that.
      for (const event of watch.unacknowledged.values()) watch.told.delete(event);
      return;
    }
    setOwner(watch, subscriber);
    // They are told, or taken, with what is told again.
    this.#receipts.forgetAll(id);
    client.owned.add(id);
    if (owner === null) return;
    this.#clients.get(owner)?.owned.delete(id);
    owner.drop(id);
    owner.say(null, alias, { type: "END" }, id).catch(() => {});
  }

  /** Subscribes; the answer is said before anything else about the connection. Rejects with `AgentError`. */
  async subscribe(subscriber: Subscriber, request: RequestId, alias: string): Promise<void> {
    const { id } = this.agent.connection(alias);
    try {
      await this.agent.subscribe(alias);
    } catch (error) {
      // Nothing can be received, but whether it is connected can be told.
      if (error instanceof AgentError && error.code === "CONN SIMPLEX" && !this.isOwned(alias)) {
        this.#claimAgain(subscriber, alias);
      }
      throw error;
    }
    if (this.#idOf(alias) !== id) throw unknownConnection(alias);
    this.claim(subscriber, alias);
    const said = subscriber.say(request, alias, { type: "OK" });
    this.agent.repeat(alias);
    this.#tellOffersOf(subscriber, alias);
    await said;
  }

  /** Tells a session of the streams that are offered to its connections, or wait to be gone on with. */
  tellOffers(subscriber: Subscriber): void {
    for (const id of this.#clients.get(subscriber)?.owned ?? []) {
      this.#tellOffersOf(subscriber, this.#watches.get(id)!.alias);
    }
  }

  /** Sends a message; SENT or ERR comes later. Rejects with `AgentError`. */
  async send(subscriber: Subscriber, request: RequestId, alias: string, body: Uint8Array): Promise<void> {
    const { id } = this.agent.connection(alias);
    await this.#askers.asking({ subscriber, id: request, alias }, async (asker) => {
      const number = await this.agent.send(alias, body);
      // Before it is sent there is the network, so that no event has come yet.
      if (this.#idOf(alias) !== id) throw unknownConnection(alias);
      this.#askers.ask(id, number, asker);
    });
  }

  /** Joins; gives the alias. ERR comes later, as the answer to `request` or, without, as a notification. */
  async join(
    subscriber: Subscriber,
    request: RequestId | null,
    alias: string,
    { invitation, reply }: { readonly invitation: QueueInfo; readonly reply: boolean },
  ): Promise<string> {
    return await this.#askers.asking({ subscriber, id: request, alias }, async (asker) => {
      const made = await this.agent.join(invitation, { reply, ...(alias && { alias }) });
      const { id } = this.agent.connection(made);
      this.#askers.ask(id, "join", request === null ? { ...asker, alias: made } : asker);
      this.claim(subscriber, made);
      return made;
    });
  }

  /** Acknowledges a message that was told to a session which does so. Rejects with `AgentError`. */
  async acknowledge(subscriber: Subscriber, alias: string, message: number): Promise<void> {
    const watch = this.#watches.get(this.agent.connection(alias).id);
    const event = watch?.owner === subscriber ? watch.unacknowledged.get(message) : undefined;
    if (watch === undefined || event === undefined) {
      throw new AgentError("CMD PROHIBITED", `Message ${message} does not wait for ACK in this session`);
    }
    await this.agent.take(event);
    watch.unacknowledged.delete(message);
    watch.told.delete(event);
  }

  /** Deletes a connection; whoever waits for an answer about it gets one. Rejects with `AgentError`. */
  async delete(subscriber: Subscriber, alias: string): Promise<void> {
    const { id } = this.agent.connection(alias);
    await this.agent.delete(alias);
    this.#receipts.forgetAll(id);
    const { code: error, message } = unknownConnection(alias);
    for (const asker of this.#askers.takeAll(id)) {
      if (asker.id === null) continue;
      asker.subscriber.say(asker.id, asker.alias, { type: "ERR", error, message }).catch(() => {});
    }
    const owner = this.#watches.get(id)?.owner ?? null;
    this.#watches.delete(id);
    if (owner === null) return;
    this.#clients.get(owner)?.owned.delete(id);
    owner.drop(id);
    if (owner !== subscriber) owner.say(null, alias, { type: "END" }).catch(() => {});
  }

  /** Tells what happens until the agent is closed. */
  async run(): Promise<void> {
    for await (const event of this.agent.events({ take: "manual" })) {
      switch (event.type) {
        case "down":
          this.#log?.warn(
            `${hostOf(event.server)} is lost to ${counted(event.connections.length, "connection")}`,
          );
          for (const alias of event.connections) this.#pass(alias, { type: "END" });
          break;
        case "up":
          this.#log?.info(
            `${hostOf(event.server)} has ${counted(event.connections.length, "connection")} again`,
          );
          for (const alias of event.connections) this.#pass(alias, { type: "UP" });
          break;
        case "stream offered":
          this.#tellOffer(event.connection, event.offer);
          break;
        case "end":
          this.#pass(event.connection, { type: "END" });
          break;
        default: {
          const id = this.#idOf(event.connection);
          if (id === undefined) break;
          if (event.type === "delivered") this.#receipt(id, event);
          else if (event.type === "route") this.#tellAsked(id, event, "routes");
          else if (event.type === "session") this.#tellAsked(id, event, "sessions");
          else this.#tell(id, event);
        }
      }
    }
    this.#abort.abort();
  }

  /** Waits until what was written is taken, but does not try again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await Promise.all([...this.#work, this.#taker[Symbol.asyncDispose]()]);
  }

  #pass(alias: string, response: ServiceResponse): void {
    const id = this.#idOf(alias);
    const watch = this.#watches.get(id ?? "");
    watch?.owner?.say(null, alias, response, id).catch(() => {});
  }

  /** What was delivered is told to an owner that has asked for it; another one need not know, and the next one may. */
  #receipt(id: string, event: Extract<Told, { readonly type: "delivered" }>): void {
    const { eventId } = event;
    if (eventId === undefined || this.#taker.isBusy(eventId)) return;
    const watch = this.#watches.get(id);
    const owner = watch?.owner ?? null;
    if (owner === null) return this.#receipts.keep(id, eventId);
    this.#receipts.forget(id, eventId);
    if (owner.extensions.has("receipts")) this.#notify(id, watch!, owner, event);
    else this.#taker.take(eventId);
  }

  /** Tells an owner that has asked for it. LIST has it too, as it is then: who is not there need not be told. */
  #tellAsked(id: string, event: Told, extension: Extension): void {
    if (this.#taker.isBusy(event.eventId)) return;
    const watch = this.#watches.get(id);
    const owner = watch?.owner ?? null;
    if (owner?.extensions.has(extension)) this.#notify(id, watch!, owner, event);
    else this.#taker.take(event.eventId);
  }

  #tell(id: string, event: Told): void {
    const { eventId, connection: alias } = event;
    if (this.#taker.isBusy(eventId)) return;
    const watch = this.#watches.get(id);
    const owner = watch?.owner ?? null;
    const asker = this.#askerOf(id, event);
    if (asker !== undefined) {
      const response = responseTo(event);
      const { subscriber } = asker;
      // CON is a notification, an answer goes with its command.
      const isCon = event.type === "connected";
      const isOfOwner = owner === null || owner === subscriber;
      if ("id" in event || (isOfOwner && !isCon)) return this.#answer(id, event, asker, response);
      if (!isOfOwner) {
        subscriber.say(isCon ? null : asker.id, isCon ? alias : asker.alias, response).catch(() => {});
      }
    }
    if (owner !== null) this.#notify(id, watch!, owner, event);
    else if (event.type === "sent") this.#taker.take(event.eventId);
  }

  /** Whom an event answers, who then waits no more. */
  #askerOf(id: string, event: Told): Asker | undefined {
    const { type, eventId, connection } = event;
    let question: Question | undefined;
    if ("id" in event) question = event.id;
    else if (type === "connected") question = "join";
    else if (type === "error" && eventId !== undefined && this.#askers.has(id, "join")) {
      // Other errors change nothing.
      if (!this.agent.connection(connection).canSend) question = "join";
    }
    return question === undefined ? undefined : this.#askers.take(id, question);
  }

  #answer(id: string, event: Told, asker: Asker, response: ServiceResponse): void {
    const { eventId } = event;
    this.#taker.hold(eventId);
    asker.subscriber.say(asker.id, asker.alias, response).then(() => this.#taker.take(eventId), () => {
      this.#taker.letGo(eventId);
      if (this.#idOf(event.connection) === id) this.#tell(id, event);
    });
  }

  #notify(id: string, watch: Watch, owner: Subscriber, event: Told): void {
    const { eventId } = event;
    const { told, unacknowledged } = watch;
    if (eventId === undefined) {
      owner.say(null, watch.alias, responseTo(event), id).catch(() => {});
      return;
    }
    if (told.has(eventId)) return;
    if (watch.isBehind || owner.isFull) return this.#fallBehind(id, watch, owner);
    told.add(eventId);
    const waits = event.type === "message" && owner.acknowledges;
    if (waits) unacknowledged.set(event.message.id, eventId);
    owner.say(null, watch.alias, responseTo(event), id).then(() => {
      // Another session is told by now.
      if (watch.told !== told || waits) return;
      told.delete(eventId);
      this.#taker.take(eventId);
    }, () => void told.delete(eventId));
  }

  /** There is no room for an event: it stays stored, and is told again when there is. */
  #fallBehind(id: string, watch: Watch, owner: Subscriber): void {
    watch.isBehind = true;
    const client = this.#clients.get(owner);
    if (client === undefined) return;
    client.behind.add(id);
    if (client.isCatchingUp) return;
    client.isCatchingUp = true;
    this.#do(this.#catchUp(owner, client));
  }

  async #catchUp(owner: Subscriber, client: Client): Promise<void> {
    const { behind } = client;
    while (behind.size > 0) {
      await owner.room();
      if (!this.#clients.has(owner)) return;
      for (const id of [...behind].slice(0, repeatBatch)) {
        behind.delete(id);
        const watch = this.#watches.get(id);
        if (watch?.owner !== owner || !watch.isBehind) continue;
        watch.isBehind = false;
        if (this.#idOf(watch.alias) !== id) continue;
        this.agent.repeat(watch.alias);
        this.#tellOffersOf(owner, watch.alias);
      }
      // What is told again is put into the session by then.
      await this.#clock.wait(0, this.#abort.signal);
    }
    client.isCatchingUp = false;
  }

  /** Where there is no room, what is still offered is told when there is. */
  #tellOffer(alias: string, offer: StreamOffer): void {
    const watch = this.#watchOf(alias), owner = watch?.owner ?? null;
    if (watch === undefined || owner === null) return;
    const id = this.#idOf(alias)!;
    if (watch.isBehind || owner.isFull) this.#fallBehind(id, watch, owner);
    else owner.offered(offer, id);
  }

  #tellOffersOf(subscriber: Subscriber, alias: string): void {
    const id = this.#idOf(alias);
    if (id === undefined) return;
    for (const stream of this.agent.streams(alias)) {
      if (stream.direction === "receiving") subscriber.offered(stream, id);
    }
  }

  #claimAgain(subscriber: Subscriber, alias: string): void {
    this.claim(subscriber, alias);
    this.agent.repeat(alias);
  }

  #do(task: Promise<void>): void {
    const work = task.finally(() => this.#work.delete(work));
    this.#work.add(work);
  }

  #watch(id: string, alias: string): Watch {
    let watch = this.#watches.get(id);
    if (watch === undefined) {
      watch = {
        alias,
        owner: null,
        told: new Set(),
        unacknowledged: new Map(),
        isBehind: false,
      };
      this.#watches.set(id, watch);
    }
    return watch;
  }

  #watchOf(alias: string): Watch | undefined {
    return this.#watches.get(this.#idOf(alias) ?? "");
  }

  #idOf(alias: string): string | undefined {
    try {
      return this.agent.connection(alias).id;
    } catch {
      return undefined;
    }
  }
}

function hostOf({ host, port = defaultPort }: ServerAddress): string {
  return `${host}:${port}`;
}
