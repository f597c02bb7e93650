// deno-lint-ignore-file no-console
// The npm package of the client and the agent, on whatever Node this is: npm_client.mjs <address> <WebSocket port>.
import { existsSync } from "node:fs";
import { Agent } from "@simplexmq/smp/agent";
import { SqliteStore } from "@simplexmq/smp/agent/sqlite";
import { generateKeyPair, SmpClient, webSocketTransport } from "@simplexmq/smp";

const [address, webSocketPort] = process.argv.slice(2);
const bytes = (text) => new TextEncoder().encode(text);
const text = (body) => new TextDecoder().decode(body);

async function sendAndReceive(name, at, options) {
  const client = await SmpClient.connect(at, options);
  const queue = await client.createQueue();
  const sender = await generateKeyPair("sign");
  await client.secureQueue(queue, sender.publicKey);
  await client.send({ senderId: queue.senderId, senderKey: sender.privateKey }, bytes(`hello over ${name}`));
  for await (const event of client.events(queue)) {
    console.log(text(event.body));
    await client.acknowledge(queue);
    break;
  }
  await client.close();
}

/** An agent's store: SQLite, or memory where there is none. */
async function openStore(path) {
  try {
    return { store: await SqliteStore.open(path) };
  } catch (error) {
    if (existsSync(path)) throw error;
    console.log(`${error.name} ${error.code}: ${error.message}`);
    return {};
  }
}

async function talk() {
  const store = await openStore("alice.db");
  console.log(store.store === undefined ? "in memory" : "in SQLite");
  // It makes its keys itself, but few in reserve.
  const keyPool = 1;
  const alice = await Agent.start({ servers: [address], keyPool, ...store });
  const bob = await Agent.start({ servers: [address], keyPool });
  const { invitation } = await alice.create("bob");
  await bob.join(invitation, { alias: "alice" });
  await bob.send("alice", bytes("hello from an agent"));
  for await (const event of alice.events()) {
    if (event.type !== "message") continue;
    console.log(text(event.message.body), event.message.integrity.type);
    break;
  }
  await alice.close();
  await bob.close();
}

await sendAndReceive("TCP", address, {});
const at = address.replace(/:\d+#/, `:${webSocketPort}#`);
const overWebSocket = () => sendAndReceive("WebSocket", at, { transport: webSocketTransport });
try {
  await overWebSocket();
} catch (error) {
  if (globalThis.WebSocket !== undefined) throw error;
  console.log(`${error.name} ${error.code}: ${error.message.replace(/:\d+/, ":PORT")}`);
  // One that the program brings along does as well.
  globalThis.WebSocket = (await import("ws")).default;
  await overWebSocket();
}
await talk();
