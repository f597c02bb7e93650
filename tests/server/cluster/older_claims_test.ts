import { assertEquals } from "@std/assert";
import { OlderClaims } from "../../../server/cluster/older_claims.ts";

const test = (name: string, fn: () => void) => Deno.test({ name, permissions: "none", fn });

const owner = (epoch: number) => [null, { node: "a", epoch }];

test("an owner whose claim is older than one before is told of after a minute", () => {
  const claims = new OlderClaims();
  assertEquals(claims.look(owner(21), 0), null);
  assertEquals(claims.look(owner(16), 1_000), null);
  // Nobody has it for a moment.
  assertEquals(claims.look([null, null], 30_000), null);
  assertEquals(claims.look(owner(17), 60_999), null);
  assertEquals(
    claims.look(owner(17), 61_000),
    "partition 1 is owned by a claim at message 17 of its log, though it had one at 21",
  );
});

test("a former owner that does not know yet that it has been followed is waited for", () => {
  const claims = new OlderClaims();
  for (const [epoch, at] of [[21, 0], [16, 1_000], [21, 59_000], [16, 60_000], [22, 119_000]] as const) {
    assertEquals(claims.look(owner(epoch), at), null);
  }
  assertEquals(claims.look(owner(22), 1e6), null);
});
