import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeBase64, randomBytes } from "../../../protocol/mod.ts";
import { decodeBatch } from "../../../server/cluster/batch.ts";
import { PartitionDamagedError, PartitionLostError } from "../../../server/cluster/error.ts";
import type { LogStream, PublishOutcome } from "../../../server/cluster/log_stream.ts";
import { PartitionLog, type PartitionLogOptions } from "../../../server/cluster/partition_log.ts";
import type { LogRecord } from "../../../server/cluster/records.ts";
import { nextTurn } from "../../../server/next_turn.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { MemorySnapshots, MemoryStream } from "../../support/memory_stream.ts";
import { contentOf, FaultyStream } from "../../support/partition_log.ts";
import { soon, until } from "../../support/wait.ts";

const permissions = "none";

function message(id: string, length = 4): LogRecord {
  return { type: "MESSAGE", recipientId: "q", id, at: 1, body: new Uint8Array(length) };
}

/** A log, what it lies in, and what the next owner would have. */
function world(stream: LogStream = new MemoryStream()) {
  const snapshots = new MemorySnapshots();
  const claim = (node: string, options: Partial<PartitionLogOptions> = {}) =>
    soon(PartitionLog.claim({ stream, snapshots, node, ...options }));
  return { stream, snapshots, claim };
}

Deno.test("the next owner has what the log has answered, and a greater epoch", { permissions }, async () => {
  const { claim } = world();
  await using first = await claim("a");
  assertEquals(first.epoch, 1);
  assertEquals(await first.append([message("1"), message("2"), message("1")]), [1, 1, 0]);
  await using second = await claim("b");
  assertEquals(second.epoch, 3);
  assertEquals(contentOf(second.state), contentOf(first.state));
  assertEquals(contentOf(second.state).messages, ["q 1", "q 2"]);
});

Deno.test("appends of a turn and those during a publish are one batch each", { permissions }, async () => {
  const memory = new MemoryStream();
  const stream = new FaultyStream(memory, { times: 0, fault: faults["a publish that is lost"]! });
  const { claim } = world(stream);
  await using log = await claim("a");
  const some = [1, 2, 3].map((i) => log.append([message(`${i}`)]));
  stream.times = 1;
  stream.fault = (publish) => {
    some.push(...[4, 5].map((i) => log.append([message(`${i}`)])));
    return publish();
  };
  await until(() => some.length === 5);
  await Promise.all(some);
  const batches = [...memory.messages.values()].map(({ data }) => decodeBatch(data));
  assertEquals(batches.map(({ records }) => records.length), [1, 3, 2]);
  assertEquals(batches.map(({ epoch, number }) => [epoch, number]), [[1, 0], [1, 1], [1, 2]]);
});

Deno.test("an owner asks for another leader when the one that there is lacks what was stored, and goes on", {
  permissions,
}, async () => {
  const stream = new MemoryStream();
  const logged: string[] = [];
  const { claim } = world(stream);
  await using log = await claim("a", { log: (line) => void logged.push(line) });
  await log.append([message("1")]);
  const { publish, state } = stream;
  stream.publish = () => Promise.resolve({ type: "refused" });
  stream.state = () => Promise.resolve({ first: 1, last: 1 });
  stream.stepDown = () => {
    Object.assign(stream, { publish, state });
    return Promise.reject(new Error("the answer is lost"));
  };
  await soon(log.append([message("2")]));
  assertEquals([log.sequence, log.lost], [3, null]);
  assertEquals(logged.slice(0, 2), [
    "its leader is behind: asking for another one",
    "Cannot have another leader",
  ]);
});

Deno.test("an owner waits for a leader that has not come so far", { permissions }, async () => {
  const stream = new MemoryStream();
  const { claim } = world(stream);
  await using log = await claim("a");
  await log.append([message("1")]);
  const { publish, state } = stream;
  let answers = 0, asked = 0;
  stream.stepDown = () => Promise.resolve(++asked > 0);
  stream.publish = (...given) => {
    answers++;
    // Three times in a row, once without an answer, and three times again.
    if (answers === 4) return Promise.resolve({ type: "unknown", cause: new Error("no answer") });
    if (answers < 8) return Promise.resolve({ type: "refused" });
    return publish.apply(stream, given);
  };
  stream.state = () => answers < 8 ? Promise.resolve({ first: 1, last: 1 }) : state.apply(stream);
  await soon(log.append([message("2")]));
  assertEquals([answers, asked, log.sequence, log.lost], [8, 0, 3, null]);
});

