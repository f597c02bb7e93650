import { assert, assertEquals } from "@std/assert";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import { equalBytes } from "../../../protocol/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { steadyPort } from "../../support/ports.ts";
import { startServer } from "../../support/server.ts";
import { giveKey, ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { connectForStreams, nextOffer, sessions, settled, someBytes } from "../../support/streams.ts";
import { soon, until } from "../../support/wait.ts";

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
  const bytes = someBytes(9_000_000);
  await Deno.writeFile(at("from"), bytes);
  const send = () => new Child(["send", at("a.db"), server.address, at("from")]);
  const receive = () => new Child(["receive", at("b.db"), server.address, at("to")]);
  let sender = send(), receiver = receive();
  for (let i = 1; i <= 3; i++) {
    await until(() => receiver.progress >= i * 2_000_000);
    if (i !== 1) {
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

const ini = "[STORE_LOG]\nenable: on\nmessages: journal\n[LIMITS]\n" +
  "new_queues_per_hour_per_ip: 0\nhandshakes_per_second_per_ip: 0\n";

Deno.test("a file arrives whole though its server is killed again and again", async () => {
  await using folder = await temporaryFolder();
  await using serverFolder = await temporaryFolder();
  await Deno.writeTextFile(`${serverFolder.path}/smp-server.ini`, ini, { mode: 0o600 });
  await giveKey(serverFolder.path);
  const place = ["--config-dir", serverFolder.path, "--log-dir", serverFolder.path];
  const args = ["start", ...place, "--host", "127.0.0.1", "--port", `${steadyPort()}`, "-y"];
  let server = await ServerProcess.startBare({ folder: serverFolder.path, args });
  await using alice = await TestAgent.start(server.address, sessions);
  await using bob = await TestAgent.start(server.address, sessions);
  await connectAgents(alice, bob);
  await settled(alice, bob);
  const bytes = someBytes(6_000_000), from = `${folder.path}/from`, to = `${folder.path}/to`;
  await Deno.writeFile(from, bytes);
  const outgoing = await alice.agent.sendFile("b", from);
  const offer = await nextOffer(bob);
  const receiving = bob.agent.receiveFile(offer, to);
  for (let i = 1; i <= 2; i++) {
    await until(() => offer.progress.bytes >= i * 2_000_000);
    await server.kill("SIGKILL");
    server = await ServerProcess.startBare({ folder: serverFolder.path, args });
  }
  await soon(receiving);
  await soon(outgoing.ended);
  assert(equalBytes(await Deno.readFile(to), bytes));
  await server.kill("SIGKILL");
});
