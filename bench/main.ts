/**
 * All benchmarks, as tables: `deno task bench`
 *
 * @module
 */
import { benchBlocks, benchRsa } from "./crypto.ts";
import { benchCycles } from "./cycle.ts";

await benchRsa();
await benchBlocks();
await benchCycles();
