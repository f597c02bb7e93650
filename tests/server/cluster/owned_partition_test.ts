import { assert, assertEquals } from "@std/assert";
import {
  asciiText,
  type ClientCommand,
  type ClientTransmission,
  encodeBase64,
  type ServerResponse,
  type ServerTransmission,
  textBytes,
} from "../../../protocol/mod.ts";
import { LocalBrokers } from "../../../server/broker/local_brokers.ts";
import type { BrokerConnection } from "../../../server/broker/subscriptions.ts";
import { LeaseGate } from "../../../server/cluster/lease_gate.ts";
import { OwnedPartition } from "../../../server/cluster/owned_partition.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { Turns } from "../../../server/guard/turns.ts";
import type { ByteStream } from "../../../server/link/byte_stream.ts";
import { RemoteOwner } from "../../../server/link/remote_owner.ts";
import { streamPair } from "../../../server/link/stream_pair.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import { fakeSigner, fakeVerify, sign, type Signer } from "../../support/broker.ts";
import { MemorySnapshots, MemoryStream } from "../../support/memory_stream.ts";
import { soon, until } from "../../support/wait.ts";

/** A node, as far as its partition is concerned. */
interface Node extends AsyncDisposable {
  readonly owned: OwnedPartition;
  readonly gate: LeaseGate;
  readonly metrics: Metrics;
}

class Connection implements BrokerConnection {
  readonly blockSize: number;
  readonly binding = new Uint8Array(32);
  readonly client = null;
  readonly closed = false;
  readonly isFull = false;
  readonly answers: ServerTransmission[] = [];
  readonly pushes: ServerTransmission[] = [];

  constructor(blockSize = 4096) {
    this.blockSize = blockSize;
  }

  answer(transmission: ServerTransmission): void {
    this.answers.push(transmission);
  }

  notify(transmission: ServerTransmission): void {
    this.pushes.push(transmission);
  }
}

/** A stream that tells of what is stored before it is answered. */
class ToldStream extends MemoryStream {
  published: (() => void) | null = null;

  override async publish(...args: Parameters<MemoryStream["publish"]>) {
    const outcome = await super.publish(...args);
    this.published?.();
    return outcome;
  }
}

/** A partition whose owners follow each other, and a session's process that uses whoever it is. */
class World implements AsyncDisposable {
  readonly stream = new ToldStream();
  readonly streams: ByteStream[] = [];
  readonly snapshots = new MemorySnapshots();
  readonly turns = new Turns();
  readonly nodes: Node[] = [];
  readonly remote = new RemoteOwner({
    connect: async (signal) => {
      await until(() => signal.aborted || this.nodes.at(-1)?.owned.isServing === true);
      signal.throwIfAborted();
      const [here, there] = streamPair();
      this.nodes.at(-1)!.owned.serve(there);
      this.streams.push(here);
      return here;
    },
    close: () => {
      throw new Error("a connection is closed");
    },
  });

  async next(): Promise<Node> {
    const metrics = new Metrics();
    const brokers = new LocalBrokers([], { metrics, authorizer: new Authorizer(fakeVerify) });
    const gate = new LeaseGate(() => true);
    const owned = await OwnedPartition.claim({
      partition: 0,
      partitions: 1,
      brokers,
      turns: this.turns,
      gate,
      node: `node-${this.nodes.length}`,
      stream: this.stream,
      snapshots: this.snapshots,
      lost: (owned) => void owned.giveUp(),
    });
    const node = { owned, gate, metrics, [Symbol.asyncDispose]: () => owned.giveUp() };
    this.nodes.push(node);
    return node;
  }

  async ask(
    connection: Connection,
    queueId: string,
    command: ClientCommand,
    key?: Signer,
  ): Promise<ServerResponse> {
    const count = connection.answers.length;
    await this.submit(connection, queueId, command, key);
    await until(() => connection.answers.length > count);
    return connection.answers.at(-1)!.response;
  }

  async submit(
    connection: Connection,
    queueId: string,
    command: ClientCommand,
    key?: Signer,
  ): Promise<void> {
    const transmission: ClientTransmission = await sign(queueId, command, { ...(key && { key }) });
    await this.remote.submit(connection, transmission);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remote[Symbol.asyncDispose]();
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
    await this.turns[Symbol.asyncDispose]();
  }
}

const [recipient, sender] = [fakeSigner(), fakeSigner()];

async function newQueue(world: World, connection: Connection) {
  const ids = await world.ask(connection, "", { type: "NEW", recipientKey: recipient.publicKey }, recipient);
  assert(ids.type === "IDS");
  return ids;
}

