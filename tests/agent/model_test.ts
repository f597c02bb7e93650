import { run } from "./model/run.ts";

/** Milliseconds after which no further run is begun; `deno task model` makes as many as it is told. */
const enough = 4_000;

/** Runs that are made however long they take. */
const least = 8;

Deno.test("agents that crash on servers that fail lose nothing, tell nothing twice and leave nothing behind", async () => {
  const began = performance.now();
  for (let seed = 1; seed <= least || performance.now() - began < enough; seed++) await run(seed);
});
