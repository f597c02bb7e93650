/**
 * An agent that kills itself with SIGKILL at its Nth step, where a step is each await on the disk or the network: it
 * makes or joins a connection, sends messages and receives some, doing what is left when it is started again.
 *
 * Prints a JSON object a line. Used by crash_test.ts.
 */
// deno-lint-ignore-file no-console
import { Agent, type AgentStore, type KeySource, type StoreChange } from "../../agent/mod.ts";
import { SqliteStore } from "../../agent/store/sqlite.ts";
import { decodeBase64, formatQueueInfo, type ServerAddress, tcpTransport } from "../../mod.ts";
import { type Channel, textBytes } from "../../protocol/mod.ts";

/** What the child is told. */
export interface ChildOptions {
  readonly database: string;
  readonly server: string;
  readonly role: "initiator" | "joiner";
  /** For the joiner. */
  readonly invitation: string;
  /** Base64 of SubjectPublicKeyInfo and PKCS#8. */
  readonly keys: readonly (readonly [string, string])[];
  /** 0 for never. */
  readonly dieAt: number;
  /** Texts to send. */
  readonly send: readonly string[];
  /** Messages to receive. */
  readonly receive: number;
}

const options: ChildOptions = JSON.parse(Deno.args[0]!);
let steps = 0;

function step(): void {
  if (++steps === options.dieAt) Deno.kill(Deno.pid, "SIGKILL");
}

/** Does something with a step before and after it. */
async function around<T>(task: () => Promise<T>): Promise<T> {
  step();
  const result = await task();
  step();
  return result;
}

function mortalStore(store: AgentStore): AgentStore {
  const mortal: AgentStore = Object.create(store);
  const names = [
    "connections",
    "discarded",
    "waitingRoutes",
    "deliveries",
    "message",
    "messages",
    "events",
    "prune",
    "snapshot",
  ] as const;
  for (const name of names) {
    mortal[name] = store[name].bind(store) as never;
  }
  mortal.commit = (changes: readonly StoreChange[]) => around(() => store.commit(changes));
  mortal[Symbol.asyncDispose] = () => store[Symbol.asyncDispose]();
  return mortal;
}

async function mortalTransport(address: ServerAddress, signal: AbortSignal): Promise<Channel> {
  const channel = await around(() => tcpTransport(address, signal));
  return {
    read: async (size) => {
      const bytes = await channel.read(size);
      step();
      return bytes;
    },
    write: (units) => around(() => channel.write(units)),
    end: () => channel.end(),
    close: () => channel.close(),
  };
}

let nextKey = 0;
const keyPool: KeySource = {
  take() {
    const [publicKey, privateKey] = options.keys[nextKey++ % options.keys.length]!;
    return Promise.resolve({ publicKey: decodeBase64(publicKey)!, privateKey: decodeBase64(privateKey)! });
  },
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

const agent = await Agent.start({
  servers: [options.server],
  store: mortalStore(await SqliteStore.open(options.database)),
  client: { transport: mortalTransport },
  retry: { first: 5, most: 50 },
  acknowledge: "manual",
  keyPool,
});

if (agent.connections().length === 0) {
  if (options.role === "initiator") await agent.create("peer");
  else await agent.join(options.invitation, { alias: "peer" });
}
const invitation = agent.invitation("peer");
if (invitation !== null) console.log(JSON.stringify({ invitation: formatQueueInfo(invitation) }));
if (agent.connections()[0]!.canReceive) await agent.subscribe("peer");

let toSend: readonly string[] = [];
let isSending = false;
async function sendRest(): Promise<void> {
  const before = (await agent.messages("peer", { limit: 1000 })).filter(({ received }) => received === null);
  toSend = options.send.slice(before.length);
  for (const text of toSend) await agent.send("peer", textBytes(text));
}

/** Whether nothing is left to be done. */
async function isDone(): Promise<boolean> {
  if (!agent.connections()[0]!.connected) return false;
  if (!isSending) {
    isSending = true;
    await sendRest();
  }
  const messages = await agent.messages("peer", { limit: 1000 });
  const sent = messages.filter(({ received, done }) => received === null && done);
  const received = messages.filter(({ received, done }) => received !== null && done);
  return sent.length === options.send.length && received.length === options.receive;
}

const events = agent.events();
while (!await isDone()) {
  const { value: event } = await events.next();
  if (event === undefined) break;
  if (event.type === "message") {
    const { id, body, integrity } = event.message;
    console.log(JSON.stringify({ id, text: new TextDecoder().decode(body), integrity: integrity.type }));
    step();
    await agent.acknowledge("peer", id);
  } else if (event.type !== "sent" && event.type !== "connected") {
    console.log(
      JSON.stringify({ event: event.type, error: "error" in event ? event.error.message : undefined }),
    );
  }
}
console.log(JSON.stringify({ steps }));
await agent.close();