Deno.test("the next owner answers what the one before has stored and not answered, and does nothing again", async () => {
  await using world = new World();
  const first = await world.next();
  const [alice, bob] = [new Connection(), new Connection()];
  const [queue, other] = [await newQueue(world, alice), await newQueue(world, alice)];
  const before = world.stream.messages.size;
  first.gate.shut();
  await world.submit(alice, "", { type: "NEW", recipientKey: recipient.publicKey }, recipient);
  await world.submit(alice, other.recipientId, { type: "DEL" }, recipient);
  await world.submit(alice, queue.recipientId, { type: "KEY", senderKey: sender.publicKey }, recipient);
  await until(() => first.metrics.commands.get("KEY OK") === 1);
  await world.submit(bob, queue.senderId, { type: "SEND", body: textBytes("a") }, sender);
  await world.submit(alice, queue.recipientId, { type: "OFF" }, recipient);
  await until(() => first.metrics.commands.get("OFF OK") === 1 && first.metrics.messagesAccepted === 1);
  await until(() => first.metrics.commands.get("IDS") !== 0 && world.stream.messages.size > before);
  await until(() => first.owned.log.waiting === 0);
  assertEquals([alice.answers.length, bob.answers.length, alice.pushes.length], [2, 0, 0]);
  const second = await world.next();
  await soon(first.owned.giveUp());
  await until(() => alice.answers.length === 6 && bob.answers.length === 1);
  const types = alice.answers.slice(2).map(({ response }) => response.type).sort();
  assertEquals(types, ["IDS", "OK", "OK", "OK"]);
  assertEquals(bob.answers[0]!.response.type, "OK");
  const { queues, messages } = second.owned.stores;
  assertEquals([queues.size, messages.size], [2, 1]);
  await until(() => alice.pushes.length === 1);
  // The queue of the repeated NEW is one that it is subscribed to.
  const made = alice.answers.map(({ response }) => response).findLast(({ type }) => type === "IDS");
  assert(made?.type === "IDS");
  assert(await queues.byRecipientId(made.recipientId) !== undefined);
  await world.ask(bob, made.senderId, { type: "SEND", body: textBytes("b") });
  await until(() => alice.pushes.length === 2);
  assertEquals(alice.pushes[1]!.queueId, made.recipientId);
});

Deno.test("the next owner knows the block size that a recipient has, and refuses what does not fit", async () => {
  await using world = new World();
  const first = await world.next();
  const [alice, bob] = [new Connection(16384), new Connection(16384)];
  const queue = await newQueue(world, alice);
  const body = new Uint8Array(9000);
  assertEquals((await world.ask(bob, queue.senderId, { type: "SEND", body })).type, "OK");
  await soon(first.owned.handOver());
  const second = await world.next();
  assertEquals((await world.ask(bob, queue.senderId, { type: "SEND", body })).type, "OK");
  // It comes with the usual blocks.
  assertEquals((await world.ask(new Connection(), queue.recipientId, { type: "SUB" }, recipient)).type, "OK");
  await soon(second.owned.handOver());
  await world.next();
  const refused = await world.ask(bob, queue.senderId, { type: "SEND", body });
  assertEquals(refused, { type: "ERR", error: "SIZE" });
});

Deno.test("an owner answers nothing while its gate is shut, and all when it opens", async () => {
  await using world = new World();
  const { gate } = await world.next();
  const alice = new Connection();
  const queue = await newQueue(world, alice);
  gate.shut();
  await world.submit(alice, queue.recipientId, { type: "SUB" }, recipient);
  await world.submit(alice, "", { type: "PING" });
  await until(() => world.nodes[0]!.metrics.commands.get("SUB OK") === 1);
  assertEquals(alice.answers.length, 1);
  gate.open();
  await until(() => alice.answers.length === 3);
});

Deno.test("an owner that another has followed says nothing of what it could not store", async () => {
  await using world = new World();
  const first = await world.next();
  const alice = new Connection();
  const queue = await newQueue(world, alice);
  const second = await world.next();
  // The first one does not know yet; the session's process still uses it.
  assertEquals(first.owned.isServing, true);
  const answer = await world.ask(alice, queue.senderId, { type: "SEND", body: textBytes("a") });
  assertEquals(answer, { type: "OK" });
  assertEquals(first.owned.isServing, false);
  assertEquals(second.metrics.messagesAccepted, 1);
});

