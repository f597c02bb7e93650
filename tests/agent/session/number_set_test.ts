import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  countBeyond,
  difference,
  greatest,
  hasNumber,
  noNumbers,
  toldSet,
  union,
  withNumber,
} from "../../../agent/session/number_set.ts";
import { mostRanges, type NumberSet } from "../../../protocol/mod.ts";

const numbers = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });

function setOf(members: Iterable<number>): NumberSet {
  let set = noNumbers;
  for (const member of members) set = union(set, { upTo: 0, ranges: [[member, member]] });
  return set;
}

/** The members of a set; fails when it is not in its shortest form. */
function membersOf({ upTo, ranges }: NumberSet): number[] {
  const members = Array.from({ length: upTo }, (_, i) => i + 1);
  let last = upTo;
  for (const [from, to] of ranges) {
    assert(from > last + 1 && to >= from, "ranges ascend and do not touch");
    for (let member = from; member <= to; member++) members.push(member);
    last = to;
  }
  return members;
}

function sorted(members: Iterable<number>): number[] {
  return [...new Set(members)].sort((a, b) => a - b);
}

Deno.test({
  name: "sets of numbers are what sets are",
  permissions: "none",
  fn() {
    fc.assert(fc.property(numbers, numbers, (a, b) => {
      const [x, y] = [setOf(a), setOf(b)];
      assertEquals(membersOf(x), sorted(a));
      assertEquals(membersOf(union(x, y)), sorted([...a, ...b]));
      const left = difference(x, y).flatMap(([from, to]) =>
        Array.from({ length: to - from + 1 }, (_, i) => from + i)
      );
      assertEquals(left, sorted(a).filter((member) => !b.includes(member)));
      assertEquals(greatest(x), Math.max(0, ...a));
      for (let member = 1; member <= 61; member++) assertEquals(hasNumber(x, member), a.includes(member));
      const firstMissing = Array.from({ length: 61 }, (_, i) => i + 1).find((i) => !a.includes(i))!;
      assertEquals(countBeyond(x), sorted(a).filter((member) => member > firstMissing).length);
    }));
  },
});

Deno.test({
  name: "a set takes a number unless that makes more ranges than can be told",
  permissions: "none",
  fn() {
    const full = setOf(Array.from({ length: mostRanges }, (_, i) => 3 + 2 * i));
    assertEquals(full.ranges.length, mostRanges);
    assertEquals(withNumber(full, 1000), null);
    assertEquals(withNumber(full, 4)?.ranges.length, mostRanges - 1);
    assertEquals(withNumber(full, 1)?.upTo, 1);
    const beyond = union(full, setOf([1000]));
    assertEquals(toldSet(beyond), full);
  },
});
