import { assert, assertEquals } from "@std/assert";
import {
  decodeBase64,
  decodeClientTransmission,
  encodeClientTransmission,
  importPrivateKey,
  signPss,
} from "../../../protocol/mod.ts";
import { MemoryQueueStore } from "../../../server/store/memory.ts";
import { fakeSigner, keys, rsaSigner, sign, TestBroker } from "../../support/broker.ts";
import { base64, rsaVector } from "../../support/vectors.ts";

const permissions = "none";

function newCommand(recipientKey = keys.recipient.publicKey) {
  return { type: "NEW", recipientKey } as const;
}

Deno.test(
  "NEW answers IDS without queue ID, with two different IDs of 12 bytes",
  { permissions },
  async () => {
    const test = new TestBroker();
    const alice = test.connect();
    await alice.submitTransmission(await sign("", newCommand(), { key: keys.recipient, corrId: "7" }));
    await test.idle();
    const [answer] = alice.received;
    assert(alice.received.length === 1 && answer?.response.type === "IDS");
    assertEquals([answer.corrId, answer.queueId], [Uint8Array.of(0x37), ""]);
    const { recipientId, senderId } = answer.response;
    // smp.md Queues and delivery: 12 random bytes each, rid ≠ sid
    assertEquals([recipientId, senderId].map((id) => decodeBase64(id)?.length), [12, 12]);
    assert(recipientId !== senderId);
  },
);

Deno.test("every NEW makes another queue, also with the same key", { permissions }, async () => {
  const alice = new TestBroker().connect();
  const ids = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { recipientId, senderId } = await alice.create(`q${i}`);
    ids.add(recipientId).add(senderId);
  }
  assertEquals(ids.size, 40);
});

Deno.test("NEW tries other IDs when its random ones are taken", { permissions }, async () => {
  // smp.md Queues and delivery: unique on the server
  let taken = 7;
  class CrowdedStore extends MemoryQueueStore {
    override create(record: Parameters<MemoryQueueStore["create"]>[0]): Promise<boolean> {
      return taken-- > 0 ? Promise.resolve(false) : super.create(record);
    }
  }
  const test = new TestBroker({ queues: new CrowdedStore() });
  const alice = test.connect();
  const queue = await alice.create();
  assertEquals([taken, await alice.ask(queue, "SUB")], [-1, ["sub q OK"]]);
});

Deno.test("NEW subscribes the connection", { permissions }, async () => {
  // smp.md Commands: the connection is subscribed
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  assertEquals(test.brokers.counts.subscriptions, 1);
  assertEquals(await bob.ask(queue, "SEND hello"), ["send q.s OK"]);
  assertEquals(alice.take(), ["- q MSG hello"]);
});

Deno.test("NEW with a wrong signature is AUTH and makes nothing", { permissions }, async (t) => {
  // smp.md Authorization: NEW: signature verified with the key it carries
  const wrong = {
    "by another key": { key: keys.other },
    "of another length": { signature: new Uint8Array(256) },
    "of zeros": { signature: new Uint8Array(128) },
  };
  for (const [name, options] of Object.entries(wrong)) {
    await t.step(name, async () => {
      const queues = new MemoryQueueStore();
      const test = new TestBroker({ queues });
      const alice = test.connect();
      await alice.submitTransmission(await sign("", newCommand(), options));
      await test.idle();
      assertEquals([alice.take(), queues.size, test.brokers.counts.subscriptions], [
        ["new - ERR AUTH"],
        0,
        0,
      ]);
    });
  }
});

Deno.test(
  "NEW answers KEY_SIZE to the owner of a key of another size, AUTH to others",
  { permissions },
  async (t) => {
    // smp.md Authorization: a key of a size not allowed → CMD KEY_SIZE (after a valid signature)
    const queues = new MemoryQueueStore();
    const test = new TestBroker({ queues });
    const alice = test.connect();
    for (const bits of [1017, 1023, 2041, 2047]) {
      await t.step(`${bits} bits`, async () => {
        const key = await rsaSigner(bits);
        const command = newCommand(key.publicKey);
        const signed = await sign("", command, { key });
        assertEquals([key.publicKey.bits, signed.signature.length], [bits, bits > 2000 ? 256 : 128]);
        await alice.submitTransmission(signed);
        await alice.submitTransmission(await sign("", command, { signature: signed.signature.toReversed() }));
        await test.idle();
        assertEquals([alice.take(), queues.size], [["new - ERR CMD KEY_SIZE", "new - ERR AUTH"], 0]);
      });
    }
    await t.step("1536 bits, whose signatures cannot be sent", async () => {
      const key = await rsaSigner(1536);
      const { signature, signed } = await sign("", newCommand(key.publicKey), { key });
      const decoded = decodeClientTransmission(encodeClientTransmission(signature, signed));
      assert(!decoded.ok && decoded.error === "BLOCK");
      await alice.submitTransmission(
        await sign("", newCommand(key.publicKey), { signature: new Uint8Array(256) }),
      );
      await test.idle();
      assertEquals(alice.take(), ["new - ERR AUTH"]);
    });
  },
);

