/** Does something for all values, for `size` of them at a time; gives the results in order. */
export async function inBatches<T, R>(
  values: readonly T[],
  size: number,
  work: (value: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < values.length; at += size) {
    results.push(...await Promise.all(values.slice(at, at + size).map(work)));
  }
  return results;
}
