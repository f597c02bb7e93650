/**
 * Kills what sends files, what receives them and their server, and looks whether they come whole: `deno task
 * stream-faults --help`.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { readCommandLine, readWhole, UsageError } from "../../cli/options.ts";
import { Random } from "../agent/model/random.ts";
import { bySome, Transfers, type Victim, victims } from "./transfers.ts";
import { lackOfSurroundings, large, ontoFullDisk, overNetworks, type Surrounded } from "./stream_network.ts";

const help =
  `deno task stream-faults [--transfers N] [--least MB] [--most MB] [--victims NAME,NAME] [--seed N]
deno task stream-faults --size MB
deno task stream-faults --network [--least MB]

Sends files by agent send-file and receive-file through a server with a store log, kills one of the three with
kill -9 in the middle of each, and starts it again after a second. Ends with 1 when a file does not come, comes
twice, is another one, or leaves a queue on the server.

  --transfers N           how many files, 30 unless it is given
  --least MB, --most MB   how long they are, 8 and 20 unless it is given
  --victims NAME,NAME     what is killed, in turns: ${victims.join(", ")}; all unless it is given
  --seed N                makes the same choices again
  --size MB               one file of so many MB instead, with each of the three killed once, at its quarters; counts
                          the chunks that are sent more than once
  --network               one file of --least MB (2 unless it is given) each over a slow connection, one that is cut
                          for 20 s, a lossy one, and onto a full disk instead, in namespaces that go with the program`;

const kinds = {
  transfers: "value",
  least: "value",
  most: "value",
  victims: "value",
  seed: "value",
  size: "value",
  network: "flag",
  help: "flag",
} as const;

async function main(signal: AbortSignal): Promise<number> {
  const { options, positional: [argument] } = readCommandLine(Deno.args, kinds, { h: "help" });
  if (options.help) {
    console.log(help);
    return 0;
  }
  if (argument !== undefined) throw new UsageError(`unknown argument ${argument}`);
  const count = readWhole("transfers", options.transfers ?? "30", { least: 1, most: 100_000 });
  const least = readWhole("least", options.least ?? (options.network ? "2" : "8"), { least: 1, most: 1_000 });
  const most = readWhole("most", options.most ?? `${Math.max(20, least)}`, { least, most: 1_000 });
  const seed = readWhole("seed", options.seed ?? `${Date.now() % 2 ** 31}`, { least: 0, most: 2 ** 32 - 1 });
  const names = options.victims?.split(",") ?? victims;
  const chosen = victims.filter((victim) => names.includes(victim));
  if (chosen.length < names.length) throw new UsageError(`there are only the victims ${victims.join(", ")}`);
  if (options.network) return await surround(least * 1e6, signal);
  if (options.size !== undefined) {
    return await sendLarge(readWhole("size", options.size, { least: 1, most: 100_000 }) * 1e6, signal);
  }
  return await kill({ count, least, most, chosen, seed, signal });
}

/** Kills one of the three in each transfer. */
async function kill({ count, least, most, chosen, seed, signal }: {
  readonly count: number;
  readonly least: number;
  readonly most: number;
  readonly chosen: readonly Victim[];
  readonly seed: number;
  readonly signal: AbortSignal;
}): Promise<number> {
  console.log(`seed ${seed}`);
  const random = new Random(seed, "streams");
  await using transfers = await Transfers.start({ signal });
  await transfers.settle();
  const before = await transfers.queues();
  const times = new Map<Victim, number[]>(chosen.map((victim) => [victim, []]));
  let wrong = 0, done = 0;
  for (let i = 0; i < count && !signal.aborted; i++) {
    const bytes = least * 1e6 + random.below((most - least) * 1e6 + 1);
    const victim = chosen[i % chosen.length]!;
    const { faultsAt: [killedAt], time, isLate, problems } = await transfers.transfer(bytes, [
      { when: bySome(bytes, random), what: victim },
    ]);
    if (signal.aborted) break;
    done++;
    const where = killedAt == null ? "without a part" : `at ${megabytes(killedAt)}`;
    const late = isLate ? ", too late to matter" : "";
    console.log(
      `${i + 1}/${count} ${megabytes(bytes)} MB, ${victim} killed ${where}${late}: ${seconds(time)}`,
    );
    tell(problems);
    if (problems.length > 0) wrong++;
    else if (!isLate) times.get(victim)!.push(time);
  }
  await transfers.settle();
  const after = await transfers.queues();
  for (const [victim, all] of times) {
    const sorted = all.toSorted((a, b) => a - b);
    const [median = 0, longest = 0] = [sorted[sorted.length >> 1], sorted.at(-1)];
    console.log(
      `${victim}: ${all.length} killed in time, ${seconds(median)} at the median, ${
        seconds(longest)
      } at most`,
    );
  }
  console.log(`${done - wrong} of ${done} came as they should; queues before ${before}, after ${after}`);
  return wrong > 0 || after > before ? 1 : 0;
}

/** One file, and three kills. */
async function sendLarge(bytes: number, signal: AbortSignal): Promise<number> {
  const { faultsAt, time, problems, chunks, again } = await large(bytes, signal);
  const at = faultsAt.map((one) => megabytes(one ?? 0)).join(", ");
  console.log(
    `${megabytes(bytes)} MB, sender, receiver and server killed at ${at}: ${
      seconds(time)
    }; of ${chunks} chunks ` +
      `${again} were sent again (${(100 * again / chunks).toFixed(2)} %)`,
  );
  tell(problems);
  return problems.length > 0 ? 1 : 0;
}

/** A file under each fault of its surroundings. */
async function surround(bytes: number, signal: AbortSignal): Promise<number> {
  const lack = await lackOfSurroundings();
  if (lack !== null) {
    console.error(lack);
    return 2;
  }
  let wrong = 0;
  const say = ({ what, time, problems }: Surrounded) => {
    console.log(`${megabytes(bytes)} MB, ${what}: ${seconds(time)}`);
    tell(problems);
    if (problems.length > 0) wrong++;
  };
  say(await ontoFullDisk(bytes, signal));
  for await (const one of overNetworks(bytes, signal)) say(one);
  return wrong > 0 ? 1 : 0;
}

function tell(problems: readonly string[]): void {
  for (const problem of problems) console.log(`  ${problem}`);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

const interrupted = new AbortController();
// What was made goes with the program.
for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => interrupted.abort());
try {
  Deno.exitCode = await main(interrupted.signal);
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}; --help shows what there is`);
  else if (!interrupted.signal.aborted) throw error;
  Deno.exitCode = 2;
}
// The listeners keep it running.
Deno.exit(interrupted.signal.aborted ? 130 : undefined);
