import {
  asciiText,
  type BlockChannel,
  type Channel,
  clientHandshake,
  connectTcp,
  decodeServerTransmission,
  defaultPort,
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  parseAddress,
  type PublicKey,
  type ServerTransmission,
  signPss,
  textBytes,
} from "../../protocol/mod.ts";

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

/** Is told how far a load is. */
export interface LoadProgress {
  /** The measurement begins. */
  readonly ready?: () => void;
  /** The measurement is over; what is on its way comes to its end. */
  readonly measured?: () => void;
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
/** Milliseconds. */
const grace = 5_000;
/** Milliseconds that a server may take to answer, unless another time is given. */
const defaultPatience = 15_000;
const sendId = "S", ackId = "A";

interface Pair {
  readonly send: Uint8Array;
  readonly acknowledge: Uint8Array;
  readonly sender: Line;
  /** When each message that is on its way was written. */
  readonly sent: number[];
}

/** A connection whose transmissions are written as they were made, many at once. */
export class Line {
  /** Is told of every transmission of the server. */
  onTransmission: (transmission: ServerTransmission) => void = () => {};
  /** Rejects when the connection fails or the server answers an error. */
  readonly failed: Promise<never>;
  readonly #blocks: BlockChannel;
  readonly #reading: Promise<void>;
  #waiting: Uint8Array[] = [];
  #isWriting = false;
  #isClosed = false;
  #hasEnded = false;
  /** Commands without an answer, and when one came last, or was written when there were none (`performance.now`). */
  #unanswered = 0;
  #heard = 0;
  readonly #watch: ReturnType<typeof setInterval>;

  private constructor(blocks: BlockChannel, patience: number) {
    const failure = Promise.withResolvers<never>();
    this.failed = failure.promise;
    this.failed.catch(() => {});
    this.#blocks = blocks;
    this.#watch = setInterval(() => {
      if (this.#unanswered === 0 || performance.now() - this.#heard < patience) return;
      failure.reject(new Error(`the server has not answered in ${patience} ms`));
      void this.close();
    }, patience / 10);
    this.#reading = this.#read().catch(failure.reject);
  }

