import {
  generateKeyPair,
  type PrivateKey,
  type RecipientQueue,
  type SenderQueue,
  SmpClient,
  TransportError,
} from "../../mod.ts";
import { asciiText, textBytes } from "../../protocol/mod.ts";
import { next, patience } from "./wait.ts";

/** A queue under load, with what is known of its messages. */
interface Loaded {
  readonly recipient: RecipientQueue;
  readonly sender: SenderQueue;
  /** Texts of the messages that the server has accepted, in order. */
  readonly accepted: string[];
  /** Texts of those whose acknowledgement was answered. */
  readonly acknowledged: Set<string>;
  /** Texts of messages that were sent, or acknowledged, without an answer: what became of them is unknown. */
  readonly unknown: Set<string>;
}

/** Queues with one sender and one recipient each, which send and acknowledge as fast as they can until the server goes. */
export class Load {
  readonly #queues: Loaded[] = [];
  /** Messages that the server has accepted. */
  accepted = 0;

  /** Makes `count` secured queues and begins; `ended` resolves when no client has a connection any more. */
  static async start(address: string, count: number): Promise<{ load: Load; ended: Promise<void> }> {
    const load = new Load();
    const [sending, receiving] = [await SmpClient.connect(address), await SmpClient.connect(address)];
    const keyPair = await generateKeyPair("sign", 1024);
    for (let i = 0; i < count; i++) load.#queues.push(await makeQueue(receiving, keyPair));
    const work = load.#queues.flatMap((
      queue,
      i,
    ) => [load.#send(sending, queue), load.#receive(receiving, queue, i)]);
    const ended = Promise.all(work).then(async () =>
      void await Promise.all([sending.close(), receiving.close()])
    );
    return { load, ended };
  }

  /**
   * Reads everything from a server that was started again; gives what is wrong, each as a sentence: accepted messages
   * that are gone, acknowledged ones that are back, and messages out of order.
   */
  async check(address: string): Promise<string[]> {
    await using client = await connectAgain(address);
    const problems: string[] = [];
    for (const [i, queue] of this.#queues.entries()) {
      const texts = await readQueue(client, queue);
      const expected = queue.accepted.filter((text) =>
        !queue.acknowledged.has(text) && !queue.unknown.has(text)
      );
      for (const text of expected) if (!texts.includes(text)) problems.push(`queue ${i}: ${text} is lost`);
      for (const text of texts) {
        if (queue.acknowledged.has(text)) problems.push(`queue ${i}: ${text} is back`);
      }
      const numbers = texts.map(Number);
      const isOrdered = numbers.every((n, at) => at === 0 || numbers[at - 1]! < n);
      if (!isOrdered) problems.push(`queue ${i}: ${texts.join(" ")} is not in order`);
    }
    return problems;
  }

  /** Deletes all its queues. */
  async delete(address: string): Promise<void> {
    await using client = await SmpClient.connect(address);
    for (const { recipient } of this.#queues) await client.deleteQueue(recipient);
  }

  /** How many of its queues there are on a server. */
  async left(address: string): Promise<number> {
    await using client = await SmpClient.connect(address);
    let count = 0;
    for (const { recipient } of this.#queues) {
      await client.subscribe(recipient).then(() => count++, () => {});
    }
    return count;
  }

  async #send(client: SmpClient, queue: Loaded): Promise<void> {
    for (let i = 0;; i++) {
      const text = `${i}`;
      try {
        await client.send(queue.sender, textBytes(text));
        queue.accepted.push(text);
        this.accepted++;
      } catch (error) {
        if (error instanceof TransportError) return void queue.unknown.add(text);
      }
    }
  }

  /** Acknowledges every message of even queues; odd ones fill up. */
  async #receive(client: SmpClient, queue: Loaded, index: number): Promise<void> {
    let text = "";
    try {
      for await (const event of client.events(queue.recipient)) {
        if (event.type !== "MSG") continue;
        text = asciiText(event.body);
        if (index % 2 === 1) continue;
        await client.acknowledge(queue.recipient);
        queue.acknowledged.add(text);
      }
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      if (!queue.acknowledged.has(text) && index % 2 === 0) queue.unknown.add(text);
    }
  }
}

/** A node of a cluster refuses handshakes that it cannot tell to be new, while a log has no leader: clients connect anew. */
async function connectAgain(address: string): Promise<SmpClient> {
  for (const end = performance.now() + patience;;) {
    try {
      return await SmpClient.connect(address);
    } catch (error) {
      if (!(error instanceof TransportError) || performance.now() > end) throw error;
    }
  }
}

async function makeQueue(
  client: SmpClient,
  keyPair: Awaited<ReturnType<typeof generateKeyPair<"sign">>>,
): Promise<Loaded> {
  const recipient = await client.createQueue({ keyPair });
  await client.secureQueue(recipient, keyPair.publicKey);
  const senderKey: PrivateKey<"sign"> = keyPair.privateKey;
  const sender = { senderId: recipient.senderId, senderKey };
  return { recipient, sender, accepted: [], acknowledged: new Set(), unknown: new Set() };
}

/** Puts a last message into a queue, subscribes to it and acknowledges all that waits in it before. */
async function readQueue(client: SmpClient, { recipient, sender }: Loaded): Promise<string[]> {
  const texts: string[] = [];
  await client.send(sender, textBytes("last"));
  const events = client.events(recipient);
  await client.subscribe(recipient);
  for (;;) {
    const event = await next(events);
    if (event.type !== "MSG") throw new Error("another connection has subscribed");
    await client.acknowledge(recipient);
    const text = asciiText(event.body);
    if (text === "last") break;
    texts.push(text);
  }
  await events.return();
  return texts;
}
