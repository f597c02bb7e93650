import { assert, assertEquals } from "@std/assert";
import {
  encodeBase64,
  modulusLength,
  type PublicKey,
  randomBytes,
  verifyPss,
} from "../../../protocol/mod.ts";
import { Authorizer, type Verify } from "../../../server/guard/authorization.ts";
import { exponentClass } from "../../../server/guard/verifier.ts";
import { fakeSigner, fakeVerify, keys, type Signer, TestBroker } from "../../support/broker.ts";

const permissions = "none";
const large = (1n << 1000n) + 1n;

/** What verifications cost: the length of the signature and the class of the exponent, one text for each. */
function counting(verify: Verify = fakeVerify) {
  const costs: string[] = [];
  const counted: Verify = (key, signature, data, source) => {
    // Both must be right for the time to be: the modulus of the key, and the signature that is verified with it.
    assertEquals(signature.length, modulusLength(key.bits));
    costs.push(`${signature.length} ${exponentClass(key)}`);
    return verify(key, signature, data, source);
  };
  return { costs, authorizer: new Authorizer(counted) };
}

const signatures = [128, 256, 384, 512].map((length) => new Uint8Array(length).fill(7));
const none = new Uint8Array(0);
const recipientCommands = ["SUB", "KEY", "ACK", "OFF", "DEL"];

/** The ways to get AUTH from a queue that exists, with a signature that is not valid. */
const refusals: { name: string; before: string[]; commands: string[] }[] = [
  { name: "a wrong key", before: [], commands: recipientCommands },
  { name: "a signed SEND to an unsecured queue", before: [], commands: ["SEND x"] },
  { name: "a wrong key for a secured queue", before: ["KEY"], commands: ["SEND x"] },
  { name: "any SEND to a suspended queue", before: ["OFF"], commands: ["SEND x"] },
  { name: "any SEND to a suspended secured queue", before: ["KEY", "OFF"], commands: ["SEND x"] },
];

Deno.test("every AUTH costs one verification of a signature of that length", { permissions }, async (t) => {
  // smp.md Authorization: same time for every AUTH (a dummy key per key size)
  const classes = { small: 65537n, large };
  for (const [costs, exponent] of Object.entries(classes)) {
    for (const { name, before, commands } of refusals) {
      await t.step(`${name}, ${costs} exponents`, async () => {
        const { costs: verified, authorizer } = counting();
        const test = new TestBroker({ authorizer });
        const alice = test.connect();
        const signers = { recipient: fakeSigner({ exponent }), sender: fakeSigner({ exponent }) };
        const queue = await alice.create("q", signers);
        for (const command of before) await alice.ask(queue, command);
        for (const command of commands) {
          for (const signature of signatures) {
            verified.length = 0;
            const [answer] = await alice.ask(queue, command, { signature });
            assert(answer?.endsWith("ERR AUTH"), answer);
            assertEquals(verified, [`${signature.length} ${costs}`]);
          }
        }
      });
    }
  }
});

Deno.test("AUTH without a signature costs one verification of 256 bytes", { permissions }, async (t) => {
  // smp.md Authorization: missing signature on a secured queue
  for (const { before } of refusals.filter(({ before }) => before.length > 0)) {
    await t.step(before.join(", "), async () => {
      const { costs, authorizer } = counting();
      const alice = new TestBroker({ authorizer }).connect();
      const queue = await alice.create("q", { recipient: fakeSigner(), sender: fakeSigner() });
      for (const command of before) await alice.ask(queue, command);
      costs.length = 0;
      assertEquals(await alice.ask(queue, "SEND x"), ["send q.s ERR AUTH"]);
      assertEquals(costs, ["256 small"]);
    });
  }
});

Deno.test("AUTH to a valid signature costs one verification as well", { permissions }, async (t) => {
  const cases = [
    { name: "KEY of a secured queue", before: ["KEY"], command: "KEY", key: "recipient" },
    { name: "SEND to a suspended queue", before: ["KEY", "OFF"], command: "SEND x", key: "sender" },
    { name: "SEND by the recipient", before: ["KEY"], command: "SEND x", key: "recipient" },
    { name: "SUB by the sender", before: ["KEY"], command: "SUB", key: "sender" },
    { name: "SEND by the sender before KEY", before: [], command: "SEND x", key: "sender" },
  ] as const;
  for (const { name, before, command, key } of cases) {
    await t.step(name, async () => {
      const { costs, authorizer } = counting((key, signature, data) => verifyPss(key, signature, data));
      const alice = new TestBroker({ authorizer }).connect();
      const queue = await alice.create();
      for (const command of before) await alice.ask(queue, command);
      costs.length = 0;
      const [answer] = await alice.ask(queue, command, { key: keys[key] });
      assert(answer?.endsWith("ERR AUTH"), answer);
      assertEquals(costs, ["128 small"]);
    });
  }
});

