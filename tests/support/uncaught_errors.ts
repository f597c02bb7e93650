/**
 * `server/main.ts start` in a program that throws where nothing catches it, in each way that a program can: as soon as
 * the server has started, and once after it has ended.
 */
// deno-lint-ignore-file no-console
import { nextTick } from "node:process";
import { EventEmitter } from "node:events";
import { parseCli } from "../../server/config/cli.ts";
import { start } from "../../server/commands/start.ts";

function fail(what: string): never {
  throw new Error(what);
}

const ways: readonly (() => unknown)[] = [
  () => setTimeout(() => fail("in a timer"), 0),
  () => nextTick(() => fail("in a tick of Node")),
  () => queueMicrotask(() => fail("in a microtask")),
  () => nextTick(() => new EventEmitter().emit("error", new Error("of an emitter without a listener"))),
  () => void Promise.reject(new Error("of a promise")),
  () => void Promise.reject(undefined),
  () => reportError(new Error("that is reported")),
];

const command = parseCli(Deno.args, {});
if (command.type !== "start") fail("this starts a server");
await start(command.options, {
  print(line) {
    console.log(line);
    if (line.startsWith("try it")) { for (const way of ways) way(); }
  },
  warn: (line) => console.error(line),
  ask: () => Promise.resolve(null),
});
setTimeout(() => fail("after the end"), 0);
