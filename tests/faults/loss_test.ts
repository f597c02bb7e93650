import { assert } from "@std/assert";
import { natsLack } from "../support/nats.ts";
import { requiring } from "../support/requires.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { ClusterTarget } from "./cluster.ts";
import { run } from "./run.ts";
import type { Target } from "./target.ts";
import { WorkersTarget } from "./workers.ts";

const root = new URL("../../", import.meta.url).pathname;
const test = requiring(Deno.build.os === "linux" ? null : "processes can share a port only on Linux");

/** What a server is made of. */
const sources = ["server", "protocol", "cli", "std", "deno.json", "deno.lock", "import_map.json"];

interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** SEND is answered when the message is in memory, and the log is written a second later. */
const noWait: Change = {
  file: "server/store/message_journal.ts",
  from: `    await this.#log.append(
      messageLine(recipientId, message),
      () => void this.#memory.append(recipientId, message),
    );`,
  to: `    await this.#memory.append(recipientId, message);
    setTimeout(() => this.#log.append(messageLine(recipientId, message), () => {}), 1_000);`,
};

/** The same for the log of a partition in a cluster. */
const noWaitInCluster: Change = {
  file: "server/cluster/partition_log.ts",
  from: `    const fate = await storeBatch(stream, data, options);`,
  to: `    const fate = "stored";
    setTimeout(() => this.late = (this.late ?? Promise.resolve()).then(() => storeBatch(stream, data, options)), 1_000);`,
};

async function brokenCopy(folder: string, { file, from, to }: Change): Promise<void> {
  const copy = `mkdir ${folder}/deploy && cp -r ${
    sources.join(" ")
  } ${folder} && cp deploy/server.lock ${folder}/deploy`;
  const { success } = await new Deno.Command("sh", { args: ["-c", copy], cwd: root }).output();
  assert(success);
  const path = `${folder}/${file}`;
  const text = await Deno.readTextFile(path);
  assert(text.includes(from), "the change fits the code");
  await Deno.writeTextFile(path, text.replace(from, () => to));
}

/** It goes by what is on its way when a process is killed: some runs lose nothing. */
const mostRuns = 5;

async function assertLoss(target: Target, faults: readonly string[]): Promise<void> {
  for (let seed = 1; seed <= mostRuns; seed++) {
    const { verdict } = await run(target, { faults, pairs: 5, seed, patience: 5_000 });
    if (verdict.lost === 0) continue;
    assert(verdict.problems.some((problem) => problem.endsWith("was answered OK and is lost")));
    return;
  }
  throw new Error(`${mostRuns} runs found nothing`);
}

test("a server that answers before the log has a message is found to lose some", async () => {
  await using folder = await temporaryFolder();
  await brokenCopy(folder.path, noWait);
  await using target = await WorkersTarget.start({ root: folder.path });
  await assertLoss(target, ["kill-worker", "kill-all"]);
});

requiring(Deno.build.os === "windows" ? "there is no SIGKILL" : natsLack)(
  "a node that answers before the log of a partition has a message is found to lose some",
  async () => {
    await using folder = await temporaryFolder();
    await brokenCopy(folder.path, noWaitInCluster);
    await using target = await ClusterTarget.start({ servers: 1, root: folder.path });
    await assertLoss(target, ["kill-all"]);
  },
);
