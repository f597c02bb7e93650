import { assert, assertEquals } from "@std/assert";
import { ClaimingNodes } from "../../support/claiming_nodes.ts";

const permissions = "none";
const all = (node: string) => Array(4).fill(node);

Deno.test("a partition that one node cannot take is another's before long, and stays there", {
  permissions,
}, async () => {
  await using nodes = await ClaimingNodes.make(4);
  const b = await nodes.start("b");
  await nodes.until(() => nodes.owners.join() === all("b").join());
  const a = await nodes.start("a", { unreadable: [0, 1, 2, 3] });
  // Those that it is to have are given away by b, and come back.
  await nodes.until(() => a.attempts.some((count) => count >= 3));
  await nodes.until(() => nodes.owners.join() === all("b").join());
  const [tries, changes] = [a.attempts.join(), b.logged.length];
  await nodes.after(600);
  assertEquals([a.attempts.join(), b.logged.length, nodes.owners], [tries, changes, all("b")]);
});

Deno.test("what a node cannot take is made up for by what it can", { permissions }, async () => {
  await using nodes = await ClaimingNodes.make(4);
  const a = await nodes.start("a", { unreadable: [1] });
  await nodes.after(20);
  assertEquals(nodes.owners.filter((owner) => owner === "a").length, 3);
  await nodes.start("b");
  await nodes.until(() => !nodes.owners.includes(null));
  await nodes.after(10);
  assertEquals(nodes.owners[1], "b");
  assertEquals(nodes.owners.filter((owner) => owner === "a").length, 2);
  // Nobody takes what it cannot have from its owner for the sake of balance.
  a.unreadable.clear();
  await nodes.after(600);
  assertEquals(nodes.owners[1], "b");
});

Deno.test("a partition that no node can take is tried again by each of them, and had by who can", {
  permissions,
}, async () => {
  await using nodes = await ClaimingNodes.make(1);
  const three = [
    await nodes.start("a", { unreadable: [0] }),
    await nodes.start("b", { unreadable: [0] }),
    await nodes.start("c", { unreadable: [0] }),
  ];
  await nodes.until(() => three.every(({ lease }) => lease.isUnable(0)));
  const before = three.map(({ attempts }) => attempts[0]!);
  await nodes.after(600);
  const tried = three.map(({ attempts }, i) => attempts[0]! - before[i]!);
  assert(tried.every((count) => count >= 2), tried.join());
  // One of them at any time.
  assert(Math.max(...tried) >= 100, tried.join());
  const able = three[tried.indexOf(Math.min(...tried))]!;
  able.unreadable.clear();
  await nodes.until(() => able.keeper.serving.length === 1, 150);
  assert(!able.lease.isUnable(0));
  await nodes.until(() => nodes.owners[0] !== null);
});

Deno.test("a node that could not take a partition tries again when its owner is gone", {
  permissions,
}, async () => {
  await using nodes = await ClaimingNodes.make(1);
  const a = await nodes.start("a", { unreadable: [0] });
  await nodes.until(() => a.lease.isUnable(0));
  const b = await nodes.start("b");
  await nodes.until(() => nodes.owners[0] === "b");
  a.unreadable.clear();
  await nodes.after(300);
  assertEquals(a.lease.isUnable(0), true);
  // Nobody else could take it: it is not given away.
  await b.lease.drain();
  await nodes.after(10);
  assertEquals(nodes.owners[0], "b");
  await b.keeper.end(AbortSignal.timeout(0));
  await nodes.until(() => nodes.owners[0] === "a", 5);
  assertEquals(a.lease.isUnable(0), false);
});

Deno.test("beside a node that does not know of that, who cannot take a partition tries again", {
  permissions,
}, async () => {
  await using nodes = await ClaimingNodes.make(8);
  const a = await nodes.start("a", { unreadable: [0, 1, 2, 3, 4, 5, 6, 7] });
  const old = await nodes.start("b", { isOld: true });
  await nodes.until(() => a.attempts.some((count) => count >= 3));
  await nodes.after(10);
  const before = [...a.attempts];
  const own = old.keeper.serving.length;
  assert(own >= 4, `${own}`);
  await nodes.after(600);
  const missing = nodes.owners.flatMap((owner, partition) => owner === null ? [partition] : []);
  assert(missing.every((partition) => a.attempts[partition]! > before[partition]!));
  a.unreadable.clear();
  await nodes.until(() => !nodes.owners.includes(null), 150);
  assertEquals(nodes.owners.filter((owner) => owner === "b").length, own);
});
