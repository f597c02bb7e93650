import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeBase64, randomBytes } from "../../../protocol/mod.ts";
import { PartitionDamagedError, PartitionLostError } from "../../../server/cluster/error.ts";
import { PartitionLog, type PartitionLogOptions } from "../../../server/cluster/partition_log.ts";
import { PartitionState } from "../../../server/cluster/partition_state.ts";
import type { LogRecord } from "../../../server/cluster/records.ts";
import { fakeSigner } from "../../support/broker.ts";
import { MemorySnapshots, MemoryStream } from "../../support/memory_stream.ts";
import { contentOf, stoppable } from "../../support/partition_log.ts";
import { soon, until } from "../../support/wait.ts";

const permissions = "none";
const id = (length = 12) => encodeBase64(randomBytes(length));

function newQueue(): LogRecord {
  const [recipientKey, senderKey] = [fakeSigner().publicKey, fakeSigner().publicKey];
  const queue = { recipientId: id(), senderId: id(), recipientKey, senderKey, suspended: true, changedAt: 7 };
  return { type: "CREATE", queue, origin: { commandId: id(16), blockSize: 16_384 } };
}

function message(recipientId = "q", length = 400): LogRecord {
  return {
    type: "MESSAGE",
    recipientId,
    id: id(6),
    at: 1,
    body: randomBytes(length),
    origin: { commandId: id(16) },
  };
}

/** Claims a partition, of which a snapshot is taken after few records. */
function claim(
  stream: PartitionLogOptions["stream"],
  snapshots: PartitionLogOptions["snapshots"],
  options: Partial<PartitionLogOptions> = {},
): Promise<PartitionLog> {
  return soon(PartitionLog.claim({ stream, snapshots, node: "a", snapshotAfter: 4096, ...options }));
}

/** Appends until a snapshot counts that did not. */
async function fill(log: PartitionLog): Promise<void> {
  const before = log.state.snapshot?.last.name;
  for (let i = 0; i < 1000 && log.state.snapshot?.last.name === before; i++) {
    await log.append([message(), newQueue(), { type: "HANDSHAKE", digest: i }]);
    await log.append([{ type: "CLEAR", recipientId: "q" }, message()]);
  }
  assert(log.state.snapshot?.last.name !== before);
}

Deno.test("a state that has been records is the same", { permissions }, () => {
  const state = new PartitionState(), copy = new PartitionState();
  for (let i = 0; i < 20; i++) {
    for (const record of [newQueue(), message(`q${i % 3}`), { type: "HANDSHAKE", digest: i } as const]) {
      state.apply(record, i);
    }
  }
  const expected = contentOf(state);
  const records = state.records();
  // What comes later is not in it.
  state.apply(message(), 100);
  for (const record of records) copy.apply(record, 0);
  assertEquals(contentOf(copy), expected);
});

Deno.test(
  "a log is cut behind the older of two snapshots, and what it says is the same",
  { permissions },
  async () => {
    const [stream, snapshots] = [new MemoryStream(), new MemorySnapshots()];
    await using log = await claim(stream, snapshots);
    for (let i = 0; i < 4; i++) await fill(log);
    const { last, previous } = log.state.snapshot!;
    await until(() => snapshots.chunks.size === 2);
    assertEquals(new Set(snapshots.chunks.keys()), new Set([last.name, previous!.name]));
    await until(async () => (await stream.state()).first === previous!.sequence + 1);
    await using next = await claim(stream, snapshots);
    assertEquals(contentOf(next.state), contentOf(log.state));
    assertEquals(next.state.snapshot, log.state.snapshot);
  },
);

Deno.test("a snapshot of several chunks is read back", { permissions }, async () => {
  const [stream, snapshots] = [new MemoryStream(), new MemorySnapshots()];
  await using log = await claim(stream, snapshots, { snapshotAfter: 3_000_000 });
  for (let i = 0; i < 60 && log.state.snapshot === null; i++) await log.append([message("q", 60_000)]);
  await until(() => log.state.snapshot !== null);
  assert(log.state.snapshot!.last.chunks > 4);
  await using next = await claim(stream, snapshots);
  assertEquals(contentOf(next.state), contentOf(log.state));
});

Deno.test("the snapshot before is used when the last one cannot be, and without both the log is refused", {
  permissions,
}, async () => {
  const [stream, snapshots] = [new MemoryStream(), new MemorySnapshots()];
  await using log = await claim(stream, snapshots);
  for (let i = 0; i < 3; i++) await fill(log);
  const { last, previous } = log.state.snapshot!;
  await until(async () => (await stream.state()).first === previous!.sequence + 1);
  const damage: Record<string, (chunks: Map<number, Uint8Array<ArrayBuffer>>) => void> = {
    "a changed byte": (chunks) => chunks.get(0)![chunks.get(0)!.length - 1]! ^= 1,
    "a missing chunk": (chunks) => chunks.delete(0),
  };
  for (const spoil of Object.values(damage)) {
    spoil(snapshots.chunks.get(last.name)!);
    await using next = await claim(stream, snapshots);
    assertEquals(contentOf(next.state), contentOf(log.state));
    await next.close();
  }
  snapshots.chunks.get(previous!.name)!.clear();
  await assertRejects(() => claim(stream, snapshots), PartitionDamagedError, "chunk 0 of snapshot");
});

