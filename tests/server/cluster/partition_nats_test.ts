import { assert, assertEquals, assertRejects } from "@std/assert";
import { JetStreamApiError } from "@nats-io/jetstream";
import { NatsConnectionImpl } from "@nats-io/nats-core/internal";
import type { NatsConnection } from "@nats-io/transport-node";
import { PartitionLostError } from "../../../server/cluster/error.ts";
import type { LogStream } from "../../../server/cluster/log_stream.ts";
import { createStream, openLogStream, openSnapshotStream } from "../../../server/cluster/nats_streams.ts";
import { PartitionLog, type PartitionLogOptions } from "../../../server/cluster/partition_log.ts";
import type { LogRecord } from "../../../server/cluster/records.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { contentOf, FaultyStream } from "../../support/partition_log.ts";
import { PartitionHistory } from "../../support/partition_history.ts";
import { requiring } from "../../support/requires.ts";
import { soon, until } from "../../support/wait.ts";

const test = requiring(natsLack);
const message = (id: string): LogRecord => ({
  type: "MESSAGE",
  recipientId: "q",
  id,
  at: 1,
  body: new Uint8Array(4),
});

/** A partition on NATS servers, with its streams; each owner has a connection of its own. */
class TestPartition implements AsyncDisposable {
  readonly nats: Nats;
  readonly #replicas: number;
  readonly #connections: NatsConnection[] = [];

  private constructor(nats: Nats, replicas: number) {
    this.nats = nats;
    this.#replicas = replicas;
  }

  static async start(servers: 1 | 3): Promise<TestPartition> {
    const partition = new TestPartition(await Nats.start({ servers }), servers);
    const connection = await partition.connect();
    for (const name of ["p0", "snapshots"]) {
      await soon(createStream({ connection, name, replicas: servers, timeout: 20_000 }));
    }
    // Any one may be killed, or frozen, from here on.
    await partition.nats.ready();
    return partition;
  }

  async connect(): Promise<NatsConnection> {
    const connection = await this.nats.connect({ pingInterval: 1000, maxPingOut: 2 });
    this.#connections.push(connection);
    // For the next ones alone: the first one may take as long as it does on a busy machine.
    assert(connection instanceof NatsConnectionImpl);
    connection.options.timeout = 1000;
    return connection;
  }

