import { assertEquals } from "@std/assert";
import { checkLimits } from "../../../server/config/limits.ts";
import { UnsecuredReserve } from "../../../server/guard/unsecured_reserve.ts";
import { WaitingShares } from "../../../server/guard/waiting_shares.ts";
import { keys, TestBroker } from "../../support/broker.ts";

const permissions = "none";

/** A queue with a quota that one connection has filled. */
async function flooded(
  { client = null, quota = 16 }: { readonly client?: string | null; readonly quota?: number } = {},
) {
  const test = new TestBroker({ limits: () => checkLimits({ messagesPerQueue: quota }) });
  const [alice, mallory] = [test.connect(), test.connect(4096, client)];
  const queue = await alice.create("q");
  for (let i = 0; i < quota; i++) assertEquals(await mallory.ask(queue, `SEND ${i}`), ["send q.s OK"]);
  assertEquals(await mallory.ask(queue, "SEND no"), ["send q.s ERR QUOTA"]);
  alice.take();
  return { test, alice, mallory, queue };
}

Deno.test(
  "who has filled an unsecured queue does not shut out the others, who get a place each",
  { permissions },
  async () => {
    const { test, queue } = await flooded();
    for (const name of ["bob", "carol"]) {
      const other = test.connect();
      assertEquals(await other.ask(queue, `SEND ${name}`), ["send q.s OK"]);
      assertEquals(await other.ask(queue, "SEND no"), ["send q.s ERR QUOTA"]);
    }
    // The reserve is an eighth of the quota.
    assertEquals(await test.connect().ask(queue, "SEND no"), ["send q.s ERR QUOTA"]);
  },
);

Deno.test(
  "the connections of one address get two places of the reserve, and again when those messages have left",
  { permissions },
  async () => {
    const { test, alice, queue } = await flooded({ client: "10.0.0.1" });
    const [one, two] = [test.connect(4096, "10.0.0.1"), test.connect(4096, "10.0.0.1")];
    assertEquals(await one.ask(queue, "SEND a"), ["send q.s OK"]);
    assertEquals(await two.ask(queue, "SEND b"), ["send q.s OK"]);
    assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG 1"]);
    assertEquals(await test.connect(4096, "10.0.0.1").ask(queue, "SEND no"), ["send q.s ERR QUOTA"]);
    assertEquals(await test.connect(4096, "10.0.0.2").ask(queue, "SEND c"), ["send q.s OK"]);
    for (let i = 2; i < 16; i++) assertEquals(await alice.ask(queue, "ACK"), [`ack q MSG ${i}`]);
    for (const text of ["a", "b", "c"]) assertEquals(await alice.ask(queue, "ACK"), [`ack q MSG ${text}`]);
    assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
  },
);

Deno.test("all /64s of a /48 get eight places of the reserve together", { permissions }, async () => {
  const { test, queue } = await flooded({ quota: 128 });
  let taken = 0;
  for (let i = 0; i < 12; i++) {
    const connection = test.connect(4096, `2001:db8:1:${i.toString(16)}00::/64`);
    if ((await connection.ask(queue, "SEND x"))[0] === "send q.s OK") taken++;
  }
  assertEquals(taken, 8);
  const other = test.connect(4096, "2001:db8:2:0::/64");
  assertEquals(await other.ask(queue, "SEND x"), ["send q.s OK"]);
});

Deno.test("a secured queue has no reserve", { permissions }, async () => {
  const { test, alice, queue } = await flooded();
  await alice.ask(queue, "KEY");
  assertEquals(await test.connect().ask(queue, "SEND no", { key: keys.sender }), ["send q.s ERR QUOTA"]);
});

Deno.test("nothing is remembered of what waits no more", { permissions }, () => {
  const reserve = new UnsecuredReserve();
  const connection = new TestBroker().connect();
  for (let count = 0; count < 3; count++) reserve.take("q", connection, { count, most: 3 });
  reserve.trim("q", 1);
  // The one that waits is the connection's: it gets no place of the reserve.
  assertEquals(reserve.take("q", connection, { count: 3, most: 3 }), null);
  assertEquals(reserve.size, 1);
  reserve.trim("q", 0);
  assertEquals(reserve.size, 0);
});

Deno.test("who is refused for a failure of the store can send again", { permissions }, async () => {
  const { test, queue } = await flooded();
  const bob = test.connect();
  test.around = (operation, run) => operation === "append" ? Promise.reject(new Error("injected")) : run();
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s ERR INTERNAL"]);
  test.around = (_operation, run) => run();
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
  assertEquals(await bob.ask(queue, "SEND b"), ["send q.s ERR QUOTA"]);
});

Deno.test("who is refused for want of memory can send again", { permissions }, async () => {
  let free = Infinity;
  const limits = () => checkLimits({ messagesPerQueue: 16 });
  const test = new TestBroker({ limits, shares: new WaitingShares(() => free) });
  const [alice, mallory, bob] = [test.connect(), test.connect(), test.connect(4096, "10.0.0.1")];
  const queue = await alice.create("q");
  for (let i = 0; i < 16; i++) assertEquals(await mallory.ask(queue, `SEND ${i}`), ["send q.s OK"]);
  free = 0;
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s ERR QUOTA"]);
  free = Infinity;
  assertEquals(await bob.ask(queue, "SEND a"), ["send q.s OK"]);
});