for (const [exponents, exponent] of [["small", 65537n], ["large", large]] as const) {
  Deno.test(
    `an unknown queue costs what one with ${exponents} exponents does`,
    { permissions },
    async (t) => {
      // smp.md Authorization: nothing a client can time tells whether a queue exists
      const { costs, authorizer } = counting();
      const test = new TestBroker({ authorizer });
      const alice = test.connect();
      const signers = { recipient: fakeSigner({ exponent }), sender: fakeSigner({ exponent }) };
      const queue = await alice.create("q", signers);
      const gone = await alice.create("gone", signers);
      await alice.ask(gone, "DEL");
      costs.length = 0;
      const never = encodeBase64(randomBytes(12));
      const ids = {
        "SEND x": [never, gone.senderId, queue.recipientId],
        ...Object.fromEntries(
          recipientCommands.map((command) => [command, [never, gone.recipientId, queue.senderId]]),
        ),
      };
      for (const [command, unknown] of Object.entries(ids)) {
        await t.step(command, async () => {
          const operations: string[] = [];
          test.around = (operation, run) => (operations.push(operation), run());
          for (const signature of command === "SEND x" ? [none, ...signatures] : signatures) {
            const expected = `${signature.length || 256} ${exponents}`;
            const known: string[] = [];
            if (signature.length > 0) {
              await alice.ask(queue, command, { signature });
              assertEquals(costs.splice(0), [expected]);
              known.push(...operations.splice(0));
            }
            for (const queueId of unknown) {
              const [answer] = await alice.ask(queue, command, { queueId, signature });
              assert(answer?.endsWith("ERR AUTH"), answer);
              assertEquals(costs.splice(0), [expected]);
              const asked = operations.splice(0);
              if (signature.length > 0) assertEquals(asked, known);
            }
          }
        });
      }
    },
  );
}

Deno.test("the class of the exponent is that of the key which would decide", { permissions }, async (t) => {
  const small = () => fakeSigner();
  const big = () => fakeSigner({ exponent: large });
  const cases: { recipient: Signer; sender: Signer; before: string[]; command: string; expected: string }[] =
    [
      { recipient: small(), sender: big(), before: [], command: "SUB", expected: "small" },
      { recipient: big(), sender: small(), before: [], command: "SUB", expected: "large" },
      { recipient: big(), sender: small(), before: [], command: "SEND x", expected: "large" },
      { recipient: big(), sender: small(), before: ["KEY"], command: "SEND x", expected: "small" },
      { recipient: small(), sender: big(), before: ["KEY"], command: "SEND x", expected: "large" },
    ];
  for (const [i, { recipient, sender, before, command, expected }] of cases.entries()) {
    await t.step(`case ${i + 1}: ${command}`, async () => {
      const { costs, authorizer } = counting();
      const alice = new TestBroker({ authorizer }).connect();
      const queue = await alice.create("q", { recipient, sender });
      for (const earlier of before) await alice.ask(queue, earlier);
      for (const length of [128, 256]) {
        costs.length = 0;
        await alice.ask(queue, command, { signature: new Uint8Array(length) });
        assertEquals(costs, [`${length} ${expected}`]);
      }
    });
  }
});

Deno.test("what is accepted costs one verification, an unsigned SEND none", { permissions }, async () => {
  const { costs, authorizer } = counting();
  const alice = new TestBroker({ authorizer }).connect();
  const sender = fakeSigner({ bits: 2048 });
  const queue = await alice.create("q", { recipient: fakeSigner(), sender });
  assertEquals(costs.splice(0), ["128 small"]);
  assertEquals(await alice.ask(queue, "SEND x"), ["send q.s OK", "- q MSG x"]);
  assertEquals(costs.splice(0), []);
  await alice.ask(queue, "KEY");
  assertEquals(costs.splice(0), ["128 small"]);
  assertEquals(await alice.ask(queue, "SEND x", { key: sender }), ["send q.s OK"]);
  assertEquals(costs.splice(0), ["256 small"]);
});