  /** Connects to a server, whose key must be that of the address if it names one; each of its answers takes `patience` at most. */
  static async open(address: string, patience: number = defaultPatience): Promise<Line> {
    const { host, port, keyHash } = parseAddress(address);
    const late = new AbortController();
    const timer = setTimeout(
      () => late.abort(new Error(`the server did not finish the handshake in ${patience} ms`)),
      patience,
    );
    let channel: Channel | undefined;
    late.signal.addEventListener("abort", () => void channel?.close());
    try {
      channel = await connectTcp(host, port ?? defaultPort, late.signal);
      return new Line(
        await clientHandshake(channel, { ...(keyHash !== undefined && { keyHash }) }),
        patience,
      );
    } catch (error) {
      await channel?.close();
      late.signal.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether it was closed or has failed. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  write(content: Uint8Array): void {
    if (this.#unanswered++ === 0) this.#heard = performance.now();
    this.#waiting.push(content);
    if (!this.#isWriting) void this.#writeAll();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#watch);
    await this.#blocks.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const content = await this.#blocks.read();
        if (content === null) throw new Error("the server has closed the connection");
        const decoded = decodeServerTransmission(content);
        if (!decoded.ok) throw new Error(`an answer cannot be read: ${decoded.error}`);
        const { corrId, response } = decoded.value;
        this.#heard = performance.now();
        if (response.type !== "MSG" || corrId.length > 0) this.#unanswered--;
        if (response.type === "ERR") throw new Error(`the server answers ERR ${response.error}`);
        this.onTransmission(decoded.value);
      }
    } catch (error) {
      if (!this.#isClosed) throw error;
    } finally {
      this.#hasEnded = true;
      clearInterval(this.#watch);
    }
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#waiting.length > 0) await this.#blocks.write(this.#waiting.splice(0, 16));
    } catch {
      // Whoever reads is told what happened.
    }
    this.#isWriting = false;
  }
}

/** Whose keys all queues have. */
export interface Signer {
  readonly publicKey: PublicKey;
  sign(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** Makes a key, which all queues may share. */
export async function makeSigner(): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair("sign");
  return { publicKey, sign: (data) => signPss(privateKey, data) };
}

/** Makes the content of a block. */
export async function signed(
  signer: Signer,
  corrId: string,
  queueId: string,
  command: Parameters<typeof encodeSigned>[2],
): Promise<Uint8Array> {
  const text = encodeSigned(textBytes(corrId), queueId, command);
  return encodeClientTransmission(await signer.sign(text), text);
}

/**
 * Puts load on the server at `address`, all of whose queues have the key of `signer`, and deletes the queues after it,
 * also when it fails or `signal` ends it.
 */
export async function runLoad(
  address: string,
  options: LoadOptions,
  { signer, progress = {}, patience, signal }: {
    readonly signer: Signer;
    readonly progress?: LoadProgress;
    /** Milliseconds for each answer. @default 15000 */
    readonly patience?: number;
    readonly signal?: AbortSignal;
  },
): Promise<LoadResult> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => {});
  if (signal?.aborted) reject(signal.reason);
  signal?.addEventListener("abort", () => reject(signal.reason));
  const queues: Queue[] = [];
  const lines: Line[] = [];
  try {
    const maker = await Promise.race([Line.open(address, patience), aborted]);
    try {
      // Queues that are asked for are waited for a little: what is not known cannot be deleted.
      const abortedLater = aborted.catch((reason) => pause(grace).then(() => Promise.reject(reason)));
      await Promise.race([
        makeQueues(maker, options.pairs, { queues, signer, signal }),
        maker.failed,
        abortedLater,
      ]);
    } finally {
      await maker.close();
    }
    lines.push(...await Promise.race([openLines(address, 2 * options.connections, patience), aborted]));
    const work = loadQueues(queues, lines, options, { signer, progress });
    return await Promise.race([work, aborted, ...lines.map(({ failed }) => failed)]);
  } finally {
    await Promise.all(lines.map((line) => line.close()));
    if (queues.length > 0) await deleteQueues(address, queues, { signer, patience });
  }
}

async function loadQueues(
  queues: readonly Queue[],
  lines: readonly Line[],
  options: LoadOptions,
  { signer, progress }: { readonly signer: Signer; readonly progress: LoadProgress },
): Promise<LoadResult> {
  const [senders, recipients] = [lines.slice(0, options.connections), lines.slice(options.connections)];
  const body = new Uint8Array(bodyLength);
  const byRecipientId = new Map<string, Pair>();
  for (const [i, { recipientId, senderId }] of queues.entries()) {
    byRecipientId.set(recipientId, {
      send: await signed(signer, sendId, senderId, { type: "SEND", body }),
      acknowledge: await signed(signer, ackId, recipientId, { type: "ACK" }),
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
  for (const line of recipients) {
    line.onTransmission = ({ corrId, queueId, response }) => {
      const pair = byRecipientId.get(queueId)!;
      // The answer to ACK may be the next message.
      if (asciiText(corrId) === ackId) {
        if (isMeasuring) latencies.push(performance.now() - pair.sent[0]!);
        pair.sent.shift();
        active--;
        if (!isStopping && options.rate === undefined) send(pair);
        if (isStopping && active === 0) finished.resolve();
      }
      if (response.type === "MSG") line.write(pair.acknowledge);
    };
  }
  for (const [i, { recipientId }] of queues.entries()) {
    recipients[i % recipients.length]!.write(await signed(signer, "", recipientId, { type: "SUB" }));
  }
  const pairs = [...byRecipientId.values()];
  let timer: ReturnType<typeof sendAtRate> | undefined;
  if (options.rate === undefined) {
    for (const pair of pairs) for (let i = 0; i < options.depth; i++) send(pair);
  } else timer = sendAtRate(options.rate, pairs, send);
  await pause(options.warmUp);
  progress.ready?.();
  const began = performance.now();
  isMeasuring = true;
  await pause(options.measured);
  isMeasuring = false;
  const milliseconds = performance.now() - began;
  progress.measured?.();
  clearInterval(timer);
  isStopping = true;
  if (active > 0) await finished.promise;
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
  return { cycles: latencies.length, milliseconds, p50: at(0.5), p99: at(0.99) };
}

/** Opens connections, some at a time. */
export async function openLines(address: string, count: number, patience?: number): Promise<Line[]> {
  const lines: Line[] = [];
  while (lines.length < count) {
    const more = Math.min(32, count - lines.length);
    lines.push(...await Promise.all(Array.from({ length: more }, () => Line.open(address, patience))));
  }
  return lines;
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

/** The IDs of a queue. */
interface Queue {
  readonly recipientId: string;
  readonly senderId: string;
}

/** Makes queues that are secured, over one connection; `queues` has all that the server has told of, however it ends. */
async function makeQueues(
  line: Line,
  count: number,
  { queues, signer, signal }: {
    readonly queues: Queue[];
    readonly signer: Signer;
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const finished = Promise.withResolvers<void>();
  let [asked, secured] = [0, 0];
  const look = () => {
    if (secured === count || (signal?.aborted && queues.length === asked)) finished.resolve();
  };
  line.onTransmission = async ({ response }) => {
    if (response.type === "IDS") {
      queues.push(response);
      const key = { type: "KEY", senderKey: signer.publicKey } as const;
      line.write(await signed(signer, "", response.recipientId, key));
    } else secured++;
    look();
  };
  signal?.addEventListener("abort", look);
  const create = { type: "NEW", recipientKey: signer.publicKey } as const;
  while (asked < count) {
    const content = await signed(signer, "", "", create);
    if (signal?.aborted || line.hasEnded) break;
    asked++;
    line.write(content);
  }
  await finished.promise;
  signal?.throwIfAborted();
}

/** Deletes queues as far as the server still takes commands. */
async function deleteQueues(
  address: string,
  queues: readonly Queue[],
  { signer, patience }: { readonly signer: Signer; readonly patience: number | undefined },
): Promise<void> {
  try {
    const line = await Line.open(address, patience);
    const finished = Promise.withResolvers<void>();
    let deleted = 0;
    line.onTransmission = () => void (++deleted === queues.length && finished.resolve());
    for (const { recipientId } of queues) line.write(await signed(signer, "", recipientId, { type: "DEL" }));
    await Promise.race([finished.promise, line.failed]);
    await line.close();
  } catch {
    // The server is gone, and what happened before was told.
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
