/**
 * All benchmarks, as tables: `deno task bench`
 *
 * @module
 */
import { benchAgent } from "./agent.ts";
import { benchBlocks, benchRsa } from "./crypto.ts";
import { benchCycles } from "./cycle.ts";
import { benchFlood } from "./flood.ts";
import { benchRestart } from "./restart.ts";

await benchRsa();
await benchBlocks();
await benchCycles();
await benchFlood();
await benchRestart();
await benchAgent();
