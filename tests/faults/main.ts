/**
 * Brings faults about while clients use a server, and looks whether what was answered holds: `deno task faults --help`.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { printTable } from "../../bench/table.ts";
import { readCommandLine, readWhole, UsageError } from "../../cli/options.ts";
import { type Report, run } from "./run.ts";
import type { Target } from "./target.ts";
import { ClusterTarget } from "./cluster.ts";
import { MomentsTarget } from "./moments.ts";
import { natsLogs } from "./nats_logs.ts";
import { WorkersTarget } from "./workers.ts";

const targets: Readonly<Record<string, () => Promise<Target>>> = {
  workers: () => WorkersTarget.start(),
  "workers-3": () => WorkersTarget.start({ workers: 3 }),
  cluster: () => ClusterTarget.start(),
  "cluster-cut": () => ClusterTarget.start({ proxies: true }),
  "cluster-disk": () => ClusterTarget.start({ disks: true }),
  "cluster-one": () => ClusterTarget.start({ servers: 1 }),
  moments: () => MomentsTarget.start(),
  "moments-nats": async () => MomentsTarget.start({ logs: await natsLogs(4) }),
};

const help = `deno task faults [--target NAME] [--faults NAME,NAME] [--kills N] [--pairs N] [--pause MS]
                 [--seconds N] [--seed N]

Brings faults about while clients use a server, reads all queues to their ends and looks whether what was answered
holds. Ends with 1 when something does not.

  --target NAME       ${Object.keys(targets).join(", ")}; workers unless it is given
  --faults NAME,NAME  which ones, in turns; the target's first one unless it is given; "all" for all
  --kills N           how many there are in all, 50 unless it is given
  --pairs N           queues with a sender and one or two recipients, 12 unless it is given
  --pause MS          milliseconds between a recovery and the next fault, at most, 1000 unless it is given
  --seconds N         begins no fault later than that
  --seed N            makes the same choices again`;

const kinds = {
  target: "value",
  faults: "value",
  kills: "value",
  pairs: "value",
  pause: "value",
  seconds: "value",
  seed: "value",
  help: "flag",
} as const;

async function main(): Promise<number> {
  const { options, positional: [argument] } = readCommandLine(Deno.args, kinds, { h: "help" });
  if (options.help) {
    console.log(help);
    return 0;
  }
  if (argument !== undefined) throw new UsageError(`unknown argument ${argument}`);
  const name = options.target ?? "workers";
  const start = Object.hasOwn(targets, name) ? targets[name] : undefined;
  if (start === undefined) throw new UsageError(`there is no target ${name}`);
  const kills = readWhole("kills", options.kills ?? "50", { least: 1, most: 100_000 });
  const pairs = readWhole("pairs", options.pairs ?? "12", { least: 1, most: 1_000 });
  const mostPause = readWhole("pause", options.pause ?? "1000", { least: 1, most: 3_600_000 });
  const { seconds = null } = options;
  const mostTime = seconds === null ? null : 1_000 * readWhole("seconds", seconds, { least: 1, most: 1e6 });
  const seed = readWhole("seed", options.seed ?? `${Date.now() % 2 ** 31}`, { least: 0, most: 2 ** 32 - 1 });
  await using target = await start();
  const names = options.faults === "all" ? target.faults : options.faults?.split(",") ?? [target.faults[0]!];
  const unknown = names.find((name) => !target.faults.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`there is no fault ${unknown}, but ${target.faults.join(", ")}`);
  }
  const faults = Array.from({ length: kills }, (_, i) => names[i % names.length]!);
  let count = 0;
  const report = await run(target, {
    faults,
    pairs,
    seed,
    mostPause,
    ...(mostTime !== null && { mostTime }),
    injected: ({ name, what, recovery }) => {
      console.log(`${++count}/${kills} ${name}: ${what}; all served again after ${recovery.toFixed(0)} ms`);
    },
  });
  print(report, `target ${options.target ?? "workers"}, ${pairs} pairs, seed ${seed}`);
  return report.verdict.problems.length > 0 ? 1 : 0;
}

function print({ verdict, faults }: Report, title: string): void {
  const names = [...new Set(faults.map(({ name }) => name))];
  const middleAndMost = (values: readonly number[]) => {
    const sorted = values.filter((value) => value > 0).toSorted((a, b) => a - b);
    if (sorted.length === 0) return "–";
    return `${sorted[sorted.length >> 1]!.toFixed(0)} / ${sorted.at(-1)!.toFixed(0)}`;
  };
  printTable(
    `${title}; milliseconds, median / most`,
    ["fault", "times", "all serve again", "gap: connected anew", "gap: owner hit", "gap: others"],
    names.map((name) => {
      const of = faults.filter((fault) => fault.name === name);
      return [
        name,
        `${of.length}`,
        middleAndMost(of.map(({ recovery }) => recovery)),
        ...(["reconnected", "ownerHit", "others"] as const).map((kind) => {
          return middleAndMost(of.map(({ gaps }) => gaps[kind]));
        }),
      ];
    }),
  );
  const { problems, ...counts } = verdict;
  printTable(
    "what clients have seen",
    ["", "count"],
    Object.entries(counts).map(([name, count]) => [words[name as keyof typeof counts], `${count}`]),
  );
  console.log(problems.length === 0 ? "\nall that was answered holds" : `\n${problems.length} problems:`);
  for (const problem of problems.slice(0, 50)) console.log(`  ${problem}`);
}

const words: Readonly<Record<Exclude<keyof Report["verdict"], "problems">, string>> = {
  accepted: "SENDs that were answered OK",
  lost: "of them lost",
  acknowledged: "ACKs that were answered OK",
  undone: "messages that came again after their ACK was answered",
  redelivered: "messages that came more than once",
  unknown: "commands of unknown outcome",
  internal: "commands that were answered ERR INTERNAL",
  lateEnds: "ENDs by subscriptions of connections that were gone",
};

try {
  Deno.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}; --help shows what there is`);
  Deno.exitCode = 2;
}
