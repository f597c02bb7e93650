import { assert, assertEquals, assertRejects } from "@std/assert";
import { Fatal } from "../../../server/commands/terminal.ts";
import { defaultConfig } from "../../../server/config/config.ts";
import { createLogger } from "../../../cli/logger.ts";
import type { StartMessage } from "../../../server/workers/messages.ts";
import { Supervisor } from "../../../server/workers/supervisor.ts";
import { soon, until } from "../../support/wait.ts";

const script = new URL("odd_worker.ts", import.meta.url).pathname;

const startMessage: StartMessage = {
  type: "start",
  worker: 0,
  workers: 1,
  incarnation: 1,
  settings: defaultConfig({ configDir: "", logDir: "" }),
  repair: false,
  key: "",
  certificate: null,
  sockets: "",
  partitions: 2,
  files: { storeLog: "", messagesFile: "", aliases: null },
};

/** Workers that do what their mode says when they are started for the first time, and then are good. */
function supervisorOf(modes: readonly string[], later: readonly string[] = modes) {
  const log: string[] = [], events: string[] = [];
  const starts = modes.map(() => 0);
  const supervisor = new Supervisor({
    workers: modes.length,
    pauses: [0, 1, 2],
    logger: createLogger({
      level: "info",
      format: "json",
      write: (line) => void log.push(JSON.parse(line)["error"]),
    }),
    command: (worker) => {
      const mode = (starts[worker]!++ === 0 ? modes : later)[worker]!;
      const isAbsent = mode === "absent once" && starts[worker] === 2;
      return {
        program: isAbsent ? `${Deno.execPath()}-absent` : Deno.execPath(),
        args: ["run", "--quiet", "--no-prompt", "--no-config", script, mode],
      };
    },
    start: (worker, incarnation) => ({ ...startMessage, worker, incarnation, workers: modes.length }),
    onNews: (worker, news) => void events.push(`${worker} ${news.type}`),
    onUp: (worker) => void events.push(`${worker} up`),
    onDown: (worker) => void events.push(`${worker} down`),
  });
  return { supervisor, log, events };
}

Deno.test("a worker that is killed is started again, and is up again", async () => {
  const { supervisor, events, log } = supervisorOf(["good", "good"]);
  await using _ = supervisor;
  await soon(supervisor.start());
  assertEquals(events, ["0 up", "1 up"]);
  const before = supervisor.pid(1);
  Deno.kill(before!, "SIGKILL");
  await until(() => events.length === 4);
  assertEquals(events.slice(2), ["1 down", "1 up"]);
  assertEquals([supervisor.restarts, log], [1, ["SIGKILL"]]);
  assert(supervisor.pid(1) !== before);
  await soon(supervisor.stop(10_000));
  assertEquals([supervisor.pid(0), supervisor.pid(1)], [null, null]);
});

Deno.test("a worker whose program cannot be run for a moment is started again, and the others go on", async () => {
  const { supervisor, events, log } = supervisorOf(["good", "good"], ["good", "absent once"]);
  await using _ = supervisor;
  await soon(supervisor.start());
  const [first, second] = [supervisor.pid(0), supervisor.pid(1)];
  Deno.kill(second!, "SIGKILL");
  await Promise.race([until(() => events.length === 4), supervisor.failed]);
  assertEquals(events.slice(2), ["1 down", "1 up"]);
  assertEquals([supervisor.restarts, log[0]], [2, "SIGKILL"]);
  assertEquals(supervisor.pid(0), first);
});

Deno.test("a worker that always ends before it serves ends the server", async () => {
  const { supervisor } = supervisorOf(["dies"]);
  await using _ = supervisor;
  const error = await assertRejects(() => soon(supervisor.start()), Fatal, "again and again");
  assert(error.message.endsWith("exit code 7"), error.message);
  assertEquals(supervisor.restarts, 3);
});

Deno.test("a worker that always ends after it served is started again and again", async () => {
  const { supervisor, log, events } = supervisorOf(["good", "garbage"]);
  await using _ = supervisor;
  await soon(supervisor.start());
  const failed = supervisor.failed.catch((error) => error);
  // More often than there are pauses.
  assertEquals(await soon(Promise.race([failed, until(() => supervisor.restarts > 5)])), undefined);
  assert(log.every((error) => error.startsWith("it has sent what is no message")), log.join());
  assert(events.filter((event) => event === "1 up").length > 5, events.join());
  await soon(supervisor.stop(10_000));
});

Deno.test("what a worker says of why it cannot start is why the server does not", async () => {
  const { supervisor } = supervisorOf(["fatal", "good"]);
  await using _ = supervisor;
  const error = await assertRejects(() => soon(supervisor.start()), Fatal);
  assertEquals(error.message, "Cannot read the logs");
});

Deno.test("a program that is not there is said at once", async () => {
  const { supervisor } = supervisorOf(["good"]);
  await using _ = supervisor;
  const missing = new Supervisor({
    workers: 1,
    logger: createLogger({ level: "error", format: "text", write: () => {} }),
    command: () => ({ program: "/nowhere/deno", args: [] }),
    start: () => startMessage,
    onNews: () => {},
    onUp: () => {},
    onDown: () => {},
  });
  await using _missing = missing;
  await assertRejects(() => soon(missing.start()), Fatal, "Cannot start a worker");
});

for (const [mode, why] of [["endless", "a line is longer"], ["twice", "it was ready before"]] as const) {
  Deno.test(`a worker that breaks the protocol (${mode}) is killed and started again`, async () => {
    const { supervisor, log, events } = supervisorOf([mode], ["good"]);
    await using _ = supervisor;
    await soon(supervisor.start());
    await until(() => events.at(-1) === "0 up" && events.length === 3);
    assert(log[0]!.includes(why), log.join());
    await soon(supervisor.stop(10_000));
  });
}

Deno.test("a worker that does not read is killed before its messages take all memory", async () => {
  const { supervisor, events, log } = supervisorOf(["deaf"], ["good"]);
  await using _ = supervisor;
  await soon(supervisor.start());
  const filler = Array.from({ length: 4000 }, (_, i) => [`10.0.0.${i}${"0".repeat(40)}`, 1, 1] as const);
  const usage = { connections: 0, handshakes: 0, held: 0, counts: filler, poured: [] };
  await until(() => {
    if (supervisor.restarts === 0) supervisor.send(0, { type: "others", usage });
    return events.length === 3;
  });
  assertEquals([log, supervisor.restarts], [["it does not read"], 1]);
  await soon(supervisor.stop(10_000));
});

Deno.test("workers that do not stop in time are killed", async () => {
  const { supervisor } = supervisorOf(["good", "stubborn"]);
  await soon(supervisor.start());
  const stopping = supervisor.stop(1);
  await until(() => supervisor.pid(0) === null);
  await soon(supervisor[Symbol.asyncDispose]());
  await soon(stopping);
  assertEquals(supervisor.pid(1), null);
});

Deno.test("a start that is given up leaves no process behind", async () => {
  const { supervisor } = supervisorOf(["good", "silent"]);
  const stop = new AbortController();
  const starting = supervisor.start(stop.signal);
  await until(() => supervisor.pid(1) !== null);
  stop.abort();
  await assertRejects(() => soon(starting), DOMException);
  await soon(supervisor[Symbol.asyncDispose]());
  assertEquals([supervisor.pid(0), supervisor.pid(1)], [null, null]);
});
