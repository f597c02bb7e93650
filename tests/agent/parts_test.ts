import { assert, assertEquals, assertRejects } from "@std/assert";
import { backoffDelay, Pause } from "../../agent/backoff.ts";
import { KeyPool, LoadedKeys } from "../../agent/key_pool.ts";
import { decodePublicKey, decryptOaep, encryptOaep, signPss, verifyPss } from "../../mod.ts";
import { LineError, LineReader } from "../../agent/service/line_reader.ts";
import { textBytes } from "../../protocol/mod.ts";
import { soon, until } from "../support/wait.ts";

Deno.test("a key pool makes keys before they are needed, and when there is none left", async () => {
  await using pool = new KeyPool(1);
  await until(() => pool.ready === 1);
  const pairs = await Promise.all([pool.take(), pool.take()]);
  assertEquals(new Set(pairs.map(({ publicKey }) => publicKey.join())).size, 2);
  await until(() => pool.ready === 1);
  // One pair is good for either use.
  const keys = new LoadedKeys();
  const data = Uint8Array.of(1, 2, 3);
  const publicKey = decodePublicKey(pairs[0]!.publicKey);
  const signature = await signPss(await keys.signing(pairs[0]!.privateKey), data);
  assert(await verifyPss(publicKey, signature, data));
  const decrypted = await decryptOaep(
    await keys.decrypting(pairs[0]!.privateKey),
    await encryptOaep(publicKey, data),
  );
  assertEquals(decrypted, data);
  assertEquals(keys.signing(pairs[0]!.privateKey), keys.signing(pairs[0]!.privateKey));
});

Deno.test("a key pool makes no keys while some are being taken, unless hardly any are left", async () => {
  let made = 0;
  const none = new Uint8Array(0);
  const make = () => (made++, Promise.resolve({ publicKey: none, privateKey: none }));
  await using pool = new KeyPool(4, { rest: 3_600_000, make });
  await until(() => pool.ready === 4);
  await pool.take();
  await pool.take();
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals([made, pool.ready], [4, 2]);
  await pool.take();
  await until(() => pool.ready === 2);
  assertEquals(made, 5);
  await using hasty = new KeyPool(4, { rest: 1, make });
  await until(() => hasty.ready === 4);
  await hasty.take();
  await until(() => hasty.ready === 4);
});

Deno.test("when a key pool cannot make a key only who takes one learns of it, and it goes on when that passes", async () => {
  const { subtle } = crypto;
  const { generateKey } = subtle;
  let tries = 0;
  subtle.generateKey = (() => (tries++, Promise.reject(new Error("no entropy")))) as typeof generateKey;
  try {
    await using pool = new KeyPool(1);
    await until(() => tries === 1);
    await assertRejects(() => pool.take(), Error, "no entropy");
    assertEquals([tries, pool.ready], [2, 0]);
    subtle.generateKey = generateKey;
    assert((await pool.take()).privateKey.length > 1000);
    await until(() => pool.ready === 1);
  } finally {
    subtle.generateKey = generateKey;
  }
});

Deno.test("delays grow up to the most, and a pause can be cut short", async () => {
  for (let failures = 1; failures < 50; failures++) {
    const delay = backoffDelay({ first: 100, most: 1000 }, failures);
    const longest = Math.min(1000, 100 * 1.5 ** (failures - 1));
    assert(delay <= longest && delay >= longest * 0.75, `${failures}: ${delay}`);
  }
  const pause = new Pause();
  pause.end();
  const waiting = pause.wait(1_000_000);
  pause.end();
  await soon(waiting);
});

Deno.test("lines and bodies are read however they are cut", async () => {
  const text = "one\r\ntwo\n\nbody\nbodyrest\nend";
  for (let size = 1; size <= text.length; size++) {
    const reader = new LineReader(pieces(text, size), 100);
    assertEquals([await reader.line(), await reader.line(), await reader.line()], ["one", "two", ""]);
    assertEquals(new TextDecoder().decode((await reader.body(9))!), "body\nbody");
    await reader.skip(2);
    assertEquals([await reader.line(), await reader.line()], ["st", null]);
  }
  const reader = new LineReader(pieces("x".repeat(1000), 10), 100);
  const error = await reader.line().catch((error) => error);
  assert(error instanceof LineError);
  assertEquals(await new LineReader(pieces("abc", 1), 100).body(4), null);
});

async function* pieces(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = textBytes(text);
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}
