/**
 * `server/main.ts start` that tells as its memory what it holds: garbage is collected before, and what the process keeps
 * for later is left out. V8 must have been told `--expose-gc`.
 */
// deno-lint-ignore-file no-console
import { start } from "../../server/commands/start.ts";
import { parseCli } from "../../server/config/cli.ts";

const { gc } = globalThis as unknown as { gc(): void };
const { memoryUsage } = Deno;
Deno.memoryUsage = () => {
  gc();
  const use = memoryUsage();
  return { ...use, rss: use.heapUsed + use.external };
};

const command = parseCli(Deno.args, {});
if (command.type !== "start") throw new Error("this starts a server");
await start(command.options, {
  print: (line) => console.log(line),
  warn: (line) => console.error(line),
  ask: () => Promise.resolve(null),
});
