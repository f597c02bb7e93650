import { assert, assertEquals } from "@std/assert";
import { SmpClient } from "../../../client/mod.ts";
import { Load } from "../../support/load.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { requiring } from "../../support/requires.ts";
import { type Outcome, run, ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { soon, until } from "../../support/wait.ts";

const test = requiring(Deno.build.os === "windows" ? "there is no SIGKILL" : natsLack);

interface Processes extends AsyncDisposable {
  start(name: string): Promise<ServerProcess>;
  /** Asks a node as its operator does. */
  ask(name: string, ...args: readonly string[]): Promise<Outcome>;
}

/** Nodes in processes of their own, with one key, each in its folder. */
async function processes(nats: Nats): Promise<Processes> {
  const resources = new AsyncDisposableStack();
  const folder = resources.use(await temporaryFolder());
  let key: string | null = null;
  return {
    async start(name) {
      const own = `${folder.path}/${name}`;
      await Deno.mkdir(own, { recursive: true });
      if (key !== null) await Deno.writeTextFile(`${own}/server_key`, key, { mode: 0o600 });
      const args = ["-y", "--cluster", nats.urls.join(), "--node", name];
      const server = resources.use(
        await ServerProcess.start({ folder: own, args, ini: "[LIMITS]\nmessages_per_queue: 100000\n" }),
      );
      key ??= await Deno.readTextFile(`${own}/server_key`);
      return server;
    },
    ask(name, ...args) {
      const own = `${folder.path}/${name}`;
      return run([...args, "--config-dir", own], { folder: own });
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Waits until a node has claimed so many partitions. */
async function owns(server: ServerProcess, count: number): Promise<void> {
  for (let found = 0; found < count;) if ((await server.logged()).includes("owns partition")) found++;
}

test("a node that is told to stop gives its partitions away before it ends", async () => {
  await using nats = await Nats.start();
  await using nodes = await processes(nats);
  const a = await nodes.start("a");
  await owns(a, 8);
  const b = await nodes.start("b");
  await owns(b, 4);
  await using client = await SmpClient.connect(b.address);
  await client.ping();
  const { code, stdout } = await a.kill("SIGTERM");
  assertEquals([code, stdout], [0, "stopping\nstopped\n"]);
  await owns(b, 4);
  await client.ping();
  const { cluster, notReady, storeLog } = JSON.parse((await nodes.ask("b", "status", "--json")).stdout);
  assertEquals([cluster.node, notReady, storeLog], ["b", null, null]);
  assertEquals((await nodes.ask("b", "stop")).stdout, "stopping\nstopped\n");
  const { stderr } = await b.end();
  assert(!stderr.includes("taken for dead"), stderr);
});

test("what a node that is killed has answered is there at those that take over, and no message is doubled", async () => {
  await using nats = await Nats.start();
  await using nodes = await processes(nats);
  const a = await nodes.start("a");
  await owns(a, 8);
  const { load, ended } = await Load.start(a.address, 4);
  await until(() => load.accepted > 50);
  const b = await nodes.start("b");
  await owns(b, 4);
  const before = load.accepted;
  await until(() => load.accepted > before + 50);
  await a.kill("SIGKILL");
  await soon(ended);
  await owns(b, 4);
  assertEquals(await load.check(b.address), []);
  // Its name is free again.
  const again = await nodes.start("a");
  await owns(again, 4);
});
