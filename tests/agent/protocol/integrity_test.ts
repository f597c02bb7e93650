import { assertEquals } from "@std/assert";
import { checkIntegrity, formatIntegrity } from "../../../agent/protocol/integrity.ts";

const permissions = "none";
const [hash, other, none] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2), new Uint8Array(0)];
const text = (last: { id: number; hash: Uint8Array }, id: number, previousHash: Uint8Array) =>
  formatIntegrity(checkIntegrity(last, { id, previousHash }));

Deno.test("the next message with the hash of the one before is whole", { permissions }, () => {
  assertEquals(text({ id: 0, hash: none }, 1, none), "OK");
  assertEquals(text({ id: 7, hash }, 8, hash), "OK");
});

Deno.test("anything else is told as agent.md says", { permissions }, () => {
  assertEquals(text({ id: 0, hash: none }, 1, hash), "ERR HASH");
  assertEquals(text({ id: 7, hash }, 8, other), "ERR HASH");
  assertEquals(text({ id: 7, hash }, 8, none), "ERR HASH");
  assertEquals(text({ id: 7, hash }, 9, hash), "ERR NO_ID 8 8");
  assertEquals(text({ id: 7, hash }, 12, other), "ERR NO_ID 8 11");
  assertEquals(text({ id: 7, hash }, 7, hash), "ERR DUPLICATE");
  assertEquals(text({ id: 7, hash }, 3, hash), "ERR ID 3");
  assertEquals(text({ id: 7, hash }, 0, none), "ERR ID 0");
});