/** A log whose batches take 5 ms of a clock each, and how many records those have that are stored. */
function slowLog() {
  const clock = new FakeClock();
  const memory = new MemoryStream();
  const stream = new FaultyStream(memory, {
    times: Infinity,
    fault: (publish) => {
      clock.advance(5);
      return publish();
    },
  });
  const { claim } = world(stream);
  const batches = () => [...memory.messages.values()].map(({ data }) => decodeBatch(data).records.length);
  return { clock, claim, batches };
}

Deno.test("a batch behind one of several waits for more, in proportion to what that one took", {
  permissions,
}, async () => {
  const { clock, claim, batches } = slowLog();
  await using log = await claim("a", { clock });
  await Promise.all([log.append([message("1")]), log.append([message("2")])]);
  const third = log.append([message("3")]);
  await until(() => clock.pauses.size === 1);
  const fourth = log.append([message("4")]);
  assertEquals(batches(), [1, 2]);
  assertEquals(await clock.endPause(), 10);
  await Promise.all([third, fourth]);
  await clock.endPause();
  await log.append([message("5")]);
  await log.append([message("6")]);
  assertEquals(batches(), [1, 2, 2, 1, 1]);
  assertEquals(clock.begun, [10, 10]);
});

Deno.test(
  "a batch that is large enough, or the last one, does not wait for more",
  { permissions },
  async () => {
    const { clock, claim, batches } = slowLog();
    await using log = await claim("a", { clock });
    const several = () => Promise.all([log.append([message("1")]), log.append([message("2")])]);
    await several();
    const large = [log.append([message("3")]), log.append([message("4", 131_072)])];
    await Promise.all(large);
    assertEquals(batches(), [1, 2, 2]);
    await until(() => clock.pauses.size === 1);
    const last = log.append([message("5")]);
    await log.close();
    await last;
    assertEquals(batches(), [1, 2, 2, 1]);
    assertEquals(clock.begun, [10, 10]);
  },
);

Deno.test("a batch holds what it may, and what no batch can hold is refused", { permissions }, async () => {
  const { stream, claim } = world();
  await using log = await claim("a", { largestBatch: 1000 });
  await Promise.all([1, 2, 3, 4, 5].map((i) => log.append([message(`${i}`, 320)])));
  const { messages } = stream as MemoryStream;
  assertEquals([...messages.values()].map(({ data }) => decodeBatch(data).records.length), [1, 2, 2, 1]);
  assert([...messages.values()].every(({ data }) => data.length <= 1000));
  await assertRejects(() => log.append([message("6", 1000)]), RangeError, "a batch holds 1000");
});

Deno.test("what would wait beyond the bound is certainly not stored", { permissions }, async () => {
  const { claim } = world();
  await using log = await claim("a", { mostWaiting: 1000 });
  const waiting = log.append([message("1", 600)]);
  assertEquals(
    (await assertRejects(() => log.append([message("2", 600)]), PartitionLostError)).neverStored,
    true,
  );
  await waiting;
  await log.append([message("3", 600)]);
  assertEquals(log.waiting, 0);
});

/** What may happen to a publish, and then nothing more does. */
const faults: Record<string, (publish: () => Promise<PublishOutcome>) => Promise<PublishOutcome>> = {
  "an acknowledgement that is lost": async (publish) => {
    await publish();
    return { type: "unknown", cause: new Error("time-out") };
  },
  "a publish that is lost": () => Promise.resolve({ type: "unknown", cause: new Error("503") }),
  "a refusal of what is not there": () => Promise.resolve({ type: "refused" }),
  "a refusal of what is there": async (publish) => {
    await publish();
    return { type: "refused" };
  },
  "an acknowledgement of another sequence": async (publish) => {
    await publish();
    return { type: "stored", sequence: 1_000 };
  },
};

