import { assert, assertEquals } from "@std/assert";
import { checkLimits } from "../../../server/config/limits.ts";
import { MemoryGuard } from "../../../server/guard/memory_guard.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { TestBroker } from "../../support/broker.ts";
import { until } from "../../support/wait.ts";

const mib = 2 ** 20;

/** A guard over figures that a test changes; nothing is kept at first. */
function guarded(limit = 100 * mib) {
  const test = {
    kept: { connections: 0, queues: 0, messages: 0, messageBytes: 0, opened: 0 },
    heap: { used: 10 * mib, objects: 10 * mib, objectLimit: 1000 * mib },
    collections: 0,
    onCollect: () => {},
  };
  const limits = checkLimits({ memory: limit });
  const guard = new MemoryGuard(() => test.kept, () => limits, {
    heapUse: () => test.heap,
    collect: () => {
      test.collections++;
      test.onCollect();
    },
  });
  const look = (times: number) => {
    for (let i = 0; i < times; i++) guard.look();
    return guard.isShort();
  };
  return { test, guard, look };
}

const permissions = "none";

Deno.test("memory is short above the limit, and enough again at once below nine tenths of it", {
  permissions,
}, () => {
  const { test, guard } = guarded();
  const isShortAt = (messageBytes: number) => {
    test.kept = { ...test.kept, messageBytes };
    return guard.isShort();
  };
  const sizes = [99, 101, 99, 91, 89, 99, 101].map((size) => size * mib);
  assertEquals(sizes.map(isShortAt), [false, true, true, true, false, false, true]);
});

Deno.test(
  "while memory is short connections give back down to three quarters of the limit, those of one address down to a sixteenth",
  {
    permissions,
  },
  () => {
    const { guard } = guarded();
    const wantedAt = (held: number) => {
      guard.hold(held - guard.held);
      guard.isShort();
      return guard.wanted;
    };
    const least = 100 * mib / 16;
    assertEquals([99, 101, 91, 89].map((size) => wantedAt(size * mib)), [
      null,
      { bytes: 26 * mib, least },
      { bytes: 16 * mib, least },
      null,
    ]);
  },
);

Deno.test("connections, queues, messages and buffers all count", { permissions }, () => {
  for (const name of ["connections", "queues", "messages", "messageBytes"] as const) {
    const { test, guard } = guarded();
    const before = guard.held;
    test.kept = { ...test.kept, [name]: 1_000_000 };
    assert(guard.held - before >= 1_000_000, name);
  }
  const { guard } = guarded();
  guard.hold(101 * mib);
  assert(guard.isShort());
  guard.hold(-101 * mib);
  assertEquals([guard.held, guard.isShort()], [0, false]);
});

Deno.test("opened queues count for memory", { permissions }, () => {
  const { test, guard } = guarded(mib);
  test.kept = { ...test.kept, opened: 2_000 };
  assertEquals([guard.held, guard.isShort()], [2_000 * 512, false]);
  test.kept = { ...test.kept, opened: 2_049 };
  assert(guard.isShort());
});

Deno.test("honest messages fill memory to the limit; as soon as some are acknowledged others are taken", {
  permissions,
}, async () => {
  const [queues, messages] = [new MemoryQueueStore(), new MemoryMessageStore()];
  const limits = checkLimits({ memory: mib / 4 });
  const guard = new MemoryGuard(
    () => ({
      connections: 2,
      queues: queues.size,
      messages: messages.size,
      messageBytes: messages.bytes,
      opened: 0,
    }),
    () => limits,
  );
  const test = new TestBroker({ queues, messages, isMemoryShort: () => guard.isShort() });
  const [alice, bob] = [test.connect(), test.connect()];
  const all = [await alice.create("a"), await alice.create("b"), await alice.create("c")];
  const body = "x".repeat(2_000);
  const fill = async () => {
    for (let count = 0;; count++) {
      const name = "abc"[count % 3]!;
      const answers = await bob.ask(all[count % 3]!, `SEND ${body}`);
      if (answers.includes(`send ${name}.s ERR INTERNAL`)) return count;
      assertEquals(answers, [`send ${name}.s OK`]);
    }
  };
  const count = await fill();
  assert(count > 50 && guard.held > limits.memory && guard.held < limits.memory + 3_000, `${count}`);
  alice.take();
  const [queue] = all;
  while (guard.held > limits.memory * 0.9) {
    assertEquals(await bob.ask(queue!, "SEND x"), ["send a.s ERR INTERNAL"]);
    assertEquals(await alice.ask(queue!, "ACK"), [`ack a MSG ${body}`]);
  }
  await alice.create("d");
  const again = await fill();
  assert(again >= 5 && again < count / 2, `${again}`);
});

Deno.test("garbage is no reason to refuse anything", { permissions }, () => {
  const { test, look } = guarded();
  test.heap = { ...test.heap, used: 500 * mib };
  test.onCollect = () => test.heap = { ...test.heap, used: 10 * mib };
  assertEquals([look(100), test.collections], [false, 1]);
});

Deno.test("what stays in the heap is a reason, until it is gone", { permissions }, () => {
  const { test, guard, look } = guarded();
  guard.hold(20 * mib);
  test.heap = { ...test.heap, used: 120 * mib };
  assertEquals([look(4), look(1), test.collections], [false, true, 3]);
  // It is garbage now, which nothing tells but that less is held.
  guard.hold(-20 * mib);
  assertEquals([look(1), test.collections], [true, 4]);
  test.heap = { ...test.heap, used: 95 * mib };
  assertEquals(look(1), true);
  test.heap = { ...test.heap, used: 85 * mib };
  assertEquals(look(1), false);
});

Deno.test("collection is asked for now and then while the heap is above the limit", { permissions }, () => {
  const { test, look } = guarded();
  test.heap = { ...test.heap, used: 120 * mib };
  assertEquals([look(300), test.collections], [true, 30]);
});

Deno.test("a heap near its end is a reason at once, also without a limit", { permissions }, () => {
  const { test, look } = guarded(0);
  test.heap = { used: 2000 * mib, objects: 840 * mib, objectLimit: 1000 * mib };
  assertEquals([look(10), test.collections], [false, 0]);
  test.heap = { ...test.heap, objects: 860 * mib };
  assertEquals(look(1), true);
  test.heap = { ...test.heap, objects: 700 * mib };
  assertEquals(look(1), false);
});

Deno.test("the garbage of an idle process is found to be garbage", { permissions }, async () => {
  const used = () => {
    const { heapUsed, external } = Deno.memoryUsage();
    return heapUsed + external;
  };
  // What other tests hold, too, is to be below nine tenths of it.
  const memory = Math.ceil(used() / 0.8) + 64 * mib;
  const limits = checkLimits({ memory });
  const kept = { connections: 0, queues: 0, messages: 0, messageBytes: 0, opened: 0 };
  const guard = new MemoryGuard(() => kept, () => limits);
  const held: Uint8Array[] = [];
  await until(() => {
    // Elsewhere, as what a waiting function has had in its hands may still be there; and again, as garbage goes meanwhile.
    if (used() < memory + 64 * mib) fill(held);
    guard.look();
    return guard.isShort();
  });
  held.length = 0;
  await until(() => {
    guard.look();
    return !guard.isShort();
  });
});

function fill(held: Uint8Array[]): void {
  for (let i = 0; i < 16; i++) held.push(new Uint8Array(2 * mib));
}
