import { assert, assertEquals, assertRejects } from "@std/assert";
import { EngineError } from "../../../server/cluster/error.ts";
import { generateKeyPair, textBytes, TransportError } from "../../../protocol/mod.ts";
import { balanced, startNode } from "../../support/cluster_nodes.ts";
import { Load } from "../../support/load.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { requiring } from "../../support/requires.ts";
import { next, soon, until, untilEqual } from "../../support/wait.ts";

const test = requiring(natsLack);
const keyPair = await generateKeyPair("sign", 1024);

test("without any NATS server nodes close their sessions, and go on by themselves when there is one", async () => {
  await using nats = await Nats.start();
  await using a = await startNode(nats, "a");
  await using b = await startNode(nats, "b");
  await balanced([a, b]);
  const { load, ended } = await Load.start(a.server.address, 4);
  await until(() => load.accepted > 50);
  await nats.servers[0]!.kill();
  await soon(ended);
  await until(() => a.server.notReady() !== null && b.server.notReady() !== null);
  await untilEqual(() => [a.server.connections, a.node.status.holds], [0, false]);
  await assertRejects(() => a.connect(), TransportError);
  await nats.servers[0]!.restart();
  await until(() =>
    [a, b].every(({ server, node }) => server.notReady() === null && node.notReady() === null)
  );
  assertEquals(await load.check(b.server.address), []);
});

test("a node that is told to stop does so without any NATS server", async () => {
  await using nats = await Nats.start();
  const a = await startNode(nats, "a");
  await balanced([a]);
  await using client = await a.connect();
  const queue = await client.createQueue({ keyPair });
  await nats.servers[0]!.kill();
  const sent = client.send(queue, textBytes("never stored")).then(() => "OK", () => "closed");
  await soon(a.node.drain({ deadline: 500 }));
  await soon(a.server.stop({ deadline: 500 }));
  await soon(Promise.resolve(a[Symbol.asyncDispose]()));
  assertEquals(await soon(sent), "closed");
});

test("load goes on while one of three NATS servers is killed", async () => {
  await using nats = await Nats.start({ servers: 3 });
  await using a = await startNode(nats, "a");
  await using b = await startNode(nats, "b", { engine: { address: nats.urls.toReversed().join() } });
  await balanced([a, b]);
  const { load, ended } = await Load.start(a.server.address, 4);
  const before = load.accepted;
  // Node a is connected to it.
  await nats.servers[0]!.kill();
  await until(() => load.accepted > before + 30);
  assert(a.server.connections > 0, a.lines.join("\n"));
  await a.server.stop();
  await soon(ended);
  assertEquals(await load.check(b.server.address), []);
});

test("nodes stop when older files of NATS are put back under them, and go on from these when started again", async () => {
  await using nats = await Nats.start();
  const [server] = nats.servers;
  const former = [await startNode(nats, "a"), await startNode(nats, "b")];
  await balanced(former);
  await using client = await former[0]!.connect();
  const queue = await client.createQueue({ keyPair });
  await client.send(queue, textBytes("kept"));
  await server!.kill();
  const putBack = await server!.backUp();
  await server!.restart();
  await until(() => former.every(({ node }) => node.notReady() === null));
  const load = await Load.start(former[0]!.server.address, 4);
  await until(() => load.load.accepted > 100);
  await server!.kill();
  await putBack();
  await server!.restart();
  for (const { node } of former) {
    const error = await assertRejects(() => soon(node.failed), EngineError);
    assertEquals(error.code, "RESTORED");
  }
  for (const node of former) await node[Symbol.asyncDispose]();
  await soon(load.ended);
  await using a = await startNode(nats, "a");
  await using b = await startNode(nats, "b");
  await balanced([a, b]);
  await using again = await b.connect();
  const events = again.events(queue);
  await again.subscribe(queue);
  const event = await next(events);
  assertEquals(event.type === "MSG" && event.body, textBytes("kept"));
  await events.return();
});

test("a node stops when another one runs under its name", async () => {
  await using nats = await Nats.start();
  await using a = await startNode(nats, "a");
  await using client = await a.connect();
  await client.createQueue({ keyPair });
  const connection = await nats.connect();
  // As another process would do it.
  const lease = { incarnation: Date.now() + 1000, process: "other", state: "live", owned: [] };
  connection.publish("$KV.test.node.a", textBytes(JSON.stringify(lease)));
  const error = await assertRejects(() => soon(a.node.failed), EngineError);
  assertEquals(error.code, "NAME_IN_USE");
  await connection.close();
});

test("a node that stops as another one runs under its name waits for no handshake", async () => {
  await using nats = await Nats.start();
  await using a = await startNode(nats, "a");
  await until(() => a.node.status.partitions.every(({ own }) => own !== null));
  const connection = await nats.connect();
  const lease = { incarnation: Date.now() + 1000, process: "other", state: "live", owned: [] };
  connection.publish("$KV.test.node.a", textBytes(JSON.stringify(lease)));
  await assertRejects(() => soon(a.node.failed), EngineError);
  await connection.close();
  // It stores nothing any more, nor does it hear that somebody else has.
  let outcome = "open";
  const connecting = a.connect().then(() => outcome = "connected", () => outcome = "refused");
  const isKept = () => a.node.status.partitions.some(({ own }) => own !== null && own.waiting > 0);
  await until(() => outcome !== "open" || isKept());
  await soon(a.server.stop());
  assertEquals(await soon(connecting), "refused");
});

test("a node does not join where NATS takes only small messages", async () => {
  await using nats = await Nats.start({ config: "max_payload: 256KB" });
  const error = await assertRejects(() => startNode(nats, "a"), EngineError);
  assertEquals(error.code, "MAX_PAYLOAD");
});

test("a node with another key, or of another number of partitions, does not join", async () => {
  await using nats = await Nats.start();
  await using _a = await startNode(nats, "a");
  for (const options of [{ keyHash: "other" }, { partitions: 16 }, { node: "a" }]) {
    const error = await assertRejects(() => startNode(nats, "b", options), EngineError);
    assertEquals(error.code, "node" in options ? "NAME_IN_USE" : "OTHER_CLUSTER");
  }
});
