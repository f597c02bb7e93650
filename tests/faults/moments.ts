import { setTimeout as pause } from "node:timers/promises";
import type { ClientTransmission } from "../../protocol/mod.ts";
import { partitionOf } from "../../server/broker/partition.ts";
import type { LogStream } from "../../server/cluster/log_stream.ts";
import type { OwnedPartition } from "../../server/cluster/owned_partition.ts";
import type { Ownership } from "../../server/cluster/ownership.ts";
import type { SnapshotStore } from "../../server/cluster/snapshot_store.ts";
import type { Random } from "../agent/model/random.ts";
import type { Intercept, Operation } from "../support/intercepted_log.ts";
import { MemorySnapshots, MemoryStream } from "../support/memory_stream.ts";
import { MessageBus } from "../support/message_bus.ts";
import { patience, soon, until } from "../support/wait.ts";
import { MomentNode, type OwnedLog } from "./moment_node.ts";
import type { Injected, Target } from "./target.ts";

/** Where the logs of all partitions are. */
export interface Logs extends AsyncDisposable {
  open(partition: number, node: string): Promise<{ stream: LogStream; snapshots: SnapshotStore }>;
}

export interface MomentsOptions {
  readonly nodes?: number;
  readonly partitions?: number;
  /** @default in memory */
  readonly logs?: Logs;
}

/** Operations of an owner that takes a snapshot, in their order. */
const ofSnapshots: readonly Operation[] = ["write", "publish snapshot", "purge", "names", "delete"];
/** Commands before whose answer the owner changes. */
const changing = ["OFF", "OFF", "OFF", "DEL", "KEY", "NEW"] as const;
/** Milliseconds that a partition has no owner: longer than commands wait. */
const longWithoutOwner = 11_000;

interface Brought {
  readonly partition: number;
  readonly what: string;
}

interface Owner extends OwnedLog {
  readonly node: MomentNode;
  readonly partition: number;
}

/**
 * A cluster in this process to which things happen at the moments that random kills seldom hit. Its nodes do all that
 * nodes do between their sessions and the logs of the partitions; who owns what is said here, not by leases, so that an
 * owner can be followed by another at any moment.
 */
export class MomentsTarget implements Target {
  readonly faults: readonly string[] = [
    "lost-acknowledgements",
    "late-batch",
    "pause-in-snapshot",
    "lost-link-messages",
    "double-ack",
    "off-before-change",
    "without-owner",
  ];
  readonly forgetsSuspended = false;
  /** What nodes have logged that should not be. */
  readonly failures: string[] = [];
  readonly #bus = new MessageBus();
  readonly #logs: Logs;
  readonly #ownership: (Ownership | null)[];
  readonly #nodes: MomentNode[] = [];

  private constructor({ partitions = 4, logs = memoryLogs(partitions) }: MomentsOptions) {
    this.#logs = logs;
    this.#ownership = new Array(partitions).fill(null);
  }

  static async start(options: MomentsOptions = {}): Promise<MomentsTarget> {
    const target = new MomentsTarget(options);
    try {
      for (let i = 0; i < (options.nodes ?? 3); i++) {
        target.#nodes.push(await MomentNode.start(target.#world, `node-${i + 1}`));
      }
      for (const partition of target.#ownership.keys()) {
        await target.#claim(partition, target.#nodes[partition % target.#nodes.length]!);
      }
      await target.recovered();
    } catch (error) {
      await target[Symbol.asyncDispose]();
      throw error;
    }
    return target;
  }

  addresses(): readonly string[] {
    return this.#nodes.map(({ address }) => address);
  }

  async inject(fault: string, random: Random): Promise<Injected> {
    const owner = this.#ownerOf(random.pick(await this.#used())!);
    const { what, partition } = await this.#bring(fault, owner, random);
    return {
      what: `partition ${partition}: ${what}`,
      hits: (recipientId) => this.#partitionOf(recipientId) === partition,
    };
  }

  async recovered(): Promise<void> {
    await until(() => this.#nodes.every(({ isLinked }) => isLinked));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes) await node[Symbol.asyncDispose]();
    await this.#logs[Symbol.asyncDispose]();
  }

  get #world() {
    return {
      bus: this.#bus,
      ownership: this.#ownership,
      open: (partition: number, node: string) => this.#logs.open(partition, node),
      log: (message: string, error?: unknown) => void this.failures.push(`${message}: ${error}`),
    };
  }

