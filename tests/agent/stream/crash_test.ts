import { assert, assertEquals } from "@std/assert";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import { equalBytes } from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { connectForStreams, sessions, someBytes } from "../../support/streams.ts";
import { until } from "../../support/wait.ts";

/** A child that says how far it is. */
class Child {
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  progress = 0;
  isDone = false;

  constructor(args: readonly string[]) {
    const script = new URL("crash_child.ts", import.meta.url).pathname;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "-A", script, ...args],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (line === "done") this.isDone = true;
        else this.progress = Number(line);
      }
    }
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await this.#reading;
  }
}

Deno.test("a file arrives whole though both agents are killed again and again, and nothing is left", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const at = (name: string) => `${folder.path}/${name}`;
  {
    const start = async (name: string) =>
      await TestAgent.start(server.address, { ...sessions, store: await SqliteStore.open(at(name)) });
    await using alice = await start("a.db");
    await using bob = await start("b.db");
    await connectForStreams(server, alice, bob);
  }
  const bytes = someBytes(24_000_000);
  await Deno.writeFile(at("from"), bytes);
  const send = () => new Child(["send", at("a.db"), server.address, at("from")]);
  const receive = () => new Child(["receive", at("b.db"), server.address, at("to")]);
  let sender = send(), receiver = receive();
  for (let i = 1; i <= 4; i++) {
    await until(() => receiver.progress >= i * 4_000_000);
    if (i % 2 === 0) {
      await sender.kill();
      sender = send();
    }
    if (i !== 2) {
      await receiver.kill();
      receiver = receive();
    }
  }
  await until(() => sender.isDone && receiver.isDone);
  // Queues of runs that were killed are deleted by the next start.
  await until(() => server.gauges().queues === 2);
  await Promise.all([sender.kill(), receiver.kill()]);
  assert(equalBytes(await Deno.readFile(at("to")), bytes));
  const names = [...Deno.readDirSync(folder.path)].map(({ name }) => name);
  assertEquals(names.filter((name) => name.endsWith(".part")), []);
});
