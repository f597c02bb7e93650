import { assert, assertEquals } from "@std/assert";
import type { ClientTransmission, ServerTransmission } from "../../../protocol/mod.ts";
import type { PartitionOwner } from "../../../server/broker/owner.ts";
import type { BrokerConnection } from "../../../server/broker/subscriptions.ts";
import { RemoteOwner } from "../../../server/link/remote_owner.ts";
import { fakeSigner, fakeVerify, type TestConnection, transmissionTo } from "../../support/broker.ts";
import { FaultyStream } from "../../support/faulty_stream.ts";
import { linkedBroker, roundTrip, ServedOwner, SessionSide } from "../../support/link.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { steadyPort } from "../../support/ports.ts";
import { until } from "../../support/wait.ts";

const broker = { authorizer: new Authorizer(fakeVerify) };
const signers = { recipient: fakeSigner(), sender: fakeSigner() };

Deno.test("a command that was never written is answered INTERNAL after the deadline", async () => {
  await using linked = await linkedBroker();
  const alice = linked.session.connect();
  const queue = await alice.create();
  const failed: string[] = [];
  const options = { deadline: 500, failed: (command: string) => void failed.push(command) };
  await using far = new SessionSide(linked.test, steadyPort(), options);
  const [bob, carol] = [far.connect(), far.connect()];
  const given = [bob, carol].map((connection) => connection.submit(queue, "SEND a"));
  await until(() => far.remote.pending === 2);
  // Nobody is answered.
  carol.disconnect();
  await Promise.all(given);
  assertEquals(bob.take(), ["send q.s ERR INTERNAL"]);
  assertEquals(failed, ["SEND"]);
  assertEquals(far.closed, []);
  assertEquals(far.remote.pending, 0);
});

Deno.test("a connection is closed when nobody can tell whether its command was executed", async () => {
  await using linked = await linkedBroker();
  const { test, port, session } = linked;
  const queue = await session.connect().create();
  let isReachable = true;
  const streams: FaultyStream[] = [];
  await using far = new SessionSide(test, port, {
    deadline: 50,
    mostSilence: 60_000,
    wrap: (stream) => {
      const faulty = new FaultyStream(stream);
      streams.push(faulty);
      faulty.losesWrites = !isReachable;
      return faulty;
    },
  });
  await until(() => far.remote.isLinked);
  const [bob, carol] = [far.connect(), far.connect()];
  streams[0]!.hold();
  await bob.submit(queue, "SEND a");
  await until(() => test.metrics.messagesAccepted === 1);
  isReachable = false;
  far.cut();
  await until(() => !far.remote.isLinked);
  await carol.submit(queue, "SEND b");
  await until(() => far.closed.length === 1 && carol.waiting === 0);
  assertEquals(far.closed, [bob]);
  assertEquals(bob.take(), []);
  assertEquals(carol.take(), ["send q.s ERR INTERNAL"]);
});

Deno.test("a command waits longer than the deadline for an owner that is busy with it", async () => {
  await using linked = await linkedBroker({ remote: { deadline: 500, mostSilence: 60_000 } });
  const { session, test } = linked;
  const [alice, bob] = [session.connect(), session.connect()];
  const queue = await alice.create();
  const stored = Promise.withResolvers<void>();
  test.around = async (operation, run) => {
    if (operation === "append") await stored.promise;
    return await run();
  };
  await bob.submit(queue, "SEND a");
  const end = performance.now() + 1_000;
  await until(async () => {
    await roundTrip(session.remote);
    return performance.now() > end;
  });
  assertEquals(session.closed, []);
  stored.resolve();
  await session.idle();
  assertEquals(bob.take(), ["send q.s OK"]);
});

Deno.test("an owner that says nothing is connected to anew, and what it has not answered is given again", async () => {
  const streams: FaultyStream[] = [];
  const wrap = (stream: ConstructorParameters<typeof FaultyStream>[0]) => {
    streams.push(new FaultyStream(stream));
    return streams.at(-1)!;
  };
  const ends: string[] = [];
  const lost = ({ code }: { readonly code: string }) => void ends.push(code);
  await using linked = await linkedBroker({ remote: { mostSilence: 50, wrap, lost } });
  const { session } = linked;
  const [alice, bob] = [session.connect(), session.connect()];
  const queue = await alice.create();
  streams[0]!.losesWrites = true;
  await bob.submit(queue, "SEND a");
  await session.idle();
  assertEquals(bob.take(), ["send q.s OK"]);
  assert(ends.includes("SILENT"));
});

