import { Agent, type AgentEvent } from "../agent/mod.ts";
import { KeyPool } from "../agent/key_pool.ts";
import { SqliteStore } from "../agent/store/sqlite.ts";
import { startServerProcess } from "./server_process.ts";
import { percentiles, printTable } from "./table.ts";

/** Runs of each figure that is a time. */
const runs = 20;
const messages = 1000;
const body = new Uint8Array(100);

/** Two agents of one process, each with its database, over a server in another process. */
export async function benchAgent(): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await using server = await startServerProcess();
    const start = async (name: string, size: number) => {
      const store = await SqliteStore.open(`${folder}/${name}.db`);
      const keyPool = new KeyPool(size);
      const agent = await Agent.start({ servers: [server.address], store, keyPool });
      return new Listener(agent, () => keyPool.ready === size);
    };
    await using empty = await start("empty", 0);
    const cold = await repeat(10, () => empty.agent.create());
    await using a = await start("a", 4 * runs);
    await using b = await start("b", 4 * runs);
    // Making keys takes the processor from everything else.
    const rested = () => Promise.all([a.rested(), b.rested()]);
    await rested();
    await connect(a, b, "first");
    await rested();
    const warm = await repeat(runs, () => a.agent.create());
    await rested();
    const connecting = await repeat(runs / 2, (i) => connect(a, b, `${i}`));
    await rested();
    const perSecond = await oneWay(a, b, "first");
    const single = await repeat(runs, () => roundTrip(a, b, "first", false));
    const both = await repeat(runs, () => roundTrip(a, b, "first", true));
    const row = (
      name: string,
      times: readonly number[],
      target: string,
    ) => [name, ...percentiles(times), target];
    printTable("agent: two agents with SQLite in one process", ["", "p50 ms", "p99 ms", "target ms"], [
      row("NEW, no key ready", cold, ""),
      row("NEW, keys ready", warm, "20"),
      row("connect: JOIN to CON on both sides", connecting, "300"),
      row("one message, send to received", single, "15"),
      row("one message there and one back", both, ""),
    ]);
    printTable(`agent: ${messages} messages one way`, ["", "messages/s", "target"], [
      ["one connection", perSecond.toFixed(0), "150"],
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
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

async function connect(a: Listener, b: Listener, name: string): Promise<void> {
  const { invitation } = await a.agent.create(name);
  const isConnected = (event: AgentEvent) => event.type === "connected" && event.connection === name;
  const connected = Promise.all([a.on(isConnected), b.on(isConnected)]);
  await b.agent.join(invitation, { alias: name });
  await connected;
}

async function oneWay(a: Listener, b: Listener, name: string): Promise<number> {
  const received = b.on(({ type }) => type === "message", messages);
  const began = performance.now();
  for (let i = 0; i < messages; i += 50) {
    await Promise.all(Array.from({ length: 50 }, () => a.agent.send(name, body)));
  }
  await received;
  return messages / (performance.now() - began) * 1000;
}

async function roundTrip(a: Listener, b: Listener, name: string, back: boolean): Promise<void> {
  const there = b.on(({ type }) => type === "message");
  const returned = back ? a.on(({ type }) => type === "message") : null;
  await a.agent.send(name, body);
  await there;
  if (returned === null) return;
  await b.agent.send(name, body);
  await returned;
}
