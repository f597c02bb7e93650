import { assertEquals } from "@std/assert";
import { Clock } from "../../../server/broker/clock.ts";
import { removeExpired } from "../../../server/broker/expiry.ts";
import { QueueOrder } from "../../../server/broker/queue_order.ts";
import { checkLimits } from "../../../server/config/limits.ts";
import { Metrics } from "../../../server/mod.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { keys, sign, TestBroker, type TestConnection, turn } from "../../support/broker.ts";
import { partitions } from "../../support/partitions.ts";

const permissions = "none";
const day = 86_400_000;

/** Submits a NEW and gives what was answered. */
async function tryNew(test: TestBroker, connection: TestConnection): Promise<string[]> {
  const command = { type: "NEW", recipientKey: keys.recipient.publicKey } as const;
  await connection.submitTransmission(await sign("", command, { key: keys.recipient, corrId: "new" }));
  await test.idle();
  return connection.take();
}

Deno.test(
  "a message beyond the quota gets ERR QUOTA, and is taken when one is acknowledged",
  { permissions },
  async () => {
    // smp.md Limits: messages per queue 128 (ERR QUOTA beyond)
    const test = new TestBroker();
    const [alice, bob] = [test.connect(), test.connect()];
    const [queue, other] = [await alice.create("q"), await alice.create("other")];
    for (let i = 0; i < 128; i++) assertEquals(await bob.ask(queue, `SEND ${i}`), ["send q.s OK"]);
    for (let i = 0; i < 2; i++) assertEquals(await bob.ask(queue, "SEND no"), ["send q.s ERR QUOTA"]);
    assertEquals(test.metrics.refusals("quota"), 2);
    // A stranger learns nothing: the quota is looked at after the signature.
    assertEquals(await bob.ask(queue, "SEND no", { key: keys.other }), ["send q.s ERR AUTH"]);
    assertEquals(await bob.ask(other, "SEND x"), ["send other.s OK"]);
    alice.take();
    assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG 1"]);
    assertEquals(await bob.ask(queue, "SEND 128"), ["send q.s OK"]);
    assertEquals(await bob.ask(queue, "SEND no"), ["send q.s ERR QUOTA"]);
    for (let i = 2; i <= 128; i++) assertEquals(await alice.ask(queue, "ACK"), [`ack q MSG ${i}`]);
    assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
  },
);

Deno.test(
  "with new_queues: off NEW gets ERR AUTH, and the queues that are there work",
  { permissions },
  async () => {
    let limits = checkLimits();
    const test = new TestBroker({ limits: () => limits });
    const alice = test.connect();
    const queue = await alice.create();
    limits = checkLimits({ newQueues: 0 });
    assertEquals(await tryNew(test, alice), ["new - ERR AUTH"]);
    assertEquals(test.metrics.refusals("new_queues_off"), 1);
    assertEquals(await alice.ask(queue, "SEND x"), ["send q.s OK", "- q MSG x"]);
  },
);

Deno.test("a client with too many new queues gets ERR INTERNAL", { permissions }, async () => {
  let may = false;
  const test = new TestBroker({ mayCreate: () => may });
  const alice = test.connect();
  assertEquals(await tryNew(test, alice), ["new - ERR INTERNAL"]);
  may = true;
  await alice.create();
});

Deno.test(
  "when memory is short NEW and SEND get ERR INTERNAL, all else goes on",
  { permissions },
  async () => {
    let isShort = false;
    const test = new TestBroker({ isMemoryShort: () => isShort });
    const [alice, bob] = [test.connect(), test.connect()];
    const queue = await alice.create();
    await bob.ask(queue, "SEND 1");
    alice.take();
    isShort = true;
    assertEquals(await tryNew(test, alice), ["new - ERR INTERNAL"]);
    assertEquals(await bob.ask(queue, "SEND 2"), ["send q.s ERR INTERNAL"]);
    assertEquals(test.metrics.refusals("memory"), 2);
    assertEquals(test.metrics.internalErrors, 0);
    assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG 1"]);
    assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
    isShort = false;
    assertEquals(await bob.ask(queue, "SEND 2"), ["send q.s OK"]);
  },
);