Deno.test("queues take keys of each size that is allowed", { permissions }, async (t) => {
  // transport.md RSA keys: sizes allowed in NEW and KEY
  for (const bits of [1024, 2048, 3072, 4096]) {
    await t.step(`${bits} bits`, async () => {
      const pair = await importPrivateKey(base64(rsaVector(`rsa${bits}`).pkcs8), "sign");
      const key = {
        publicKey: pair.publicKey,
        sign: (data: Uint8Array<ArrayBuffer>) => signPss(pair.privateKey, data),
      };
      const alice = new TestBroker().connect();
      const queue = await alice.create("q", { recipient: key, sender: key });
      assertEquals(await alice.ask(queue, "KEY"), ["key q OK"]);
      assertEquals(await alice.ask(queue, "SEND x", { key }), ["send q.s OK", "- q MSG x"]);
    });
  }
});

Deno.test("KEY refuses a sender key of another size and changes nothing", { permissions }, async (t) => {
  // smp.md Commands: a refused command has no effect
  for (const bits of [512, 1023, 1025, 1536, 2047, 2056, 8192]) {
    await t.step(`${bits} bits`, async () => {
      const alice = new TestBroker().connect();
      const queue = await alice.create();
      const command = { type: "KEY", senderKey: fakeSigner({ bits }).publicKey } as const;
      assertEquals(await alice.ask(queue, command), ["key q ERR CMD KEY_SIZE"]);
      assertEquals(await alice.ask(queue, "SEND 1"), ["send q.s OK", "- q MSG 1"]);
      assertEquals(await alice.ask(queue, "KEY"), ["key q OK"]);
    });
  }
});

Deno.test("KEY secures a queue once", { permissions }, async () => {
  // smp.md Commands: ERR AUTH when already secured
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  assertEquals(await alice.ask(queue, "KEY", { key: keys.other }), ["key q ERR AUTH"]);
  assertEquals(await bob.ask(queue, "SEND 1"), ["send q.s OK"]);
  assertEquals(await alice.ask(queue, "KEY"), ["- q MSG 1", "key q OK"]);
  const other = { type: "KEY", senderKey: keys.other.publicKey } as const;
  assertEquals(await alice.ask(queue, other), ["key q ERR AUTH"]);
  assertEquals(await alice.ask(queue, "KEY"), ["key q ERR AUTH"]);
  assertEquals(await bob.ask(queue, "SEND 2", { key: keys.other }), ["send q.s ERR AUTH"]);
  assertEquals(await bob.ask(queue, "SEND 2", { key: keys.sender }), ["send q.s OK"]);
});

Deno.test("SEND is AUTH unless it is signed as the state of the queue asks", { permissions }, async (t) => {
  // smp.md Authorization: SEND
  const ways = { unsigned: null, sender: keys.sender, recipient: keys.recipient, other: keys.other };
  const states: Record<string, { commands: string[]; accepted: string | null }> = {
    "new": { commands: [], accepted: "unsigned" },
    "secured": { commands: ["KEY"], accepted: "sender" },
    "suspended": { commands: ["OFF"], accepted: null },
    "secured and suspended": { commands: ["KEY", "OFF"], accepted: null },
    "suspended and secured": { commands: ["OFF", "KEY"], accepted: null },
  };
  for (const [state, { commands, accepted }] of Object.entries(states)) {
    for (const [way, key] of Object.entries(ways)) {
      await t.step(`${state}, ${way}`, async () => {
        const test = new TestBroker();
        const [alice, bob] = [test.connect(), test.connect()];
        const queue = await alice.create();
        for (const command of commands) await alice.ask(queue, command);
        const answer = way === accepted ? "OK" : "ERR AUTH";
        assertEquals(await bob.ask(queue, "SEND x", { key }), [`send q.s ${answer}`]);
        const wrongLength = { signature: new Uint8Array(384) };
        assertEquals(await bob.ask(queue, "SEND x", wrongLength), ["send q.s ERR AUTH"]);
        assertEquals(alice.take(), way === accepted ? ["- q MSG x"] : []);
        assertEquals(test.metrics.messagesAccepted, way === accepted ? 1 : 0);
      });
    }
  }
});

