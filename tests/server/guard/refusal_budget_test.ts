import { assert, assertEquals } from "@std/assert";
import { makePublicKey } from "../../../protocol/mod.ts";
import { checkLimits, type Limits } from "../../../server/config/limits.ts";
import { RefusalBudget, type Source } from "../../../server/guard/refusal_budget.ts";
import { connect, identity, startServer } from "../../support/server.ts";
import { RawClient } from "../../support/raw_client.ts";
import { soon, until } from "../../support/wait.ts";

const permissions = "none";
const key = makePublicKey((1n << 2047n) + 1n, 65537n);
const largeKey = makePublicKey((1n << 2047n) + 1n, (1n << 1023n) + 1n);

/** A budget whose clock a test moves. */
function timed(perSecond = 100) {
  const clock = { now: 0 };
  let limits = checkLimits({ refusedTimePerSecondPerIp: perSecond });
  return {
    clock,
    setLimits: (changed: Partial<Limits>) => limits = { ...limits, ...changed },
    budget: new RefusalBudget(() => limits, () => clock.now),
  };
}

/** How many refusals of a source there can be before it has to wait. */
function chargeUntilDelay(budget: RefusalBudget, sources: readonly Source[], verified = key): number {
  let count = 0;
  while (budget.delay(sources[count % sources.length]!) === 0) {
    budget.charge(sources[count % sources.length]!, verified);
    count++;
  }
  return count;
}

Deno.test("a connection waits after many refusals, until their time has passed", { permissions }, () => {
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

Deno.test("the exponent and the size of a key count", { permissions }, () => {
  const { budget } = timed();
  const [large, small] = [{ client: null }, { client: null }];
  const count = chargeUntilDelay(budget, [large], largeKey);
  assert(count * 10 < chargeUntilDelay(budget, [small]), `${count}`);
});

Deno.test(
  "the connections of an address wait together, except for those without a refusal",
  { permissions },
  () => {
    const { budget } = timed();
    const flood = Array.from({ length: 100 }, () => ({ client: "10.0.0.1" }));
    const count = chargeUntilDelay(budget, flood);
    assert(count > 6000 && count < 9000, `${count}`);
    assert(flood.every((source) => budget.delay(source) > 0));
    assertEquals(budget.delay({ client: "10.0.0.1" }), 0);
    const other = { client: "10.0.0.2" };
    budget.charge(other, key);
    assertEquals(budget.delay(other), 0);
  },
);

Deno.test("nobody waits longer than a burst takes, and 0 is no limit", { permissions }, () => {
  const { setLimits, budget } = timed();
  const source = { client: "10.0.0.1" };
  for (let i = 0; i < 5_000; i++) budget.charge(source, largeKey);
  assertEquals(budget.delay(source), 10_000);
  setLimits({ refusedTimePerSecondPerIp: 0 });
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