for (const [what, fault] of Object.entries(faults)) {
  Deno.test(`after ${what} each record is stored once, in order`, { permissions }, async () => {
    const memory = new MemoryStream();
    const { claim, stream } = world(new FaultyStream(memory, { times: 3, fault }));
    await using log = await claim("a");
    for (let i = 1; i <= 5; i++) await log.append([message(`${i}`)]);
    assertEquals(log.sequence, 6);
    assertEquals([...memory.messages.keys()], [1, 2, 3, 4, 5, 6]);
    (stream as FaultyStream).times = 0;
    await using next = await claim("b");
    assertEquals(contentOf(next.state).messages, ["q 1", "q 2", "q 3", "q 4", "q 5"]);
  });
}

Deno.test("reads that fail are repeated", { permissions }, async () => {
  const memory = new MemoryStream();
  const stream = new FaultyStream(memory, { times: 2, fault: faults["a refusal of what is there"]! });
  stream.failingReads = 6;
  const { claim } = world(stream);
  await using log = await claim("a");
  await log.append([message("1")]);
  assertEquals(contentOf(log.state).messages, ["q 1"]);
});

Deno.test("an owner that another has followed stores and answers nothing more, and learns it", {
  permissions,
}, async () => {
  const { claim } = world();
  const lost: PartitionLostError[] = [];
  await using first = await claim("a", { onLost: (error) => lost.push(error) });
  await first.append([message("1")]);
  await using second = await claim("b");
  const appends = await Promise.allSettled([first.append([message("2")]), first.append([message("3")])]);
  for (const { status, reason } of appends as PromiseRejectedResult[]) {
    assertEquals([status, reason.name, reason.neverStored], ["rejected", "PartitionLostError", true]);
  }
  assertEquals(lost.length, 1);
  assertEquals(first.lost, lost[0]!);
  const late = await assertRejects(() => first.append([message("4")]), PartitionLostError);
  assertEquals(late.neverStored, true);
  await second.append([message("5")]);
  assertEquals(contentOf(second.state).messages, ["q 1", "q 5"]);
});

/** Holds the next publish of a stream, from when `asked` resolves until `held` does. */
function holdNext(stream: FaultyStream) {
  const held = Promise.withResolvers<void>(), asked = Promise.withResolvers<void>();
  stream.times = 1;
  stream.fault = async (publish) => {
    asked.resolve();
    await held.promise;
    return await publish();
  };
  return { asked, held };
}

Deno.test("a batch that comes late, after another's claim, is not stored", { permissions }, async () => {
  const memory = new MemoryStream();
  const stream = new FaultyStream(memory, { times: 0, fault: faults["a publish that is lost"]! });
  const { snapshots } = world();
  await using first = await soon(PartitionLog.claim({ stream, snapshots, node: "a" }));
  const { asked, held } = holdNext(stream);
  const append = first.append([message("late")]);
  const error = assertRejects(() => append, PartitionLostError);
  await asked.promise;
  await using second = await soon(PartitionLog.claim({ stream: memory, snapshots, node: "b" }));
  await second.append([message("1")]);
  held.resolve();
  assertEquals((await error).neverStored, true);
  await using third = await soon(PartitionLog.claim({ stream: memory, snapshots, node: "c" }));
  assertEquals(contentOf(third.state).messages, ["q 1"]);
});

Deno.test("of two that claim at the same time each has an epoch of its own, and the later one owns", {
  permissions,
}, async () => {
  const { claim } = world();
  const logs = await Promise.all(["a", "b", "c"].map((node) => claim(node)));
  assertEquals(new Set(logs.map(({ epoch }) => epoch)).size, 3);
  const last = Math.max(...logs.map(({ epoch }) => epoch));
  const outcomes = await Promise.allSettled(logs.map((log) => log.append([message("1")])));
  for (const [i, { status }] of outcomes.entries()) {
    assertEquals(status, logs[i]!.epoch === last ? "fulfilled" : "rejected");
  }
  for (const log of logs) await log[Symbol.asyncDispose]();
});