Deno.test("a queue is no queue for its other ID", { permissions }, async (t) => {
  // smp.md Authorization: using a sender ID is AUTH; SEND: queue found by sender ID
  const test = new TestBroker();
  const alice = test.connect();
  const queue = await alice.create();
  for (const command of ["SUB", "KEY", "ACK", "OFF", "DEL"]) {
    await t.step(`${command} with the sender ID`, async () => {
      const answer = await alice.ask(queue, command, { queueId: queue.senderId });
      assertEquals(answer, [`${command.toLowerCase()} q.s ERR AUTH`]);
    });
  }
  await t.step("SEND with the recipient ID", async () => {
    const answer = await alice.ask(queue, "SEND x", { queueId: queue.recipientId });
    assertEquals(answer, ["send q ERR AUTH"]);
  });
  await t.step("the queue is as it was", async () => {
    assertEquals(await alice.ask(queue, "SEND x"), ["send q.s OK", "- q MSG x"]);
  });
});

Deno.test("recipient commands of others are AUTH and change nothing", { permissions }, async (t) => {
  const test = new TestBroker();
  const [alice, eve] = [test.connect(), test.connect()];
  const queue = await alice.create();
  await alice.ask(queue, "SEND x");
  for (const command of ["SUB", "KEY", "ACK", "OFF", "DEL"]) {
    for (const key of [keys.other, keys.sender]) {
      await t.step(command, async () => {
        assertEquals(await eve.ask(queue, command, { key }), [`${command.toLowerCase()} q ERR AUTH`]);
      });
    }
  }
  await t.step("a signature of another command", async () => {
    const { signature } = await sign(queue.recipientId, { type: "SUB" }, {
      key: queue.recipient,
      corrId: "del",
    });
    assertEquals(await eve.ask(queue, "DEL", { signature }), ["del q ERR AUTH"]);
  });
  await t.step("a signature of another corrId", async () => {
    const { signature } = await sign(queue.recipientId, { type: "DEL" }, {
      key: queue.recipient,
      corrId: "1",
    });
    assertEquals(await eve.ask(queue, "DEL", { signature, corrId: "2" }), ["2 q ERR AUTH"]);
  });
  assertEquals([alice.take(), await alice.ask(queue, "ACK")], [[], ["ack q OK"]]);
});

Deno.test("a suspended queue can still be read, and suspended again", { permissions }, async () => {
  // smp.md Queues and delivery: waiting messages can still be read with SUB and ACK
  const test = new TestBroker();
  const alice = test.connect();
  const queue = await alice.create();
  for (const body of ["1", "2"]) await alice.ask(queue, `SEND ${body}`);
  assertEquals(await alice.ask(queue, "OFF"), ["off q OK"]);
  assertEquals(await alice.ask(queue, "SUB"), ["sub q MSG 1"]);
  // smp.md Commands: OK, also when already suspended
  assertEquals(await alice.ask(queue, "OFF"), ["off q OK"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q MSG 2"]);
  assertEquals(await alice.ask(queue, "ACK"), ["ack q OK"]);
});

Deno.test("DEL leaves neither queue nor messages, and nothing follows it", { permissions }, async () => {
  // smp.md Commands: queue and messages are gone before the answer
  const test = new TestBroker();
  const [alice, bob] = [test.connect(), test.connect()];
  const queue = await alice.create();
  const other = await alice.create("other");
  for (const body of ["1", "2"]) await bob.ask(queue, `SEND ${body}`);
  await bob.ask(other, "SEND kept");
  assertEquals(alice.take(), ["- q MSG 1", "- other MSG kept"]);
  assertEquals(await bob.ask(queue, "DEL"), ["del q OK"]);
  assertEquals([alice.take(), test.brokers.counts.subscriptions], [[], 1]);
  for (const command of ["SUB", "KEY", "ACK", "OFF", "DEL", "SEND x"]) {
    const name = command === "SEND x" ? "send q.s" : `${command.toLowerCase()} q`;
    assertEquals(await alice.ask(queue, command), [`${name} ERR AUTH`]);
  }
  assertEquals(await alice.ask(other, "ACK"), ["ack other OK"]);
});

Deno.test("PING is answered at once with PONG", { permissions }, async () => {
  const test = new TestBroker();
  const alice = test.connect();
  await alice.submitTransmission(await sign("", { type: "PING" }));
  assertEquals(alice.take(), ["ping - PONG"]);
});
