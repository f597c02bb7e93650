/**
 * An agent that kills itself with SIGKILL at its Nth step, where a step is each await on the disk or the network: it
 * makes or joins a connection, sends messages and receives some, doing what is left when it is started again.
 *
 * Prints a JSON object a line. Used by crash_test.ts.
 */
// deno-lint-ignore-file no-console
import { Agent, type KeySource, type LeastBits } from "../../agent/mod.ts";
import { SqliteStore } from "../../agent/store/sqlite.ts";
import { decodeBase64, formatQueueInfo, tcpTransport } from "../../mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { steppingStore, steppingTransport, type Steps } from "../support/mortal.ts";

/** What the child is told. */
export interface ChildOptions {
  readonly database: string;
  readonly server: string;
  readonly role: "initiator" | "joiner";
  /** For the joiner. */
  readonly invitation: string;
  /** Base64 of SubjectPublicKeyInfo and PKCS#8. */
  readonly keys: Readonly<Record<LeastBits, readonly (readonly [string, string])[]>>;
  /** 0 for never. */
  readonly dieAt: number;
  /** Texts to send. */
  readonly send: readonly string[];
  /** Messages to receive. */
  readonly receive: number;
  /** The extensions that it announces. */
  readonly extensions: readonly string[];
}

const options: ChildOptions = JSON.parse(Deno.args[0]!);
let steps = 0;

const steppers: Steps = {
  step() {
    if (++steps === options.dieAt) Deno.kill(Deno.pid, "SIGKILL");
    return Promise.resolve();
  },
  look: () => Promise.resolve(),
};

let nextKey = 0;
const keyPool: KeySource = {
  take(least) {
    const pairs = options.keys[least];
    const [publicKey, privateKey] = pairs[nextKey++ % pairs.length]!;
    return Promise.resolve({ publicKey: decodeBase64(publicKey)!, privateKey: decodeBase64(privateKey)! });
  },
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

const store = await SqliteStore.open(options.database);
const agent = await Agent.start({
  servers: [options.server],
  store: steppingStore(store, steppers),
  client: { transport: steppingTransport(tcpTransport, steppers) },
  retry: { first: 5, most: 50 },
  acknowledge: "manual",
  extensions: options.extensions,
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
    await steppers.step();
    await agent.acknowledge("peer", id);
  } else if (event.type === "down" || event.type === "up" || event.type === "error") {
    console.log(
      JSON.stringify({ event: event.type, error: "error" in event ? event.error.message : undefined }),
    );
  }
}
console.log(JSON.stringify({ steps }));
await agent.close();
await store[Symbol.asyncDispose]();
