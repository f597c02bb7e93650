import { encodeAgentMessage } from "../../../agent/kinds/mod.ts";
import { AgentError, type Connection } from "../../../agent/mod.ts";
import {
  type ClientTransmission,
  encodeSigned,
  encryptBody,
  paddedBodyLength,
  type QueueInfo,
  randomBytes,
} from "../../../protocol/mod.ts";
import { hostileKeys } from "../../support/hostile_agent.ts";
import { bytesOf, checkOrder, missing, type Pair, Side } from "./expectations.ts";
import { FaultyServer } from "./faulty_server.ts";
import { type Faults, type Life, type Mode, ModelAgent, turns } from "./life.ts";
import { Random } from "./random.ts";

const aliases = ["x", "y", "z"];

/** What a run may be told. */
export interface RunOptions {
  /** Commands and faults. @default 60 */
  readonly steps?: number;
  /** Milliseconds in which everything must come to rest when nothing goes wrong any more. @default 90000 */
  readonly patience?: number;
}

/** What a run has seen. */
export interface RunResult {
  readonly messages: number;
  readonly connections: number;
  readonly lives: number;
}

/** Two agents on two servers do what a seed says. Throws when an agent does what it must not; the message names the seed. */
export async function run(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const world = new World(seed, options);
  try {
    return await world.run();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${seed}: ${text}`, { cause: error });
  } finally {
    await world.end();
  }
}

class World {
  readonly #random: Random;
  readonly #servers: readonly FaultyServer[];
  readonly #agents: readonly ModelAgent[];
  readonly #pairs: Pair[] = [];
  readonly #steps: number;
  readonly #patience: number;
  readonly #working = new Set<Promise<void>>();
  readonly #isRestartedAtRest: boolean;
  #faults: Faults | null = null;
  #violation: unknown = null;
  #lives = 0;
  /** Whether a queue may have been made that no agent knows of. */
  #isUncertain = false;

  constructor(seed: number, { steps = 60, patience = 90_000 }: RunOptions) {
    const random = this.#random = new Random(seed, "plan");
    this.#steps = steps;
    this.#patience = patience;
    const isTimedOut = random.chance(0.2);
    // Answers that are late because the machine is busy must not keep everything from coming to rest.
    this.#isRestartedAtRest = isTimedOut || random.chance(0.2);
    const sessions = new Random(seed, "sessions");
    const windows = sessions.pick([[], ["window1"]] as const)!;
    this.#servers = [new FaultyServer("one", windows), new FaultyServer("two", windows)];
    const announcing = sessions.pick([0, 0.8, 1])!;
    const surroundings = {
      extensions: () => sessions.chance(announcing) ? ["session1"] : [],
      servers: this.#servers,
      mode: random.pick(["automatic", "manual", "take"] satisfies Mode[])!,
      buffer: random.pick([1, 2, 256])!,
      faults: () => this.#faults,
      violated: (error: unknown) => this.#violation ??= error,
    };
    const commandTimeout = () => isTimedOut && this.#faults !== null ? 60 : 15_000;
    this.#agents = ["a", "b"].map((name) =>
      new ModelAgent({
        ...surroundings,
        get commandTimeout() {
          return commandTimeout();
        },
      }, new Random(seed, name))
    );
    const quality = random.pick(["good", "bad", "terrible"])!;
    const command = { good: 0, bad: 0.05, terrible: 0.2 }[quality]!;
    this.#faults = { command, unanswered: isTimedOut ? 0.05 : 0, store: command / 2 };
  }

  async run(): Promise<RunResult> {
    this.#isUncertain = this.#faults!.command > 0 || this.#faults!.unanswered > 0;
    for (const agent of this.#agents) await this.#restart(agent);
    if (this.#random.chance(0.6)) await this.#connect();
    for (let step = 0; step < this.#steps; step++) {
      await this.#step();
      this.#look();
      await turns(this.#random.below(4));
    }
    await this.#rest();
    const sides = this.#agents.flatMap(({ application }) => application.sides);
    return {
      messages: sides.reduce((sum, { received }) => sum + received.size, 0),
      connections: sides.length,
      lives: this.#lives,
    };
  }

  /** Connects the agents before anything goes wrong. */
  async #connect(): Promise<void> {
    const faults = this.#faults;
    this.#faults = null;
    const [a, b] = this.#random.chance(0.5) ? this.#agents : this.#agents.toReversed();
    this.#create(a!, a!.life!);
    await this.#until(() => this.#working.size === 0 ? null : "a command has no result");
    this.#join(b!, b!.life!);
    await this.#until(() => this.#working.size === 0 ? this.#unfinished() : "a command has no result");
    this.#faults = faults;
  }

  async end(): Promise<void> {
    this.#faults = null;
    await Promise.all(this.#agents.map((agent) => agent.end()));
    await Promise.all(this.#servers.map((server) => server.idle()));
  }

  /** One thing that an application, a server, an attacker or fate does. */
  async #step(): Promise<void> {
    const random = this.#random;
    const agent = random.pick(this.#agents)!;
    if (agent.life === null || agent.life.isDead) await this.#restart(agent);
    const life = agent.life!;
    const live = agent.application.sides.filter(({ isLive }) => isLive);
    const side = random.pick(live);
    const action = random.next();
    if (action < 0.12) return this.#create(agent, life);
    if (action < 0.27) return this.#join(agent, life);
    if (action < 0.62) return side && this.#send(life, side);
    if (action < 0.66) return side && this.#ignore(life.agent.subscribe(side.alias));
    if (action < 0.71) return this.#acknowledgeAll();
    if (action < 0.73) return side && this.#suspend(life, side);
    if (action < 0.755) return side && this.#delete(life, side);
    if (action < 0.78) return await this.#restart(agent);
    if (action < 0.80) return agent.kill();
    if (action < 0.83) {
      if (random.chance(0.5)) life.callsToLive = 1 + random.below(10);
      else life.commandsToLive = 1 + random.below(6);
      this.#isUncertain = true;
      return;
    }
    if (action < 0.88) {
      const server = random.pick(this.#servers)!;
      server.isUp = !server.isUp || random.chance(0.3);
      return;
    }
    if (action < 0.92) return random.pick(this.#servers)!.cut(life);
    return await this.#attack();
  }

  async #restart(agent: ModelAgent): Promise<void> {
    if (agent.life !== null && !agent.life.isDead && this.#random.chance(0.5)) await agent.close();
    else if (agent.life !== null) this.#isUncertain = true;
    agent.kill();
    const life = await agent.start();
    this.#lives++;
    this.#compare(agent, life);
    this.#do(async () => {
      await life.agent.subscribeAll();
    });
  }

  /** What the agent has after a start; sides that were being made or deleted are there or not. */
  #compare({ application }: ModelAgent, { agent }: Life): void {
    const connections = agent.connections();
    for (const side of application.sides) {
      if (side.state === "deleted") continue;
      for (const sent of side.sent) if (sent.outcome === "pending") sent.outcome = "unknown";
      const found = connections.find(({ connection, id }) =>
        connection === side.alias && (side.id === null || side.id === id)
      );
      if (found === undefined) {
        if (side.state === "live") throw new Error(`connection "${side.alias}" is gone`);
        this.#gone(side);
      } else {
        side.id = found.id;
        side.state = "live";
        if (side.role === "initiator") side.pair.invitation ??= agent.invitation(side.alias);
      }
    }
    for (const { connection, id } of connections) {
      if (application.side(connection)?.id !== id) throw new Error(`nobody has made "${connection}"`);
    }
  }

  /** A connection is not there; what was not made can be joined by somebody else. */
  #gone(side: Side): void {
    if (side.state === "made" && side.role === "joiner") side.pair.joiner = null;
    side.state = "deleted";
  }

  #create({ application }: ModelAgent, life: Life): void {
    const alias = this.#random.pick(aliases.filter((alias) => application.side(alias) === undefined));
    if (alias === undefined) return;
    const pair = { number: this.#pairs.length, isDuplex: true, invitation: null, joiner: null, attacks: 0 };
    const made = pair as unknown as Pair & { initiator: Side };
    const side = made.initiator = new Side(alias, made, "initiator");
    this.#pairs.push(made);
    application.sides.push(side);
    this.#do(async () => {
      try {
        made.invitation = (await life.agent.create(alias)).invitation;
        this.#made(life, side);
      } catch {
        if (!life.isDead) this.#gone(side);
      }
    });
  }

  #join({ application }: ModelAgent, life: Life): void {
    const alias = this.#random.pick(aliases.filter((alias) => application.side(alias) === undefined));
    const pair = this.#random.pick(
      this.#pairs.filter(({ invitation, joiner, initiator }) =>
        invitation !== null && joiner === null && initiator.isLive && !application.sides.includes(initiator)
      ),
    );
    if (alias === undefined || pair === undefined) return;
    const reply = pair.isDuplex = this.#random.chance(0.85);
    const side = pair.joiner = new Side(alias, pair, "joiner");
    application.sides.push(side);
    this.#do(async () => {
      try {
        await life.agent.join(pair.invitation!, { alias, reply });
        this.#made(life, side);
      } catch {
        if (!life.isDead) this.#gone(side);
      }
    });
  }

  #made(life: Life, side: Side): void {
    if (side.state !== "made") return;
    side.state = "live";
    side.id = life.agent.connections().find(({ connection }) => connection === side.alias)?.id ?? null;
  }

  #send(life: Life, side: Side): void {
    const count = 1 + this.#random.below(3);
    for (let i = 0; i < count; i++) {
      if (!side.canSend) return;
      const sent = side.next();
      this.#do(async () => {
        try {
          sent.id = await life.agent.send(side.alias, bytesOf(sent.body));
          sent.outcome = "stored";
        } catch (error) {
          if (life.isDead) return;
          sent.outcome = "refused";
          const isKnown = error instanceof AgentError &&
            ["CONN SIMPLEX", "CONN UNKNOWN", "INTERNAL"].includes(error.code);
          if (!isKnown) throw error;
        }
      });
    }
  }

  /** The applications have done with all that they were told. */
  #acknowledgeAll(): void {
    for (const { application, life } of this.#agents) {
      for (const { alias, untaken, isLive } of application.sides) {
        if (life === null || life.isDead || !isLive) continue;
        for (const id of untaken.keys()) void life.acknowledge(alias, id);
      }
    }
  }

  #suspend(life: Life, side: Side): void {
    const { pair: { isDuplex, joiner, initiator } } = side;
    const isConnected = joiner?.isConnected === true && (initiator.isConnected || !isDuplex);
    // An upgrade goes through the queues that would be suspended.
    const isUpgrading = life.agent.connection(side.alias).session?.active === false;
    if (!side.canReceive || !isConnected || isUpgrading) return;
    side.isSuspended = true;
    this.#ignore(life.agent.suspend(side.alias));
  }

  #delete(life: Life, side: Side): void {
    side.state = "deleting";
    this.#do(async () => {
      try {
        await life.agent.delete(side.alias);
        side.state = "deleted";
      } catch {
        if (!life.isDead) side.state = "live";
      }
    });
  }

  /** Somebody who holds an invitation, or a server, sends what it should not. */
  async #attack(): Promise<void> {
    const pair = this.#random.pick(this.#pairs.filter(({ attacks }) => attacks < 5));
    if (pair === undefined) return;
    const { invitation } = pair;
    if (invitation === null) return;
    const server = this.#servers.find(({ address }) => address.host === invitation.server.host)!;
    const kind = this.#random.below(4);
    pair.attacks++;
    if (kind === 0) return await server.inject(unsigned(invitation.senderId, randomBytes(3000)));
    const earlier = server.sends.get(invitation.senderId) ?? [];
    if (kind > 1) {
      // As it came, or as somebody sends it who has no key.
      const sent = this.#random.pick(earlier);
      if (sent === undefined || sent.command.type !== "SEND") return;
      return await server.inject(kind === 2 ? sent : unsigned(sent.queueId, sent.command.body));
    }
    const body = await forged(invitation, this.#random);
    // The holder of an invitation can join by it: what comes before KEY is all that must do no harm.
    if (pair.joiner === null) await server.inject(unsigned(invitation.senderId, body));
  }

  /** Nothing goes wrong any more: everything must come to rest and be as it should. */
  async #rest(): Promise<void> {
    this.#faults = null;
    for (const server of this.#servers) server.isUp = true;
    for (const agent of this.#agents) {
      if (agent.life !== null) agent.life.callsToLive = agent.life.commandsToLive = Infinity;
      if (this.#isRestartedAtRest || agent.life === null || agent.life.isDead) await this.#restart(agent);
    }
    await this.#until(() => this.#working.size === 0 ? null : "a command has no result");
    await this.#until(() => this.#unfinished());
    // Nothing more can become of a connection whose other side is gone.
    for (const { application, life } of this.#agents) {
      for (const side of application.sides) {
        const isAlone = side.isLive && side.other !== null && !side.other.isLive;
        if (isAlone) this.#delete(life!, side);
      }
    }
    await this.#until(() => this.#working.size === 0 ? null : "a command has no result");
    await this.#settled(() => this.#left());
    for (const { application, disk, life } of this.#agents) {
      application.sides.forEach(checkOrder);
      const stored = (await disk.store.connections()).map(({ record: { id } }) => id).sort();
      const known = life!.agent.connections().map(({ id }) => id).sort();
      if (stored.join() !== known.join()) throw new Error("the agent knows other connections than its store");
    }
  }

  /** What is still to happen to pairs of which both sides are there. */
  #unfinished(): string | null {
    for (const { application, life } of this.#agents) {
      for (const side of application.sides) {
        const { other } = side;
        if (other === null || !side.isLive || !other.isLive) continue;
        if (side.canSend && !side.isConnected) return `"${side.alias}" (${side.role}) is not connected`;
        const isInSession = life?.agent.connection(side.alias).session?.active === true;
        const left = missing(side, isInSession);
        if (left !== null) return left;
      }
    }
    return null;
  }

  /** What is left in the stores and at the servers that should not be. */
  async #left(): Promise<string | null> {
    const queues = new Set<string>();
    for (const { disk: { store } } of this.#agents) {
      if ((await store.waitingRoutes()).length > 0) return "the outbox is not empty";
      if ((await store.discarded()).length > 0) return "a queue was not discarded";
      const [event] = await store.events(0, 1);
      if (event !== undefined) return `a ${event.event.type} event was not taken`;
      for (const { record, receiving, inbound } of await store.connections()) {
        for (const { keys } of inbound) queues.add(keys.recipientId);
        const messages = await store.messages(record.id, { limit: 1000 });
        if (messages.some(({ done, received }) => received !== null && !done)) return "a message is not done";
        for (const { keys, unacknowledged } of receiving) {
          queues.add(keys.recipientId);
          if (unacknowledged.length > 0) return "a message was not acknowledged";
        }
      }
    }
    for (const server of this.#servers) {
      for (const id of server.recipientIds()) {
        const isKnown = this.#agents.some(({ disk }) => disk.queues.has(id));
        if (isKnown && !queues.has(id)) return "a queue of a deleted connection was left at its server";
        if (!isKnown && !this.#isUncertain) return "a queue was left that belongs to nobody";
        if (!isKnown) continue;
        queues.delete(id);
        if (await server.messages.count(id) > 0) return "a message was left at its server";
      }
    }
    return queues.size === 0 ? null : "a queue is gone";
  }

  #look(): void {
    for (const { application, life } of this.#agents) {
      if (life === null || life.isDead) continue;
      const ids = new Set(life.agent.connections().map(({ id }) => id));
      // Its name is free before its queue is deleted.
      for (const side of application.sides) {
        if (side.state === "deleting" && side.id !== null && !ids.has(side.id)) side.state = "deleted";
      }
    }
    if (this.#violation !== null) throw this.#violation;
  }

  async #until(reason: () => string | null): Promise<void> {
    await this.#settled(() => Promise.resolve(reason()));
  }

  async #settled(reason: () => Promise<string | null>): Promise<void> {
    const end = performance.now() + this.#patience;
    for (let left; (left = await reason()) !== null;) {
      this.#look();
      this.#acknowledgeAll();
      if (performance.now() > end) throw new Error(`${left}\n${await this.#describe()}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    this.#look();
  }

  /** What is in the stores and at the servers, to find out what has gone wrong. */
  async #describe(): Promise<string> {
    const lines: string[] = [];
    const left = async (id: string) => {
      const server = this.#servers.find((server) => server.recipientIds().includes(id));
      return server === undefined
        ? "no queue"
        : `${await server.messages.count(id)} left at ${server.address.host}`;
    };
    for (const { application: { sides }, disk: { store } } of this.#agents) {
      for (const connection of await store.connections()) {
        const { record: { id, alias, connected }, receiving, sending, session, inbound } = connection;
        const side = sides.find((side) => side.id === id);
        lines.push(`${alias}: pair ${side?.pair.number}, ${side?.role}, connected ${connected}`);
        if (session !== null) lines.push(`  session: ${describeSession(connection)}`);
        for (const { status, keys: { recipientId } } of inbound) {
          lines.push(`  inbound: ${status}, ${await left(recipientId)}`);
        }
        if (session !== null) lines.push(`  received [${[...side?.received.values() ?? []]}]`);
        if (session !== null) {
          lines.push(
            `  sent [${side?.sent.map(({ id, body, outcome }) => `${id}: ${body} ${outcome}`).join(", ")}]`,
          );
        }
        for (const { status, keys: { recipientId }, unacknowledged } of receiving) {
          const ids = unacknowledged.map(({ id }) => id);
          lines.push(`  receives: ${status}, unacknowledged [${ids}], ${await left(recipientId)}`);
          lines.push(`  received [${[...side?.received.values() ?? []]}], in order [${side?.inOrder}]`);
        }
        for (const { id, status } of sending) {
          const kinds = (await store.deliveries(id, 100)).map(({ kind }) => kind);
          lines.push(`  sends: ${status}, waiting [${kinds}]`);
          lines.push(
            `  sent [${side?.sent.map(({ id, body, outcome }) => `${id}: ${body} ${outcome}`).join(", ")}]`,
          );
        }
      }
      for (const { id, event } of await store.events(0, 100)) {
        lines.push(`event ${id}: ${JSON.stringify(event)}`);
      }
    }
    return lines.join("\n");
  }

  #ignore(work: Promise<unknown>): void {
    this.#do(() => work.then(() => {}, () => {}));
  }

  #do(work: () => Promise<void>): void {
    const done = work().catch((error) => {
      this.#violation ??= error;
    }).finally(() => this.#working.delete(done));
    this.#working.add(done);
  }
}

