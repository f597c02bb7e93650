/**
 * All benchmarks, as tables and as JSON: `deno task bench`, or `deno task bench NAME…` for some of them.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { benchAgent } from "./agent.ts";
import { benchCalibration } from "./calibration.ts";
import { benchConnections } from "./connections.ts";
import { benchCrypto } from "./crypto.ts";
import { benchCycles, benchLargeExponents } from "./cycle.ts";
import { benchFlood } from "./flood.ts";
import { benchGrowth } from "./growth.ts";
import { benchRestart } from "./restart.ts";
import { writeResults } from "./table.ts";

const benches: Readonly<Record<string, () => Promise<void>>> = {
  calibration: benchCalibration,
  cycle: benchCycles,
  exponents: benchLargeExponents,
  flood: benchFlood,
  connections: benchConnections,
  restart: benchRestart,
  growth: benchGrowth,
  agent: benchAgent,
  // Last, as it changes what crypto runs on in this process.
  crypto: benchCrypto,
};

const unknown = Deno.args.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`there is no benchmark ${unknown[0]}, but ${Object.keys(benches).join(", ")}`);
  Deno.exit(2);
}
for (const name of Deno.args.length > 0 ? Deno.args : Object.keys(benches)) await benches[name]!();
await writeResults("bench-results.json");
