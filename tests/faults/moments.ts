import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../agent/model/random.ts";
import type { Intercept, Operation } from "../support/intercepted_log.ts";
import { soon } from "../support/wait.ts";
import { MomentCluster, type MomentsOptions, type Owner, shortly } from "./moment_cluster.ts";
import type { Injected, Target } from "./target.ts";

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

/** A cluster to which things happen at moments that random kills seldom hit. */
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
  readonly #cluster: MomentCluster;

  private constructor(cluster: MomentCluster) {
    this.#cluster = cluster;
  }

  static async start(options: MomentsOptions = {}): Promise<MomentsTarget> {
    return new MomentsTarget(await MomentCluster.start(options));
  }

  get failures(): readonly string[] {
    return this.#cluster.failures;
  }

  addresses(): readonly string[] {
    return this.#cluster.nodes.map(({ address }) => address);
  }

  async inject(fault: string, random: Random): Promise<Injected> {
    const owner = this.#cluster.ownerOf(random.pick(await this.#cluster.used())!);
    const { what, partition } = await this.#bring(fault, owner, random);
    return {
      what: `partition ${partition}: ${what}`,
      hits: (recipientId) => this.#cluster.partitionOf(recipientId) === partition,
    };
  }

  recovered(): Promise<void> {
    return this.#cluster.linked();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cluster[Symbol.asyncDispose]();
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
        await this.#cluster.claim(partition, this.#cluster.other(owner.node, random));
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
      if (isFollowed) await this.#cluster.follow(owner, random);
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
      const following = this.#cluster.follow(owner, random, { isBuried: false });
      if (kind === "about then") await pause(delay / 4);
      else {
        await following;
        await pause(delay);
      }
      released.resolve();
      await Promise.all([late.promise, following]);
      await this.#cluster.bury(owner, random);
    });
    const { type } = await late.promise as { readonly type: string };
    if (kind !== "about then" && type !== "refused") {
      this.#cluster.failures.push(`a batch that came late was ${type}`);
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
      const next = await this.#cluster.follow(owner, random, { isBuried: false });
      // It takes a snapshot of its own, most times.
      const { sequence } = next.log;
      const end = performance.now() + random.below(200);
      while (performance.now() < end && next.log.sequence < sequence + 20) await pause(5);
      released.resolve();
      await this.#cluster.bury(owner, random);
    });
    return `stopped ${isBefore ? "before" : "after"} ${step} of a snapshot`;
  }

  /** Messages between the owner and another node are lost. */
  async #loseMessages(owner: Owner, random: Random): Promise<string> {
    const other = this.#cluster.other(owner.node, random);
    const [from, to] = random.chance(0.5) ? [owner.node, other] : [other, owner.node];
    const probability = random.pick([0.1, 0.5, 1])!;
    const most = 1 + random.below(6);
    let count = 0;
    this.#cluster.bus.loses = (subject) => {
      // A node cannot be told from the others by what it sends.
      if (count >= most || subject !== `nodes.${to.name}.stream` || !random.chance(probability)) return false;
      count++;
      return true;
    };
    await shortly(() => count >= most);
    this.#cluster.bus.loses = () => false;
    return `${count} messages of ${from.name} or others to ${to.name} are lost`;
  }

  /** The answer to an ACK is lost with its link, so that it is given again, to the next owner or the same one. */
  async #loseAnswer(random: Random): Promise<Brought> {
    const isFollowed = random.chance(0.5);
    const { node, owner, type } = await this.#cluster.submitted((node, { command: { type }, queueId }) =>
      (type === "ACK" || type === "ACKM") &&
      this.#cluster.ownerOf(this.#cluster.partitionOf(queueId)).node !== node
    );
    const { partition, owned: { log } } = owner;
    const { sequence } = log;
    let lost = 0;
    this.#cluster.bus.loses = (subject) => subject === `nodes.${node.name}.stream` && ++lost > 0;
    // The longer it lasts, the more is executed whose answers are lost.
    const batches = 2 + random.below(10);
    await shortly(() => log.sequence >= sequence + batches && lost > 0);
    if (isFollowed) await this.#cluster.follow(owner, random);
    this.#cluster.bus.loses = () => false;
    const after = isFollowed ? "; another one follows" : "";
    return { partition, what: `the answer to ${type} does not come to ${node.name}${after}` };
  }

  /** The owner changes while a command is under way. */
  async #changeAt(type: string, random: Random): Promise<Brought> {
    const { owner } = await this.#cluster.submitted((_, { command }) => command.type === type);
    const { partition, node, owned: { log } } = owner;
    const { sequence } = log;
    const isStored = random.chance(0.5);
    if (isStored) await shortly(() => log.sequence > sequence);
    else await pause(random.below(5));
    const isHandedOver = random.chance(0.5);
    if (isHandedOver) await node.handOver(partition);
    await this.#cluster.follow(owner, random);
    const how = isHandedOver ? "handed over" : "taken";
    return {
      partition,
      what: `${type}${isStored ? " is stored, and the partition" : ": the partition is"} ${how}`,
    };
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
}
