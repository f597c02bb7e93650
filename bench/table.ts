// deno-lint-ignore-file no-console

/** Prints rows under a title, each with a name and figures. */
export function printTable(
  title: string,
  columns: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${
      cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join(" | ")
    } |`;
  console.log(`\n${title}\n`);
  console.log(line(columns));
  console.log(line(widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)));
  for (const row of rows) console.log(line(row));
}

const results: Record<string, Readonly<Record<string, number>>> = {};

/** Remembers figures for {@linkcode writeResults}. */
export function record(name: string, figures: Readonly<Record<string, number>>): void {
  results[name] = figures;
}

/** Writes all figures that were recorded as JSON. */
export async function writeResults(path: string): Promise<void> {
  await Deno.writeTextFile(path, `${JSON.stringify(results, null, 2)}\n`);
  console.log(`\nwritten to ${path}`);
}

/** The median and the 99th percentile of times, as text. */
export function percentiles(times: readonly number[]): [p50: string, p99: string] {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)]?.toFixed(2) ?? "–";
  return [at(0.5), at(0.99)];
}

/** Microseconds that one call takes, on average over about `milliseconds`, after as long a warm-up. */
export async function microseconds(task: () => Promise<unknown>, milliseconds = 200): Promise<number> {
  await repeat(task, milliseconds);
  const { calls, elapsed } = await repeat(task, milliseconds);
  return elapsed / calls * 1000;
}

async function repeat(
  task: () => Promise<unknown>,
  milliseconds: number,
): Promise<{ calls: number; elapsed: number }> {
  const start = performance.now();
  let calls = 0, elapsed = 0;
  do {
    await task();
    calls++;
    elapsed = performance.now() - start;
  } while (elapsed < milliseconds);
  return { calls, elapsed };
}
