const longest = 40;

export function nearest(given: string, words: Iterable<string>): string | null {
  const wanted = plain(given);
  if (wanted === "" || wanted.length > longest) return null;
  let [best, least]: [string | null, number] = [null, Math.floor(wanted.length / 3) + 1];
  for (const word of words) {
    const distance = distanceOf(wanted, plain(word));
    if (distance < least) [best, least] = [word, distance];
  }
  return best;
}

/** Whether it is written like `word` but for a slip: two letters, or one in words of up to five. */
export function isSlipOf(word: string, given: string): boolean {
  if (given.length > longest) return false;
  const most = Math.min(2, Math.floor(plain(word).length / 3));
  return distanceOf(plain(given), plain(word)) <= most;
}

function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[\s_-]/g, "");
}

function distanceOf(a: string, b: string): number {
  let [before, last]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let distance = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, before[j - 2]! + 1);
      }
      row.push(distance);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
