import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { Agent, type AgentEvent } from "../agent/mod.ts";
import { KeyPool } from "../agent/key_pool.ts";
import { sessionExtension } from "../agent/session/session.ts";
import { SqliteStore } from "../agent/store/sqlite.ts";
import { startServerProcess } from "./server_process.ts";
import { percentiles, printTable } from "./table.ts";

/** Runs of each figure that is a time. */
const runs = 20;
const messages = 1000;
const body = new Uint8Array(1000);
const large = new Uint8Array(1024 * 1024);

/** The figures of one mode, as text. */
type Figures = Readonly<Record<string, string>>;

/** What is measured, and what it should be in a session. */
const rows: readonly (readonly [name: string, target: string])[] = [
  ["NEW, no key ready, p50 ms", ""],
  ["NEW, keys ready, p50 ms", ""],
  ["connect: JOIN to CON on both sides, p50 ms", ""],
  ["from CON to the session on both sides, p50 ms", "100"],
  ["messages a second, one way, 1 000 bytes", "800"],
  ["CPU of both agents a message, ms", "1.5"],
  ["one message, direction changing, p50 ms", "6"],
  ["one message, direction changing, p99 ms", ""],
  ["1 MiB message, p50 ms", "1000"],
  ["session in the store, bytes", "12288"],
];

/** Two agents of one process, each with its database, over a server in another process, in 0.3 mode and in sessions. */
export async function benchAgent(): Promise<void> {
  const before = await measure([]);
  const session = await measure([sessionExtension]);
  printTable(
    "agent: two agents with SQLite in one process",
    ["", "0.3", "session", "target"],
    rows.map(([name, target]) => [name, before[name] ?? "–", session[name] ?? "–", target]),
  );
}

async function measure(extensions: readonly string[]): Promise<Figures> {
  const folder = await Deno.makeTempDir();
  const isSession = extensions.length > 0;
  try {
    await using server = await startServerProcess();
    const start = async (name: string, size: number) => {
      const store = await SqliteStore.open(`${folder}/${name}.db`);
      const keyPool = new KeyPool(size);
      const agent = await Agent.start({ servers: [server.address], store, keyPool, extensions });
      return new Listener(agent, () => keyPool.ready === size);
    };
    await using empty = await start("empty", 0);
    const cold = await repeat(5, () => empty.agent.create());
    await using a = await start("a", 2 * runs);
    await using b = await start("b", 2 * runs);
    // Making keys takes the processor from everything else.
    const rested = () => Promise.all([a.rested(), b.rested()]);
    await rested();
    await connect(a, b, "first", isSession);
    await rested();
    const warm = await repeat(runs / 2, () => a.agent.create());
    await rested();
    const connecting: number[] = [], upgrading: number[] = [];
    for (let i = 0; i < 5; i++) {
      const times = await connect(a, b, `${i}`, isSession);
      connecting.push(times.connected);
      upgrading.push(times.upgraded);
      await rested();
    }
    const stream = await oneWay(a, b, "first");
    const single = await repeat(2 * runs, (i) => i % 2 === 0 ? one(a, b, body) : one(b, a, body));
    const figures: Record<string, string> = {
      "NEW, no key ready, p50 ms": percentiles(cold)[0],
      "NEW, keys ready, p50 ms": percentiles(warm)[0],
      "connect: JOIN to CON on both sides, p50 ms": percentiles(connecting)[0],
      "messages a second, one way, 1 000 bytes": stream.perSecond.toFixed(0),
      "CPU of both agents a message, ms": stream.processor.toFixed(2),
      "one message, direction changing, p50 ms": percentiles(single)[0],
      "one message, direction changing, p99 ms": percentiles(single)[1],
    };
    if (!isSession) return figures;
    const bulk = await repeat(3, () => one(a, b, large));
    return {
      ...figures,
      "from CON to the session on both sides, p50 ms": percentiles(upgrading)[0],
      "1 MiB message, p50 ms": percentiles(bulk)[0],
      "session in the store, bytes": `${sessionBytes(`${folder}/a.db`)}`,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The bytes that the sessions of a database have on average. */
function sessionBytes(path: string): number {
  using database = new DatabaseSync(path, { readOnly: true });
  const bytes = "avg(length(keys) + length(ratchet) + length(data))";
  const row = database.prepare(`SELECT ${bytes} AS bytes FROM sessions WHERE length(ratchet) > 0`).get();
  return Math.round(Number(row!.bytes));
}

/** An agent with its events. */
class Listener implements AsyncDisposable {
  readonly #waiting = new Set<(event: AgentEvent) => void>();
  readonly #reading: Promise<void>;

  constructor(readonly agent: Agent, readonly hasKeys: () => boolean) {
    this.#reading = this.#read();
  }

  /** Resolves when `count` events have come of which `isRight`. */
  on(isRight: (event: AgentEvent) => boolean, count = 1): Promise<void> {
    return new Promise((resolve) => {
      let left = count;
      const look = (event: AgentEvent) => {
        if (!isRight(event) || --left > 0) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  /** Resolves when its key pool is full. */
  async rested(): Promise<void> {
    while (!this.hasKeys()) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    for await (const event of this.agent.events()) for (const look of this.#waiting) look(event);
  }
}

async function repeat(count: number, task: (i: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    await task(i);
    times.push(performance.now() - began);
  }
  return times;
}

/** Connects two agents; gives the milliseconds until they are connected, and from then on until there is a session. */
async function connect(
  a: Listener,
  b: Listener,
  name: string,
  isSession: boolean,
): Promise<{ readonly connected: number; readonly upgraded: number }> {
  const { invitation } = await a.agent.create(name);
  const both = (isRight: (event: AgentEvent) => boolean) => Promise.all([a.on(isRight), b.on(isRight)]);
  const isOf = (event: AgentEvent) => "connection" in event && event.connection === name;
  const connected = both((event) => event.type === "connected" && isOf(event));
  const upgraded = isSession ? both((event) => event.type === "session" && isOf(event)) : connected;
  const began = performance.now();
  await b.agent.join(invitation, { alias: name });
  await connected;
  const then = performance.now();
  await upgraded;
  return { connected: then - began, upgraded: performance.now() - then };
}

async function oneWay(
  a: Listener,
  b: Listener,
  name: string,
): Promise<{ readonly perSecond: number; readonly processor: number }> {
  const received = b.on(({ type }) => type === "message", messages);
  const began = performance.now(), used = process.cpuUsage();
  for (let i = 0; i < messages; i += 50) {
    await Promise.all(Array.from({ length: 50 }, () => a.agent.send(name, body)));
  }
  await received;
  const { user, system } = process.cpuUsage(used);
  return {
    perSecond: messages / (performance.now() - began) * 1000,
    processor: (user + system) / 1000 / messages,
  };
}

/** Sends one message and waits until it has come. */
async function one(from: Listener, to: Listener, message: Uint8Array): Promise<void> {
  const received = to.on(({ type }) => type === "message");
  await from.agent.send("first", message);
  await received;
}
