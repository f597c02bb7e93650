import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { RecipientQueue, SmpClient } from "../../../client/mod.ts";
import { asciiText, textBytes } from "../../../protocol/mod.ts";
import { findBucket, openBucket } from "../../../server/cluster/bucket.ts";
import { checkCluster } from "../../../server/cluster/cluster_identity.ts";
import { readContent } from "../../../server/cluster/content.ts";
import { EngineError } from "../../../server/cluster/error.ts";
import { ImportMarker, importState } from "../../../server/cluster/import_marker.ts";
import { exportCluster, importCluster } from "../../../server/commands/cluster_transfer.ts";
import { Fatal, type Terminal } from "../../../server/commands/terminal.ts";
import { defaultConfig } from "../../../server/config/config.ts";
import { SmpServer } from "../../../server/mod.ts";
import { readHandshakes } from "../../../server/store/handshake_log.ts";
import { startNode, type TestNode } from "../../support/cluster_nodes.ts";
import { openStores } from "../../support/durable.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { requiring } from "../../support/requires.ts";
import { connect, identity } from "../../support/server.ts";
import { giveKey, temporaryFolder } from "../../support/server_process.ts";
import { keyOf } from "../../support/test_keys.ts";
import { next, soon } from "../../support/wait.ts";

const test = requiring(natsLack);

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

/** Serves what one process has in a folder. */
async function served<T>(folder: string, use: (client: SmpClient) => Promise<T>): Promise<T> {
  await using stores = await openStores(folder);
  const { queues, messages, replayGuard } = stores;
  await using server = await SmpServer.start({
    identity,
    host: "127.0.0.1",
    port: 0,
    queues,
    messages,
    replayGuard,
  });
  await using client = await connect(server);
  return await use(client);
}

/** Calls what commands do, with what they print. */
function commands(nats: Nats, folder: string) {
  const printed: string[] = [];
  const terminal: Pick<Terminal, "print" | "warn"> = {
    print: (line) => void printed.push(line),
    warn: () => {},
  };
  const settings = {
    ...defaultConfig({ configDir: folder, logDir: folder }),
    clusterServers: nats.urls.join(),
    clusterName: "moved",
  };
  return {
    printed,
    export: (directory: string) => soon(exportCluster(settings, directory, terminal)),
    import: (directory: string) => soon(importCluster(settings, directory, terminal)),
    refusal: async (work: Promise<void>) => (await assertRejects(() => work, Fatal)).message,
  };
}

function join(nats: Nats): Promise<TestNode> {
  return startNode(nats, "a", { cluster: "moved", partitions: 8 });
}

/** When the queues of the cluster were changed last. */
async function changesOf(nats: Nats): Promise<number[]> {
  const options = {
    engine: { address: nats.urls.join() },
    cluster: "moved",
    keyHash: identity.keyHash,
    log: () => {},
    signal: new AbortController().signal,
  };
  return await soon(readContent(options, async ({ partitions }) => {
    const times: number[] = [];
    for await (const { queues } of partitions) {
      for (const { changedAt } of queues.records()) times.push(changedAt);
    }
    return times;
  }));
}

async function textsOf(client: SmpClient, queues: readonly RecipientQueue[]): Promise<string[]> {
  const texts: string[] = [];
  for (const queue of queues) {
    await client.subscribe(queue);
    for (const event of [await next(client.events(queue))]) {
      if (event.type === "MSG") texts.push(asciiText(event.body));
    }
  }
  return texts;
}

test("what one process has is moved into a cluster and back, and backed up while that runs", async () => {
  await using nats = await Nats.start();
  await using one = await temporaryFolder();
  await using outside = await temporaryFolder();
  await giveKey(one.path);
  const begin = Date.now();
  const texts = ["a", "b", "c", "d"];
  const queues = await served(one.path, async (client) => {
    const queues = await Promise.all(texts.map(() => client.createQueue({ keyPair })));
    await client.secureQueue(queues[0]!, keyPair.publicKey);
    for (const [i, queue] of queues.entries()) {
      const sender = { senderId: queue.senderId, ...(i === 0 && { senderKey: keyPair.privateKey }) };
      for (const text of [texts[i]!, `${texts[i]} again`]) await client.send(sender, textBytes(text));
    }
    return queues;
  });
  const { printed, export: exportTo, import: importFrom, refusal } = commands(nats, one.path);
  await importFrom(one.path);
  assertEquals(printed.splice(0), [
    "imported 4 queues and 8 messages into cluster moved",
    `each of its nodes needs ${one.path}/server_key as its key`,
  ]);
  assertStringIncludes(await refusal(importFrom(one.path)), "cluster moved has queues already");
  // Files do not say when a queue was used last: it must not be too old at once.
  assertEquals((await changesOf(nats)).filter((time) => time < begin), []);
  const [running, stopped] = [`${outside.path}/running`, `${outside.path}/stopped`];
  {
    const node = await join(nats);
    await using client = await node.connect();
    assertEquals(await textsOf(client, queues), texts);
    await client.acknowledge(queues[0]!);
    await client.suspendQueue(queues[3]!);
    await exportTo(running);
    assertStringIncludes(printed.splice(0).join("\n"), "a backup alone: a may have stored more since");
    assertStringIncludes(await refusal(importFrom(one.path)), "node a runs; stop all nodes first");
    await client.acknowledge(queues[1]!);
    await client.close();
    await node.stop();
  }
  await exportTo(stopped);
  // What is suspended is in no file of one process.
  assertEquals(printed.splice(0)[0], `exported the key, 3 queues and 4 messages to ${stopped}`);
  const digests = async (folder: string) => {
    const guard = await readHandshakes(`${folder}/smp-server-store.log.handshakes`);
    return [...guard.digests()].toSorted((a, b) => a - b);
  };
  const before = await digests(one.path);
  const after = await digests(stopped);
  assertEquals([before.length, before.filter((digest) => !after.includes(digest))], [1, []]);
  assertEquals(after.length, 2);
  for (
    const [folder, expected] of [[running, ["a again", "b", "c"]], [stopped, [
      "a again",
      "b again",
      "c",
    ]]] as const
  ) {
    const found = await served(folder, (client) => textsOf(client, queues.slice(0, 3)));
    assertEquals(found, [...expected]);
  }
});

