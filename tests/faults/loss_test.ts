import { assert } from "@std/assert";
import { requiring } from "../support/requires.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { run } from "./run.ts";
import { WorkersTarget } from "./workers.ts";

const root = new URL("../../", import.meta.url).pathname;
const test = requiring(Deno.build.os === "linux" ? null : "processes can share a port only on Linux");

/** What a server is made of. */
const sources = ["server", "protocol", "cli", "std", "deno.json", "deno.lock", "import_map.json"];

/** SEND is answered when the message is in memory, and the log is written a second later. */
const noWait = {
  file: "server/store/message_journal.ts",
  from: `    await this.#log.append(
      messageLine(recipientId, message),
      () => void this.#memory.append(recipientId, message),
    );`,
  to: `    await this.#memory.append(recipientId, message);
    setTimeout(() => this.#log.append(messageLine(recipientId, message), () => {}), 1_000);`,
};

async function brokenCopy(folder: string): Promise<void> {
  const copy = `mkdir ${folder}/deploy && cp -r ${
    sources.join(" ")
  } ${folder} && cp deploy/server.lock ${folder}/deploy`;
  const { success } = await new Deno.Command("sh", { args: ["-c", copy], cwd: root }).output();
  assert(success);
  const path = `${folder}/${noWait.file}`;
  const text = await Deno.readTextFile(path);
  assert(text.includes(noWait.from), "the change fits the code");
  await Deno.writeTextFile(path, text.replace(noWait.from, () => noWait.to));
}

test("a server that answers before the log has a message is found to lose some", async () => {
  await using folder = await temporaryFolder();
  await brokenCopy(folder.path);
  await using target = await WorkersTarget.start({ root: folder.path });
  const { verdict } = await run(target, { faults: ["kill-worker", "kill-all"], pairs: 10, seed: 1 });
  assert(verdict.lost > 0, `${verdict.accepted} SENDs were answered OK`);
  assert(verdict.problems.some((problem) => problem.endsWith("was answered OK and is lost")));
});
