import { asciiText } from "../../protocol/mod.ts";
import { Line, type LineOptions, openLines } from "./line.ts";
import { deleteQueues, makeQueues, type Queue, signed, type Signer, unsigned } from "./load_queues.ts";

/** What load is put on a server. Without the options of extensions it is that of 0.3. */
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
  /** Whether queues are opened, so that commands on them need no signature (extensions.md open1). @default false */
  readonly open?: boolean;
  /** Messages of a queue that may be unacknowledged (extensions.md window1). @default one, as in 0.3 */
  readonly window?: number;
  /** Bytes of a block, which bodies fill (extensions.md blocks1). @default the server's */
  readonly blockSize?: number;
  /** Whether sessions get new keys (extensions.md rekey1). @default false */
  readonly rekey?: boolean;
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
  /** SEND → OK, MSG → ACK → OK; with a window SEND → OK, MSG, and ACKM → OK for half a window of them. */
  readonly cycles: number;
  readonly milliseconds: number;
  /** Bytes of a message's body. */
  readonly bodyLength: number;
  /** From writing SEND to the answer of ACK, with a window to MSG, milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Bytes of a block that are no body: 3600 are left of 4096. */
const aroundBody = 496;
/** Milliseconds. */
const grace = 5_000;
const sendId = "S", ackId = "A";

interface Pair {
  readonly send: Uint8Array;
  readonly sender: Line;
  /** Is told of every message; true: it ends a cycle, else the answer to what is written does. */
  readonly received: (messageId: string) => boolean;
  /** Resolves when what is being acknowledged is written. */
  readonly acknowledged: () => Promise<void>;
  /** When each message that is on its way was written. */
  readonly sent: number[];
}

/** The extensions that a load takes, each with the option that asks for it. */
export function neededExtensions(
  { open, window, blockSize, rekey }: Partial<LoadOptions>,
): readonly (readonly [extension: string, option: string])[] {
  return [
    ...(open ? [["open1", "--open"]] as const : []),
    ...(window !== undefined ? [["window1", "--window"]] as const : []),
    ...(blockSize !== undefined ? [["blocks1", "--block-size"]] as const : []),
    ...(rekey ? [["rekey1", "--rekey"]] as const : []),
  ];
}

/**
 * Puts load on the server at `address`, all of whose queues have the key of `signer`, and deletes the queues after it,
 * also when it fails or `signal` ends it.
 */
export async function runLoad(
  address: string,
  options: LoadOptions,
  { signer, progress = {}, patience, password, signal }: {
    readonly signer: Signer;
    readonly progress?: LoadProgress;
    /** Milliseconds for each answer. @default 15000 */
    readonly patience?: number;
    /** Of the server, where it wants one from those who create queues (extensions.md pass1). */
    readonly password?: string;
    readonly signal?: AbortSignal;
  },
): Promise<LoadResult> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => {});
  if (signal?.aborted) reject(signal.reason);
  signal?.addEventListener("abort", () => reject(signal.reason));
  const queues: Queue[] = [];
  const lines: Line[] = [];
  const plain: LineOptions = patience === undefined ? {} : { patience };
  const { blockSize, rekey = false } = options;
  try {
    const opened = Line.open(address, { ...plain, ...(password !== undefined && { password }) });
    const maker = await Promise.race([opened, aborted]);
    try {
      checkListed(maker.extensions, options);
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
    const lineOptions = { ...plain, rekey, ...(blockSize !== undefined && { blockSize }) };
    lines.push(...await Promise.race([openLines(address, 2 * options.connections, lineOptions), aborted]));
    const work = loadQueues(queues, lines, options, { signer, progress });
    return await Promise.race([work, aborted, ...lines.map(({ failed }) => failed)]);
  } finally {
    await Promise.all(lines.map((line) => line.close()));
    if (queues.length > 0) await deleteQueues(address, queues, { signer, lineOptions: plain });
  }
}

function checkListed(listed: readonly string[], options: LoadOptions): void {
  for (const [extension, option] of neededExtensions(options)) {
    if (!listed.includes(extension)) {
      throw new Error(`the server does not list ${extension}, which ${option} needs`);
    }
  }
}