const verifyAlways: Verify = () => Promise.resolve(true);
const signed = { signature: new Uint8Array(128), signed: none, queueId: "AAAA" };
const source = { client: null };

async function used(authorizer: Authorizer, exponent: bigint, times: number): Promise<void> {
  const { publicKey } = fakeSigner({ exponent });
  for (let i = 0; i < times; i++) {
    assert(await authorizer.verify(publicKey, signed, { costs: exponentClass(publicKey), source }));
  }
}

Deno.test(
  "unknown queues are large as often as the keys that were used with success",
  { permissions },
  async (t) => {
    const authorizer = new Authorizer(verifyAlways);
    const ids = Array.from({ length: 4000 }, () => encodeBase64(randomBytes(12)));
    const classes = () => ids.map((id) => exponentClass(authorizer.unknownQueue(id).recipientKey));
    const share = () => classes().filter((costs) => costs === "large").length / ids.length;
    const near = (expected: number) =>
      assert(Math.abs(share() - expected) < 0.06, `${share()} for ${expected}`);
    await t.step("never before any was used", () => assertEquals(share(), 0));
    await t.step("never when all are small", async () => {
      await used(authorizer, 65537n, 300);
      assertEquals(share(), 0);
    });
    await t.step("sometimes when some are large", async () => {
      await used(authorizer, large, 64);
      near(0.25);
    });
    await t.step("always the same for one ID", async () => {
      const before = classes();
      assertEquals(classes(), before);
      await authorizer.verify(null, signed, { costs: "large", source });
      assertEquals(classes(), before);
    });
    await t.step("more of them when more are large, and the same ones", async () => {
      const before = classes();
      await used(authorizer, large, 128);
      near(0.75);
      assertEquals(classes().filter((costs, i) => costs === "small" && before[i] === "large"), []);
    });
    await t.step("always when all are large, never again when all are small", async () => {
      await used(authorizer, large, 256);
      assertEquals(share(), 1);
      await used(authorizer, 65537n, 256);
      assertEquals(share(), 0);
    });
  },
);

Deno.test("keys that were refused do not count for unknown queues", { permissions }, async () => {
  const authorizer = new Authorizer(() => Promise.resolve(false));
  const { publicKey } = fakeSigner({ exponent: large });
  for (let i = 0; i < 300; i++) {
    assert(!await authorizer.verify(publicKey, signed, { costs: "large", source }));
  }
  for (let i = 0; i < 300; i++) {
    assertEquals(exponentClass(authorizer.unknownQueue(String(i)).senderKey!), "small");
  }
});

Deno.test("a refusal really verifies, with a key of full length", { permissions }, async (t) => {
  const used: PublicKey[] = [];
  const authorizer = new Authorizer((key, signature, data) => {
    used.push(key);
    return verifyPss(key, signature, data);
  });
  for (const costs of ["small", "large"] as const) {
    for (const signature of [none, ...signatures]) {
      await t.step(`${costs}, ${signature.length} bytes`, async () => {
        used.length = 0;
        for (let i = 0; i < 2; i++) {
          const signed = { signature, signed: none, queueId: "AAAA" };
          assertEquals(await authorizer.verify(null, signed, { costs, source }), false);
        }
        const [key, again] = used;
        assert(key !== undefined && key === again && used.length === 2);
        assertEquals(key.bits, (signature.length || 256) * 8);
        assertEquals(key.modulus.toString(2).length, key.bits);
        assertEquals([key.modulus & 1n, key.exponent & 1n, exponentClass(key)], [1n, 1n, costs]);
        assert(costs === "small" || key.exponent.toString(2).length > 1000);
      });
    }
  }
});

Deno.test(
  "a signature of another length than the key's is refused, whoever made it",
  { permissions },
  async () => {
    const authorizer = new Authorizer(verifyAlways);
    const { publicKey } = fakeSigner();
    const effort = { costs: "small", source } as const;
    for (const length of [0, 127, 129, 256]) {
      assertEquals(
        await authorizer.verify(publicKey, { ...signed, signature: new Uint8Array(length) }, effort),
        false,
      );
    }
    assertEquals(await authorizer.verify(publicKey, signed, effort), true);
  },
);

Deno.test("exponents of up to 65537 are small", { permissions }, () => {
  const classOf = (exponent: bigint) => exponentClass(fakeSigner({ exponent }).publicKey);
  assertEquals([3n, 65537n].map(classOf), ["small", "small"]);
  assertEquals([65539n, 2n ** 64n - 1n, large].map(classOf), ["large", "large", "large"]);
});