Deno.test("given up, what waits is certainly not stored, and what is being stored is unknown", {
  permissions,
}, async () => {
  const memory = new MemoryStream();
  const stream = new FaultyStream(memory, { times: 0, fault: faults["a publish that is lost"]! });
  const { claim } = world(stream);
  await using log = await claim("a");
  const asked = Promise.withResolvers<void>();
  stream.times = 1;
  stream.fault = async (publish) => {
    await publish();
    asked.resolve();
    return await new Promise(() => {});
  };
  const first = assertRejects(() => log.append([message("1")]), PartitionLostError);
  await asked.promise;
  const second = assertRejects(() => log.append([message("2")]), PartitionLostError);
  log.giveUp(new Error("the lease is gone"));
  assertEquals([(await first).neverStored, (await second).neverStored], [false, true]);
  assertEquals((log.lost?.cause as Error).message, "the lease is gone");
});

Deno.test("a signal gives a partition up, and ends a claim", { permissions }, async () => {
  const controller = new AbortController();
  const { claim } = world();
  await using log = await claim("a", { signal: controller.signal });
  const never = new FaultyStream(new MemoryStream(), {
    times: Infinity,
    fault: faults["a publish that is lost"]!,
  });
  const claiming = assertRejects(
    () => world(never).claim("b", { signal: controller.signal }),
    Error,
    "enough",
  );
  controller.abort(new Error("enough"));
  await claiming;
  await assertRejects(() => log.append([message("1")]), PartitionLostError);
});

Deno.test("a paused owner answers nothing until it goes on", { permissions }, async () => {
  const memory = new MemoryStream();
  const stream = new FaultyStream(memory, { times: 0, fault: faults["a publish that is lost"]! });
  const { claim } = world(stream);
  await using log = await claim("a");
  let answers = 0;
  const asked = Promise.withResolvers<void>();
  stream.times = 1;
  stream.fault = async (publish) => {
    log.pause();
    const outcome = await publish();
    asked.resolve();
    return outcome;
  };
  const appends = [log.append([message("1")]).then(() => answers++)];
  await asked.promise;
  appends.push(log.append([message("2")]).then(() => answers++));
  for (let i = 0; i < 50; i++) await Promise.resolve();
  assertEquals([answers, log.paused, contentOf(log.state).messages.length], [0, true, 0]);
  assertEquals((await memory.state()).last, 2);
  log.resume();
  await Promise.all(appends);
  assertEquals([answers, contentOf(log.state).messages], [2, ["q 1", "q 2"]]);
});

Deno.test("an owner that asks learns that another has followed", { permissions }, async () => {
  const { claim } = world();
  await using first = await claim("a");
  await first.append([message("1")]);
  assertEquals([await first.confirm(), first.lost], [true, null]);
  await using _second = await claim("b");
  assertEquals(await first.confirm(), false);
  assertEquals(first.lost?.neverStored, true);
});

Deno.test("an owner that asks while a batch is under way learns that another has followed", {
  permissions,
}, async () => {
  const memory = new MemoryStream();
  const stream = new FaultyStream(memory, { times: 0, fault: faults["a publish that is lost"]! });
  const { snapshots } = world();
  await using first = await soon(PartitionLog.claim({ stream, snapshots, node: "a" }));
  const { asked, held } = holdNext(stream);
  const error = assertRejects(() => first.append([message("late")]), PartitionLostError);
  await asked.promise;
  await using _second = await soon(PartitionLog.claim({ stream: memory, snapshots, node: "b" }));
  const confirming = first.confirm();
  await nextTurn();
  held.resolve();
  assertEquals(await soon(confirming), false);
  assertEquals((await error).neverStored, true);
});

Deno.test("an owner learns that another has followed though the leader that it asks does not know it", {
  permissions,
}, async () => {
  const memory = new MemoryStream();
  const behind = new FaultyStream(memory, { times: 0, fault: faults["a publish that is lost"]! });
  const { snapshots } = world();
  await using first = await soon(PartitionLog.claim({ stream: behind, snapshots, node: "a" }));
  const known = await memory.state();
  behind.state = () => Promise.resolve(known);
  assertEquals(await soon(first.confirm()), true);
  await using _second = await soon(PartitionLog.claim({ stream: memory, snapshots, node: "b" }));
  assertEquals(await soon(first.confirm()), false);
});

