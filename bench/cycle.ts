/** How many SEND, MSG, ACK cycles a second one pair of clients gets from a server in another process. */
import { generateKeyPair, type RecipientQueue, type SenderQueue, SmpClient } from "../mod.ts";
import { startServerProcess } from "./server_process.ts";
import { percentiles, printTable } from "./table.ts";

const warmUp = 1_000;
const measured = 5_000;

interface Pair {
  readonly recipient: SmpClient;
  readonly sender: SmpClient;
  readonly queue: RecipientQueue;
  readonly senderQueue: SenderQueue;
}

/** Prints the table of cycles. */
export async function benchCycles(): Promise<void> {
  await using server = await startServerProcess();
  const rows: string[][] = [];
  for (const depth of [1, 2, 8]) {
    const pair = await openPair(server.address);
    await cycles(pair, depth, warmUp);
    const { count, elapsed, latencies } = await cycles(pair, depth, measured);
    rows.push([`${depth}`, (count / elapsed * 1000).toFixed(0), ...percentiles(latencies)]);
    await Promise.all([pair.recipient.close(), pair.sender.close()]);
  }
  printTable(
    "One pair: signed SEND → OK, MSG → signed ACK → OK; 2048-bit keys, TCP, signing included",
    ["messages in flight", "cycles/s", "p50 ms", "p99 ms"],
    rows,
  );
}

async function openPair(address: string): Promise<Pair> {
  const [recipient, sender] = await Promise.all([SmpClient.connect(address), SmpClient.connect(address)]);
  const queue = await recipient.createQueue();
  const { publicKey, privateKey } = await generateKeyPair("sign");
  await recipient.secureQueue(queue, publicKey);
  return { recipient, sender, queue, senderQueue: { senderId: queue.senderId, senderKey: privateKey } };
}

/** Runs cycles for `duration` milliseconds with `depth` messages sent ahead. */
async function cycles(
  { recipient, sender, queue, senderQueue }: Pair,
  depth: number,
  duration: number,
): Promise<{ count: number; elapsed: number; latencies: number[] }> {
  const body = new Uint8Array(3600);
  const sent: number[] = [];
  const latencies: number[] = [];
  const start = performance.now();
  const send = () => {
    sent.push(performance.now());
    return sender.send(senderQueue, body);
  };
  const sending: Promise<void>[] = Array.from({ length: depth }, send);
  for await (const event of recipient.events(queue)) {
    if (event.type === "END") throw new Error("the subscription ended");
    await recipient.acknowledge(queue);
    latencies.push(performance.now() - sent.shift()!);
    await sending.shift();
    if (performance.now() - start < duration) sending.push(send());
    else if (sending.length === 0) break;
  }
  return { count: latencies.length, elapsed: performance.now() - start, latencies };
}
