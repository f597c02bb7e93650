import { assertEquals } from "@std/assert";
import { OpenedQueues } from "../../client/opened_queues.ts";
import type { PrivateKey } from "../../protocol/mod.ts";

const permissions = "none";

function key(): PrivateKey<"sign"> {
  return { usage: "sign", cryptoKey: {} as CryptoKey, modulusLength: 256 };
}

Deno.test("of more queues than are remembered those used last are", { permissions }, () => {
  const queues = new OpenedQueues();
  const own = key();
  queues.use("first", own);
  queues.use("second", own);
  for (let i = 0; i < 4095; i++) queues.use(`${i}`, own);
  assertEquals(queues.use("second", own), "open");
  assertEquals(queues.use("first", own), "sign");
  assertEquals(queues.use("4094", own), "open");
});

Deno.test("an ID that was forgotten meanwhile is not opened by a late answer", { permissions }, () => {
  const queues = new OpenedQueues();
  const own = key();
  queues.use("a", own);
  const settle = queues.opening("a");
  queues.forget("a");
  queues.use("a", own);
  settle(true);
  assertEquals(queues.use("a", own), "open");
});
