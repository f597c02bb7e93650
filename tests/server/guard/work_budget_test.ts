import { assert, assertEquals } from "@std/assert";
import {
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  importPrivateKey,
  makePublicKey,
  parsePublicKeyText,
  signPss,
  textBytes,
} from "../../../protocol/mod.ts";
import type { Source } from "../../../server/guard/client_network.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { exponentClass } from "../../../server/guard/verifier.ts";
import { commandWork, extraWork, refusedWork, WorkBudget } from "../../../server/guard/work_budget.ts";
import { connect, identity, startServer } from "../../support/server.ts";
import { RawClient } from "../../support/raw_client.ts";
import { base64, rsaVector } from "../../support/vectors.ts";
import { soon, until } from "../../support/wait.ts";

const permissions = "none";
const key = makePublicKey((1n << 2047n) + 1n, 65537n);
const largeKey = makePublicKey((1n << 2047n) + 1n, (1n << 1023n) + 1n);

/** A budget whose clock a test moves. */
function timed(perSecond = 100) {
  const clock = { now: 0 };
  return {
    clock,
    setRate: (rate: number) => perSecond = rate,
    budget: new WorkBudget(() => perSecond, { now: () => clock.now }),
  };
}

/** How many commands of a source there can be before it has to wait. */
function chargeUntilDelay(budget: WorkBudget, sources: readonly Source[], work = commandWork(key)): number {
  let count = 0;
  while (budget.delay(sources[count % sources.length]!) === 0) {
    budget.charge(sources[count % sources.length]!, work);
    count++;
  }
  return count;
}

Deno.test("a connection waits after much work, until their time has passed", { permissions }, () => {
  const { clock, budget } = timed();
  const source = { client: null };
  const burst = chargeUntilDelay(budget, [source]);
  // 10 seconds at half of 100 ms each, at about 0.14 ms
  assert(burst > 3000 && burst < 4500, `${burst}`);
  assert(budget.delay(source) < 10);
  clock.now += 10;
  assertEquals(budget.delay(source), 0);
  clock.now += 1_000;
  const after = chargeUntilDelay(budget, [source]);
  assert(after > 300 && after < 450, `${after}`);
  assertEquals(budget.delay({ client: null }), 0);
});

Deno.test("what a refused command is charged does not tell whether there is a queue", {
  permissions,
}, async () => {
  const charged: number[] = [];
  const authorizer = new Authorizer(
    () => Promise.resolve(false),
    (_, used) => charged.push(refusedWork(used)),
  );
  const refuse = async (key: typeof largeKey | null, like: typeof largeKey) => {
    const signed = { signature: new Uint8Array(256), signed: new Uint8Array(9), queueId: "AAAA" };
    await authorizer.verify(key, signed, { costs: exponentClass(like), source: { client: null } });
  };
  for (const exponent of [2n ** 40n + 1n, 2n ** 1010n + 1n, 2n ** 1022n + 1n, 2n ** 1023n + 1n, 3n, 65537n]) {
    const like = makePublicKey(2n ** 2047n + 1n, exponent);
    await refuse(like, like);
    await refuse(null, like);
    assertEquals(charged[0], charged[1], `${exponent}`);
    charged.length = 0;
  }
});

Deno.test("the exponent and the size of a key count", { permissions }, () => {
  const { budget } = timed();
  const [large, small] = [{ client: null }, { client: null }];
  const count = chargeUntilDelay(budget, [large], commandWork(largeKey));
  assert(count * 10 < chargeUntilDelay(budget, [small]), `${count}`);
});

Deno.test(
  "the connections of an address wait together, except for those without such work",
  { permissions },
  () => {
    const { budget } = timed();
    const flood = Array.from({ length: 100 }, () => ({ client: "10.0.0.1" }));
    const count = chargeUntilDelay(budget, flood);
    assert(count > 6000 && count < 9000, `${count}`);
    assert(flood.every((source) => budget.delay(source) > 0));
    assertEquals(budget.delay({ client: "10.0.0.1" }), 0);
    const other = { client: "10.0.0.2" };
    budget.charge(other, commandWork(key));
    assertEquals(budget.delay(other), 0);
  },
);

Deno.test(
  "a /48 may cause four times the work of an address, from however many /64s",
  { permissions },
  () => {
    const { budget } = timed();
    const one = chargeUntilDelay(budget, [{ client: "2001:db8:1:1::/64" }, { client: "2001:db8:1:1::/64" }]);
    const many = Array.from({ length: 2_000 }, (_, i) => {
      return { client: `2001:db8:2:${(i * 32).toString(16)}::/64` };
    });
    const all = chargeUntilDelay(budget, many);
    assert(all > 3 * one && all < 5 * one, `${all} ${one}`);
    assertEquals(budget.delay({ client: "2001:db8:2:9::/64" }), 0);
    const other = { client: "2001:db8:3:0::/64" };
    budget.charge(other, commandWork(key));
    assertEquals(budget.delay(other), 0);
  },
);

