import { Agent, type AgentEvent } from "../../../agent/mod.ts";
import type { ClientTransmission } from "../../../protocol/mod.ts";
import { keySource } from "../../support/agent.ts";
import { Application } from "./expectations.ts";
import { type CommandFault, type FaultyServer, type Peer, transportOf } from "./faulty_server.ts";
import { Disk, FaultyStore, type StoreFault } from "./faulty_store.ts";
import type { Random } from "./random.ts";

/** When the application has done with what it is told. */
export type Mode = "automatic" | "manual" | "take";

/** How often what goes wrong. */
export interface Faults {
  /** Of commands. */
  readonly command: number;
  /** Of answers that do not come on a connection that stays. */
  readonly unanswered: number;
  /** Of calls of the store. */
  readonly store: number;
}

/** What all lives of the agents of a run share. */
export interface Surroundings {
  readonly servers: readonly FaultyServer[];
  readonly mode: Mode;
  readonly buffer: number;
  readonly commandTimeout: number;
  /** What an agent announces in its next life. */
  extensions(): readonly string[];
  /** What goes wrong now; `null`: nothing. */
  faults(): Faults | null;
  /** Something was seen that must not be. */
  violated(error: unknown): void;
}

/** An agent over all its lives, and its application. */
export class ModelAgent {
  readonly disk = new Disk();
  readonly application = new Application();
  readonly surroundings: Surroundings;
  life: Life | null = null;
  readonly #random: Random;
  readonly #ending: Promise<void>[] = [];
  #lives = 0;

  constructor(surroundings: Surroundings, random: Random) {
    this.surroundings = surroundings;
    this.#random = random;
  }

