import { setTimeout as pause } from "node:timers/promises";
import type { RecipientQueue } from "../../client/mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { Peer, type World } from "./peer.ts";

/** Milliseconds between two queues, at most. */
const mostPause = 300;

/** A queue of a churn, which is left as it is. */
export interface LeftQueue {
  readonly name: string;
  readonly queue: RecipientQueue;
  readonly fate: "kept" | "suspended" | "deleted";
}

/** Makes queues, secures some, sends to them, suspends or deletes some: each command once, whatever becomes of it. */
export class Churn implements AsyncDisposable {
  readonly left: LeftQueue[] = [];
  readonly #world: World;
  readonly #name: string;
  readonly #peer: Peer;
  readonly #work: Promise<void>;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
    this.#peer = new Peer(world);
    this.#work = this.#run();
  }

  /** Resolves when it makes no more. */
  get stopped(): Promise<void> {
    return this.#work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer[Symbol.asyncDispose]();
    await this.#work;
  }

  async #run(): Promise<void> {
    const { stop, random } = this.#world;
    for (let i = 1; !stop.aborted; i++) {
      await this.#make(`${this.#name}.${i}`);
      await pause(random.below(mostPause), undefined, { signal: stop }).catch(() => {});
    }
  }

  async #make(name: string): Promise<void> {
    const { history, keyPair, random } = this.#world;
    const { publicKey, privateKey } = keyPair;
    const session = await this.#peer.session();
    if (session === null) return;
    const { value: queue } = await session.perform(
      { command: "NEW", queue: name },
      (client) => client.createQueue({ keyPair }),
    );
    if (queue === undefined) return;
    const { recipientId, senderId } = queue;
    history.queues.push({ name, recipientId, senderId });
    const fate = random.pick(["kept", "suspended", "deleted"] as const)!;
    this.left.push({ name, queue, fate });
    let isSecured = false;
    const text = `${name}.1`;
    if (random.chance(0.7)) {
      isSecured = true;
      await this.#perform({ command: "KEY", queue: name }, (client) => client.secureQueue(queue, publicKey));
    }
    await this.#perform(
      { command: "SEND", queue: name, text, isUnsigned: !isSecured },
      (client) =>
        client.send(isSecured ? { senderId, senderKey: privateKey } : { senderId }, textBytes(text)),
    );
    if (fate === "suspended") {
      await this.#perform({ command: "OFF", queue: name }, (client) => client.suspendQueue(queue));
    } else if (fate === "deleted") {
      await this.#perform({ command: "DEL", queue: name }, (client) => client.deleteQueue(queue));
    }
  }

  async #perform(
    ...[subject, run]: Parameters<NonNullable<Awaited<ReturnType<Peer["session"]>>>["perform"]>
  ) {
    await (await this.#peer.session())?.perform(subject, run);
  }
}