for (const isStored of [false, true]) {
  const what = isStored ? "were stored together and not answered" : "another's claim kept from being stored";
  Deno.test(`a SEND and an ACK that ${what} are done once, by the next owner`, async () => {
    await using world = new World();
    const first = await world.next();
    const [alice, bob] = [new Connection(), new Connection()];
    const queue = await newQueue(world, alice);
    const send = (text: string) => world.submit(bob, queue.senderId, { type: "SEND", body: textBytes(text) });
    await send("a");
    await until(() => alice.pushes.length === 1 && bob.answers.length === 1);
    const { log } = first.owned;
    // Nothing is stored meanwhile, or answered that is stored.
    log.pause();
    await send("b");
    await until(() => log.waiting > 0);
    const { waiting } = log;
    await world.submit(alice, queue.recipientId, { type: "ACK" }, recipient);
    await until(() => log.waiting > waiting);
    const last = world.stream.messages.size;
    if (isStored) {
      world.stream.published = () => log.pause();
      log.resume();
      await until(() => world.stream.messages.size > last);
      world.stream.published = null;
    }
    assertEquals([alice.answers.length, bob.answers.length], [1, 1]);
    const second = await world.next();
    if (isStored) await soon(first.owned.giveUp());
    else log.resume();
    await until(() => alice.answers.length === 2 && bob.answers.length === 2);
    assertEquals(first.owned.isServing, false);
    // The ACK is answered with the message, or the message follows.
    const next = () => [...alice.answers.slice(1), ...alice.pushes.slice(1)];
    await until(() => next().some(({ response }) => response.type === "MSG"));
    const texts = next().flatMap(({ response }) => response.type === "MSG" ? [asciiText(response.body)] : []);
    assertEquals([texts, bob.answers[1]!.response.type], [["b"], "OK"]);
    assertEquals([second.owned.stores.messages.size, first.metrics.messagesAccepted], [1, 1]);
    assertEquals(second.metrics.messagesAccepted, isStored ? 0 : 1);
    const answer = await world.ask(alice, queue.recipientId, { type: "ACK" }, recipient);
    assertEquals([answer.type, second.owned.stores.messages.size], ["OK", 0]);
  });
}

Deno.test("what waits behind a command when its link is lost is executed for the link that follows", async () => {
  await using world = new World();
  const { owned, metrics } = await world.next();
  const [alice, bob] = [new Connection(), new Connection()];
  const queue = await newQueue(world, alice);
  const key = { type: "KEY", senderKey: sender.publicKey } as const;
  assertEquals((await world.ask(alice, queue.recipientId, key, recipient)).type, "OK");
  const open = { type: "OPEN", binding: encodeBase64(bob.binding) } as const;
  assertEquals((await world.ask(bob, queue.senderId, open, sender)).type, "OK");
  // Nothing is stored meanwhile.
  owned.log.pause();
  for (const text of ["a", "b"]) {
    await world.submit(bob, queue.senderId, { type: "SEND", body: textBytes(text) });
  }
  await until(() => owned.log.waiting > 0);
  world.streams.at(-1)!.close();
  await until(() => world.streams.length === 2 && owned.status.links.kept >= 2 && world.remote.isLinked);
  await world.submit(alice, "", { type: "PING" });
  await until(() => alice.answers.length === 3);
  owned.log.resume();
  await until(() => bob.answers.length === 3);
  assertEquals(bob.answers.map(({ response }) => response.type), ["OK", "OK", "OK"]);
  assertEquals([metrics.messagesAccepted, owned.stores.messages.size], [2, 2]);
});

Deno.test("what comes behind a command that is executed again is executed after it", async () => {
  await using world = new World();
  const { owned } = await world.next();
  const [alice, bob] = [new Connection(), new Connection()];
  const queue = await newQueue(world, alice);
  const key = { type: "KEY", senderKey: sender.publicKey } as const;
  assertEquals((await world.ask(alice, queue.recipientId, key, recipient)).type, "OK");
  const open = { type: "OPEN", binding: encodeBase64(bob.binding) } as const;
  assertEquals((await world.ask(bob, queue.senderId, open, sender)).type, "OK");
  const send = (text: string) => world.submit(bob, queue.senderId, { type: "SEND", body: textBytes(text) });
  // Nothing is stored meanwhile.
  owned.log.pause();
  await send("a");
  await send("b");
  await until(() => owned.log.waiting > 0);
  world.streams.at(-1)!.close();
  await until(() => world.streams.length === 2 && owned.status.links.kept >= 2 && world.remote.isLinked);
  await send("c");
  await world.submit(alice, "", { type: "PING" });
  await until(() => alice.answers.length === 3);
  owned.log.resume();
  await until(() => bob.answers.length === 4);
  const stored: string[] = [];
  for (const [, { body }] of owned.log.state.messages.messages()) stored.push(new TextDecoder().decode(body));
  assertEquals(stored, ["a", "b", "c"]);
});
