import { assertEquals } from "@std/assert";
import { keys, TestBroker } from "../../support/broker.ts";

const permissions = "none";

/** The bytes of a MSG around its body: what smp.md Size of a message leaves of a block is the block less 81. */
const around = 4096 - 4015;

function send(length: number) {
  return { type: "SEND", body: new Uint8Array(length).fill(0x78) } as const;
}

Deno.test("a body is limited by the recipient's block", { permissions }, async (t) => {
  // smp.md Size of a message: a SEND whose MSG would not fit a block of the size the recipient last used gets ERR SIZE
  for (const blockSize of [4096, 8192, 16384, 32768, 65536]) {
    await t.step(`of ${blockSize} bytes`, async () => {
      const test = new TestBroker();
      const [alice, bob] = [test.connect(blockSize), test.connect(65536)];
      const queue = await alice.create();
      const digits = blockSize > 10_000 ? 5 : 4;
      const most = blockSize - around - (digits - 4);
      assertEquals(await bob.ask(queue, send(most + 1)), ["send q.s ERR SIZE"]);
      assertEquals([alice.take(), test.metrics.messagesAccepted], [[], 0]);
      assertEquals(await bob.ask(queue, send(most)), ["send q.s OK"]);
      assertEquals(alice.take().map((line) => line.length), ["- q MSG ".length + most]);
      assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
    });
  }
});

Deno.test("what does not authorize does not tell about the size", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  const queue = await alice.create();
  await alice.ask(queue, "KEY");
  assertEquals(await alice.ask(queue, send(5000)), ["send q.s ERR AUTH"]);
  assertEquals(await alice.ask(queue, send(5000), { key: keys.sender }), ["send q.s ERR SIZE"]);
});

Deno.test(
  "the block that the recipient last used counts, also when it is gone",
  { permissions },
  async (t) => {
    const test = new TestBroker();
    const bob = test.connect(65536);
    const queue = await test.connect().create();
    const steps = [
      { blockSize: 16384, command: "SUB", answer: "OK", key: null },
      { blockSize: 4096, command: "ACK", answer: "ERR SIZE", key: null },
      { blockSize: 8192, command: "KEY", answer: "OK", key: keys.sender },
    ];
    for (const { blockSize, command, answer, key } of steps) {
      await t.step(`${command} with a block of ${blockSize}`, async () => {
        const alice = test.connect(blockSize);
        await alice.ask(queue, command);
        alice.disconnect();
        assertEquals(await bob.ask(queue, send(5000), { key }), [`send q.s ${answer}`]);
      });
    }
  },
);

Deno.test("a bigger block of someone else changes nothing", { permissions }, async () => {
  const test = new TestBroker();
  const [alice, eve] = [test.connect(), test.connect(65536)];
  const queue = await alice.create();
  assertEquals(await eve.ask(queue, "SUB", { key: keys.other }), ["sub q ERR AUTH"]);
  assertEquals(await eve.ask(queue, send(4016)), ["send q.s ERR SIZE"]);
});

Deno.test(
  "a waiting message that does not fit is dropped, counted and blocks nothing",
  { permissions },
  async (t) => {
    // smp.md Size of a message: it never blocks the queue or the connection
    async function queueWith(lengths: number[]) {
      const test = new TestBroker();
      const alice = test.connect(16384);
      const queue = await alice.create();
      for (const length of lengths) await alice.ask(queue, send(length));
      alice.disconnect();
      return { test, queue, alice: test.connect() };
    }
    const x = (length: number) => "x".repeat(length);

    await t.step("before one that fits", async () => {
      const { test, queue, alice } = await queueWith([5000, 4016, 4015, 1]);
      assertEquals(await alice.ask(queue, "SUB"), [`sub q MSG ${x(4015)}`]);
      assertEquals(test.metrics.messagesDropped, 2);
      assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG x"]);
      assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
    });
    await t.step("after one that fits", async () => {
      const { test, queue, alice } = await queueWith([1, 5000, 5000, 2]);
      assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG x"]);
      assertEquals(test.metrics.messagesDropped, 0);
      assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG xx"]);
      assertEquals(test.metrics.messagesDropped, 2);
    });
    await t.step("alone", async () => {
      const { test, queue, alice } = await queueWith([5000]);
      assertEquals(await alice.ask(queue, "SUB"), ["sub q OK"]);
      assertEquals(await alice.ask(queue, "ACK"), ["ack q ERR NO_MSG"]);
      assertEquals(await alice.ask(queue, "SEND y"), ["send q.s OK", "- q MSG y"]);
      assertEquals(test.metrics.messagesDropped, 1);
    });
    await t.step("unless the next subscriber's block is big as well", async () => {
      const { test, queue } = await queueWith([5000]);
      assertEquals(await test.connect(8192).ask(queue, "SUB"), [`sub q MSG ${x(5000)}`]);
      assertEquals(test.metrics.messagesDropped, 0);
    });
    await t.step("also when a subscriber with a bigger block has it", async () => {
      const { test, queue, alice } = await queueWith([5000, 1]);
      const big = test.connect(8192);
      assertEquals(await big.ask(queue, "SUB"), [`sub q MSG ${x(5000)}`]);
      assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG x"]);
      assertEquals([big.take(), await big.ask(queue, "ACK")], [["- q END"], ["ack q ERR NO_MSG"]]);
    });
  },
);
