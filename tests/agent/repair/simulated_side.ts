import { type AgentStore, MemoryStore } from "../../../agent/mod.ts";
import { Connections } from "../../../agent/core/connections.ts";
import type { Command, Step } from "../../../agent/core/types.ts";
import { EventLog } from "../../../agent/runtime/event_log.ts";
import { type EncryptedReceipt, encryptReceipt, encryptWaiting } from "../../../agent/runtime/frames.ts";
import { outgoing } from "../../../agent/runtime/outgoing.ts";
import { openPackets } from "../../../agent/runtime/packets.ts";
import { beginRepair, hearRepair, switching } from "../../../agent/runtime/repairs.ts";
import { type Happening, Steps } from "../../../agent/runtime/steps.ts";
import { started } from "../../../agent/session/fork.ts";
import { hasNumber } from "../../../agent/session/number_set.ts";
import {
  isGivenUp,
  isInterrupted,
  isRepairDue,
  unansweredRepair,
} from "../../../agent/session/repair_state.ts";
import { canEncrypt } from "../../../agent/session/session.ts";
import type { Connection, FrameRecord, StoredEvent } from "../../../agent/store/store.ts";
import { equalBytes, frameKinds, type Packet, padRepair, textBytes } from "../../../protocol/mod.ts";
import { textsIn } from "./model_side.ts";
import { copyOf } from "../../support/restored.ts";
import type { Random } from "../model/random.ts";

/** What a server has of a route: nobody but the sides puts or takes. */
export interface Queue {
  readonly id: string;
  /** With the server's number and time of each. */
  readonly packets: { readonly packet: Packet; readonly id: string; readonly at: number }[];
  /** Whether nobody reaches the server. */
  isCut: boolean;
}

/** What a message that was sent must do: `may`: what a restored database does not know of, and what no store took. */
export interface Sent {
  readonly text: string;
  readonly duty: "must" | "may";
}

/** What a backup has, beside the database. */
export interface Backup {
  readonly store: MemoryStore;
  readonly sent: readonly Sent[];
}

/** What ends a life at any point between two changes of a store or a server. */
export class Death extends Error {}

/** What an agent does of which no store knows: gone when it is closed. */
interface Life {
  readonly connections: Connections;
  readonly steps: Steps;
  /** Those of which something goes again, after this number. */
  readonly repeated: Map<string, number>;
  /** When something went again by a route last, and the routes by which it is to go later. */
  readonly repeatedAt: Map<string, number>;
  readonly later: Set<string>;
  /** The receipt that no route has taken, and those that are still to go by a route. */
  receipt: EncryptedReceipt | null;
  readonly receipts: Map<string, EncryptedReceipt>;
  /** Of a repair that was under way when the agent was closed. */
  isInterrupted: boolean;
}

const repeatInterval = 10_000;
const day = 86_400_000;

/** One side of a session without sockets and timers: its database, its lives, and what its application knows. */
export class SimulatedSide {
  readonly name: string;
  readonly #random: Random;
  readonly #clock: { now: number };
  store: AgentStore = new MemoryStore();
  sent: Sent[] = [];
  /** What the application was told, in all lives. */
  readonly everHad = new Set<string>();
  /** What a database had that was replaced by a backup. */
  readonly lostHad = new Set<string>();
  readonly lies: string[] = [];
  readonly security: string[] = [];
  /** Whether it is of a version that tells digests. */
  readonly tellsDigests: boolean;
  /** How many changes of the store or a server it survives. */
  lives = Infinity;
  inbound: readonly Queue[] = [];
  outbound: readonly Queue[] = [];
  other!: { readonly everHad: ReadonlySet<string> };
  #life: Life | null = null;
  #lastId = 0;

  constructor(
    name: string,
    { random, clock, tellsDigests }: {
      readonly random: Random;
      readonly clock: { now: number };
      readonly tellsDigests: boolean;
    },
  ) {
    this.name = name;
    this.tellsDigests = tellsDigests;
    this.#random = random;
    this.#clock = clock;
  }

  get isAlive(): boolean {
    return this.#life !== null;
  }

  get connection(): Connection {
    return this.#life!.connections.all()[0]!;
  }