Deno.test("nobody waits longer than a burst takes, and 0 is no limit", { permissions }, () => {
  const { setRate, budget } = timed();
  const source = { client: "10.0.0.1" };
  for (let i = 0; i < 5_000; i++) budget.charge(source, commandWork(largeKey));
  assertEquals(budget.delay(source), 10_000);
  setRate(0);
  assertEquals(budget.delay(source), 0);
});

Deno.test("who owes nothing any more is forgotten", { permissions }, () => {
  const { clock, budget } = timed();
  const source = { client: "10.0.0.1" };
  chargeUntilDelay(budget, [source]);
  budget.sweep();
  assert(budget.delay(source) > 0);
  clock.now += 21_000;
  budget.sweep();
  assertEquals(budget.delay(source), 0);
});

Deno.test("a flood of wrong signatures is read slowly; others of its address are not held up", async () => {
  await using server = await startServer({ identity, limits: { refusedTimePerSecondPerIp: 1 } });
  await using flood = await RawClient.connect(server);
  await using honest = await connect(server);
  const wrong = `${btoa("x".repeat(256))} 1 AAAA SUB `;
  const sending = (async () => {
    for (;;) await flood.send(...Array(8).fill(wrong));
  })().catch(() => {});
  const reading = (async () => {
    for (let count = 0;; count++) if (await flood.channel.read(4096) === null) return count;
  })().catch(() => {});
  await until(() => server.metrics.refusals("refused_time") > 0);
  for (let i = 0; i < 20; i++) await soon(honest.ping());
  await flood.channel.close();
  await soon(Promise.all([sending, reading]));
});

Deno.test("usual keys cost nothing extra, larger ones and longer exponents do", { permissions }, () => {
  const extra = (bits: number, exponent: bigint) =>
    extraWork(makePublicKey(2n ** BigInt(bits - 1) + 1n, exponent));
  assertEquals([extra(1024, 65537n), extra(2048, 65537n), extra(2048, 3n)], [0, 0, 0]);
  assert(extra(4096, 65537n) > 0);
  assert(extra(2048, 2n ** 64n - 1n) > extra(2048, 2n ** 33n - 1n));
  assert(extra(4096, 2n ** 64n - 1n) > 3 * extra(2048, 2n ** 64n - 1n));
});

/** A client that repeats one rightly signed SUB, and how many were answered. */
async function repeatSub(client: RawClient, vector?: ReturnType<typeof rsaVector>) {
  const signer = vector === undefined ? await generateKeyPair("sign", 2048) : {
    publicKey: parsePublicKeyText(vector.text),
    privateKey: (await importPrivateKey(base64(vector.pkcs8), "sign")).privateKey,
  };
  const sign = async (queueId: string, command: Parameters<typeof encodeSigned>[2]) => {
    const signed = encodeSigned(textBytes("1"), queueId, command);
    return encodeClientTransmission(await signPss(signer.privateKey, signed), signed);
  };
  await client.send(await sign("", { type: "NEW", recipientKey: signer.publicKey }));
  const [, recipientId] = / IDS (\S+) /.exec((await client.receive())!)!;
  const sub = await sign(recipientId!, { type: "SUB" });
  const count = { answered: 0 };
  const done = (async () => {
    for (;; count.answered++) {
      await client.send(sub);
      if (await client.receive() !== " 1 " + recipientId + " OK ") return;
    }
  })().catch(() => {});
  return { count, done };
}

Deno.test("rightly signed commands with large keys are read slowly, usual ones beside them are not", async () => {
  await using server = await startServer({ identity, limits: { extraTimePerSecondPerIp: 1 } });
  await using flood = await RawClient.connect(server);
  await using honest = await RawClient.connect(server);
  const usual = await repeatSub(honest);
  await until(() => usual.count.answered > 200);
  assertEquals(server.metrics.refusals("extra_time"), 0);
  const large = await repeatSub(flood, rsaVector("rsa4096"));
  await until(() => server.metrics.refusals("extra_time") > 0);
  const before = usual.count.answered;
  await until(() => usual.count.answered > before + 200);
  await Promise.all([flood.channel.close(), honest.channel.close()]);
  await soon(Promise.all([usual.done, large.done]));
});
