import { setTimeout as pause } from "node:timers/promises";
import type { RecipientQueue, SenderQueue } from "../../client/mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { Peer, type Session, type World } from "./peer.ts";
import { Received } from "./received.ts";

/** How the messages of a queue are received. */
export interface PairKind {
  /** Messages that may be unacknowledged; `null`: one, as in 0.3. */
  readonly window: number | null;
  /** Connections that take the queue from one another. */
  readonly recipients: number;
  /** The recipient is away most of the time, and the sender has time. */
  readonly isAway?: boolean;
}

/** Milliseconds that a sender waits at most, by chance, and one that has time. */
const [mostSenderPause, mostLongPause] = [30, 200];
/** Milliseconds that a recipient waits at most before it takes a queue back, and that it is away. */
const [mostTakerPause, mostAway] = [400, 2_000];
/** Messages that a recipient reads at most before it is away. */
const mostRead = 60;
/** How likely a client connects anew after a command: else all would be at the processes that were hit least. */
const leaving = 1 / 100;
/** Messages that are on their way at a time, at most. */
const mostDepth = 3;

/** A queue with a sender and recipients, which go on through all faults. */
export class Pair implements AsyncDisposable {
  readonly name: string;
  readonly kind: PairKind;
  readonly queue: RecipientQueue;
  readonly #world: World;
  readonly #sender: Peer;
  readonly #recipients: readonly Peer[];
  readonly #sending: Promise<void>;
  readonly #receiving: readonly Promise<void>[];

  private constructor(
    world: World,
    { name, kind, queue, recipients }: {
      readonly name: string;
      readonly kind: PairKind;
      readonly queue: RecipientQueue;
      readonly recipients: readonly Peer[];
    },
  ) {
    this.name = name;
    this.kind = kind;
    this.queue = queue;
    this.#world = world;
    this.#sender = new Peer(world);
    this.#recipients = recipients;
    this.#sending = this.#send();
    this.#receiving = recipients.map((peer) => this.#receive(peer));
  }

  /** Makes a queue that is secured. */
  static async start(world: World, name: string, kind: PairKind): Promise<Pair> {
    const recipients = Array.from({ length: kind.recipients }, () => new Peer(world));
    const queue = await createQueue(world, name, recipients[0]!);
    if (queue === null) throw new Error(`${name} could not be made`);
    return new Pair(world, { name, kind, queue, recipients });
  }

  get sender(): SenderQueue {
    return { senderId: this.queue.senderId, senderKey: this.#world.keyPair.privateKey };
  }

  /** Resolves when nothing is sent any more; recipients go on. */
  get stopped(): Promise<void> {
    return this.#sending;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#sender, ...this.#recipients].map((peer) => peer[Symbol.asyncDispose]()));
    await Promise.all([this.#sending, ...this.#receiving]);
  }

  async #send(): Promise<void> {
    const { random, stop } = this.#world;
    let again: [number: number, attempt: number][] = [];
    let last = 0;
    while (!stop.aborted) {
      const session = await this.#sender.session();
      if (session === null) return;
      const depth = 1 + random.below(mostDepth);
      const batch = again.splice(0, depth);
      while (batch.length < depth) batch.push([++last, 1]);
      const outcomes = await Promise.all(batch.map(async ([number, attempt]) => {
        return (await this.#sendOne(session, `${this.name}.${number}.${attempt}`)).outcome;
      }));
      const failed = batch.filter((_, i) => outcomes[i] !== "OK");
      again = [...failed.map(([number, attempt]) => [number, attempt + 1] as [number, number]), ...again];
      if (random.chance(leaving)) await session.leave();
      const most = this.#world.pace * (this.kind.isAway ? mostLongPause : mostSenderPause);
      await pause(random.below(most), undefined, { signal: stop }).catch(() => {});
    }
  }

  #sendOne(session: Session, text: string) {
    return session.perform(
      { command: "SEND", queue: this.name, text },
      (client) => client.send(this.sender, textBytes(text)),
    );
  }

  /** Subscribes again when the connection is lost, and after a while when another one has subscribed. */
  async #receive(peer: Peer): Promise<void> {
    const { random, stop } = this.#world;
    const { recipients, isAway = false } = this.kind;
    const isAlone = recipients === 1;
    for (;;) {
      const session = await peer.session();
      if (session === null) return;
      await this.#subscribed(session, isAway ? 1 + random.below(mostRead) : Infinity);
      if (isAway) await pause(random.below(mostAway), undefined, { signal: stop }).catch(() => {});
      if (isAway && stop.aborted) return;
      if (isAlone && session.isOpen) await pause(20);
      if (!isAlone) {
        await pause(random.below(mostTakerPause), undefined, { signal: stop }).catch(() => {});
        // Who was told of another one leaves it the queue.
        if (stop.aborted && session.isOpen) return;
      }
    }
  }

  /** Reads and acknowledges until the subscription or the connection ends, and leaves after `most` messages. */
  async #subscribed(session: Session, most: number): Promise<void> {
    const { name, queue, kind: { window } } = this;
    const { history, random } = this.#world;
    const { outcome } = await session.perform(
      { command: "SUB", queue: name, window: window ?? 1 },
      (client) => client.subscribe(queue, window === null ? {} : { window }),
    );
    if (outcome !== "OK") return;
    const received = new Received(session, { name, queue, history });
    const unacknowledged: string[] = [];
    for (let count = 1;; count++) {
      const messageId = await received.next();
      if (messageId === null) return;
      unacknowledged.push(messageId);
      if (window !== null && unacknowledged.length < 1 + random.below(window)) continue;
      const [last, messageIds] = [messageId, unacknowledged.splice(0)];
      const acknowledge = () =>
        session.perform(
          { command: "ACK", queue: name, messageIds },
          (client) => window === null ? client.acknowledge(queue) : client.acknowledge(queue, last),
        );
      // What the server could not do is still to be done: nothing more comes before.
      while ((await acknowledge()).outcome === "ERR INTERNAL") await pause(100);
      if (count >= most || random.chance(leaving)) await session.leave();
    }
  }
}

/** Makes a queue that is secured, however often it takes; `null`: it was given up. */
export async function createQueue(
  { history, keyPair }: World,
  name: string,
  peer: Peer,
): Promise<RecipientQueue | null> {
  for (;;) {
    const session = await peer.session();
    if (session === null) return null;
    // What was made without an answer is nobody's.
    const attempt = `${name} attempt ${session.number}`;
    const { value: queue } = await session.perform(
      { command: "NEW", queue: attempt },
      (client) => client.createQueue({ keyPair }),
    );
    if (queue === undefined) continue;
    const { recipientId, senderId } = queue;
    history.queues.push({ name, recipientId, senderId });
    for (;;) {
      const session = await peer.session();
      if (session === null) return null;
      const { outcome } = await session.perform(
        { command: "KEY", queue: name },
        (client) => client.secureQueue(queue, keyPair.publicKey),
      );
      // A second one is refused.
      if (outcome === "OK" || outcome === "ERR AUTH") return queue;
    }
  }
}
