import { run, type RunOptions } from "./model.ts";

/** What can be asked for by name: `--kind both`. */
const kinds: Readonly<Record<string, RunOptions>> = {
  once: {},
  both: { restores: "both" },
  clocks: { restores: "both", clocks: true },
  upgrade: { during: "upgrade" },
  rotation: { during: "rotation" },
  all: { restores: "both", during: "rotation", clocks: true },
};

/**
 * How many runs are made, from which seed on, with how many routes, and of which kind:
 * `deno test -A tests/agent/repair/model_test.ts -- --runs 200 --seed 1 --routes 2 --kind both`
 */
const option = (name: string, usual: number) => {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? usual : Number(Deno.args[at + 1]);
};
const runs = option("runs", 0), first = option("seed", 1);
const named = Deno.args.indexOf("--kind");
const kind = kinds[named < 0 ? "once" : Deno.args[named + 1]!]!;
const routes = option("routes", 1) === 2 ? 2 : 1;

/** The last one has shown something that was lost. */
const usual = [1, 2, 56];

/** Runs at a time: they wait most of their time. */
const width = option("width", 3);

Deno.test("what a restored side sends comes once and in order, whoever dies or is cut off, and nothing else is said to be delivered", async () => {
  const seeds = runs === 0 ? [...usual] : Array.from({ length: runs }, (_, i) => first + i);
  const failures: string[] = [];
  const work = async () => {
    for (let seed; (seed = seeds.shift()) !== undefined;) {
      await run(seed, { ...kind, routes }).catch((error) => failures.push(String(error)));
    }
  };
  await Promise.all(Array.from({ length: width }, work));
  if (failures.length > 0) throw new Error(failures.join("\n\n"));
});