  async #bring(fault: string, owner: Owner, random: Random): Promise<Brought> {
    const { partition } = owner;
    switch (fault) {
      case "lost-acknowledgements":
        return { partition, what: await this.#loseAcknowledgements(owner, random) };
      case "late-batch":
        return { partition, what: await this.#sendLate(owner, random) };
      case "pause-in-snapshot":
        return { partition, what: await this.#pauseInSnapshot(owner, random) };
      case "lost-link-messages":
        return { partition, what: await this.#loseMessages(owner, random) };
      case "double-ack":
        return await this.#loseAnswer(random);
      case "off-before-change":
        return await this.#changeAt(random.pick(changing)!, random);
      case "without-owner":
        await owner.node.handOver(partition);
        await pause(longWithoutOwner);
        await this.#claim(partition, this.#other(owner.node, random));
        return { partition, what: `nobody owns it for ${longWithoutOwner} ms` };
      default:
        throw new RangeError(`there is no fault ${fault}`);
    }
  }

  /** The engine stores a batch, or not, and does not say so; another owner may follow meanwhile. */
  async #loseAcknowledgements(owner: Owner, random: Random): Promise<string> {
    const most = 1 + random.below(3);
    const isFollowed = random.chance(0.5);
    const done: string[] = [];
    await this.#intercepting(owner, (reached) => async (operation, perform) => {
      if (operation !== "publish batch" || done.length >= most) return await perform();
      const kind = random.pick(["stored, no answer", "not stored, no answer", "stored, refused"])!;
      done.push(kind);
      if (kind !== "not stored, no answer") await perform();
      if (done.length === most || isFollowed) reached();
      return kind === "stored, refused" ? { type: "refused" } : { type: "unknown", cause: new Error("lost") };
    }, async () => {
      if (isFollowed) await this.#follow(owner, random);
    });
    return `${done.join("; ")}${isFollowed ? "; another one follows" : ""}`;
  }