function describeSession({ session, outbound, inbound }: Connection): string {
  const { status, lastNumber, lastEncrypted, lastTaken, receipted, stored, receiptDue, waiting } = session!;
  return JSON.stringify({
    ...{ status, lastNumber, lastEncrypted, lastTaken, receipted, stored, receiptDue, waiting },
    outbound: outbound.map(({ cursor, isProven, replaces }) => ({ cursor, isProven, replaces })),
    inbound: inbound.map(({ status, leaving, replaces }) => ({ status, leaving, replaces })),
  });
}

function unsigned(queueId: string, body: Uint8Array): ClientTransmission {
  const corrId = randomBytes(8);
  const command = { type: "SEND", body } as const;
  return {
    signature: new Uint8Array(0),
    signed: encodeSigned(corrId, queueId, command),
    corrId,
    queueId,
    command,
  };
}

/** A message that is well made, but not allowed before KEY. */
async function forged(invitation: QueueInfo, random: Random): Promise<Uint8Array<ArrayBuffer>> {
  const [sender, signer] = hostileKeys;
  const head = { id: 0, timestamp: new Date(1000), previousHash: new Uint8Array(0) };
  const message = random.pick(
    [
      { type: "HELLO", verificationKey: signer!.publicKey, noAck: false, ...head },
      { type: "REPLY", queueInfo: invitation, ...head },
      { type: "MSG", body: bytesOf("forged"), ...head, id: 1 },
      { type: "HELLO", verificationKey: sender!.publicKey, noAck: true, ...head },
    ] as const,
  )!;
  const { encryptionKey } = invitation;
  const paddedLength = paddedBodyLength(4096, encryptionKey.bits);
  return await encryptBody(encodeAgentMessage(message), {
    encryptionKey,
    signingKey: signer!.privateKey,
    paddedLength,
  });
}
