/** Runs the model many times: `deno task model --runs 1000 --seed 1`; ends with 1 when a run has failed. */
// deno-lint-ignore-file no-console
import { readTaskArguments } from "../../../deploy/task_arguments.ts";
import { run } from "./run.ts";

const help = `deno task model [--runs N] [--seed N] [--steps N] [--failures N] [--patience S] [--verbose]

Lets agents crash on servers that fail, by chance, and compares with a model what comes of it; ends with 1 when a run
has failed.

  --runs N       how many (default 1000)
  --seed N       the number that the first one is made of (default 1); the others count on
  --steps N      steps of a run (default 60)
  --failures N   runs that may fail before it ends (default 5)
  --patience S   seconds that a run waits for what must come (default 30)
  --verbose      print each seed before its run`;
const number = "value";
const { options } = readTaskArguments(
  { runs: number, seed: number, steps: number, failures: number, patience: number, verbose: "flag" },
  { help, most: 0 },
);
const first = Number(options.seed ?? 1), count = Number(options.runs ?? 1000);
const most = Number(options.failures ?? 5);
const patience = Number(options.patience ?? 30) * 1000;
const steps = Number(options.steps ?? 60);
const sum = { messages: 0, connections: 0, lives: 0 };
let failures = 0;
const began = performance.now();
let seed = first;
for (; seed < first + count && failures < most; seed++) {
  if (options.verbose) console.log(`seed ${seed}`);
  try {
    const result = await run(seed, { patience, steps });
    for (const key of ["messages", "connections", "lives"] as const) sum[key] += result[key];
  } catch (error) {
    failures++;
    console.log(error instanceof Error ? error.message : error);
  }
}
const seconds = Math.round((performance.now() - began) / 1000);
console.log(
  `${seed - first} runs in ${seconds} s: ${sum.connections} connections, ${sum.messages} messages, ` +
    `${sum.lives} lives, ${failures} failures`,
);
Deno.exit(failures > 0 ? 1 : 0);
