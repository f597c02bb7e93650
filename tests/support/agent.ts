import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  type KeySource,
  type StoredKeyPair,
} from "../../agent/mod.ts";
import { exportPrivateKey, formatQueueInfo } from "../../mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { type KeyHolder, keysOf } from "./test_keys.ts";
import { soon } from "./wait.ts";

/** Key pairs of 2048 bits for all agents of tests. */
export const storedKeys: readonly StoredKeyPair[] = await stored("agents");

/** Key pairs of 1024 bits, whose signatures take a sixth of the time. */
export const smallKeys: readonly StoredKeyPair[] = await stored("smallAgents");

/** Gives the same key pairs again and again; `small` ones where they will do. */
export function keySource(small = smallKeys): KeySource {
  let next = 0;
  return {
    take(least) {
      const pairs = least === 1024 ? small : storedKeys;
      const { publicKey, privateKey } = pairs[next++ % pairs.length]!;
      return Promise.resolve({ publicKey: publicKey.slice(), privateKey: privateKey.slice() });
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** One kind of event. */
export type EventOf<Type extends AgentEvent["type"]> = Extract<AgentEvent, { readonly type: Type }>;

/** An agent whose events are read all the time and kept until they are asked for. */
export class TestAgent implements AsyncDisposable {
  /** The events that were not asked for. */
  readonly events: AgentEvent[] = [];
  readonly #reading: Promise<void>;
  readonly #waiting = new Set<() => void>();

  private constructor(readonly agent: Agent) {
    this.#reading = this.#read();
  }

  /** Starts an agent that tries again at once. */
  static async start(
    servers: string | readonly string[],
    options: Partial<AgentOptions> = {},
  ): Promise<TestAgent> {
    const all = typeof servers === "string" ? [servers] : servers;
    const retry = { first: 5, most: 50 };
    return new TestAgent(await Agent.start({ servers: all, keyPool: keySource(), retry, ...options }));
  }

  /** Waits for the first event of a kind that was not asked for yet, and that is as it should be. */
  async next<Type extends AgentEvent["type"]>(
    type: Type,
    isRight: (event: EventOf<Type>) => boolean = () => true,
  ): Promise<EventOf<Type>> {
    for (;;) {
      const at = this.events.findIndex((event) => event.type === type && isRight(event as EventOf<Type>));
      if (at >= 0) return this.events.splice(at, 1)[0] as EventOf<Type>;
      await soon(new Promise<void>((resolve) => this.#waiting.add(resolve))).catch(() => {
        const seen = this.events.map((event) => JSON.stringify(event)).join("\n");
        throw new Error(`there was no ${type} event, but:\n${seen}`);
      });
    }
  }

  /** The text of the next message of a connection. */
  async text(connection?: string): Promise<string> {
    const isRight = (event: EventOf<"message">) =>
      connection === undefined || event.connection === connection;
    return new TextDecoder().decode((await this.next("message", isRight)).message.body);
  }

  /** Sends a text; gives the message's number. */
  send(connection: string, text: string): Promise<number> {
    return this.agent.send(connection, textBytes(text));
  }

  /** Closes the agent. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    for await (const event of this.agent.events()) {
      this.events.push(event);
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    }
  }
}

async function stored(holder: KeyHolder): Promise<StoredKeyPair[]> {
  const pairs = await keysOf(holder, "sign");
  return await Promise.all(pairs.map(async ({ publicKey, privateKey }) => (
    { publicKey: publicKey.der, privateKey: await exportPrivateKey(privateKey) }
  )));
}

/** Makes a connection "b" of `a` to `b`, who calls it "a". */
export async function connectAgents(
  a: TestAgent,
  b: TestAgent,
  [nameOfB, nameOfA] = ["b", "a"],
): Promise<void> {
  const { invitation } = await a.agent.create(nameOfB);
  await b.agent.join(formatQueueInfo(invitation), { alias: nameOfA! });
  await Promise.all([
    a.next("connected", ({ connection }) => connection === nameOfB),
    b.next("connected", ({ connection }) => connection === nameOfA),
  ]);
}

/** What agents announce that have sessions. */
export const sessions = { extensions: ["session1"] };

/** Waits until both sides have replaced the routes that only RSA protected. */
export async function settled(...agents: readonly TestAgent[]): Promise<void> {
  for (const agent of agents) {
    await agent.next("route", ({ direction }) => direction === "receiving");
    await agent.next("route", ({ direction }) => direction === "sending");
  }
}