/** A broker whose clock a test moves. */
function timed(count = partitions) {
  const clock = { now: Date.UTC(2026, 0, 1) };
  const test = new TestBroker({ clock: new Clock(() => clock.now, () => clock.now) }, count);
  return { clock, test };
}

Deno.test("messages that nobody has read are dropped after their lifetime", { permissions }, async () => {
  // smp.md Limits: message lifetime 21 days
  const { clock, test } = timed();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  await alice.ask(queue, "KEY");
  await bob.ask(queue, "SEND old", { key: keys.sender });
  clock.now += 20 * day;
  await bob.ask(queue, "SEND young", { key: keys.sender });
  await test.brokers.sweep();
  assertEquals(test.metrics.messagesExpired, 0);
  clock.now += day + 1;
  await test.brokers.sweep();
  assertEquals(test.metrics.messagesExpired, 1);
  // The old one had been delivered.
  assertEquals(alice.take(), ["- q MSG old"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG young"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
});

Deno.test("a suspended queue goes with its messages after 7 days", { permissions }, async () => {
  // smp.md Limits: suspended queue removed after 7 days
  const { clock, test } = timed();
  const alice = test.connect();
  const queue = await alice.create();
  await alice.ask(queue, "KEY");
  clock.now += 100 * day;
  await alice.ask(queue, "SEND x", { key: keys.sender });
  await alice.ask(queue, "OFF");
  clock.now += 6 * day;
  // A second OFF does not begin the time anew.
  await alice.ask(queue, "OFF");
  await test.brokers.sweep();
  assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG x"]);
  clock.now += day + 1;
  await test.brokers.sweep();
  assertEquals(await alice.ask(queue, "SUB"), ["sub q ERR AUTH"]);
  assertEquals([test.metrics.queuesExpired, test.brokers.counts.subscriptions], [1, 0]);
});

Deno.test(
  "a queue that was never secured goes after its time, unless it is used",
  { permissions },
  async () => {
    const { clock, test } = timed();
    const [alice, bob, carol] = [test.connect(), test.connect(), test.connect()];
    const names = ["subscribed", "full", "secured", "unused"];
    const queues = [await alice.create(names[0])];
    for (const name of names.slice(1)) queues.push(await bob.create(name));
    const [, full, secured] = queues;
    await carol.ask(full!, "SEND x");
    await bob.ask(secured!, "KEY");
    bob.disconnect();
    clock.now += 30 * day + 1;
    // The message that keeps a queue must be younger than the queue.
    await carol.ask(full!, "SEND y");
    await test.brokers.sweep();
    const answers = [];
    for (const queue of queues) answers.push(...await carol.ask(queue, "SUB"));
    assertEquals(answers.filter((one) => one.includes("ERR")), ["sub unused ERR AUTH"]);
    assertEquals(test.metrics.queuesExpired, 1);
  },
);

Deno.test("what is too old is removed by one walk at a time, which idle waits for", {
  permissions,
}, async () => {
  const { test } = timed();
  const release = Promise.withResolvers<void>();
  let walks = 0, isIdle = false;
  test.around = async (operation, run) => {
    if (operation === "expire") {
      walks++;
      await release.promise;
    }
    return await run();
  };
  const sweeps = [test.brokers.sweep(), test.brokers.sweep()];
  const idle = test.brokers.idle().then(() => isIdle = true);
  await turn();
  sweeps.push(test.brokers.sweep());
  assertEquals([walks, isIdle], [1, false]);
  release.resolve();
  await Promise.all([...sweeps, idle]);
  await test.brokers.sweep();
  assertEquals(walks, 2);
});

Deno.test("what two partitions drop at a time is counted whole", { permissions }, async () => {
  const metrics = new Metrics();
  await Promise.all([1, 2, 0].map(async (count) => {
    const messages = new MemoryMessageStore();
    for (let i = 0; i < count; i++) {
      await messages.append("q", { id: `${i}`, timestamp: new Date(0), body: new Uint8Array(1) });
    }
    await removeExpired({
      queues: new MemoryQueueStore(),
      messages,
      limits: checkLimits(),
      metrics,
      order: new QueueOrder(),
      isSubscribed: () => false,
      remove: () => Promise.resolve(),
    }, Date.now());
  }));
  assertEquals(metrics.messagesExpired, 3);
});

Deno.test("removing old queues keeps the order of commands that are in work", { permissions }, async () => {
  const { clock, test } = timed();
  const alice = test.connect();
  const queue = await alice.create();
  test.router.disconnect(alice);
  clock.now += 31 * day;
  const release = Promise.withResolvers<void>();
  test.around = async (operation, run) => {
    if (operation === "secure") await release.promise;
    return await run();
  };
  await alice.submit(queue, "KEY");
  const sweeping = test.brokers.sweep();
  release.resolve();
  await sweeping;
  await test.idle();
  // The key came first, so that the queue is no longer too old.
  assertEquals(alice.take(), ["key q OK"]);
  assertEquals(await alice.ask(queue, "SUB"), ["sub q OK"]);
});

Deno.test(
  "a store that fails while old things are removed is told, and breaks nothing",
  { permissions },
  async () => {
    const { clock, test } = timed(1);
    const alice = test.connect();
    const queue = await alice.create();
    await alice.ask(queue, "OFF");
    clock.now += 8 * day;
    for (const failing of ["expire", "deleteQueue", "delete", "byRecipientId"]) {
      test.around = (operation, run) => operation === failing ? Promise.reject(new Error(failing)) : run();
      await test.brokers.sweep();
    }
    assertEquals(test.logged, ["expire", "deleteQueue", "delete", "byRecipientId"]);
    test.around = (_operation, run) => run();
    await test.brokers.sweep();
    assertEquals(test.metrics.queuesExpired, 1);
  },
);

Deno.test("commands are counted by kind and answer", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  const queue = await alice.create();
  await alice.ask(queue, "SEND x");
  await alice.ask(queue, "ACK");
  await alice.ask(queue, "ACK");
  await alice.ask(queue, "SUB", { key: keys.other });
  const counts = ["NEW IDS", "SEND OK", "ACK OK", "ACK ERR NO_MSG", "SUB ERR AUTH"];
  assertEquals(test.metrics.commands, new Map(counts.map((name) => [name, 1])));
  assertEquals([test.metrics.messagesAccepted, test.metrics.messagesDelivered], [1, 1]);
});

Deno.test("a clock that jumps by years drops nothing and reorders nothing", { permissions }, async () => {
  const clock = { now: Date.now() };
  const test = new TestBroker({ clock: new Clock(() => clock.now) });
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  const texts = ["now", "years later", "years before", "now again"];
  for (const [i, years] of [0, 5, -10, 5].entries()) {
    clock.now += years * 365 * day;
    await bob.ask(queue, `SEND ${texts[i]}`);
    await test.brokers.sweep();
  }
  assertEquals([test.metrics.messagesExpired, test.metrics.queuesExpired], [0, 0]);
  assertEquals(alice.take(), ["- q MSG now"]);
  for (const text of texts.slice(1)) assertEquals(await alice.ask(queue, "ACK"), [`ack q MSG ${text}`]);
});

Deno.test("a clock that is years ahead at the start, and set right within an hour, drops nothing", {
  permissions,
}, async () => {
  const [minute, began] = [60_000, Date.now()];
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore() };
  const before = new TestBroker(stores);
  const queue = await before.connect().create();
  await before.connect().ask(queue, "SEND kept");
  const time = { passed: 0, ahead: 5 * 365 * day };
  const system = () => began + time.passed + time.ahead;
  // It counts from what the clock said when the program began.
  const wrong = system();
  const clock = Clock.ofMachine(system, () => wrong + time.passed);
  const after = new TestBroker({
    ...stores,
    clock,
    limits: () => checkLimits({ messageLifetime: 21 * day }),
  });
  const sweep = async (passed: number) => {
    time.passed = passed;
    await after.brokers.sweep();
    return after.metrics.messagesExpired;
  };
  assertEquals([await sweep(0), await sweep(59 * minute)], [0, 0]);
  time.ahead = 0;
  assertEquals([await sweep(61 * minute), await sweep(20 * day)], [0, 0]);
  assertEquals(await sweep(22 * day), 1);
});
