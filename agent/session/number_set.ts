import { mostRanges, type NumberSet } from "../../protocol/mod.ts";

type Range = readonly [from: number, to: number];

/** No number. */
export const noNumbers: NumberSet = { upTo: 0, ranges: [] };

/** Whether a number is in a set. */
export function hasNumber({ upTo, ranges }: NumberSet, number: number): boolean {
  return number <= upTo || ranges.some(([from, to]) => from <= number && number <= to);
}

/** A set with a number; `null` when that takes more ranges than a set may have. */
export function withNumber(set: NumberSet, number: number): NumberSet | null {
  const united = union(set, { upTo: 0, ranges: [[number, number]] });
  return united.ranges.length > mostRanges ? null : united;
}

/** All numbers of both sets, in as many ranges as that takes. */
export function union(a: NumberSet, b: NumberSet): NumberSet {
  const ranges: [number, number][] = [];
  for (const [from, to] of [...rangesOf(a), ...rangesOf(b)].sort(([x], [y]) => x - y)) {
    const last = ranges.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else ranges.push([from, to]);
  }
  const [first] = ranges;
  return first?.[0] === 1 ? { upTo: first[1], ranges: ranges.slice(1) } : { upTo: 0, ranges };
}

/** The numbers of a set that are not in another one, in order. */
export function difference(set: NumberSet, without: NumberSet): Range[] {
  const left: Range[] = [];
  const taken = rangesOf(without);
  for (const [from, to] of rangesOf(set)) {
    let next = from;
    for (const [start, end] of taken) {
      if (end < next || start > to) continue;
      if (start > next) left.push([next, start - 1]);
      next = end + 1;
    }
    if (next <= to) left.push([next, to]);
  }
  return left;
}

/** The greatest number of a set; 0 when it is empty. */
export function greatest({ upTo, ranges }: NumberSet): number {
  return ranges.at(-1)?.[1] ?? upTo;
}

/** How many numbers are beyond the first one that is missing. */
export function countBeyond({ ranges }: NumberSet): number {
  return ranges.reduce((count, [from, to]) => count + to - from + 1, 0);
}

/** A set as it can be told: without the ranges beyond the most that there may be. */
export function toldSet({ upTo, ranges }: NumberSet): NumberSet {
  return { upTo, ranges: ranges.slice(0, mostRanges) };
}

function rangesOf({ upTo, ranges }: NumberSet): readonly Range[] {
  return upTo > 0 ? [[1, upTo], ...ranges] : ranges;
}
