import { setTimeout as pause } from "node:timers/promises";
import { assert, assertEquals } from "@std/assert";
import { Agent, AgentError, type AgentEvent, type AgentOptions } from "../../agent/mod.ts";
import { formatQueueInfo, textBytes } from "../../protocol/mod.ts";
import { type EventOf, keySource } from "./agent.ts";
import { type Fault, Life, steppingStore, steppingTransport } from "./mortal.ts";
import { WitnessStore, type World } from "./mortal_world.ts";
import { turn } from "./fake_server.ts";
import { soon } from "./wait.ts";

/** How an application takes what it is told. */
export interface Mode {
  readonly acknowledge: "automatic" | "manual";
  readonly take: "next" | "manual";
}

/** What an application does with one connection. */
export interface Round {
  readonly role: "initiator" | "joiner";
  /** Whether the joiner, whoever that is, makes a queue for the other direction. */
  readonly reply: boolean;
  readonly send: readonly string[];
  readonly receive: readonly string[];
  /**
   * `connected`: the connection is deleted as soon as it is there and all is on its way; `refused`: the other side is gone
   * before anything is sent. @default when all has been sent and received
   */
  readonly until?: "connected" | "refused";
  readonly suspend?: boolean;
}

/** What an application knows of a round, over its lives. */
interface Journal {
  readonly round: Round;
  readonly peerAlias: string;
  /** The ID of its connection. */
  id: string | null;
  /** The other side's, for a joiner. */
  invitation: Promise<string> | null;
  isHandedOver: boolean;
  isSuspended: boolean;
  /** No event of the connection may be told when it is deleted. */
  isDeleting: boolean;
  isDeleted: boolean;
  hasPeerLeft: boolean;
  isConnected: boolean;
  readonly sent: Set<number>;
  readonly delivered: Set<number>;
  readonly failed: Set<number>;
  readonly received: Map<number, string>;
  readonly acknowledged: Set<number>;
}

const alias = "peer";

/** Milliseconds after which it is looked whether something has come about of which nothing tells. */
const lookEvery = 5;

