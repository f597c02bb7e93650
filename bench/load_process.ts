/**
 * Load on a server from a process of its own, with commands that were signed beforehand: what it does meanwhile is
 * blocks and sockets. Prints `ready`, and after the measurement one line of JSON.
 *
 * `load_process.ts <address> <options as JSON>`
 */
// deno-lint-ignore-file no-console
import {
  type BlockChannel,
  clientHandshake,
  connectTcp,
  decodeServerTransmission,
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  type KeyPair,
  parseAddress,
  preferOpenSsl,
  type RecipientQueue,
  signPss,
  SmpClient,
} from "../mod.ts";
import { asciiText, textBytes } from "../protocol/bytes.ts";

/** What load is put on a server. */
export interface LoadOptions {
  /** Queues with a sender and a recipient each. */
  readonly pairs: number;
  /** Connections of senders, and as many of recipients. */
  readonly connections: number;
  /** Messages that a pair has on their way. */
  readonly depth: number;
  /** Cycles a second in all; as many as there can be without it. */
  readonly rate?: number;
  /** Milliseconds before the measurement. */
  readonly warmUp: number;
  /** Milliseconds. */
  readonly measured: number;
}

/** What was measured. */
export interface LoadResult {
  /** Signed SEND → OK, MSG → signed ACK → OK. */
  readonly cycles: number;
  readonly milliseconds: number;
  /** From writing SEND to the answer of ACK, milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Bytes of a message's body. */
const bodyLength = 3600;
const sendId = "S", ackId = "A";

interface Pair {
  readonly send: Uint8Array;
  readonly acknowledge: Uint8Array;
  readonly sender: Line;
  /** When each message that is on its way was written. */
  readonly sent: number[];
}

/** A connection whose transmissions are written as they were made, many at once. */
class Line {
  readonly #blocks: BlockChannel;
  #waiting: Uint8Array[] = [];
  #isWriting = false;

  constructor(blocks: BlockChannel) {
    this.#blocks = blocks;
  }

  static async open(address: string): Promise<Line> {
    const { host, port } = parseAddress(address);
    return new Line(await clientHandshake(await connectTcp(host, port!)));
  }

  write(content: Uint8Array): void {
    this.#waiting.push(content);
    if (!this.#isWriting) void this.#writeAll();
  }

  /** Calls `take` for every transmission. */
  async read(take: (queueId: string, corrId: string, type: string) => void): Promise<void> {
    for (let content = await this.#blocks.read(); content !== null; content = await this.#blocks.read()) {
      const decoded = decodeServerTransmission(content);
      if (!decoded.ok) throw new Error(`an answer cannot be read: ${decoded.error}`);
      const { corrId, queueId, response } = decoded.value;
      if (response.type === "ERR") throw new Error(`the server answers ERR ${response.error}`);
      take(queueId, asciiText(corrId), response.type);
    }
  }

  close(): Promise<void> {
    return this.#blocks.close();
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) await this.#blocks.write(this.#waiting.splice(0, 16));
    this.#isWriting = false;
  }
}

async function signed(
  { privateKey }: KeyPair<"sign">,
  corrId: string,
  queueId: string,
  command: Parameters<typeof encodeSigned>[2],
): Promise<Uint8Array> {
  const text = encodeSigned(textBytes(corrId), queueId, command);
  return encodeClientTransmission(await signPss(privateKey, text), text);
}

async function run(address: string, options: LoadOptions): Promise<LoadResult> {
  const keyPair = await generateKeyPair("sign");
  const queues = await makeQueues(address, options.pairs, keyPair);
  const open = () => Promise.all(Array.from({ length: options.connections }, () => Line.open(address)));
  const [senders, recipients] = [await open(), await open()];
  const body = new Uint8Array(bodyLength);
  const byRecipientId = new Map<string, Pair>();
  for (const [i, { recipientId, senderId }] of queues.entries()) {
    byRecipientId.set(recipientId, {
      send: await signed(keyPair, sendId, senderId, { type: "SEND", body }),
      acknowledge: await signed(keyPair, ackId, recipientId, { type: "ACK" }),
      sender: senders[i % senders.length]!,
      sent: [],
    });
  }
  const latencies: number[] = [];
  let [isMeasuring, isStopping, active] = [false, false, 0];
  const finished = Promise.withResolvers<void>();
  const send = (pair: Pair) => {
    pair.sent.push(performance.now());
    active++;
    pair.sender.write(pair.send);
  };
  const reading: Promise<void>[] = senders.map((line) => line.read(() => {}));
  for (const line of recipients) {
    reading.push(line.read((recipientId, corrId, type) => {
      const pair = byRecipientId.get(recipientId)!;
      // The answer to ACK may be the next message.
      if (corrId === ackId) {
        if (isMeasuring) latencies.push(performance.now() - pair.sent[0]!);
        pair.sent.shift();
        active--;
        if (!isStopping && options.rate === undefined) send(pair);
        if (isStopping && active === 0) finished.resolve();
      }
      if (type === "MSG") line.write(pair.acknowledge);
    }));
  }
  for (const [i, { recipientId }] of queues.entries()) {
    recipients[i % recipients.length]!.write(await signed(keyPair, "", recipientId, { type: "SUB" }));
  }
  const pairs = [...byRecipientId.values()];
  let timer: ReturnType<typeof sendAtRate> | undefined;
  if (options.rate === undefined) {
    for (const pair of pairs) for (let i = 0; i < options.depth; i++) send(pair);
  } else timer = sendAtRate(options.rate, pairs, send);
  await pause(options.warmUp);
  console.log("ready");
  const began = performance.now();
  isMeasuring = true;
  await pause(options.measured);
  isMeasuring = false;
  const milliseconds = performance.now() - began;
  console.log("measured");
  clearInterval(timer);
  isStopping = true;
  if (active > 0) await finished.promise;
  await Promise.all([...senders, ...recipients].map((line) => line.close()));
  await Promise.allSettled(reading);
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
  return { cycles: latencies.length, milliseconds, p50: at(0.5), p99: at(0.99) };
}

/** Sends evenly, to one pair after the other, however long the answers take. */
function sendAtRate(
  rate: number,
  pairs: readonly Pair[],
  send: (pair: Pair) => void,
): ReturnType<typeof setInterval> {
  const began = performance.now();
  let sent = 0;
  return setInterval(() => {
    const due = (performance.now() - began) * rate / 1000;
    for (; sent < due; sent++) send(pairs[sent % pairs.length]!);
  }, 1);
}

async function makeQueues(
  address: string,
  count: number,
  keyPair: KeyPair<"sign">,
): Promise<RecipientQueue[]> {
  await using client = await SmpClient.connect(address);
  return await Promise.all(Array.from({ length: count }, async () => {
    const queue = await client.createQueue({ keyPair });
    await client.secureQueue(queue, keyPair.publicKey);
    return queue;
  }));
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

if (import.meta.main) {
  preferOpenSsl();
  const [address, options] = Deno.args;
  console.log(JSON.stringify(await run(address!, JSON.parse(options!))));
}