Deno.test("a command that no owner survives closes its connection", async () => {
  let accepted = 0;
  const owner: PartitionOwner = {
    submit: (_connection, { command }) => {
      if (command.type === "SUB") {
        accepted++;
        far.cut();
      }
      return Promise.resolve();
    },
    isOpened: () => false,
    isSubscribed: () => false,
    resume: () => {},
    disconnect: () => {},
  };
  await using linked = await linkedBroker();
  const queue = await linked.session.connect().create();
  const port = steadyPort();
  await using _served = new ServedOwner(port, owner);
  await using far: SessionSide = new SessionSide(linked.test, port);
  const bob = far.connect();
  await bob.submit(queue, "SUB");
  await until(() => far.closed.length === 1);
  assertEquals(accepted, 4);
});

Deno.test("connections that cannot be restored are closed when the link is lost, others are not", async () => {
  await using linked = await linkedBroker();
  const { test } = linked;
  const owner = new Proxy(test.router, {
    get(broker, name) {
      if (name === "restoring") return undefined;
      const member: unknown = Reflect.get(broker, name);
      return typeof member === "function" ? member.bind(broker) : member;
    },
  });
  const port = steadyPort();
  await using _served = new ServedOwner(port, owner);
  await using far = new SessionSide(test, port);
  const [alice, bob] = [far.connect(), far.connect()];
  const queue = await alice.create();
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
  far.cut();
  await until(() => far.closed.length === 1);
  assertEquals(far.closed, [alice]);
  assertEquals(await bob.ask(queue, "SEND b"), ["send q.s OK"]);
});

Deno.test("a reader that takes nothing is pushed so much and no more, and the rest when it takes", async () => {
  await using linked = await linkedBroker({ broker });
  const { session, test } = linked;
  const alice = session.connect(), bob = test.connect();
  const queues = [];
  for (let i = 0; i < 30; i++) {
    const queue = await alice.create(`q${i}`, signers);
    await alice.ask(queue, "SUBN 10");
    queues.push(queue);
  }
  alice.take();
  alice.isFull = true;
  for (const queue of queues) {
    for (let i = 0; i < 10; i++) await bob.ask(queue, `SEND m${i}`);
  }
  await session.idle();
  // 64 blocks of 4 KiB are 256 KiB.
  assertEquals(alice.received.length, 64);
  assertEquals(test.brokers.counts.delivered, 64);
  alice.isFull = false;
  session.remote.resume(alice);
  await session.idle();
  // Partitions that go on at the same time push one each beyond it.
  const { length } = alice.received;
  assert(length >= 128 && length <= 128 + test.brokers.all.length, `${length} were pushed`);
  for (let taken = length; taken < 300;) {
    session.remote.resume(alice);
    await session.idle();
    taken = Math.max(taken, alice.received.length);
  }
  assertEquals(new Set(alice.take()).size, 300);
});

/** A connection that counts what it gets. */
class CountingConnection implements BrokerConnection {
  readonly blockSize = 65_536;
  readonly binding = new Uint8Array(32);
  readonly client = null;
  closed = false;
  isFull = false;
  answers = 0;
  answer(_transmission: ServerTransmission): void {
    this.answers++;
  }
  notify(): void {}
}

