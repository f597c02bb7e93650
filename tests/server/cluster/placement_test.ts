import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Owners, placePartitions } from "../../../server/cluster/placement.ts";

const test = (name: string, fn: () => void) => Deno.test({ name, permissions: "none", fn });

const node = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/);
const nodes = fc.uniqueArray(node, { minLength: 1, maxLength: 8 });
const partitionCount = fc.constantFrom(1, 2, 8, 16, 64);

/** A cluster in which everything is where it should be. */
const settled = fc.tuple(partitionCount, nodes).map(([count, nodes]) => ({
  nodes,
  owners: placePartitions(new Array(count).fill(null), nodes),
}));

/** Any owners, some of them unknown or gone. */
const unsettled = fc.tuple(partitionCount, nodes).chain(([count, nodes]) =>
  fc.record({
    nodes: fc.constant(nodes),
    owners: fc.array(fc.oneof(fc.constant(null), fc.constant("gone node"), fc.constantFrom(...nodes)), {
      minLength: count,
      maxLength: count,
    }),
  })
);

function loads(owners: Owners, nodes: readonly string[]): number[] {
  return nodes.map((node) => owners.filter((owner) => owner === node).length);
}

test("every node computes the same owners, however it lists the nodes", () => {
  fc.assert(fc.property(
    unsettled.chain(({ nodes, owners }) =>
      fc.record({
        nodes: fc.constant(nodes),
        owners: fc.constant(owners),
        shuffled: fc.shuffledSubarray(nodes, { minLength: nodes.length }),
        repeated: fc.constantFrom(...nodes),
      })
    ),
    ({ nodes, owners, shuffled, repeated }) => {
      assertEquals(placePartitions(owners, [...shuffled, repeated]), placePartitions(owners, nodes));
    },
  ));
});

test("each partition gets a live owner, and no node has two more than another", () => {
  fc.assert(fc.property(unsettled, ({ nodes, owners }) => {
    const placed = placePartitions(owners, nodes);
    assertEquals(placed.length, owners.length);
    assert(placed.every((owner) => owner !== null && nodes.includes(owner)));
    const counts = loads(placed, nodes);
    assert(Math.max(...counts) - Math.min(...counts) <= 1);
  }));
});

test("owners that are as they should be stay", () => {
  fc.assert(fc.property(settled, ({ nodes, owners }) => {
    assertEquals(placePartitions(owners, nodes), owners);
  }));
});

test("a node that leaves moves only its own partitions", () => {
  fc.assert(fc.property(
    settled.filter(({ nodes }) => nodes.length > 1).chain(({ nodes, owners }) =>
      fc.record({
        owners: fc.constant(owners),
        nodes: fc.constant(nodes),
        leaving: fc.constantFrom(...nodes),
      })
    ),
    ({ nodes, owners, leaving }) => {
      const placed = placePartitions(owners, nodes.filter((node) => node !== leaving));
      owners.forEach((owner, partition) => {
        if (owner !== leaving) assertEquals(placed[partition], owner);
      });
    },
  ));
});

test("a node that joins gets its share, and nothing moves between the others", () => {
  fc.assert(fc.property(settled, node, ({ nodes, owners }, joining) => {
    fc.pre(!nodes.includes(joining));
    const placed = placePartitions(owners, [...nodes, joining]);
    const moved = placed.filter((owner, partition) => owner !== owners[partition]);
    assert(moved.every((owner) => owner === joining));
    assertEquals(moved.length, Math.floor(owners.length / (nodes.length + 1)));
  }));
});

/** Nodes that cannot take everything. */
const limited = unsettled.chain(({ nodes, owners }) =>
  fc.record({
    nodes: fc.constant(nodes),
    owners: fc.constant(owners),
    unable: fc.array(fc.tuple(fc.constantFrom(...nodes), fc.nat(owners.length - 1)), { maxLength: 40 })
      .map((pairs) =>
        new Map([...Map.groupBy(pairs, ([node]) => node)].map(([node, all]) => [
          node,
          new Set(all.map(([, partition]) => partition)),
        ]))
      ),
  })
);

test("no partition goes to a node that is unable to take it, unless all are, and each goes to somebody", () => {
  fc.assert(fc.property(limited, ({ nodes, owners, unable }) => {
    const isUnable = (node: string, partition: number) => unable.get(node)?.has(partition) === true;
    const placed = placePartitions(owners, nodes, unable);
    placed.forEach((owner, partition) => {
      assert(owner !== null && nodes.includes(owner));
      if (owner === owners[partition]) return;
      assert(!isUnable(owner, partition) || nodes.every((node) => isUnable(node, partition)));
    });
    // Done again, nothing moves.
    assertEquals(placePartitions(placed, nodes, unable), placed);
  }));
});

test("a node that alone is unable to take a partition gets others without an owner, and none that have one", () => {
  const unable = new Map([["a", new Set([0])]]);
  const all = (node: string | null): Owners => new Array(8).fill(node);
  assertEquals(placePartitions(all("b"), ["a", "b"], unable), all("b"));
  const both = new Map([...unable, ["b", new Set([0])]]);
  assertEquals(loads(placePartitions(all("b"), ["a", "b"], both), ["a", "b"]), [4, 4]);
  const placed = placePartitions(all(null), ["a", "b"], unable);
  assertEquals([placed[0], loads(placed, ["a", "b"])], ["b", [4, 4]]);
});

test("without nodes nobody owns anything", () => {
  assertEquals(placePartitions(["a", null], []), [null, null]);
});

test("the owners of a new cluster depend on the names of its nodes", () => {
  const owners = Array.from(
    { length: 50 },
    (_, i) => placePartitions([null], [`a${i}`, `b${i}`])[0] === `a${i}`,
  );
  assert(owners.includes(true) && owners.includes(false));
});
