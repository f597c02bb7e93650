/** Node names of the owners by partition; `null` where a partition has none. */
export type Owners = readonly (string | null)[];

/** What nodes have said that they cannot take. */
export type Unable = ReadonlyMap<string, ReadonlySet<number>>;

/**
 * Who should own each partition, the same whoever computes it and in whatever order it names the nodes. Owners that
 * are among the `nodes` keep what they have unless another has two fewer; what has no owner goes to those with the
 * fewest, by rendezvous hashing where these are several. So a node that leaves moves only its own partitions, one
 * that joins only those that it gets, and the numbers differ by one at most. What a node is `unable` to take goes to
 * others, as long as one of them may be able; from owners that have more it gets nothing, as it may fail again.
 */
export function placePartitions(
  current: Owners,
  nodes: readonly string[],
  unable: Unable = new Map(),
): (string | null)[] {
  const owned = new Map<string, number[]>([...new Set(nodes)].sort().map((node) => [node, []]));
  const orphans: number[] = [];
  current.forEach((owner, partition) =>
    (owner === null ? orphans : owned.get(owner) ?? orphans).push(partition)
  );
  const desired: (string | null)[] = current.map(() => null);
  if (owned.size === 0) return desired;
  const names = [...owned.keys()];
  const ableTo = (partition: number) => names.filter((node) => unable.get(node)?.has(partition) !== true);
  for (const partition of orphans) {
    const able = ableTo(partition);
    const all = able.length > 0 ? able : names;
    const fewest = Math.min(...all.map((node) => owned.get(node)!.length));
    const candidates = all.filter((node) => owned.get(node)!.length === fewest);
    owned.get(highest(candidates, (node) => weight(node, partition)))!.push(partition);
  }
  // What nobody is able to take says nothing of a node.
  const takers = names.filter((node) =>
    [...unable.get(node) ?? []].every((partition) => ableTo(partition).length === 0)
  );
  while (takers.length > 0) {
    const loadOf = (node: string) => owned.get(node)!.length;
    const least = takers.reduce((best, node) => loadOf(node) < loadOf(best) ? node : best);
    const most = names.reduce((best, node) => loadOf(node) >= loadOf(best) ? node : best);
    const [few, many] = [owned.get(least)!, owned.get(most)!];
    if (many.length - few.length < 2) break;
    const moved = highest(many, (partition) => weight(least, partition));
    many.splice(many.indexOf(moved), 1);
    few.push(moved);
  }
  for (const [node, partitions] of owned) {
    for (const partition of partitions) desired[partition] = node;
  }
  return desired;
}

/** Rendezvous hashing: of the nodes that may have it, a partition goes to that of the highest weight. */
function weight(node: string, partition: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${partition}/${node}`) {
    hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193);
  }
  // The last characters alone would hardly reach the high bits.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The first of those with the greatest value; there is at least one. */
function highest<T>(items: readonly T[], valueOf: (item: T) => number): T {
  return items.reduce((best, item) => valueOf(item) > valueOf(best) ? item : best);
}
