/**
 * Kills what sends files, what receives them and their server, and looks whether they come whole: `deno task
 * stream-faults --help`.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { readCommandLine, readWhole, UsageError } from "../../cli/options.ts";
import { Random } from "../agent/model/random.ts";
import { Transfers, victims } from "./transfers.ts";

const help =
  `deno task stream-faults [--transfers N] [--least MB] [--most MB] [--victims NAME,NAME] [--seed N]

Sends files by agent send-file and receive-file through a server with a store log, kills one of the three with
kill -9 in the middle of each, and starts it again after a second. Ends with 1 when a file does not come, comes
twice, is another one, or leaves a queue on the server.

  --transfers N           how many files, 30 unless it is given
  --least MB, --most MB   how long they are, 8 and 20 unless it is given
  --victims NAME,NAME     what is killed, in turns: ${victims.join(", ")}; all unless it is given
  --seed N                makes the same choices again`;

const kinds = {
  transfers: "value",
  least: "value",
  most: "value",
  victims: "value",
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
  const count = readWhole("transfers", options.transfers ?? "30", { least: 1, most: 100_000 });
  const least = readWhole("least", options.least ?? "8", { least: 1, most: 1_000 });
  const most = readWhole("most", options.most ?? "20", { least, most: 1_000 });
  const seed = readWhole("seed", options.seed ?? `${Date.now() % 2 ** 31}`, { least: 0, most: 2 ** 32 - 1 });
  const names = options.victims?.split(",") ?? victims;
  const chosen = victims.filter((victim) => names.includes(victim));
  if (chosen.length < names.length) throw new UsageError(`there are only the victims ${victims.join(", ")}`);
  console.log(`seed ${seed}`);
  const random = new Random(seed, "streams");
  await using transfers = await Transfers.start();
  await transfers.settle();
  const before = await transfers.queues();
  let wrong = 0;
  for (let i = 0; i < count; i++) {
    const bytes = least * 1e6 + random.below((most - least) * 1e6 + 1);
    const { victim, killedAt, time, isLate, problems } = await transfers.transfer(
      bytes,
      chosen[i % chosen.length]!,
      random,
    );
    const where = killedAt === null ? "without a part" : `at ${(killedAt / 1e6).toFixed(1)}`;
    const late = isLate ? ", too late to matter" : "";
    console.log(
      `${i + 1}/${count} ${(bytes / 1e6).toFixed(1)} MB, ${victim} killed ${where}${late}: ${
        (time / 1000).toFixed(1)
      } s`,
    );
    for (const problem of problems) console.log(`  ${problem}`);
    if (problems.length > 0) wrong++;
  }
  await transfers.settle();
  const after = await transfers.queues();
  console.log(`${count - wrong} of ${count} came as they should; queues before ${before}, after ${after}`);
  return wrong > 0 || after !== before ? 1 : 0;
}

try {
  Deno.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}; --help shows what there is`);
  Deno.exitCode = 2;
}
