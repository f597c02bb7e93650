import { simulate, type SimulationOptions } from "./simulation.ts";

/**
 * How many runs are made, from which seed on, with how many routes, who is restored, and of which version:
 * `deno test -A tests/agent/repair/simulation_test.ts -- --runs 200 --seed 1 --routes 2 --restores one --digests no`
 */
const option = (name: string, usual: string) => {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? usual : Deno.args[at + 1]!;
};
const runs = Number(option("runs", "0")), first = Number(option("seed", "1"));
const asked: SimulationOptions = {
  routes: option("routes", "1") === "2" ? 2 : 1,
  restores: option("restores", "both") === "one" ? "one" : "both",
  digests: option("digests", "yes") === "yes",
};

async function simulateAll(seeds: readonly number[], options: SimulationOptions): Promise<void> {
  const failures: string[] = [];
  for (const seed of seeds) {
    await simulate(seed, options).catch((error) => failures.push(String(error)));
  }
  if (failures.length > 0) throw new Error(`${failures.length} of ${seeds.length}\n${failures.join("\n\n")}`);
}

Deno.test("whichever side is restored when, nothing is said to be delivered that was not told, or is lost", async () => {
  if (runs > 0) return await simulateAll(Array.from({ length: runs }, (_, i) => first + i), asked);
  // Without digests each of these fails: something is told to be delivered, comes twice, or does not come.
  await simulateAll([145, 151, 160], { routes: 1 });
  await simulateAll([51, 91], { routes: 2 });
});

Deno.test("sides that tell no digests go on when one of them is restored", () =>
  simulateAll(runs > 0 ? [] : [1, 2], { restores: "one", digests: false }));
