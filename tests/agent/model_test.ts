import { run } from "./model/run.ts";

/** As many as make faults of every kind; `deno task model` makes as many as it is told. */
const runs = 8;

Deno.test("agents that crash on servers that fail lose nothing, tell nothing twice and leave nothing behind", async () => {
  for (let seed = 1; seed <= runs; seed++) await run(seed);
});