/** An application that does all its rounds, however often it dies; what it is told counts as stored at once. */
export class MortalApp {
  readonly store = new WitnessStore();
  readonly #world: World;
  readonly #mode: Mode;
  readonly #journals: readonly Journal[];
  readonly #graves: {
    readonly life: Life;
    readonly agent: Promise<Agent | null>;
    readonly work: Promise<void>;
  }[] = [];
  /** What it was told, for a test that fails. */
  readonly #log: string[] = [];
  readonly #sending: Promise<void>[] = [];
  #isCalm = true;
  #isOver = false;
  #wake = () => {};

  /** `name` is used for nothing else in its world. */
  constructor(
    world: World,
    name: string,
    { mode, rounds }: { readonly mode: Mode; readonly rounds: readonly Round[] },
  ) {
    this.#world = world;
    this.#mode = mode;
    this.#journals = rounds.map((round, i) => ({
      round,
      peerAlias: `${name} ${i}`,
      id: null,
      invitation: null,
      isHandedOver: false,
      isSuspended: false,
      isDeleting: false,
      isDeleted: false,
      hasPeerLeft: false,
      isConnected: false,
      sent: new Set(),
      delivered: new Set(),
      failed: new Set(),
      received: new Map(),
      acknowledged: new Set(),
    }));
  }

  /** Goes through one life after the other, the last one to the end; gives the steps of the first. */
  async run(lives: readonly ReadonlyMap<number, Fault>[]): Promise<number> {
    this.#isCalm = lives.every((faults) => [...faults.values()].every((fault) => fault === "die"));
    try {
      let steps = 0;
      for (const [i, faults] of [...lives, new Map<number, Fault>()].entries()) {
        const life = new Life(faults, this.#world.restart);
        const isDone = await soon(this.#live(life));
        if (i === 0) steps = life.steps;
        if (isDone) break;
      }
      // A queue that was being made when its connection was deleted may be discarded as late as at the end of a life.
      while ((await this.store.discarded()).length > 0) {
        await soon(this.#live(new Life(new Map(), this.#world.restart)));
      }
      await soon(this.#check());
      return steps;
    } catch (cause) {
      const last = this.#graves.at(-1)?.life;
      const where = `step ${last?.steps} of life ${this.#graves.length}, ${last?.isDead ? "dead" : "alive"}`;
      throw new Error(`${cause}\n${this.#log.join("\n")}\n-- ${where}`, { cause });
    } finally {
      this.#isOver = true;
      for (const { life, agent, work } of this.#graves) {
        if (!life.isDead) life.die();
        life.bury();
        await (await agent)?.close();
        await work;
      }
      await Promise.all(this.#sending);
    }
  }

  /** Whether it has come to the end of all. */
  async #live(life: Life): Promise<boolean> {
    this.#log.push("-- a life");
    const { acknowledge } = this.#mode;
    const options: AgentOptions = {
      servers: [this.#world.address],
      store: steppingStore(this.store, life),
      client: {
        transport: steppingTransport(this.#world.transport, life, (channel) => life.opened(channel)),
      },
      retry: { first: 5, most: 50 },
      keyPool: keySource(),
      acknowledge,
      extensions: this.#world.extensions,
    };
    const starting = Agent.start(options);
    const started = starting.catch(() => null);
    let fail = (_: unknown) => {};
    const failed = new Promise<never>((_, reject) => fail = reject);
    failed.catch(() => {});
    let isDone = false;
    const work = (async () => {
      try {
        const agent = await starting;
        const reading = this.#read(agent, life).catch(fail);
        await this.#doAll(agent, life);
        isDone = !life.isDead;
        if (isDone) await agent.close();
        await reading;
      } catch (error) {
        if (!life.isDead) fail(error);
      }
    })();
    this.#graves.push({ life, agent: started, work });
    await Promise.race([life.died, work, failed]);
    // A commit that was made before the death belongs to the life.
    return isDone && !life.isDead;
  }

  async #doAll(agent: Agent, life: Life): Promise<void> {
    for (const journal of this.#journals) {
      if (journal.isDeleted) continue;
      await this.#doRound(agent, journal, life);
      if (life.isDead) return;
      journal.isDeleting = true;
      const { id } = journal;
      if (agent.connections().some((connection) => connection.id === id)) await agent.delete(alias);
      if (life.isDead) return;
      journal.isDeleted = true;
      this.#log.push("deleted");
    }
    await this.#until(life, async () => (await this.store.discarded()).length === 0);
  }

  async #doRound(agent: Agent, journal: Journal, life: Life): Promise<void> {
    const { round } = journal;
    if (journal.isDeleting) return;
    await this.#establish(agent, journal, life);
    if (life.isDead) return;
    const at = () => agent.connection(alias);
    this.#log.push("established");
    if (at().canReceive) {
      await agent.subscribe(alias).catch((error) => this.#failed(error, life));
    }
    const hasConnected = () => journal.isConnected || round.role === "initiator" && !round.reply;
    await this.#until(life, () => Promise.resolve(hasConnected()));
    if (life.isDead) return;
    if (round.until === "refused") await this.#leave(journal);
    if (at().canSend) {
      const before = await agent.messages(alias);
      const count = before.filter(({ received }) => received === null).length;
      for (const text of round.send.slice(count)) await agent.send(alias, textBytes(text));
    }
    if (round.until === "connected") return;
    const wanted = round.send.length;
    await this.#until(life, async () => {
      if (journal.sent.size + journal.failed.size < wanted) return false;
      if (at().session !== null && journal.delivered.size < wanted) return false;
      if (journal.received.size < round.receive.length) return false;
      const messages = await this.store.messages(journal.id!);
      return messages.every(({ done, id }) => done || journal.failed.has(id));
    });
    if (!round.suspend) return;
    while (!at().suspended && !life.isDead) {
      await agent.suspend(alias).catch((error) => this.#failed(error, life));
    }
  }

  async #establish(agent: Agent, journal: Journal, life: Life): Promise<void> {
    const { round, peerAlias } = journal;
    const peer = this.#world.peer.agent;
    if (round.role === "joiner") {
      const invitation = await (journal.invitation ??= this.#invite(peerAlias));
      if (agent.connections().length === 0) await agent.join(invitation, { alias, reply: round.reply });
    } else {
      while (agent.connections().length === 0) {
        await agent.create(alias).catch((error) => this.#failed(error, life));
      }
    }
    journal.id = agent.connection(alias).id;
    if (journal.isHandedOver) return;
    journal.isHandedOver = true;
    if (round.role === "initiator") {
      await peer.join(agent.invitation(alias)!, { alias: peerAlias, reply: round.reply });
    }
    if (round.role === "initiator" || round.reply) {
      this.#sending.push(this.#peerSends(peerAlias, round.receive));
    }
  }

  /** Asks the other side, whose server may be starting again. */
  async #invite(peerAlias: string): Promise<string> {
    for (;;) {
      try {
        return formatQueueInfo((await this.#world.peer.agent.create(peerAlias)).invitation);
      } catch (error) {
        if (this.#isCalm || this.#isOver) throw error;
        await turn();
      }
    }
  }

  /** Sends what it can until the connection is deleted. */
  async #peerSends(peerAlias: string, texts: readonly string[]): Promise<void> {
    const { peer } = this.#world;
    const info = () => peer.agent.connections().find(({ connection }) => connection === peerAlias);
    for (let now; !this.#isOver && (now = info()) !== undefined && !now.canSend;) await pause(lookEvery);
    for (const text of texts) await peer.send(peerAlias, text).catch(() => {});
  }

  /** A command has failed, as it may when a connection is lost. */
  async #failed(error: unknown, life: Life): Promise<void> {
    if (this.#isCalm || life.isDead) throw error;
    await turn();
  }

  async #leave(journal: Journal): Promise<void> {
    if (journal.hasPeerLeft) return;
    await this.#world.peer.agent.delete(journal.peerAlias).catch((error) => {
      if (!(error instanceof AgentError)) throw error;
    });
    journal.hasPeerLeft = true;
  }

  async #read(agent: Agent, life: Life): Promise<void> {
    const { take, acknowledge } = this.#mode;
    for await (const event of agent.events({ take })) {
      if (life.isDead) return;
      this.#log.push(
        JSON.stringify(event, (name, value) => name === "body" ? new TextDecoder().decode(value) : value),
      );
      this.#told(event, agent);
      this.#wake();
      if (event.type === "down" || event.type === "up" || event.eventId === undefined) continue;
      if (take === "manual") await agent.take(event.eventId);
      else if (acknowledge === "manual" && event.type === "message") {
        await agent.acknowledge(alias, event.message.id).catch((error) => {
          if (!this.#journals.some(({ isDeleting, isDeleted }) => isDeleting && !isDeleted)) throw error;
        });
      }
      if (life.isDead) return;
      if (event.type === "message" && (take === "manual" || acknowledge === "manual")) {
        this.#current()?.acknowledged.add(event.message.id);
      }
      this.#wake();
    }
  }

  #current(): Journal | undefined {
    return this.#journals.find(({ isDeleted }) => !isDeleted);
  }

  #told(event: AgentEvent, agent: Agent): void {
    if (["down", "up", "route", "session"].includes(event.type)) return;
    const journal = this.#current();
    assert(journal !== undefined, "something of a deleted connection is told");
    if (event.type === "error" && event.eventId === undefined) {
      assert(!this.#isCalm, "something fails that should not");
      return;
    }
    const info = agent.connections().find(({ connection }) => connection === alias);
    // It is deleted, which the application does not know yet.
    if (info === undefined) return assert(journal.isDeleting);
    assertEquals(journal.id ?? info.id, info.id, "what is told is of this connection");
    const id = event.type === "message" ? event.message.id : "id" in event ? event.id ?? "" : "";
    assert(!this.store.taken.has(`${info.id} ${event.type} ${id}`), "nothing is told that was taken");
    switch (event.type) {
      case "connected":
        assert(info.connected);
        journal.isConnected = true;
        return;
      case "sent":
        journal.sent.add(event.id);
        return;
      case "delivered":
        journal.delivered.add(event.id);
        return;
      case "message":
        return toldMessage(journal, event);
      case "error":
        assertEquals(journal.round.until, "refused");
        journal.failed.add(event.id!);
        return;
      default:
        throw new Error("this should not be told");
    }
  }

  /** Waits for something that what is told, or the store, brings about. */
  async #until(life: Life, isTrue: () => Promise<boolean>): Promise<void> {
    while (!life.isDead && !await isTrue()) {
      await Promise.race([
        life.died,
        new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, lookEvery);
          this.#wake = () => (clearTimeout(timer), resolve());
        }),
      ]);
    }
    this.#wake();
  }

  /** Looks at both sides when all is done. */
  async #check(): Promise<void> {
    const { peer } = this.#world;
    await this.store.assertSettled();
    for (const journal of this.#journals) {
      const { round, peerAlias } = journal;
      if (round.until === undefined) {
        for (const text of round.send) {
          const { message } = await peer.next("message", ({ connection }) => connection === peerAlias);
          assertEquals([new TextDecoder().decode(message.body), message.integrity], [text, { type: "OK" }]);
        }
        assertEquals([...journal.received.values()], round.receive);
        assertEquals(journal.sent.size, round.send.length);
        const isUpgraded = this.#world.extensions.includes("session1") && round.reply;
        assertEquals(journal.delivered.size, isUpgraded ? round.send.length : 0);
      }
      if (round.until === "refused") {
        // Where the other side's queue could not be deleted at once, the first ones may still have come to it.
        if (this.#isCalm) assertEquals(journal.sent.size, 0);
        assertEquals(journal.sent.size + journal.failed.size, round.send.length);
      }
      const more = peer.events.filter((event) =>
        event.type === "message" && event.connection === peerAlias
      ) as EventOf<"message">[];
      const texts = more.map(({ message: { body } }) => new TextDecoder().decode(body));
      assertEquals(
        texts,
        round.until === "connected" ? round.send.slice(0, texts.length) : [],
        "nothing came twice",
      );
      for (const { message } of more) assertEquals(message.integrity, { type: "OK" });
      if (!journal.hasPeerLeft) await peer.agent.delete(peerAlias);
    }
    const left = this.#world.queues();
    assertEquals([...this.store.queues.keys()].filter((queue) => left.has(queue)), [], "no queue is left");
  }
}

function toldMessage({ round, received, acknowledged }: Journal, { message }: EventOf<"message">): void {
  const text = new TextDecoder().decode(message.body);
  assertEquals(message.integrity, { type: "OK" });
  assert(!acknowledged.has(message.id), "nothing is told that was acknowledged");
  if (received.has(message.id)) assertEquals(received.get(message.id), text);
  else {
    assertEquals(text, round.receive[received.size], "messages come in order");
    received.set(message.id, text);
  }
}