  /** Opens its database, as an agent does. */
  async start(): Promise<void> {
    const { store } = this;
    const connections = await Connections.load(store);
    for (const connection of connections.all()) {
      connections.set(this.tellsDigests ? started(connection) : withoutDigests(started(connection)));
    }
    const log = await EventLog.load(store, this.#clock.now);
    const context = {
      store,
      connections,
      announced: ["session1"],
      now: () => this.#clock.now,
      deadlines: { after: () => 0, isOver: () => false, isSettled: () => true },
      discardTimeout: 0,
    };
    const steps = new Steps(context, log, { tell: ({ event }) => this.#tell(event), taken: () => {} });
    this.#life = {
      ...{
        connections,
        steps,
        repeated: new Map(),
        repeatedAt: new Map(),
        later: new Set(),
        receipt: null,
        receipts: new Map(),
      },
      isInterrupted: isInterrupted(connections.all()[0]!.session!),
    };
    this.#sayRepair();
  }

  stop(): void {
    this.#life = null;
  }

  async backup(): Promise<Backup> {
    return { store: await copyOf(this.store), sent: [...this.sent] };
  }

  async restore({ store, sent }: Backup): Promise<void> {
    this.stop();
    const kept = await textsIn(store);
    for (const text of await textsIn(this.store)) if (!kept.has(text)) this.lostHad.add(text);
    this.store = await copyOf(store);
    const after = this.sent.slice(sent.length).map(({ text }) => ({ text, duty: "may" } as const));
    this.sent = [...sent, ...after];
  }

  /** The texts that a database has of the other side, in their order. */
  async came(store: AgentStore = this.store): Promise<string[]> {
    const texts: string[] = [];
    for (const { record: { id } } of await store.connections()) {
      for (const { received, body } of await store.messages(id, { limit: 1000 })) {
        if (received !== null) texts.push(new TextDecoder().decode(body));
      }
    }
    return texts;
  }

  /** Messages with which it was told that something is missing before them, or is another one. */
  async flagged(): Promise<ReadonlySet<string>> {
    const messages = await this.store.messages(this.connection.record.id, { limit: 1000 });
    const told = messages.filter(({ received }) => received !== null && received.integrity.type !== "OK");
    return new Set(told.map(({ body }) => new TextDecoder().decode(body)));
  }

  async send(text: string): Promise<void> {
    const at = this.sent.length;
    this.sent.push({ text, duty: "may" });
    await this.#do((connection) => outgoing(connection, textBytes(text), this.#clock.now));
    this.sent[at] = { text, duty: "must" };
  }

  /** Does one thing that it can do, by chance; `false`: it can do nothing. */
  async doSomething(): Promise<boolean> {
    const all = [
      ...this.inbound.filter((queue) => !queue.isCut && queue.packets.length > 0).map((queue) => () =>
        this.#receive(queue)
      ),
      ...this.outbound.filter((queue) => !queue.isCut && this.#hasToSend(queue.id)).map((queue) => () =>
        this.#send(queue)
      ),
      ...await this.#untold() === undefined ? [] : [() => this.#acknowledge()],
      ...canEncrypt(this.connection.session!) ? [() => this.#encrypt()] : [],
      ...this.connection.session!.receiptDue ? [() => this.#tellReceipt()] : [],
    ];
    for (const act of shuffled(all, this.#random)) if (await act()) return true;
    return false;
  }

  /** Looks at what is due by now. */
  async look(): Promise<void> {
    const { session } = this.connection;
    const { receipted, lastTaken, quietSince = 0 } = session!;
    if (isRepairDue(this.connection, this.#clock.now)) await this.#repair(null);
    if (receipted.upTo < lastTaken && Math.abs(this.#clock.now - quietSince) > day) {
      await this.#do({ type: "repeat all" });
    }
    const routes = [...this.#life!.later];
    this.#life!.later.clear();
    for (const route of routes) if (receipted.ranges.length > 0) this.#repeat(route);
    const stage = unansweredRepair(session!);
    if (stage === null) return;
    const isAnew = this.#life!.isInterrupted || isGivenUp(session!, this.#clock.now);
    this.#life!.isInterrupted = false;
    if (isAnew) await this.#repair(stage);
    else this.#sayRepair();
  }

  /** The connection to a server was lost: the last frame goes again. */
  lostConnection(route: string): void {
    if (this.#life === null) return;
    const { session, outbound } = this.connection;
    const { cursor } = outbound.find(({ id }) => id === route)!;
    const { receipted } = session!;
    if (receipted.upTo >= cursor) return;
    this.#life.repeated.set(route, hasNumber(receipted, cursor) ? receipted.upTo : cursor - 1);
  }

  #tell(event: StoredEvent): void {
    if (event.type === "security") this.security.push(event.reason);
  }

  async #checkDelivered({ events }: Step): Promise<void> {
    for (const event of events) {
      if (event.type !== "delivered") continue;
      const message = await this.store.message(this.connection.record.id, event.id);
      const text = new TextDecoder().decode(message?.body);
      if (!this.other.everHad.has(text)) this.lies.push(text);
    }
  }

  /** Something has changed that others see: it may be the last thing that it does. */
  #mayDie(): void {
    if (--this.lives > 0) return;
    this.lives = Infinity;
    this.#life = null;
    throw new Death();
  }

  async #do(happening: Happening): Promise<Step | null> {
    const life = this.#life!;
    const step = await life.steps.make(this.connection.record.id, happening, false);
    if (step === null) return null;
    await this.#checkDelivered(step);
    this.#mayDie();
    for (const command of step.commands) await this.#run(command);
    return step;
  }

  async #run(command: Command): Promise<void> {
    if (command.type === "repair") await this.#repair(null);
    else if (command.type === "hear repair") {
      await this.#do((connection) => hearRepair(this.#context, connection, command.content));
    } else if (command.type === "say repair") this.#sayRepair();
    else if (command.type === "repeat") {
      this.#repeat(command.route);
    }
  }

  #repeat(route: string): void {
    const { repeated, repeatedAt, later } = this.#life!;
    const { now } = this.#clock;
    if (now - (repeatedAt.get(route) ?? -Infinity) < repeatInterval) later.add(route);
    else {
      repeatedAt.set(route, now);
      repeated.set(route, this.connection.session!.receipted.upTo);
    }
  }

  get #context() {
    return { store: this.store, now: () => this.#clock.now, allowUnverified: true };
  }

  async #repair(insteadOf: ReturnType<typeof unansweredRepair>): Promise<void> {
    await this.#do((connection) => beginRepair(this.#context, connection, insteadOf));
  }

  #sayRepair(): void {
    const stage = unansweredRepair(this.connection.session!);
    for (const queue of stage === null ? [] : this.outbound) {
      if (queue.isCut) continue;
      this.#put(queue, { type: "repair", content: padRepair({ bytes: stage!.said }, 4096).slice(1) });
    }
  }

  #put(queue: Queue, packet: Packet): void {
    queue.packets.push({ packet, id: `${queue.id} ${this.name} ${++this.#lastId}`, at: this.#clock.now });
  }

  /** Packets of a queue, as they are handled together; they stay there when it dies before it has acknowledged them. */
  async #receive(queue: Queue): Promise<boolean> {
    const batch = queue.packets.slice(0, 1 + this.#random.below(4));
    let rest = batch.map(({ packet, id, at }) => ({ packet, serverId: id, serverAt: at }));
    while (rest.length > 0) {
      let count = rest.length, isSwitching = false;
      await this.#do(async (connection) => {
        const incoming = { route: queue.id, incoming: rest, now: this.#clock.now };
        const opened = await openPackets(this.#context, connection, incoming);
        ({ count, isSwitching } = opened);
        return { type: "packets", route: queue.id, opened };
      });
      const isSwitched = isSwitching &&
        await this.#do((connection) => switching(this.#context, connection)) !== null;
      rest = rest.slice(isSwitching && !isSwitched ? count + 1 : count);
    }
    queue.packets.splice(0, batch.length);
    return true;
  }

  #hasToSend(route: string): boolean {
    const { receipts, repeated } = this.#life!;
    const { session, outbound } = this.connection;
    const { cursor } = outbound.find(({ id }) => id === route)!;
    return receipts.has(route) || repeated.has(route) ||
      Math.max(cursor, session!.receipted.upTo) < session!.lastEncrypted;
  }

  async #frames(after: number): Promise<FrameRecord[]> {
    const { record: { id }, session } = this.connection;
    const { receipted, lastEncrypted } = session!;
    const frames = await this.store.frames(id, Math.max(after, receipted.upTo), 64);
    return frames.filter(({ number, message }) =>
      number <= lastEncrypted && message.length > 0 && !hasNumber(receipted, number)
    );
  }

  async #send(queue: Queue): Promise<boolean> {
    const life = this.#life!;
    const receipt = life.receipts.get(queue.id);
    if (receipt !== undefined) {
      life.receipts.delete(queue.id);
      this.#put(queue, { type: "message", message: receipt.message });
      this.#mayDie();
      await this.#do({ type: "receipt sent", route: queue.id, told: receipt.told });
      if (life.receipt === receipt) life.receipt = null;
      return true;
    }
    const { session, outbound } = this.connection;
    const { cursor } = outbound.find(({ id }) => id === queue.id)!;
    const after = life.repeated.get(queue.id);
    const isRepeated = after !== undefined;
    life.repeated.delete(queue.id);
    const all = await this.#frames(after ?? cursor);
    const frames = isRepeated ? all.filter(({ number }) => number <= cursor) : all;
    const count = 1 + this.#random.below(frames.length);
    const sent = frames.slice(0, count);
    const code = session!.keys.safetyCode;
    for (const { message } of sent) {
      this.#put(queue, { type: "message", message });
      this.#mayDie();
    }
    if (isRepeated) return frames.length > 0;
    if (sent.length === 0) {
      // Numbers that a repair has left out.
      return false;
    }
    await this.#do({
      type: "frames sent",
      route: queue.id,
      cursor: sent.at(-1)!.number,
      frames: sent,
      session: code,
    });
    return true;
  }

  async #untold(): Promise<number | undefined> {
    const messages = await this.store.messages(this.connection.record.id, { limit: 1000 });
    return messages.find(({ received, done }) => received !== null && !done)?.id;
  }

  async #acknowledge(): Promise<boolean> {
    const id = (await this.#untold())!;
    const { record } = this.connection;
    const message = (await this.store.message(record.id, id))!;
    this.everHad.add(new TextDecoder().decode(message.body));
    await this.#do(async ({ record }) => {
      const { received } = (await this.store.message(record.id, id))!;
      return { type: "acknowledged", id, number: received!.senderId };
    });
    return true;
  }

  async #encrypt(): Promise<boolean> {
    return await this.#do(async (connection) => {
      const encrypted = await encryptWaiting(this.store, connection);
      return encrypted === null || encrypted.frames.length === 0 ? null : { type: "encrypted", ...encrypted };
    }) !== null;
  }

  async #tellReceipt(): Promise<boolean> {
    const life = this.#life!;
    const { ratchet } = this.connection.session!;
    const isCurrent = life.receipt !== null && ratchet !== null &&
      equalBytes(life.receipt.ratchet.transcript, ratchet.transcript);
    if (!isCurrent) {
      const made: EncryptedReceipt[] = [];
      const step = await this.#do(async (connection) => {
        const receipt = await encryptReceipt(connection, this.#clock.now);
        if (receipt === null) return null;
        made.push(receipt);
        return { type: "receipt encrypted", ratchet: receipt.ratchet };
      });
      if (step === null) return false;
      life.receipt = made[0]!;
    } else if (this.outbound.every(({ isCut }) => isCut)) return false;
    for (const { id } of this.outbound) life.receipts.set(id, life.receipt!);
    return true;
  }
}

/** A connection of a version that tells no digests, with one that tells none. */
export function withoutDigests(connection: Connection): Connection {
  const { storedDigest: _, ...session } = connection.session!;
  const kinds = session.keys.kinds?.filter((kind) => kind !== frameKinds.digest) ?? null;
  return { ...connection, session: { ...session, receiptedDigest: null, keys: { ...session.keys, kinds } } };
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  return values.map((value) => ({ value, at: random.next() })).sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}
