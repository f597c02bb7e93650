import { assert, assertEquals } from "@std/assert";
import { decodePublicKey, makePublicKey, type PublicKey } from "../../protocol/mod.ts";
import { exponentClass, Verifier } from "../../server/verifier.ts";
import { turn } from "../support/broker.ts";
import { base64, vectors } from "../support/vectors.ts";
import { soon } from "../support/wait.ts";

const permissions = "none";
const samples = vectors.rsa.map(({ name, spki, pss }) => ({
  name,
  key: decodePublicKey(base64(spki)),
  message: base64(pss.message),
  valid: base64(pss.valid),
  tampered: base64(pss.tampered),
}));
const large = samples.find(({ key }) => exponentClass(key) === "large")!;

Deno.test("signatures of every class of keys are told from tampered ones", { permissions }, async () => {
  using verifier = new Verifier();
  for (const { name, key, message, valid, tampered } of samples) {
    const all = [valid, tampered, valid, new Uint8Array(valid.length).fill(255)];
    const results = all.map((signature) => verifier.verify(key, signature, message, null));
    assertEquals(await soon(Promise.all(results)), [true, false, true, false], name);
  }
});

Deno.test("a large exponent does not keep this thread from other work", { permissions }, async () => {
  using verifier = new Verifier(1);
  const results = Array.from(
    { length: 20 },
    () => verifier.verify(large.key, large.valid, large.message, null),
  );
  let turns = 0, isDone = false;
  const done = Promise.all(results).then(() => isDone = true);
  // There would be one turn for each verification at most if they were made here.
  for (; !isDone; turns++) await turn();
  await soon(done);
  assert(turns > results.length, `${turns} turns`);
});

Deno.test(
  "a source of many verifications delays the others by one each at most",
  { permissions },
  async () => {
    using verifier = new Verifier(1);
    const order: string[] = [];
    const verify = async (source: string) => {
      await verifier.verify(large.key, large.valid, large.message, source);
      order.push(source);
    };
    const flood = Array.from({ length: 10 }, () => verify("flood"));
    await soon(Promise.all([...flood, verify("a"), verify("b"), verify("b")]));
    // One of the flood was under way.
    assertEquals(order.slice(0, 7), ["flood", "flood", "a", "b", "flood", "b", "flood"]);
    assertEquals(order.length, 13);
  },
);

Deno.test("what waits when the verifier is closed is found invalid", { permissions }, async () => {
  const verifier = new Verifier(1);
  const verify = () => verifier.verify(large.key, large.valid, large.message, null);
  const waiting = [verify(), verify(), verify()];
  await Promise.resolve();
  verifier[Symbol.dispose]();
  assertEquals((await soon(Promise.all(waiting))).slice(1), [false, false]);
  assertEquals(await soon(verify()), false);
});

Deno.test("a thread that fails is replaced", { permissions }, async () => {
  using verifier = new Verifier(1);
  const broken: PublicKey = {
    ...makePublicKey(large.key.modulus, large.key.exponent),
    bits: large.key.bits,
    exponent: large.key.exponent,
    modulus: 0n,
  };
  const failed = verifier.verify(broken, large.valid, large.message, "a").then(
    () => "no error",
    () => "an error",
  );
  const next = verifier.verify(large.key, large.valid, large.message, "b");
  assertEquals(await soon(Promise.all([failed, next])), ["an error", true]);
  assertEquals(await soon(verifier.verify(large.key, large.valid, large.message, "a")), true);
});