Deno.test("an owner that reads nothing makes the session's side wait, and both ends hold little", async () => {
  const streams: FaultyStream[] = [];
  const wrap = (stream: ConstructorParameters<typeof FaultyStream>[0]) => {
    streams.push(new FaultyStream(stream));
    return streams.at(-1)!;
  };
  const mostWaiting = 200_000;
  const remote = { wrap, mostWaiting, mostSilence: 60_000 };
  await using linked = await linkedBroker({ broker, remote });
  const { session, test, served } = linked;
  const alice = session.connect(65_536);
  const queue = await alice.create("q", signers);
  const stuck = Promise.withResolvers<void>();
  test.around = async (operation, run) => {
    if (operation === "append") await stuck.promise;
    return await run();
  };
  const body = "x".repeat(50_000);
  const connection = new CountingConnection();
  const transmission: ClientTransmission = await transmissionTo(queue, `SEND ${body}`, { key: null });
  let placed = 0;
  const count = 400;
  for (let i = 0; i < count; i++) void session.remote.submit(connection, transmission).then(() => placed++);
  // What stops is what is in work at the owner, then its socket, then what waits to be written here.
  const mostInWork = 8 * 1_048_576 / body.length;
  await until(() => served.links.counts.inWork > mostInWork - 10);
  let before = -1;
  while (before !== placed) {
    before = placed;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert(served.links.counts.inWork < mostInWork + 5, "the owner holds more");
  assert(placed < count, "all commands were taken");
  assertEquals(session.remote.pending, count);
  stuck.resolve();
  await until(() => connection.answers === count);
  assertEquals(placed, count);
});

Deno.test("a session's side that reads nothing stops the owner's pushes, and nothing is lost", async () => {
  const streams: FaultyStream[] = [];
  const wrap = (stream: ConstructorParameters<typeof FaultyStream>[0]) => {
    streams.push(new FaultyStream(stream));
    return streams.at(-1)!;
  };
  const mostWaiting = 100_000;
  await using linked = await linkedBroker({
    broker,
    served: { mostWaiting },
    remote: { wrap, mostSilence: 60_000 },
  });
  const { session, test, served } = linked;
  const bob = test.connect(65_536);
  const readers: TestConnection[] = [], queues = [];
  for (let i = 0; i < 40; i++) {
    const reader = session.connect(65_536);
    const queue = await reader.create(`q${i}`, signers);
    await reader.ask(queue, "SUBN 4");
    reader.take();
    readers.push(reader);
    queues.push(queue);
  }
  streams[0]!.hold();
  for (const queue of queues) {
    for (let i = 0; i < 4; i++) await bob.ask(queue, `SEND ${i}${"x".repeat(50_000)}`);
  }
  assert(served.links.counts.waiting < mostWaiting + 2 * 65_536);
  assert(test.brokers.counts.delivered < 160);
  streams[0]!.release();
  for (const reader of readers) {
    await until(() => {
      session.remote.resume(reader);
      return reader.received.length === 4;
    });
    assertEquals(reader.take().map((text) => text.split(" ")[3]![0]), ["0", "1", "2", "3"]);
  }
});

Deno.test("bytes that are no frames end that link only, and tell nothing", async () => {
  await using linked = await linkedBroker();
  const { session, port, served } = linked;
  const alice = session.connect();
  const queue = await alice.create();
  for (const bytes of [new Uint8Array(100).fill(255), new Uint8Array(100), new Uint8Array(0)]) {
    const stream = await Deno.connect({ hostname: "127.0.0.1", port });
    await stream.write(bytes).catch(() => {});
    await stream.closeWrite();
    assertEquals(await stream.read(new Uint8Array(10)), null);
    stream.close();
  }
  await until(() => served.ends.length === 3);
  assertEquals(served.ends.map(({ code }) => code), ["FRAME", "GAP", "ENDED"]);
  assertEquals(await alice.ask(queue, "SEND a", { key: null }), ["send q.s OK", "- q MSG a"]);
});

Deno.test("what a remote owner had is answered when it is closed", async () => {
  const remote = new RemoteOwner({ connect: () => Promise.reject(new Error("nobody")), close: () => {} });
  const connection = new CountingConnection();
  const ping = new Uint8Array(0);
  const transmission = {
    signature: ping,
    signed: ping,
    corrId: ping,
    queueId: "",
    command: { type: "PING" },
  } as const;
  const placed = remote.submit(connection, transmission);
  await remote[Symbol.asyncDispose]();
  await placed;
  await remote.submit(connection, transmission);
  assertEquals(connection.answers, 2);
});