  /** A batch comes when another one has claimed the partition, or about then, or once more. */
  async #sendLate(owner: Owner, random: Random): Promise<string> {
    const kind = random.pick(["late", "late", "about then", "once more"])!;
    const delay = random.below(20);
    const released = Promise.withResolvers<void>(), late = Promise.withResolvers<unknown>();
    let isHeld = false;
    await this.#intercepting(owner, (reached) => async (operation, perform) => {
      if (operation !== "publish batch" || isHeld) return await perform();
      isHeld = true;
      const first = kind === "once more" ? await perform() : null;
      reached();
      const again = released.promise.then(perform);
      late.resolve(again);
      return first ?? await again;
    }, async () => {
      const following = this.#follow(owner, random, { isBuried: false });
      if (kind === "about then") await pause(delay / 4);
      else {
        await following;
        await pause(delay);
      }
      released.resolve();
      await Promise.all([late.promise, following]);
      await this.#bury(owner, random);
    });
    const { type } = await late.promise as { readonly type: string };
    if (kind !== "about then" && type !== "refused") {
      this.failures.push(`a batch that came late was ${type}`);
    }
    return `a batch comes ${kind}: ${type}`;
  }

  /** An owner is stopped before or after a step of a snapshot, is followed, and goes on. */
  async #pauseInSnapshot(owner: Owner, random: Random): Promise<string> {
    const step = random.pick(ofSnapshots)!;
    const isBefore = random.chance(0.5);
    const released = Promise.withResolvers<void>();
    let isStopped = false;
    await this.#intercepting(owner, (reached) => async (operation, perform) => {
      if (isStopped) await released.promise;
      else if (operation === step) {
        isStopped = true;
        const result = isBefore ? null : await perform();
        owner.node.gate.shut();
        reached();
        await released.promise;
        return isBefore ? await perform() : result;
      }
      return await perform();
    }, async () => {
      const next = await this.#follow(owner, random, { isBuried: false });
      // It takes a snapshot of its own, most times.
      const { sequence } = next.log;
      const end = performance.now() + random.below(200);
      while (performance.now() < end && next.log.sequence < sequence + 20) await pause(5);
      released.resolve();
      await this.#bury(owner, random);
    });
    return `stopped ${isBefore ? "before" : "after"} ${step} of a snapshot`;
  }

  /** Messages between the owner and another node are lost. */
  async #loseMessages(owner: Owner, random: Random): Promise<string> {
    const other = this.#other(owner.node, random);
    const [from, to] = random.chance(0.5) ? [owner.node, other] : [other, owner.node];
    const probability = random.pick([0.1, 0.5, 1])!;
    const most = 1 + random.below(6);
    let count = 0;
    this.#bus.loses = (subject) => {
      // A node cannot be told from the others by what it sends.
      if (count >= most || subject !== `nodes.${to.name}.stream` || !random.chance(probability)) return false;
      count++;
      return true;
    };
    await this.#soon(() => count >= most);
    this.#bus.loses = () => false;
    return `${count} messages of ${from.name} or others to ${to.name} are lost`;
  }

  /** The answer to an ACK is lost with its link, so that it is given again, to the next owner or the same one. */
  async #loseAnswer(random: Random): Promise<Brought> {
    const isFollowed = random.chance(0.5);
    const { node, owner, type } = await this.#submitted((node, { command: { type }, queueId }) =>
      (type === "ACK" || type === "ACKM") && this.#ownership[this.#partitionOf(queueId)]!.node !== node.name
    );
    const { partition, owned: { log } } = owner;
    const { sequence } = log;
    let lost = 0;
    this.#bus.loses = (subject) => subject === `nodes.${node.name}.stream` && ++lost > 0;
    // The longer it lasts, the more is executed whose answers are lost.
    const batches = 2 + random.below(10);
    await this.#soon(() => log.sequence >= sequence + batches && lost > 0);
    if (isFollowed) await this.#follow(owner, random);
    this.#bus.loses = () => false;
    const after = isFollowed ? "; another one follows" : "";
    return { partition, what: `the answer to ${type} does not come to ${node.name}${after}` };
  }

  /** The owner changes while a command is under way. */
  async #changeAt(type: string, random: Random): Promise<Brought> {
    const { owner } = await this.#submitted((_, { command }) => command.type === type);
    const { partition, node, owned: { log } } = owner;
    const { sequence } = log;
    const isStored = random.chance(0.5);
    if (isStored) await this.#soon(() => log.sequence > sequence);
    else await pause(random.below(5));
    const isHandedOver = random.chance(0.5);
    if (isHandedOver) await node.handOver(partition);
    await this.#follow(owner, random);
    const how = isHandedOver ? "handed over" : "taken";
    return {
      partition,
      what: `${type}${isStored ? " is stored, and the partition" : ": the partition is"} ${how}`,
    };
  }

  /** Resolves with the next command of which `matches` says so, where it was given and whose it is. */
  async #submitted(matches: (node: MomentNode, transmission: ClientTransmission) => boolean) {
    const { promise, resolve } = Promise.withResolvers<{ node: MomentNode; owner: Owner; type: string }>();
    for (const node of this.#nodes) {
      node.submitted = (transmission) => {
        if (!matches(node, transmission)) return;
        const { command: { type }, queueId } = transmission;
        // Which partition a new queue gets is not known here.
        resolve({ node, type, owner: this.#ownerOf(type === "NEW" ? 0 : this.#partitionOf(queueId)) });
      };
    }
    try {
      return await soon(promise);
    } finally {
      for (const node of this.#nodes) node.submitted = null;
    }
  }

  /** Does `work` when the owner has reached the moment that `intercept` tells of; nothing is done to it afterwards. */
  async #intercepting(
    { log }: Owner,
    intercept: (reached: () => void) => Intercept,
    work: () => Promise<void>,
  ): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    log.intercept = intercept(resolve);
    await soon(promise);
    await work();
    log.intercept = null;
  }

  /**
   * Another node claims the partition of an owner whose lease has ended, which does not know that, and gives it up
   * afterwards if it `isBuried`.
   */
  async #follow(owner: Owner, random: Random, { isBuried = true } = {}): Promise<OwnedPartition> {
    // What needs no log, as SUB does, no owner does any more when another one may have followed.
    owner.node.gate.shut();
    const next = await this.#claim(owner.partition, this.#other(owner.node, random));
    if (isBuried) await this.#bury(owner, random);
    return next;
  }

  /** As a node does that was taken for dead and goes on. */
  async #bury({ node, owned }: Owner, random: Random): Promise<void> {
    await pause(random.below(30));
    // One that is lost meanwhile knows it.
    for (const { owned } of node.all) await owned.log.confirm().catch(() => {});
    node.gate.open();
    await pause(random.below(30));
    await node.giveUp(owned);
  }

  async #claim(partition: number, node: MomentNode): Promise<OwnedPartition> {
    const owned = await node.claim(partition);
    this.#ownership[partition] = { node: node.name, epoch: owned.epoch };
    for (const each of this.#nodes) each.look();
    return owned;
  }

  #ownerOf(partition: number): Owner {
    const name = this.#ownership[partition]!.node;
    const node = this.#nodes.find((node) => node.name === name)!;
    return { node, partition, ...node.owned(partition)! };
  }

  #partitionOf(queueId: string): number {
    return partitionOf(queueId, this.#ownership.length);
  }

  #other(node: MomentNode, random: Random): MomentNode {
    return random.pick(this.#nodes.filter((other) => other !== node))!;
  }

  /** Partitions whose logs grow. */
  async #used(): Promise<readonly number[]> {
    const lengths = () => [...this.#ownership.keys()].map((partition) => this.#lengthOf(partition));
    const before = lengths();
    const used = () =>
      lengths().flatMap((length, partition) => length > before[partition]! ? [partition] : []);
    await this.#soon(() => used().length > before.length / 2);
    return used();
  }

  #lengthOf(partition: number): number {
    return this.#ownerOf(partition).owned.log.sequence;
  }

  /** As `until`, with looks that are as near to each other as moments are. */
  async #soon(condition: () => boolean): Promise<void> {
    const end = performance.now() + patience;
    while (!condition()) {
      if (performance.now() > end) throw new Error("the moment did not come");
      await pause(1);
    }
  }
}

function memoryLogs(partitions: number): Logs {
  const logs = Array.from({ length: partitions }, () => ({
    stream: new MemoryStream(),
    snapshots: new MemorySnapshots(),
  }));
  return {
    open: (partition) => Promise.resolve(logs[partition]!),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
