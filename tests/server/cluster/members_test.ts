import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  formatLease,
  isNodeName,
  type Lease,
  Members,
  type MemberState,
  parseLease,
} from "../../../server/cluster/members.ts";

const test = (name: string, fn: () => void) => Deno.test({ name, permissions: "none", fn });

function lease(state: MemberState = "live", owned: [number, number][] = [], incarnation = 1): Lease {
  return { incarnation, process: "p", state, owned: new Map(owned), unable: new Set() };
}

const names = (members: readonly { readonly node: string }[]) => members.map(({ node }) => node);

/** Its own renewals are seen each second from `from` to `to`, milliseconds. */
function renew(members: Members, from: number, to: number): string[] {
  let suspects: string[] = [];
  for (let at = from; at <= to; at += 1000) suspects = names(members.renewed(at));
  return suspects;
}

test("leases are read as they were written", () => {
  const any = fc.record({
    incarnation: fc.maxSafeNat(),
    process: fc.string({ maxLength: 64 }),
    state: fc.constantFrom<MemberState>("live", "draining", "gone"),
    owned: fc.array(fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()), { maxLength: 64 }).map((pairs) =>
      new Map(pairs)
    ),
    unable: fc.array(fc.maxSafeNat(), { maxLength: 64 }).map((partitions) => new Set(partitions)),
  });
  fc.assert(fc.property(any, (lease) => assertEquals(parseLease(formatLease(lease)), lease)));
});

test("a lease of a node that says of no partition that it cannot take it is as it was in older versions", () => {
  const text = '{"incarnation":1,"process":"p","state":"live","owned":[[1,2]]}';
  assertEquals(formatLease(lease("live", [[1, 2]])), text);
  assertEquals(parseLease(text), lease("live", [[1, 2]]));
});

test("what is no lease is not read", () => {
  const good = { incarnation: 1, process: "p", state: "live", owned: [[1, 2]] };
  const bad: object[] = [
    { incarnation: -1 },
    { incarnation: 1.5 },
    { incarnation: "1" },
    { process: 1 },
    { process: "p".repeat(65) },
    { state: "dead" },
    { owned: {} },
    { owned: [1] },
    { owned: [[1]] },
    { owned: [[1, -2]] },
    { owned: Array.from({ length: 1025 }, (_, i) => [i, 1]) },
    { unable: {} },
    { unable: [-1] },
    { unable: ["1"] },
    { unable: Array.from({ length: 1025 }, (_, i) => i) },
  ];
  assertEquals(parseLease(JSON.stringify(good))?.owned.get(1), 2);
  for (const part of bad) assertEquals(parseLease(JSON.stringify({ ...good, ...part })), null);
  for (const text of ["", "null", "1", "[]", `${JSON.stringify(good)}${" ".repeat(16_384)}`]) {
    assertEquals(parseLease(text), null);
  }
});

test("names of nodes are parts of subjects", () => {
  for (const name of ["a", "node-1_B", "x".repeat(32)]) assertEquals(isNodeName(name), true);
  for (const name of ["", "a.b", "*", ">", "a b", "é", "a\n", "x".repeat(33)]) {
    assertEquals(isNodeName(name), false);
  }
});

test("a node that has not renewed for four seconds is to be taken for dead, and not before", () => {
  const members = new Members("a");
  members.see("b", 1, lease(), 500);
  assertEquals(renew(members, 0, 4000), []);
  assertEquals(names(members.renewed(4499)), []);
  assertEquals(names(members.renewed(4500)), ["b"]);
  members.see("b", 2, lease(), 4600);
  assertEquals(renew(members, 5500, 8500), []);
});

test("nobody is taken for dead unless four seconds of renewals of one's own were seen without a gap", () => {
  const members = new Members("a");
  members.see("b", 1, lease(), 0);
  assertEquals(renew(members, 0, 3000), []);
  // The engine elects.
  assertEquals(renew(members, 20_000, 23_000), []);
  assertEquals(names(members.renewed(23_999)), []);
  assertEquals(names(members.renewed(24_000)), ["b"]);
});

test("oneself and those that are gone are not taken for dead", () => {
  const members = new Members("a");
  members.see("a", 1, lease(), 0);
  members.see("b", 2, lease("gone"), 0);
  members.see("c", 3, lease("draining"), 0);
  assertEquals(renew(members, 0, 10_000), ["c"]);
});

test("renewals change nothing that has to be told, all else does", () => {
  const members = new Members("a");
  const seen = (revision: number, next: Lease) => members.see("b", revision, next, 0);
  assertEquals(seen(1, lease()), true);
  assertEquals(seen(2, lease()), false);
  assertEquals(seen(3, lease("draining")), true);
  assertEquals(seen(4, lease("draining", [[1, 5]])), true);
  assertEquals(seen(5, lease("draining", [[1, 6]])), true);
  assertEquals(seen(6, lease("draining", [[2, 6]])), true);
  assertEquals(seen(7, lease("draining", [[2, 6]], 2)), true);
  const unable = new Set([3]);
  assertEquals(seen(8, { ...lease("draining", [[2, 6]], 2), unable }), true);
  assertEquals(seen(9, { ...lease("draining", [[2, 6]], 2), unable }), false);
  assertEquals(seen(10, { ...lease("draining", [[2, 6]], 2), process: "q" }), true);
});

test("entries that were overtaken are left out", () => {
  const members = new Members("a");
  members.see("b", 7, lease("gone"), 0);
  assertEquals(members.see("b", 6, lease("live"), 1), false);
  assertEquals(members.see("b", 7, lease("live"), 1), false);
  assertEquals(members.get("b")?.state, "gone");
});

test("a partition is owned by who claimed it last, of those that are not gone", () => {
  const members = new Members("a");
  members.see("a", 1, lease("live", [[0, 10], [1, 10]]), 0);
  members.see("b", 2, lease("draining", [[1, 11], [2, 1], [9, 1]]), 0);
  members.see("c", 3, lease("gone", [[0, 99], [3, 99]]), 0);
  assertEquals(members.owners(4), ["a", "b", "b", null]);
  assertEquals(members.live, ["a"]);
});

test("a thousand nodes are remembered at most", () => {
  const members = new Members("a");
  for (let i = 0; i < 1100; i++) members.see(`n${i}`, i + 1, lease(), 0);
  assertEquals(members.list.length, 1000);
});
