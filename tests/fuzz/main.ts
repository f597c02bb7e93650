/**
 * Feeds everything that takes bytes from outside with inputs made from those that reach new code:
 * `deno task fuzz [--seconds N] [TARGET…]`. Prints how many inputs ran and what was found; what is worth keeping goes
 * into the corpus, which the tests replay.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { type CommandLine, readCommandLine, UsageError } from "../../cli/options.ts";
import { printTable } from "../../bench/table.ts";
import { encodeBase64 } from "../../protocol/mod.ts";
import { readCorpus, writeCorpus } from "./corpus.ts";
import { Coverage } from "./coverage.ts";
import { mutate, randomOf } from "./mutate.ts";
import type { Target } from "./target.ts";
import { targets } from "./targets.ts";

/** Milliseconds after which an input counts as one that hangs. */
const patience = 5_000;
/** Inputs that are found for one target before the next is taken. */
const mostFinds = 5;

/** Characters that are told of an error. */
const mostText = 1_000;

interface Outcome {
  readonly runs: number;
  readonly kept: number;
  readonly coverage: number;
  readonly finds: readonly string[];
}

async function fuzz(target: Target, seconds: number, random: () => number): Promise<Outcome> {
  using coverage = await Coverage.start(new URL("../../", import.meta.url).href);
  const corpus: Uint8Array<ArrayBuffer>[] = [];
  const finds: string[] = [];
  const end = performance.now() + seconds * 1000;
  let runs = 0;
  const attempt = async (input: Uint8Array<ArrayBuffer>) => {
    runs++;
    const failure = await run(target, input);
    const isNew = await coverage.isNew();
    if (failure !== null) {
      finds.push(`${target.name}: ${failure}\n  input: ${encodeBase64(input)}`);
      corpus.push(input);
    } else if (isNew) corpus.push(input);
  };
  const given = [...target.seeds.map((seed) => new Uint8Array(seed)), ...await readCorpus(target.name)];
  for (const input of given) await attempt(input);
  const pick = () => corpus[Math.floor(random() * corpus.length)]!;
  while (performance.now() < end && finds.length < mostFinds) {
    await attempt(mutate(pick(), pick(), { words: target.words, random }));
  }
  await writeCorpus(target.name, corpus);
  return { runs, kept: corpus.length, coverage: coverage.size, finds };
}

/** What went wrong with an input; `null` when nothing did. */
async function run(target: Target, input: Uint8Array<ArrayBuffer>): Promise<string | null> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no end after ${patience} ms`)), patience);
  try {
    await Promise.race([Promise.resolve(target.run(input)), late]);
    return null;
  } catch (error) {
    return (error instanceof Error ? error.stack ?? error.message : String(error)).slice(0, mostText);
  } finally {
    clearTimeout(timer);
  }
}

const kinds = { seconds: "value", seed: "value", help: "flag" } as const;

function readArguments(): CommandLine<typeof kinds> {
  try {
    return readCommandLine(Deno.args, kinds);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    Deno.exit(2);
  }
}

const { options, positional: names } = readArguments();
if (options.help) {
  console.log("usage: fuzz [TARGET…] [--seconds N] [--seed N]");
  Deno.exit(0);
}
const [seconds, seed] = [Number(options.seconds ?? 10), Number(options.seed ?? Date.now() % 2 ** 31)];
const unknown = names.find((name) => !targets.some((target) => target.name === name));
if (unknown !== undefined || !(seconds > 0) || !Number.isInteger(seed)) {
  console.error(
    unknown === undefined
      ? "--seconds takes a number above 0, --seed a whole number"
      : `there is no target "${unknown}", but ${targets.map(({ name }) => `"${name}"`).join(", ")}`,
  );
  Deno.exit(2);
}
const random = randomOf(seed);
const rows: string[][] = [];
const finds: string[] = [];
for (const target of targets) {
  if (names.length > 0 && !names.includes(target.name)) continue;
  const outcome = await fuzz(target, seconds, random);
  rows.push([
    target.name,
    ...[outcome.runs, outcome.kept, outcome.coverage, outcome.finds.length].map(String),
  ]);
  finds.push(...outcome.finds);
}
printTable(`seed ${seed}, ${seconds} s a target`, ["target", "inputs", "kept", "blocks", "found"], rows);
for (const find of finds) console.log(`\n${find}`);
if (finds.length > 0) Deno.exit(1);