  /** The log's stream, by a connection of its own. */
  async stream(): Promise<LogStream> {
    return await openLogStream({ connection: await this.connect(), name: "p0", replicas: this.#replicas });
  }

  async claim(options: Partial<PartitionLogOptions> = {}): Promise<PartitionLog> {
    const snapshots = await openSnapshotStream({
      connection: await this.connect(),
      name: "snapshots",
      partition: "0",
      replicas: this.#replicas,
    });
    const stream = options.stream ?? await this.stream();
    return await soon(PartitionLog.claim({ snapshots, node: "a", ...options, stream }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) await connection.close();
    await this.nats[Symbol.asyncDispose]();
  }
}

test("a partition on NATS is the same after its owner, with snapshots and a purge on the way", async () => {
  await using partition = await TestPartition.start(1);
  await using first = await partition.claim({ snapshotAfter: 50_000 });
  const history = new PartitionHistory();
  const enough = new AbortController();
  const loading = history.load(first, enough.signal);
  await until(() => first.state.snapshot?.previous != null);
  await until(async () => (await (await partition.stream()).state()).first > 1);
  enough.abort();
  await soon(loading);
  history.check(first.state);
  await first.close();
  await using second = await partition.claim();
  history.check(second.state);
  assertEquals(contentOf(second.state), contentOf(first.state));
});

test("a message that was stored is read as it was, and one that was not is none", async () => {
  await using partition = await TestPartition.start(1);
  const stream = await partition.stream();
  assertEquals([await stream.get(1), await stream.last("batch")], [null, null]);
  const all = Uint8Array.from({ length: 100_000 }, (_, i) => i * 31 >> 4);
  for (const [expected, data] of [new Uint8Array(0), all, all.subarray(0, 1)].entries()) {
    assertEquals(await stream.publish(data, { expected, kind: "batch" }), {
      type: "stored",
      sequence: expected + 1,
    });
    assertEquals(await stream.get(expected + 1), data.slice());
    assertEquals(await stream.last("batch"), { sequence: expected + 1, data: data.slice() });
  }
  assertEquals([await stream.get(4), await stream.last("snapshot")], [null, null]);
  const other = await openLogStream({ connection: await partition.connect(), name: "p1" });
  await assertRejects(() => other.get(1), JetStreamApiError, "stream not found");
});

test("kill -9 of the leader of the stream under load loses nothing that was answered", async () => {
  await using partition = await TestPartition.start(3);
  const { nats } = partition;
  await using log = await partition.claim({ snapshotAfter: 200_000 });
  const history = new PartitionHistory();
  const enough = new AbortController();
  const loading = history.load(log, enough.signal);
  for (let i = 0; i < 2; i++) {
    const before = history.answers;
    await until(() => history.answers > before + 100);
    const leader = await nats.leaderOf("p0");
    await leader.kill();
    const after = history.answers;
    await until(() => history.answers > after + 100);
    await leader.restart();
    await nats.recovered();
  }
  enough.abort();
  await soon(loading);
  history.check(log.state);
  await log.close();
  await using next = await partition.claim();
  history.check(next.state);
  assertEquals(contentOf(next.state), contentOf(log.state));
});

test("a frozen leader of the stream loses nothing that was answered", async () => {
  await using partition = await TestPartition.start(3);
  const { nats } = partition;
  await using log = await partition.claim();
  const history = new PartitionHistory();
  const enough = new AbortController();
  const loading = history.load(log, enough.signal);
  await until(() => history.answers > 100);
  const leader = await nats.leaderOf("p0");
  leader.stop();
  const after = history.answers;
  await until(() => history.answers > after + 100);
  leader.cont();
  const then = history.answers;
  await until(() => history.answers > then + 100);
  enough.abort();
  await soon(loading);
  await using next = await partition.claim();
  history.check(next.state);
});

test("two owners that fight: what either was answered is there, in the order of their epochs", async () => {
  await using partition = await TestPartition.start(1);
  const history = new PartitionHistory();
  const never = new AbortController();
  const epochs: number[] = [];
  let log = await partition.claim();
  for (let i = 0; i < 6; i++) {
    epochs.push(log.epoch);
    const before = history.answers;
    const loading = history.load(log, never.signal);
    await until(() => history.answers > before + 30);
    // The other one takes it under load, and this one learns it by what it cannot store.
    const other = await partition.claim();
    await soon(loading);
    assert(log.lost instanceof PartitionLostError);
    history.check(other.state);
    await log[Symbol.asyncDispose]();
    log = other;
  }
  await log.close();
  assertEquals(epochs, epochs.toSorted((a, b) => a - b));
});

test("acknowledgements of publishes that are lost cost nothing and double nothing", async () => {
  await using partition = await TestPartition.start(1);
  let publishes = 0;
  const stream = new FaultyStream(await partition.stream(), {
    times: Infinity,
    async fault(publish) {
      const outcome = await publish();
      return publishes++ % 3 === 0 ? { type: "unknown", cause: new Error("time-out") } : outcome;
    },
  });
  await using log = await partition.claim({ stream });
  const history = new PartitionHistory();
  const enough = new AbortController();
  const loading = history.load(log, enough.signal);
  await until(() => history.answers > 200);
  enough.abort();
  await soon(loading);
  await log.close();
  await using next = await partition.claim();
  history.check(next.state);
  assertEquals(contentOf(next.state), contentOf(log.state));
});

test("a batch that reaches the stream after another's claim is not stored", async () => {
  await using partition = await TestPartition.start(1);
  const [asked, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const stream = new FaultyStream(await partition.stream(), {
    times: 0,
    async fault(publish) {
      asked.resolve();
      await held.promise;
      return await publish();
    },
  });
  await using first = await partition.claim({ stream });
  stream.times = 1;
  const late = assertRejects(() => first.append([message("late")]), PartitionLostError);
  await asked.promise;
  await using second = await partition.claim();
  held.resolve();
  assertEquals((await soon(late)).neverStored, true);
  await second.append([message("1")]);
  await using third = await partition.claim();
  assertEquals(contentOf(third.state).messages, ["q 1"]);
});

test("the check notices answers that come before the publish is acknowledged", async () => {
  await using partition = await TestPartition.start(1);
  const { nats } = partition;
  const [server] = nats.servers;
  await using log = await partition.claim();
  const history = new PartitionHistory();
  const enough = new AbortController();
  // Answers what nobody has stored.
  const hasty = { append: (records: readonly LogRecord[]) => void log.append(records).catch(() => {}) };
  const append = async (records: readonly LogRecord[]) => {
    hasty.append(records);
    await new Promise((resolve) => setTimeout(resolve, 1));
    return records.map(() => 1);
  };
  const loading = history.load({ append }, enough.signal);
  await until(() => history.answers > 100);
  // Nothing is stored from here on, however long it takes.
  await server!.kill();
  const before = history.answers;
  await until(() => history.answers > before + 200);
  log.giveUp();
  enough.abort();
  await soon(loading);
  await server!.restart();
  await nats.recovered();
  await using next = await partition.claim();
  let failure: unknown;
  try {
    history.check(next.state);
  } catch (error) {
    failure = error;
  }
  assert(
    failure instanceof Error && failure.message.includes("other messages than were answered"),
    `${failure}`,
  );
});

test("a stream is made once, and one that is gone is not made by whoever opens it", async () => {
  await using partition = await TestPartition.start(1);
  const connection = await partition.connect();
  assertEquals(await createStream({ connection, name: "p0", replicas: 1 }), false);
  assertEquals(await createStream({ connection, name: "p1", replicas: 1 }), true);
  const stream = await openLogStream({ connection, name: "p2", timeout: 200 });
  const outcome = await stream.publish(new Uint8Array(1), { expected: 0, kind: "batch" });
  assertEquals(outcome.type, "unknown");
  await assertRejects(() => stream.state());
});