/** A cluster with a message in a queue, that was imported, and what imports have to do with. */
async function imported(nats: Nats, folder: string) {
  await giveKey(folder);
  const queue = await served(folder, async (client) => {
    const queue = await client.createQueue({ keyPair });
    await client.send(queue, textBytes("a"));
    return queue;
  });
  const those = commands(nats, folder);
  await those.import(folder);
  const connection = await nats.connect();
  const { signal } = new AbortController();
  const bucket = await soon(openBucket(connection, { name: "moved", log: () => {}, signal }));
  await checkCluster(bucket, { keyHash: identity.keyHash, partitions: 8 });
  const marker = await ImportMarker.read(bucket);
  return { ...those, queue, bucket, marker, [Symbol.asyncDispose]: () => connection.close() };
}

async function refusedNode(nats: Nats): Promise<void> {
  const { code, message } = await assertRejects(() => join(nats), EngineError);
  assertEquals(code, "CONTENT");
  assertStringIncludes(message, "an import into cluster moved has not ended: run it again");
}

/** What a node serves of the only queue. */
async function textOf(nats: Nats, queue: RecipientQueue): Promise<string | undefined> {
  const node = await join(nats);
  await using client = await node.connect();
  const [text] = await textsOf(client, [queue]);
  await client.close();
  await node.stop();
  return text;
}

test("no node starts on a part of an import, which is done again", async () => {
  await using nats = await Nats.start();
  await using folder = await temporaryFolder();
  await using cluster = await imported(nats, folder.path);
  await cluster.marker.set("filling");
  await refusedNode(nats);
  const why = await cluster.refusal(cluster.export(`${folder.path}/backup`));
  assertStringIncludes(why, "an import into cluster moved has not ended");
  await cluster.import(folder.path);
  assertEquals(await textOf(nats, cluster.queue), "a");
});

test("an import that has changed nothing takes nothing from a cluster with queues, though it was interrupted", async () => {
  await using nats = await Nats.start();
  await using folder = await temporaryFolder();
  await using cluster = await imported(nats, folder.path);
  await cluster.marker.set("begun");
  await refusedNode(nats);
  await cluster.export(`${folder.path}/backup`);
  assertStringIncludes(
    await cluster.refusal(cluster.import(folder.path)),
    "cluster moved has queues already",
  );
  assertEquals(await textOf(nats, cluster.queue), "a");
});

test("of two imports at a time one is told, whatever was stored is known, and neither ends the other", async () => {
  await using nats = await Nats.start();
  await using folder = await temporaryFolder();
  await using cluster = await imported(nats, folder.path);
  const other = await ImportMarker.read(cluster.bucket);
  for (const state of ["begun", "filling", "filling"] as const) await cluster.marker.set(state);
  const { code, message } = await assertRejects(() => other.set("ended"), EngineError);
  assertEquals([code, message], ["CONTENT", "Cannot import: another import has begun meanwhile"]);
  assertEquals(await importState(cluster.bucket), "filling");
  await cluster.marker.set("ended");
  assertEquals(await importState(cluster.bucket), "ended");
});

test("what is no server's, or lacks its queues, is not imported", async () => {
  await using nats = await Nats.start();
  await using folder = await temporaryFolder();
  const { import: importFrom, refusal } = commands(nats, folder.path);
  assertStringIncludes(await refusal(importFrom(folder.path)), "is not an exported server");
  await giveKey(folder.path);
  assertStringIncludes(await refusal(importFrom(folder.path)), "there are no queues in it");
  await served(folder.path, async (client) => {
    const queue = await client.createQueue({ keyPair });
    await client.send(queue, textBytes("a"));
  });
  await Deno.remove(`${folder.path}/smp-server-store.log`);
  assertStringIncludes(await refusal(importFrom(folder.path)), "it is not there, but");
  const connection = await nats.connect();
  await assertRejects(() => findBucket(connection, "moved"), EngineError, "There is no cluster moved");
  await connection.close();
});
