import { assertEquals } from "@std/assert";
import { randomBytes } from "../../../protocol/mod.ts";
import { PartitionLog } from "../../../server/cluster/partition_log.ts";
import { storesOver } from "../../../server/cluster/partition_stores.ts";
import { checkLimits, type Limits } from "../../../server/config/limits.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { perMessage } from "../../../server/guard/memory_guard.ts";
import { WaitingShares } from "../../../server/guard/waiting_shares.ts";
import { fakeSigner, fakeVerify, TestBroker, transmissionTo, turn } from "../../support/broker.ts";
import { MemorySnapshots, MemoryStream } from "../../support/memory_stream.ts";

const permissions = "none";
const signers = { recipient: fakeSigner(), sender: fakeSigner() };
/** Its signatures cannot be verified. */
const failing = fakeSigner();
const client = "192.0.2.1";

/** The stream of a partition whose publishes wait for the test. */
class HeldStream extends MemoryStream {
  #held: PromiseWithResolvers<void> | null = null;
  /** Batches whose publish waits or has waited. */
  begun = 0;

  hold(): void {
    this.#held = Promise.withResolvers();
  }

  /** Lets the batch that waits be stored; `holds`: and not the next one. */
  release({ holds = false } = {}): void {
    const held = this.#held;
    this.#held = holds ? Promise.withResolvers() : null;
    held?.resolve();
  }

  override async publish(...args: Parameters<MemoryStream["publish"]>) {
    this.begun++;
    await this.#held?.promise;
    return await super.publish(...args);
  }
}