/** The load itself, on queues and connections that there are: first the senders', then as many of recipients. */
export async function loadQueues(
  queues: readonly Queue[],
  lines: readonly Line[],
  options: LoadOptions,
  { signer, progress }: { readonly signer: Signer; readonly progress: LoadProgress },
): Promise<LoadResult> {
  const recipients = lines.slice(options.connections);
  const body = new Uint8Array(lines[0]!.blockSize - aroundBody);
  const byRecipientId = await makePairs(queues, lines, options, { signer, body });
  const latencies: number[] = [];
  let [isMeasuring, isStopping, active] = [false, false, 0];
  const finished = Promise.withResolvers<void>();
  const send = (pair: Pair) => {
    pair.sent.push(performance.now());
    active++;
    pair.sender.write(pair.send);
  };
  const end = (pair: Pair) => {
    if (isMeasuring) latencies.push(performance.now() - pair.sent[0]!);
    pair.sent.shift();
    active--;
    if (!isStopping && options.rate === undefined) send(pair);
    if (isStopping && active === 0) finished.resolve();
  };
  for (const line of recipients) {
    line.onTransmission = ({ corrId, queueId, response }) => {
      const pair = byRecipientId.get(queueId)!;
      // The answer to ACK may be the next message.
      if (asciiText(corrId) === ackId) end(pair);
      if (response.type === "MSG" && pair.received(response.messageId)) end(pair);
    };
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
  // What is acknowledged after the queues are gone would be an error of the server.
  await Promise.all(pairs.map(({ acknowledged }) => acknowledged()));
  await Promise.all(recipients.map((line) => line.answered()));
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
  return { cycles: latencies.length, milliseconds, bodyLength: body.length, p50: at(0.5), p99: at(0.99) };
}

/** Subscribes to queues, and opens them if that is wanted; gives what is to be written, by recipient ID. */
async function makePairs(
  queues: readonly Queue[],
  lines: readonly Line[],
  { connections, open = false, window }: LoadOptions,
  { signer, body }: { readonly signer: Signer; readonly body: Uint8Array },
): Promise<Map<string, Pair>> {
  const [senders, recipients] = [lines.slice(0, connections), lines.slice(connections)];
  const pairs = new Map<string, Pair>();
  const subscribe = window === undefined ? { type: "SUB" } as const : { type: "SUBN", window } as const;
  const make: typeof signed = open
    ? (_signer, corrId, queueId, command) => Promise.resolve(unsigned(corrId, queueId, command))
    : signed;
  for (const [i, { recipientId, senderId }] of queues.entries()) {
    const [sender, recipient] = [senders[i % senders.length]!, recipients[i % recipients.length]!];
    if (open) {
      for (const [line, queueId] of [[sender, senderId], [recipient, recipientId]] as const) {
        line.write(await signed(signer, "", queueId, { type: "OPEN", binding: line.binding }));
      }
    }
    recipient.write(await signed(signer, "", recipientId, subscribe));
    const acknowledge = await make(signer, ackId, recipientId, { type: "ACK" });
    pairs.set(recipientId, {
      send: await make(signer, sendId, senderId, { type: "SEND", body }),
      sender,
      sent: [],
      ...(window === undefined
        ? { received: () => (recipient.write(acknowledge), false), acknowledged: () => Promise.resolve() }
        : acknowledgeMany(window, async (messageId) => {
          recipient.write(await make(signer, "", recipientId, { type: "ACKM", messageId }));
        })),
    });
  }
  await Promise.all(lines.map((line) => line.answered()));
  return pairs;
}

/** Acknowledges at half of the window; one after the other, as an earlier message is not there any more after a later one. */
function acknowledgeMany(
  window: number,
  acknowledge: (messageId: string) => Promise<void>,
): Pick<Pair, "received" | "acknowledged"> {
  const most = Math.ceil(window / 2);
  let [unacknowledged, last] = [0, ""];
  let acknowledging: Promise<void> | null = null;
  const acknowledgeAll = async () => {
    while (unacknowledged >= most) {
      unacknowledged = 0;
      await acknowledge(last);
    }
    acknowledging = null;
  };
  return {
    received(messageId) {
      last = messageId;
      if (++unacknowledged >= most) acknowledging ??= acknowledgeAll();
      return true;
    },
    acknowledged: () => acknowledging ?? Promise.resolve(),
  };
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

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
