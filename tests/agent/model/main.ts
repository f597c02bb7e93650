/** Runs the model many times: `deno task model --runs 1000 --seed 1`; ends with 1 when a run has failed. */
// deno-lint-ignore-file no-console
import { run } from "./run.ts";

const options = new Map<string, number>();
for (let i = 0; i < Deno.args.length; i += 2) options.set(Deno.args[i]!, Number(Deno.args[i + 1]));
const first = options.get("--seed") ?? 1, count = options.get("--runs") ?? 1000;
const most = options.get("--failures") ?? 5;
const patience = (options.get("--patience") ?? 30) * 1000;
const steps = options.get("--steps") ?? 60;
const sum = { messages: 0, connections: 0, lives: 0 };
let failures = 0;
const began = performance.now();
let seed = first;
for (; seed < first + count && failures < most; seed++) {
  if (options.has("--verbose")) console.log(`seed ${seed}`);
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
