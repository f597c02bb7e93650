/**
 * An agent of the benchmark of streams, in a process of its own: `stream_agent.ts receive <server> <openssl or plain>`
 * prints an invitation, `stream_agent.ts send <server> <openssl or plain> <invitation> <MiB>` joins it, and sends a stream
 * and messages beside it. Both print a line of JSON at the end.
 */
// deno-lint-ignore-file no-console
import { Agent, type AgentEvent, type StreamOffer } from "../agent/mod.ts";
import { formatQueueInfo, preferOpenSsl } from "../mod.ts";
import { textBytes } from "../protocol/mod.ts";
import { cpuTime, memoryOf } from "./server_process.ts";

/** Milliseconds between two messages beside a stream. */
const messageInterval = 20;

/** What an agent prints at the end. */
export interface StreamFigures {
  /** Bytes a second. */
  readonly rate: number;
  /** Milliseconds of the processor a megabyte. */
  readonly processor: number;
  /** Bytes of memory above those before the stream, at most. */
  readonly memory: number;
  /** Milliseconds that messages took that came meanwhile. */
  readonly latencies: readonly number[];
}

const [role, server, crypto, invitation, size] = Deno.args;
if (crypto === "openssl") preferOpenSsl();
const { SqliteStore } = await import("../agent/store/sqlite.ts");
const folder = await Deno.makeTempDir();
const store = await SqliteStore.open(`${folder}/agent.db`);
await using agent = await Agent.start({ servers: [server!], store, extensions: ["session1"] });
const waiting = new Set<(event: AgentEvent) => void>();
const latencies: number[] = [];
void (async () => {
  for await (const event of agent.events()) {
    for (const look of waiting) look(event);
    if (event.type !== "message") continue;
    latencies.push(Date.now() - Number(new TextDecoder().decode(event.message.body)));
  }
})();

function next<Type extends AgentEvent["type"]>(
  type: Type,
  isRight: (event: Extract<AgentEvent, { readonly type: Type }>) => boolean = () => true,
): Promise<Extract<AgentEvent, { readonly type: Type }>> {
  return new Promise((resolve) => {
    const look = (event: AgentEvent) => {
      if (event.type !== type || !isRight(event as Extract<AgentEvent, { readonly type: Type }>)) return;
      waiting.delete(look);
      resolve(event as Extract<AgentEvent, { readonly type: Type }>);
    };
    waiting.add(look);
  });
}

/** The routes that only RSA protected are replaced. */
const isSettled = Promise.all([
  next("route", ({ direction }) => direction === "receiving"),
  next("route", ({ direction }) => direction === "sending"),
]);

async function receive(): Promise<void> {
  const offered = next("stream offered");
  const { invitation } = await agent.create("other");
  console.log(formatQueueInfo(invitation));
  await isSettled;
  const { offer } = await offered;
  const idle = (await memoryOf(Deno.pid)).resident;
  const before = await cpuTime(Deno.pid);
  const { rate, bytes } = await read(offer);
  const processor = (await cpuTime(Deno.pid) - before) / bytes * 1e6;
  print({ rate, processor, memory: (await memoryOf(Deno.pid)).peak - idle, latencies });
}

async function read(offer: StreamOffer): Promise<{ readonly rate: number; readonly bytes: number }> {
  const began = performance.now();
  let bytes = 0;
  for await (const part of offer.accept()) bytes += part.length;
  return { rate: bytes / (performance.now() - began) * 1000, bytes };
}

async function send(): Promise<void> {
  await agent.join(invitation!, { alias: "other" });
  await isSettled;
  const outgoing = await agent.offerStream("other");
  const idle = (await memoryOf(Deno.pid)).resident;
  const writer = (await outgoing.accepted).getWriter();
  const part = new Uint8Array(256 * 1024).map((_, at) => at * 31);
  const timer = setInterval(() => void agent.send("other", textBytes(`${Date.now()}`)), messageInterval);
  const before = await cpuTime(Deno.pid);
  const began = performance.now(), total = Number(size) * 1024 * 1024;
  for (let sent = 0; sent < total; sent += part.length) await writer.write(part);
  await writer.close();
  clearInterval(timer);
  const rate = total / (performance.now() - began) * 1000;
  const processor = (await cpuTime(Deno.pid) - before) / total * 1e6;
  print({ rate, processor, memory: (await memoryOf(Deno.pid)).peak - idle, latencies });
}

function print(figures: StreamFigures): void {
  console.log(JSON.stringify(figures));
}

await (role === "send" ? send() : receive());
await new Promise((resolve) => setTimeout(resolve, 500));
await agent.close();
await Deno.remove(folder, { recursive: true });