Deno.test("an owner that asks and one that stores do so one after the other, paused or not", {
  permissions,
}, async () => {
  const { claim } = world();
  await using log = await claim("a");
  const first = log.append([message("1")]);
  log.pause();
  assertEquals(await Promise.all([log.confirm(), log.confirm()]), [true, true]);
  log.resume();
  const rest = [2, 3].map((i) => log.append([message(`${i}`)]));
  assertEquals(await soon(Promise.all([log.confirm(), first, ...rest])), [true, [1], [1], [1]]);
  await using next = await claim("b");
  assertEquals(contentOf(next.state), contentOf(log.state));
  assertEquals(contentOf(next.state).messages, ["q 1", "q 2", "q 3"]);
});

Deno.test("an owner that hands over stores what waits and takes nothing more", { permissions }, async () => {
  const { claim } = world();
  await using log = await claim("a");
  const appends = [1, 2].map((i) => log.append([message(`${i}`)]));
  const closing = log.close();
  const late = await assertRejects(() => log.append([message("3")]), PartitionLostError);
  assertEquals(late.neverStored, true);
  await closing;
  assertEquals(await Promise.all(appends), [[1], [1]]);
  await using next = await claim("b");
  assertEquals(contentOf(next.state).messages, ["q 1", "q 2"]);
});

Deno.test(
  "a command that was executed is known to the next owner for two minutes",
  { permissions },
  async () => {
    let time = 1_000_000;
    const { claim } = world();
    const commandId = encodeBase64(randomBytes(16));
    const now = () => time;
    await using first = await claim("a", { now });
    await first.append([{ ...message("1"), origin: { commandId } } as LogRecord]);
    const other = () => encodeBase64(randomBytes(16));
    const touch = (log: PartitionLog) =>
      log.append([{ type: "TOUCH", recipientId: "q", origin: { commandId: other() } }]);
    for (; time < 1_115_000; time += 5_000) await touch(first);
    await using second = await claim("b", { now });
    for (const { state } of [first, second]) assertEquals(state.commands.get(commandId), { type: "MESSAGE" });
    for (; time < 1_150_000; time += 5_000) await touch(second);
    assertEquals(second.state.commands.get(commandId), undefined);
  },
);

Deno.test("a log that is damaged or of which a part is missing is refused", { permissions }, async () => {
  const { claim, stream } = world();
  const { messages } = stream as MemoryStream;
  await using log = await claim("a");
  await log.append([message("1")]);
  const { data } = messages.get(2)!;
  data[0] = 9;
  await assertRejects(() => claim("b"), PartitionDamagedError, "message 2: a batch is of version 9");
  data[0] = 1;
  await stream.purge(2);
  await assertRejects(() => claim("b"), PartitionDamagedError, "the log lacks what comes after message 0");
});

Deno.test("of large batches few are read at a time, of small ones many", { permissions }, async () => {
  for (const [length, most] of [[400_000, 5], [4, 32]] as const) {
    const memory = new MemoryStream();
    const { snapshots } = world();
    const options = { snapshots, node: "a", largestBatch: 1 << 19 };
    const first = await soon(PartitionLog.claim({ stream: memory, ...options }));
    for (let i = 0; i < 150; i++) await first.append([message(`${i}`, i < 100 ? 4 : length)]);
    await first.close();
    let reading = 0;
    const counts: number[] = [];
    const stream: LogStream = {
      publish: (...args) => memory.publish(...args),
      last: (kind) => memory.last(kind),
      state: () => memory.state(),
      purge: (first) => memory.purge(first),
      stepDown: () => memory.stepDown(),
      async get(sequence) {
        counts.push(++reading);
        await nextTurn();
        reading--;
        return await memory.get(sequence);
      },
    };
    await using _second = await soon(PartitionLog.claim({ stream, ...options }));
    assertEquals(Math.max(...counts.slice(-10)), most);
  }
});

Deno.test("a leader that has not come so far is asked again", { permissions }, async () => {
  const memory = new MemoryStream();
  const { snapshots } = world();
  await using log = await soon(PartitionLog.claim({ stream: memory, snapshots, node: "a" }));
  for (let i = 0; i < 20; i++) await log.append([message(`${i}`)]);
  const stream = new FaultyStream(memory, { times: 0, fault: faults["a publish that is lost"]! });
  stream.lateReads = 100;
  await using next = await soon(PartitionLog.claim({ stream, snapshots, node: "b" }));
  assertEquals(contentOf(next.state), contentOf(log.state));
  await until(() => stream.lateReads === 0);
});
