import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type CryptoHelper,
  decodePublicKey,
  makePublicKey,
  startCryptoHelper,
} from "../../../protocol/mod.ts";
import type { Source } from "../../../server/guard/client_network.ts";
import { exponentClass, Verifier } from "../../../server/guard/verifier.ts";
import { turn } from "../../support/broker.ts";
import { run } from "../../support/server_process.ts";
import { base64, vectors } from "../../support/vectors.ts";
import { soon } from "../../support/wait.ts";

const permissions = "none";
const one = { client: null };
const samples = vectors.rsa.map(({ name, spki, pss }) => ({
  name,
  key: decodePublicKey(base64(spki)),
  message: base64(pss.message),
  valid: base64(pss.valid),
  tampered: base64(pss.tampered),
}));
const large = samples.find(({ key }) => exponentClass(key) === "large")!;

Deno.test("signatures of every class of keys are told from tampered ones", { permissions }, async () => {
  await using verifier = new Verifier();
  for (const { name, key, message, valid, tampered } of samples) {
    const all = [valid, tampered, valid, new Uint8Array(valid.length).fill(255)];
    const results = all.map((signature) => verifier.verify(key, signature, message, one));
    assertEquals(await soon(Promise.all(results)), [true, false, true, false], name);
  }
});

for (const bits of [17, 33, 64, 1024]) {
  Deno.test(`an exponent of ${bits} bits does not keep this thread from other work`, {
    permissions,
  }, async () => {
    await using verifier = new Verifier(1);
    const key = makePublicKey(2n ** 4095n + 1n, 2n ** BigInt(bits - 1) + 3n);
    const signature = new Uint8Array(512).fill(1);
    const results = Array.from(
      { length: 20 },
      () => verifier.verify(key, signature, large.message, one),
    );
    let turns = 0, isDone = false;
    const done = Promise.all(results).then(() => isDone = true);
    // There would be one turn for each verification at most if they were made here.
    for (; !isDone; turns++) await turn();
    await soon(done);
    assert(turns > results.length, `${turns} turns`);
  });
}

/** The order in which one thread does verifications that all wait, each named by its source. */
async function orderOf(sources: readonly (readonly [name: string, source: Source])[]): Promise<string[]> {
  await using verifier = new Verifier(1);
  const order: string[] = [];
  await soon(Promise.all(sources.map(async ([name, source]) => {
    await verifier.verify(large.key, large.valid, large.message, source);
    order.push(name);
  })));
  return order;
}

Deno.test(
  "a source of many verifications delays the others by one each at most",
  { permissions },
  async () => {
    const [flood, a, b] = ["flood", "a", "b"].map((name) => [name, { client: null }] as const);
    const order = await orderOf([...Array(10).fill(flood), a, b, b]);
    // One of the flood was under way.
    assertEquals(order.slice(0, 7), ["flood", "flood", "a", "b", "flood", "b", "flood"]);
    assertEquals(order.length, 13);
  },
);

Deno.test("many connections of one address delay the others by one at most", { permissions }, async () => {
  const flood = Array.from({ length: 10 }, (_, i) => [`flood ${i}`, { client: "10.0.0.1" }] as const);
  const other = ["other", { client: "10.0.0.2" }] as const;
  const order = await orderOf([...flood, ...flood, other, other]);
  assertEquals(order.slice(0, 5), ["flood 0", "flood 1", "other", "flood 2", "other"]);
  // The connections of an address take turns too.
  assertEquals(order[12], "flood 0");
});

Deno.test("what waits when the verifier is closed is found invalid", { permissions }, async () => {
  const verifier = new Verifier(1);
  const verify = () => verifier.verify(large.key, large.valid, large.message, one);
  const waiting = [verify(), verify(), verify()];
  await Promise.resolve();
  await verifier[Symbol.asyncDispose]();
  assertEquals((await soon(Promise.all(waiting))).slice(1), [false, false]);
  assertEquals(await soon(verify()), false);
});

Deno.test("closing a verifier waits until no thread computes any more", { permissions }, async () => {
  const released = Promise.withResolvers<void>();
  const held: CryptoHelper = {
    publicOperation: (_, number) => released.promise.then(() => new Uint8Array(number.length)),
    close: () => released.promise,
  };
  const verifier = new Verifier(1, () => held);
  const verifying = verifier.verify(large.key, large.valid, large.message, one);
  let isClosed = false;
  const closing = verifier[Symbol.asyncDispose]().then(() => isClosed = true);
  await turn();
  assertEquals(isClosed, false);
  released.resolve();
  await soon(closing);
  assertEquals(await soon(verifying), false);
});

/** A helper that fails at once, or never answers. */
function helper(kind: "failing" | "silent"): CryptoHelper {
  const silent = new Promise<never>(() => {});
  return {
    publicOperation: () => kind === "silent" ? silent : Promise.reject(new Error("it has ended")),
    close: () => Promise.resolve(),
  };
}

Deno.test("nothing waits for a thread that cannot be started", { permissions }, async (t) => {
  const verify = (verifier: Verifier) => verifier.verify(large.key, large.valid, large.message, one);
  const start = (...kinds: ("failing" | "silent")[]) => () => {
    const kind = kinds.shift();
    if (kind === undefined) throw new Error("no more threads");
    return helper(kind);
  };
  await t.step("the first one", async () => {
    await using verifier = new Verifier(1, start());
    await soon(assertRejects(() => verify(verifier), Error, "no more threads"));
  });
  await t.step("the one that replaces another", async () => {
    await using verifier = new Verifier(1, start("failing"));
    const results = await soon(Promise.allSettled([verify(verifier), verify(verifier), verify(verifier)]));
    assertEquals(results.map((result) => result.status === "rejected" && result.reason.message), [
      "it has ended",
      "no more threads",
      "no more threads",
    ]);
  });
  await t.step("a second one leaves the work to the first", async () => {
    const verifier = new Verifier(2, start("silent"));
    let ended = 0;
    const both = [verify(verifier), verify(verifier)].map((result) => result.finally(() => ended++));
    await turn();
    assertEquals(ended, 0);
    await verifier[Symbol.asyncDispose]();
    assertEquals(await soon(both[1]!), false);
  });
  await t.step("until one can be started again", async () => {
    let isBroken = true;
    await using verifier = new Verifier(1, () => {
      if (isBroken) throw new Error("no more threads");
      return startCryptoHelper();
    });
    await soon(assertRejects(() => verify(verifier), Error, "no more threads"));
    isBroken = false;
    assertEquals(await soon(verify(verifier)), true);
  });
});

Deno.test("a thread that fails is replaced", async () => {
  const { code, stdout, stderr } = await run([], { script: "tests/support/failing_thread.ts" });
  assertEquals([code, stdout], [0, '["an error","valid","valid"]\n'], stderr);
  assertStringIncludes(stderr, "Division by zero");
});
