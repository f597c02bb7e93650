/**
 * Feeds everything that takes bytes from outside with inputs made from those that reach new code: `deno task fuzz`.
 * Prints how many inputs ran and what was found; with `--save` what is worth keeping goes into the corpus, which the
 * tests replay.
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

async function fuzz(
  target: Target,
  { seconds, random, save }: {
    readonly seconds: number;
    readonly random: () => number;
    readonly save: boolean;
  },
): Promise<Outcome> {
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
  if (save) await writeCorpus(target.name, corpus);
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

const help = (names: readonly string[]) =>
  `deno task fuzz [--seconds N] [--seed N] [--save] [TARGET...]

Feeds all targets, or those that are named, with inputs made from those that reach new code; ends with 1 when something
was found.

  --seconds N  how long each target is fuzzed, 10 unless it is given
  --seed N     makes the same choices again
  --save       puts what is worth replaying into tests/fuzz/corpus; nothing is written without it

targets: ${names.map((name) => `"${name}"`).join(", ")}`;

const kinds = { seconds: "value", seed: "value", save: "flag", help: "flag" } as const;

/** Ends with what is wrong with the command line. */
function refuse(problem: string): never {
  console.error(`${problem}; --help shows what there is`);
  Deno.exit(2);
}

function readArguments(): CommandLine<typeof kinds> {
  try {
    return readCommandLine(Deno.args, kinds, { h: "help" });
  } catch (error) {
    if (error instanceof UsageError) return refuse(error.message);
    throw error;
  }
}

const { options: { save, ...options }, positional: names } = readArguments();
const [seconds, seed] = [Number(options.seconds ?? 10), Number(options.seed ?? Date.now() % 2 ** 31)];
if (!(seconds > 0)) refuse("--seconds takes a number above 0");
if (!Number.isInteger(seed)) refuse("--seed takes a whole number");
// They are all that takes bytes, and a second to load.
const { targets } = await import("./targets.ts");
if (options.help) {
  console.log(help(targets.map(({ name }) => name)));
  Deno.exit();
}
const unknown = names.find((name) => !targets.some((target) => target.name === name));
if (unknown !== undefined) refuse(`there is no target "${unknown}"`);
const random = randomOf(seed);
const rows: string[][] = [];
const finds: string[] = [];
for (const target of targets) {
  if (names.length > 0 && !names.includes(target.name)) continue;
  const outcome = await fuzz(target, { seconds, random, save });
  rows.push([
    target.name,
    ...[outcome.runs, outcome.kept, outcome.coverage, outcome.finds.length].map(String),
  ]);
  finds.push(...outcome.finds);
}
printTable(`seed ${seed}, ${seconds} s a target`, ["target", "inputs", "kept", "blocks", "found"], rows);
for (const find of finds) console.log(`\n${find}`);
if (finds.length > 0) Deno.exit(1);
