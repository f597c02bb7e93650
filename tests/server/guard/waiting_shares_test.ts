import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { checkLimits } from "../../../server/config/limits.ts";
import { WaitingShares } from "../../../server/guard/waiting_shares.ts";
import { Clock } from "../../../server/broker/clock.ts";
import { MemoryMessageStore } from "../../../server/store/memory.ts";
import { TestBroker } from "../../support/broker.ts";

const permissions = "none";
const memory = 1_000_000;

/** Shares of a memory that nothing else takes, and how many messages of 1000 bytes each address got into it. */
function fill(addresses: readonly string[]) {
  let held = 0;
  const shares = new WaitingShares(() => memory - held);
  const counts = new Map<string, number>();
  for (let more = true; more;) {
    more = false;
    for (const address of addresses) {
      if (!shares.take(`queue of ${address}`, address, 1000)) continue;
      more = true;
      held += 1000;
      counts.set(address, (counts.get(address) ?? 0) + 1);
    }
  }
  return { shares, counts: [...counts.values()], free: memory - held };
}

for (const count of [1, 2, 10, 100]) {
  Deno.test(
    `messages of ${count} addresses that fill the memory leave as much as each has`,
    { permissions },
    () => {
      const { shares, counts, free } = fill(Array.from({ length: count }, (_, i) => `10.0.0.${i}`));
      for (const one of counts) assert(Math.abs(one * 1000 - memory / (count + 1)) <= 1000);
      assert(Math.abs(free - memory / (count + 1)) <= count * 1000);
      assert(shares.take("q", "192.0.2.1", 1000));
    },
  );
}

Deno.test("the addresses of an IPv6 /48 have one share together", { permissions }, () => {
  const { counts, free } = fill(["2001:db8:1:1::/64", "2001:db8:1:ff01::/64"]);
  assertEquals([counts.reduce((sum, one) => sum + one), free], [500, 500_000]);
});

Deno.test("where no address is known nothing is bounded", { permissions }, () => {
  const shares = new WaitingShares(() => 0);
  assert(shares.take("q", null, 1000));
  assertEquals(shares.take("q", "10.0.0.1", 1000), null);
});

Deno.test("shares are what waits, whatever comes and goes", { permissions }, () => {
  const step = fc.record({
    queue: fc.nat(3),
    client: fc.nat(3),
    leave: fc.nat(4),
    bytes: fc.integer({ min: 1 }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
    const shares = new WaitingShares(() => Infinity);
    const queues = new Map<string, number>();
    for (const { queue, client, leave, bytes } of steps) {
      const id = String(queue), count = (queues.get(id) ?? 0) + 1;
      shares.take(id, client === 0 ? null : String(client), bytes);
      queues.set(id, Math.max(0, count - leave));
      shares.trim(id, queues.get(id)!);
    }
    for (const id of queues.keys()) shares.trim(id, 0);
    assertEquals(shares.size, { queues: 0, addresses: 0 });
  }));
});

/** Sends messages of 1000 bytes to a new queue until one is refused; how many were taken. */
async function flood(test: TestBroker, address: string) {
  const [owner, sender] = [test.connect(4096, address), test.connect(4096, address)];
  const queue = await owner.create(`q${address}`);
  for (let count = 0; count < 1000; count++) {
    const [answer] = await sender.ask(queue, `SEND ${"x".repeat(1000)}`);
    if (!answer!.endsWith(" OK")) {
      return { owner, sender, queue, count, answer: answer!.split(" ").slice(2).join(" ") };
    }
  }
  throw new Error("nothing is refused");
}

function brokerOf(memory: number, clock = new Clock()): TestBroker {
  const messages = new MemoryMessageStore();
  return new TestBroker({
    messages,
    clock,
    limits: () => checkLimits({ messagesPerQueue: 1_000_000 }),
    shares: new WaitingShares(() => memory - messages.bytes - messages.size * 640),
  });
}

for (const end of ["ACK", "DEL"] as const) {
  Deno.test(
    `one address gets half of the memory for messages, and has it back after ${end}`,
    { permissions },
    async () => {
      const test = brokerOf(1640 * 100);
      const { owner, sender, queue, count, answer } = await flood(test, "10.0.0.1");
      assert(answer.endsWith("ERR QUOTA"), answer);
      assert(Math.abs(count - 50) <= 2, `${count}`);
      assertEquals(test.metrics.refusals("memory_share"), 1);
      const other = await flood(test, "10.0.0.2");
      assert(Math.abs(other.count - 25) <= 2, `${other.count}`);
      for (let i = 0; i < (end === "ACK" ? 30 : 1); i++) await owner.ask(queue, end);
      const next = end === "ACK" ? queue : await owner.create("next");
      assertEquals((await sender.ask(next, `SEND ${"x".repeat(1000)}`))[0]!.split(" ").at(-1), "OK");
    },
  );
}

Deno.test("what has expired is no longer anybody's share", { permissions }, async () => {
  let now = Date.now();
  const test = brokerOf(1640 * 100, new Clock(() => now, () => now));
  const { sender } = await flood(test, "10.0.0.1");
  now += 22 * 86_400_000;
  await test.brokers.sweep();
  // Without looking at the queue again.
  const other = await test.connect(4096, "10.0.0.1").create("other");
  for (let i = 0; i < 40; i++) {
    assertEquals((await sender.ask(other, `SEND ${"x".repeat(1000)}`))[0]!.split(" ").at(-1), "OK");
  }
});

Deno.test("a message that cannot be stored takes no share", { permissions }, async () => {
  const test = brokerOf(1640 * 100);
  const [owner, sender] = [test.connect(4096, "10.0.0.1"), test.connect(4096, "10.0.0.1")];
  test.around = (operation, run) => operation === "append" ? Promise.reject(new Error("injected")) : run();
  for (let i = 0; i < 80; i++) {
    const queue = await owner.create(`failing${i}`);
    const [answer] = await sender.ask(queue, `SEND ${"x".repeat(1000)}`);
    assert(answer!.endsWith(" ERR INTERNAL"), answer);
  }
  test.around = (_operation, run) => run();
  const { count } = await flood(test, "10.0.0.1");
  assert(Math.abs(count - 50) <= 2, `${count}`);
});

Deno.test("what is undone is the message itself, whatever was trimmed meanwhile", { permissions }, () => {
  const shares = new WaitingShares(() => Infinity);
  shares.take("q", "10.0.0.1", 1000);
  const undo = shares.take("q", "10.0.0.2", 1000)!;
  undo();
  undo();
  assertEquals(shares.size, { queues: 1, addresses: 1 });
  const late = shares.take("q", "10.0.0.2", 1000)!;
  shares.trim("q", 0);
  late();
  assertEquals(shares.size, { queues: 0, addresses: 0 });
});