Deno.test(
  "an owner may end before or after any step of a snapshot: nothing is lost, and nothing left over for long",
  { permissions },
  async () => {
    let steps = 0;
    for (let stop = 1, isOver = false; !isOver; stop++) {
      const [stream, snapshots] = [new MemoryStream(), new MemorySnapshots()];
      await using before = await claim(stream, snapshots);
      await fill(before);
      await before.close();
      // From here on every operation counts; the one with the number `stop` is the last, its answer never comes.
      const world = stoppable(stream, snapshots, stop);
      const ending = new AbortController();
      let state: PartitionState | undefined;
      const work = async () => {
        const log = await claim(world.stream, world.snapshots, { signal: ending.signal });
        state = log.state;
        for (let i = 0; i < 2; i++) await fill(log);
        await log.close();
      };
      const done = work().then(() => isOver = true, () => {});
      await Promise.race([done, world.stopped]);
      ending.abort(new Error("killed"));
      await done;
      steps = stop;
      await using next = await claim(stream, snapshots);
      // What it had answered is there; one more batch may be, the one whose answer it did not get.
      if (state !== undefined) {
        const [found, answered] = [contentOf(next.state), contentOf(state)];
        const ids = new Set(found.queues.map(({ recipientId }) => recipientId));
        assertEquals(answered.queues.filter(({ recipientId }) => !ids.has(recipientId)), [], `step ${stop}`);
        assert(found.queues.length <= answered.queues.length + 1, `step ${stop}`);
      }
      for (let i = 0; i < 3; i++) await fill(next);
      await until(() => snapshots.chunks.size === 2);
      await until(async () => (await stream.state()).first === next.state.snapshot!.previous!.sequence + 1);
      await using last = await claim(stream, snapshots);
      assertEquals(contentOf(last.state), contentOf(next.state), `step ${stop}`);
    }
    assert(steps > 20, `${steps} steps`);
  },
);

Deno.test("a load in whose middle others take snapshots starts over, or tells that another has followed", {
  permissions,
}, async () => {
  const outcomes = { ahead: 0, behind: 0, lost: 0 };
  for (let pause = 3, isOver = false; !isOver; pause++) {
    const [stream, snapshots] = [new MemoryStream(), new MemorySnapshots()];
    await using first = await claim(stream, snapshots);
    for (let i = 0; i < 2; i++) await fill(first);
    /** Owns it meanwhile, long enough for what was there to be removed. */
    const follow = async (records: number): Promise<number> => {
      await using other = await claim(stream, snapshots);
      for (let i = 0; i < records; i++) await other.append([message()]);
      for (let i = 0; i < 3 && records === 0; i++) await fill(other);
      await until(async () => (await stream.state()).first > (other.state.snapshot!.previous?.sequence ?? 0));
      return other.epoch;
    };
    const early = stoppable(stream, snapshots, 2);
    const late = stoppable(early.stream, early.snapshots, pause);
    const claiming = claim(late.stream, late.snapshots, { snapshotAfter: 1e6 }).catch((error: Error) =>
      error
    );
    await early.stopped;
    // What was written since the first look is a part of the load.
    await first.append([message()]);
    await follow(5);
    early.resume();
    isOver = await Promise.race([claiming.then(() => true), late.stopped.then(() => false)]);
    const followed = isOver ? 0 : await follow(0);
    late.resume();
    const outcome = await soon(claiming);
    if (outcome instanceof Error) {
      assertEquals(outcome.name, "PartitionLostError", `step ${pause}: ${outcome}`);
      outcomes.lost++;
      continue;
    }
    await using log = outcome;
    if (log.epoch < followed) {
      await assertRejects(() => log.append([message()]), PartitionLostError);
      outcomes.behind++;
      continue;
    }
    outcomes.ahead++;
    await using next = await claim(stream, snapshots);
    assertEquals(contentOf(next.state), contentOf(log.state), `step ${pause}`);
  }
  assert(Object.values(outcomes).every((count) => count > 0), JSON.stringify(outcomes));
});

Deno.test("an owner that was followed removes nothing that its follower needs", { permissions }, async () => {
  const [stream, snapshots] = [new MemoryStream(), new MemorySnapshots()];
  const purged = Promise.withResolvers<void>(), resume = Promise.withResolvers<void>();
  const slow: PartitionLogOptions["stream"] = {
    publish: (...args) => stream.publish(...args),
    get: (sequence) => stream.get(sequence),
    last: (kind) => stream.last(kind),
    state: () => stream.state(),
    stepDown: () => stream.stepDown(),
    async purge(first) {
      purged.resolve();
      await resume.promise;
      await stream.purge(first);
    },
  };
  await using first = await claim(slow, snapshots);
  for (let i = 0; i < 2; i++) await fill(first);
  await soon(purged.promise);
  await using second = await claim(stream, snapshots);
  for (let i = 0; i < 3; i++) await fill(second);
  resume.resolve();
  await assertRejects(() => first.append([message()]));
  await first.close();
  await using third = await claim(stream, snapshots);
  assertEquals(contentOf(third.state), contentOf(second.state));
});

Deno.test("small batches are counted, too: a load reads them one by one", { permissions }, async () => {
  const [stream, snapshots] = [new MemoryStream(), new MemorySnapshots()];
  const options = { snapshotAfter: 1 << 26 };
  await using first = await claim(stream, snapshots, options);
  for (let digest = 0; digest < 1_500; digest++) await first.append([{ type: "HANDSHAKE", digest }]);
  assertEquals(first.state.snapshot, null);
  // What owners before have written counts as well.
  await using log = await claim(stream, snapshots, options);
  for (let digest = 1_500; digest < 2_100; digest++) await log.append([{ type: "HANDSHAKE", digest }]);
  await until(() => log.state.snapshot !== null);
});
