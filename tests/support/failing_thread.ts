/**
 * A verifier whose only thread fails: `failing_thread.ts`. Prints what came of the verification that it failed in, of
 * one that waited for it, and of a later one. A program of its own, as Deno prints an error in a worker whoever handles it.
 */
// deno-lint-ignore-file no-console
import { decodePublicKey } from "../../protocol/mod.ts";
import { exponentClass, Verifier } from "../../server/guard/verifier.ts";
import { base64, vectors } from "./vectors.ts";

const samples = vectors.rsa.map(({ spki, pss }) => ({ key: decodePublicKey(base64(spki)), pss }));
const { key, pss } = samples.find(({ key }) => exponentClass(key) === "large")!;
await using verifier = new Verifier(1);
const verify = (modulus: bigint) =>
  verifier.verify(
    { der: key.der, exponent: key.exponent, bits: key.bits, modulus },
    base64(pss.valid),
    base64(pss.message),
    { client: null },
  ).then((isValid) => isValid ? "valid" : "invalid", () => "an error");
const first = await Promise.all([verify(0n), verify(key.modulus)]);
console.log(JSON.stringify([...first, await verify(key.modulus)]));