  /** Starts the agent on its disk, again until that succeeds. */
  async start(): Promise<Life> {
    for (;;) {
      const life = new Life(this, this.#random, ++this.#lives);
      try {
        await life.start();
        return this.life = life;
      } catch (error) {
        if (!life.isFaulty) throw error;
      }
    }
  }

  /** Ends the agent as a program that ends by itself does. */
  async close(): Promise<void> {
    const { life } = this;
    if (life === null) return;
    await life.agent.close();
    this.kill();
  }

  /** Ends the agent as a program that is killed. */
  kill(): void {
    const { life } = this;
    if (life === null) return;
    this.life = null;
    life.die();
    this.#ending.push(life.agent.close(), life.reading);
  }

  /** Ends the agent and waits until nothing of all its lives is left. */
  async end(): Promise<void> {
    this.kill();
    await Promise.all(this.#ending);
  }
}

/** An agent from its start to its end. */
export class Life implements Peer {
  readonly number: number;
  agent!: Agent;
  reading: Promise<void> = Promise.resolve();
  isDead = false;
  /** Whether its store has failed. */
  isFaulty = false;
  /** Calls of the store, or commands, after which the program ends. */
  callsToLive = Infinity;
  commandsToLive = Infinity;
  readonly #model: ModelAgent;
  readonly #random: Random;
  readonly #store: FaultyStore;

  constructor(model: ModelAgent, random: Random, number: number) {
    this.#model = model;
    this.#random = random;
    this.number = number;
    this.#store = new FaultyStore(model.disk);
    this.#store.fault = () => this.#storeFault();
    this.#store.died = () => this.isDead = true;
  }

  async start(): Promise<void> {
    const { servers, mode, buffer, commandTimeout, extensions } = this.#model.surroundings;
    this.agent = await Agent.start({
      servers: servers.map(({ address }) => address),
      store: this.#store,
      client: { transport: transportOf(servers, this, () => this.isDead), commandTimeout },
      keyPool: keySource(),
      retry: { first: 1, most: 20 },
      acknowledge: mode === "manual" ? "manual" : "automatic",
      buffer,
      extensions: extensions(),
      approve: () => this.#approve(),
    });
    this.reading = this.#read(mode);
  }

  /** Does nothing any more. */
  die(): void {
    this.isDead = this.#store.isDead = true;
    for (const server of this.#model.surroundings.servers) server.cut(this);
  }

  fault({ command }: ClientTransmission): CommandFault {
    if (this.isDead) return "cut before";
    if (command.type !== "PING" && --this.commandsToLive <= 0) {
      this.isDead = this.#store.isDead = true;
      return this.#random.chance(0.5) ? "cut before" : "cut after";
    }
    const faults = this.#model.surroundings.faults();
    if (faults === null) return "none";
    if (this.#random.chance(faults.unanswered)) return "unanswered";
    if (!this.#random.chance(faults.command)) return "none";
    const all = ["cut before", "cut after", "refused", "answered INTERNAL", "delivered again"] as const;
    return this.#random.pick(all)!;
  }

  acknowledged(messageId: string): void {
    this.#check(() => this.#model.application.acknowledged(messageId));
  }

  /** The application has done with a message that it was told. */
  async acknowledge(alias: string, id: number): Promise<void> {
    if (this.#model.surroundings.mode !== "manual") return;
    const side = this.#model.application.side(alias);
    const serverId = side?.untaken.get(id);
    if (side === undefined || serverId === undefined || !side.isLive) return;
    this.#model.application.doneWith(serverId);
    side.untaken.delete(id);
    try {
      await this.agent.acknowledge(alias, id);
      side.taken.set(id, this.number);
    } catch {
      if (!side.taken.has(id)) side.untaken.set(id, serverId);
    }
  }

  #storeFault(): StoreFault {
    if (--this.callsToLive <= 0) return this.#random.chance(0.5) ? "dies before" : "dies after";
    const faults = this.#model.surroundings.faults();
    if (faults === null || !this.#random.chance(faults.store)) return "none";
    this.isFaulty = true;
    return "fails";
  }

  async #approve(): Promise<boolean> {
    if (this.#model.surroundings.faults() === null) return true;
    await turns(this.#random.below(3));
    if (this.#random.chance(0.1)) throw new Error("The application cannot say");
    return true;
  }

  async #read(mode: Mode): Promise<void> {
    // Again after each time that the reader has gone away.
    while (!this.isDead) {
      let isEnded = true;
      for await (const event of this.agent.events(mode === "take" ? { take: "manual" } : {})) {
        if (this.isDead) return;
        this.#tell(event);
        const faults = this.#model.surroundings.faults();
        if (faults !== null && this.#random.chance(0.3)) await turns(this.#random.below(4));
        if (this.isDead) return;
        await this.#finish(event, mode);
        if (faults !== null && this.#random.chance(0.05)) {
          isEnded = false;
          break;
        }
      }
      if (isEnded) return;
    }
  }

  #tell(event: AgentEvent): void {
    const { application, disk } = this.#model;
    const owner = "eventId" in event ? disk.events.get(event.eventId!) : undefined;
    this.#check(() => {
      const side = application.told(event, {
        owner,
        connections: this.agent.connections(),
        life: this.number,
      });
      if (event.type === "message") side?.untaken.set(event.message.id, event.message.server.id);
    });
  }

  async #finish(event: AgentEvent, mode: Mode): Promise<void> {
    const { application, surroundings } = this.#model;
    if (mode === "automatic") {
      if (event.type === "message") application.doneWith(event.message.server.id);
      return;
    }
    if (mode === "manual") {
      // Later, or when it is told again, while there are faults.
      if (event.type !== "message") return;
      if (surroundings.faults() !== null && this.#random.chance(0.5)) return;
      return await this.acknowledge(event.connection, event.message.id);
    }
    if (!("eventId" in event) || event.eventId === undefined) return;
    if (event.type === "message") application.doneWith(event.message.server.id);
    for (let isTaken = false; !isTaken && !this.isDead;) {
      isTaken = await this.agent.take(event.eventId).then(() => true, () => false);
      // An agent that is being closed refuses at once.
      if (!isTaken) await turns(1);
    }
  }

  #check(look: () => void): void {
    if (this.isDead) return;
    try {
      look();
    } catch (error) {
      this.#model.surroundings.violated(error);
    }
  }
}

/** Lets other things happen so many times. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setTimeout(resolve, 0));
}