/** A broker over the log of a partition, a queue that is secured, and messages in it. */
async function world(
  { limits, shares, largestBatch, isSecured = true, messages = [] }: {
    readonly limits?: Partial<Limits>;
    readonly shares?: WaitingShares;
    readonly largestBatch?: number;
    readonly isSecured?: boolean;
    readonly messages?: readonly string[];
  } = {},
) {
  const stream = new HeldStream();
  const clock = { now: () => 0, wait: () => Promise.resolve() };
  const options = { stream, snapshots: new MemorySnapshots(), node: "a", clock };
  const log = await PartitionLog.claim({ ...options, ...(largestBatch && { largestBatch }) });
  const test = new TestBroker({
    ...storesOver(log),
    authorizer: new Authorizer((key, ...rest) => {
      const isFailing = rest[0].every((byte, i) => byte === failingSignature[i]);
      return isFailing ? Promise.reject(new Error("broken")) : fakeVerify(key, ...rest);
    }),
    limits: () => checkLimits(limits ?? {}),
    ...(shares && { shares }),
  });
  const [alice, bob] = [test.connect(), test.connect(4096, client)];
  const queue = await alice.create("q", signers);
  if (isSecured) await alice.ask(queue, "KEY");
  const key = isSecured ? queue.sender : null;
  const send = (text: string) => bob.submit(queue, `SEND ${text}`, { key, corrId: text });
  for (const text of messages) {
    await send(text);
    await test.idle();
  }
  alice.take();
  bob.take();
  return {
    ...{ stream, log, test, alice, bob, queue, send },
    /** Stores nothing until it is let go on. */
    hold() {
      stream.hold();
      stream.begun = 0;
    },
    /** What was answered when all is stored, and how many batches that took. */
    async stored() {
      stream.release();
      await test.idle();
      return { alice: alice.take(), bob: bob.take(), batches: stream.begun };
    },
    taken: async () => {
      for (let i = 0; i < 3; i++) await turn();
      return [...alice.take(), ...bob.take()];
    },
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}

const failingSignature = await failing.sign(new Uint8Array(0));

/** Keeps a batch from being stored: what comes meanwhile is in the next one. */
async function occupy({ hold, test }: Awaited<ReturnType<typeof world>>): Promise<void> {
  hold();
  const other = test.connect();
  await other.submitTransmission(
    await transmissionTo({ recipientId: "", senderId: "", ...signers }, {
      type: "NEW",
      recipientKey: signers.recipient.publicKey,
    }, { queueId: "" }),
  );
  await turn();
}

Deno.test(
  "a SEND and an ACK of a queue are stored in one batch, in either order",
  { permissions },
  async () => {
    for (const isSentFirst of [true, false]) {
      await using it = await world({ messages: ["a"] });
      await occupy(it);
      const commands = [() => it.send("b"), () => it.alice.submit(it.queue, "ACK")];
      for (const give of isSentFirst ? commands : commands.toReversed()) await give();
      assertEquals(await it.taken(), []);
      const { alice, bob, batches } = await it.stored();
      // One is what keeps the log occupied.
      assertEquals([bob, batches], [["b q.s OK"], 2]);
      assertEquals(alice, isSentFirst ? ["ack q MSG b"] : ["ack q OK", "- q MSG b"]);
    }
  },
);

Deno.test(
  "what else is done with a queue waits for both, and the next of each side too",
  { permissions },
  async () => {
    for (const command of ["SUB", "OFF", "DEL"]) {
      await using it = await world({ messages: ["a", "b"] });
      await occupy(it);
      await it.send("c");
      await it.alice.submit(it.queue, "ACK");
      await it.send("d");
      await it.alice.submit(it.queue, command);
      assertEquals(await it.taken(), []);
      const { alice, bob, batches } = await it.stored();
      const next = command === "SUB" ? "MSG b" : "OK";
      assertEquals(alice, ["ack q MSG b", `${command.toLowerCase()} q ${next}`]);
      assertEquals(bob, ["c q.s OK", "d q.s OK"]);
      // DEL removes the messages, and then the queue.
      assertEquals(batches, { SUB: 3, OFF: 4, DEL: 5 }[command]);
    }
  },
);

Deno.test("a message waits for the place of one that is being acknowledged", { permissions }, async () => {
  await using it = await world({ limits: { messagesPerQueue: 2 }, messages: ["a", "b"] });
  await occupy(it);
  await it.alice.submit(it.queue, "ACK");
  for (const text of ["c", "d"]) await it.send(text);
  assertEquals(await it.taken(), []);
  const { alice, bob } = await it.stored();
  assertEquals([alice, bob], [["ack q MSG b"], ["c q.s OK", "d q.s ERR QUOTA"]]);
  assertEquals(it.log.state.messages.size, 2);
});

Deno.test(
  "an ACK waits for a message that is being stored when it has none yet",
  { permissions },
  async () => {
    await using it = await world();
    await occupy(it);
    await it.send("a");
    await it.alice.submit(it.queue, "ACK");
    const { alice, bob } = await it.stored();
    assertEquals([alice, bob], [["- q MSG a", "ack q OK"], ["a q.s OK"]]);
  },
);

Deno.test(
  "nothing is answered before what was given earlier, whatever is wrong",
  { permissions },
  async () => {
    const transmission = { key: null, corrId: "wrong" };
    const wrong = [
      ["SEND x", transmission, "ERR AUTH"],
      [`SEND ${"x".repeat(9000)}`, { ...transmission, key: signers.sender }, "ERR SIZE"],
      ["SEND x", { ...transmission, key: failing }, "ERR INTERNAL"],
    ] as const;
    for (const [command, options, answer] of wrong) {
      await using it = await world({ messages: ["a"] });
      await occupy(it);
      await it.alice.submit(it.queue, "ACK");
      await it.alice.submit(it.queue, command, options);
      assertEquals(await it.taken(), []);
      assertEquals((await it.stored()).alice, ["ack q OK", `wrong q.s ${answer}`]);
    }
    for (const [key, answer] of [[signers.sender, "AUTH"], [failing, "INTERNAL"]] as const) {
      await using it = await world({ messages: ["a"] });
      await occupy(it);
      await it.alice.submit(it.queue, "SEND b", { key: signers.sender });
      await it.alice.submit(it.queue, "ACK", { key });
      assertEquals(await it.taken(), []);
      assertEquals((await it.stored()).alice, ["send q.s OK", `ack q ERR ${answer}`]);
    }
  },
);

Deno.test(
  "a message that was stored before is known after what is acknowledged",
  { permissions },
  async () => {
    await using it = await world({ messages: ["a", "b"] });
    await occupy(it);
    await it.alice.submit(it.queue, "ACK");
    const messageId =
      (await it.log.state.messages.next(it.queue.recipientId, it.test.messageIds.get("a")!))!.id;
    const again = await transmissionTo(it.queue, "SEND b", { key: signers.sender });
    it.bob.waiting++;
    const forwarded = { commandId: randomBytes(16), messageId, isRepeated: true };
    await it.test.router.submit(it.bob, again, forwarded);
    assertEquals(await it.taken(), []);
    const { alice, bob } = await it.stored();
    assertEquals([alice, bob], [["ack q MSG b"], ["send q.s OK"]]);
    assertEquals(it.log.state.messages.size, 1);
  },
);

Deno.test(
  "what waits of an address is counted as it is, with a SEND and an ACK at a time",
  { permissions },
  async () => {
    const free = 2 * (1 + perMessage);
    const shares = new WaitingShares(() => free);
    await using it = await world({ shares, messages: ["a"] });
    it.hold();
    await it.alice.submit(it.queue, "ACK");
    await turn();
    await it.send("b");
    // In a batch of its own.
    it.stream.release({ holds: true });
    await turn();
    const { alice, bob, batches } = await it.stored();
    assertEquals([alice, bob, batches], [["ack q OK", "- q MSG b"], ["b q.s OK"], 2]);
    // One waits, for two there is room.
    assertEquals(shares.size, { queues: 1, addresses: 1 });
    const other = await it.alice.create("other", signers);
    for (const [text, answer] of [["c", "OK"], ["d", "ERR QUOTA"]]) {
      assertEquals(await it.bob.ask(other, `SEND ${text}`), [`send other.s ${answer}`]);
    }
  },
);

Deno.test(
  "nothing of a message is counted that fails to be stored beside an ACK",
  { permissions },
  async () => {
    const shares = new WaitingShares(() => Infinity);
    await using it = await world({ shares, largestBatch: 3000, isSecured: false, messages: ["a"] });
    await occupy(it);
    await it.alice.submit(it.queue, "ACK");
    await it.bob.submit(it.queue, `SEND ${"x".repeat(3000)}`);
    const { alice, bob } = await it.stored();
    assertEquals([alice, bob], [["ack q OK"], ["send q.s ERR INTERNAL"]]);
    assertEquals(shares.size, { queues: 0, addresses: 0 });
  },
);

Deno.test(
  "a message takes no place of the reserve when one is being acknowledged",
  { permissions },
  async () => {
    const messages = Array.from({ length: 16 }, (_, i) => `${i}`);
    await using it = await world({ limits: { messagesPerQueue: 16 }, isSecured: false, messages });
    const others = [1, 2, 3].map(() => it.test.connect(4096, "192.0.2.9"));
    await occupy(it);
    await it.alice.submit(it.queue, "ACK");
    await others[0]!.submit(it.queue, "SEND x");
    assertEquals((await it.stored()).alice, ["ack q MSG 1"]);
    // An address has two places of the reserve.
    for (const other of others.slice(1)) {
      assertEquals(await other.ask(it.queue, "SEND x"), ["send q.s OK"]);
    }
  },
);
