/**
 * Mixed load on a server for a long time, after which everything must be back at its start: `deno task soak --minutes N`.
 * A tenth of the time comes before the first look, as memory grows in the beginning. Ends with 1 when something stayed.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { readCommandLine, UsageError } from "../cli/options.ts";
import { generateKeyPair, preferOpenSsl, SmpClient } from "../mod.ts";
import { randomBytes } from "../protocol/mod.ts";
import { cpuTime, memoryOf, noLimits, type ServerProcess, startServerProcess } from "./server_process.ts";
import { printTable } from "./table.ts";

/** Users at a time. */
const users = 20;
/** MiB that the resident memory may be larger: what the heap keeps free is never the same twice (83 to 102 were seen). */
const memoryGrowth = 32;
/** Milliseconds without work before a look. */
const rest = 5_000;

const minutes = readMinutes();
preferOpenSsl();
const keyPair = await generateKeyPair("sign");
await using server = await startServerProcess({
  openSsl: true,
  args: ["-l"],
  ini: `[STORE_LOG]\nenable: on\nmessages: journal\n${noLimits}[METRICS]\nport: 0\n`,
});
await run(minutes * 60_000 / 10);
const before = await look(server);
const counts = await run(minutes * 60_000 * 9 / 10);
const after = await look(server);
printTable(
  `${minutes} minutes, ${users} users at a time`,
  ["work", "times"],
  Object.entries(counts).map(([name, count]) => [name, `${count}`]),
);
printTable(
  "what is there when nobody is",
  ["", "after a tenth of the time", "at the end"],
  Object.keys(before).map((name) => [name, `${before[name]}`, `${after[name]}`]),
);
const stayed = Object.keys(before).filter((name) =>
  name === "memory, MiB" ? after[name]! > before[name]! + memoryGrowth : after[name]! > before[name]!
);
console.log(
  stayed.length === 0 ? "\neverything is back at its start" : `\nthis has grown: ${stayed.join(", ")}`,
);
Deno.exitCode = stayed.length === 0 ? 0 : 1;

/** How long it takes; ends the program when it shall not run. */
function readMinutes(): number {
  try {
    const { options, positional: [argument] } = readCommandLine(
      Deno.args,
      { minutes: "value", help: "flag" },
      { h: "help" },
    );
    if (argument !== undefined) throw new UsageError(`unknown argument ${argument}`);
    if (options.help) {
      console.log(`deno task soak [--minutes N]

Puts mixed load on a server and looks whether everything is back at its start; ends with 1 when something stayed.

  --minutes N  how long, 60 unless it is given`);
      Deno.exit(0);
    }
    const minutes = Number(options.minutes ?? "60");
    if (!(minutes > 0)) throw new UsageError("--minutes must be a number above 0");
    return minutes;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    Deno.exit(2);
  }
}

/** Lets all users work; gives what they have done. */
async function run(milliseconds: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const count = (name: string) => counts[name] = (counts[name] ?? 0) + 1;
  const end = performance.now() + milliseconds;
  await Promise.all(Array.from({ length: users }, async () => {
    while (performance.now() < end) await live(count);
  }));
  return counts;
}

/** The life of a queue and of the connections that use it. */
async function live(count: (name: string) => void): Promise<void> {
  const messages = 1 + Math.floor(Math.random() * 10);
  await using recipient = await connect(count);
  const queue = await recipient.createQueue({ keyPair });
  count("create");
  await recipient.secureQueue(queue, keyPair.publicKey);
  const sender = await connect(count);
  const address = { senderId: queue.senderId, senderKey: keyPair.privateKey };
  for (let i = 0; i < messages; i++) {
    await sender.send(address, randomBytes(1 + Math.floor(Math.random() * 3600)));
    count("send");
  }
  await sender.close();
  await using other = await connect(count);
  await other.subscribe(queue);
  count("take over");
  let left = Math.random() < 0.5 ? messages : Math.floor(messages / 2);
  for await (const event of other.events(queue)) {
    if (event.type !== "MSG" || left-- === 0) break;
    await other.acknowledge(queue);
    count("acknowledge");
    if (left === 0) break;
  }
  if (Math.random() < 0.3) {
    await other.close();
    await recipient.deleteQueue(queue);
  } else await other.deleteQueue(queue);
  count("delete");
}

async function connect(count: (name: string) => void): Promise<SmpClient> {
  const client = await SmpClient.connect(server.address);
  count("connect");
  return client;
}

/** What the server has when nobody uses it. */
async function look({ pid, metricsUrl }: ServerProcess): Promise<Record<string, number>> {
  await new Promise((resolve) => setTimeout(resolve, rest));
  const text = await (await fetch(`${metricsUrl}metrics`)).text();
  const gauge = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)![1]);
  const cpu = await cpuTime(pid);
  await new Promise((resolve) => setTimeout(resolve, rest));
  const idle = await cpuTime(pid) - cpu;
  const { stdout } = await new Deno.Command("ls", { args: [`/proc/${pid}/fd`] }).output();
  return {
    connections: gauge("smp_connections"),
    queues: gauge("smp_queues"),
    subscriptions: gauge("smp_subscriptions"),
    messages: gauge("smp_messages_waiting"),
    "internal errors": gauge("smp_internal_errors_total"),
    "file descriptors": new TextDecoder().decode(stdout).trim().split("\n").length,
    // Timers that stayed would keep it busy.
    "CPU while idle, percent": Math.round(idle / rest * 100),
    "memory, MiB": Math.round((await memoryOf(pid)).resident / 2 ** 20),
  };
}
