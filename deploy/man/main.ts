/**
 * Writes the manual pages of the programs, `smp-server.8`, `smp-agent.1` and `smp.1`: `deno task man [FOLDER]`.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { readTaskArguments } from "../task_arguments.ts";
import { manualPages } from "./pages.ts";
import { roffOf } from "./roff.ts";

const help = `deno task man [FOLDER]

Writes smp-server.8, smp-agent.1 and smp.1 to FOLDER (default man).`;

const { positional: [folder = "man"] } = readTaskArguments({}, { help, most: 1 });
await Deno.mkdir(folder, { recursive: true });
for (const page of manualPages()) {
  const path = `${folder}/${page.name}.${page.section}`;
  await Deno.writeTextFile(path, roffOf(page));
  console.log(`wrote ${path}`);
}
