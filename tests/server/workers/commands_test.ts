import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { SmpClient } from "../../../mod.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { type Outcome, run, ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { filesIn, openWorkers, prepareFolder } from "../../support/worker_files.ts";
import { keyOf } from "../../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

const journal = "[STORE_LOG]\nenable: on\nmessages: journal\n";

function onFolder(folder: string, ...args: readonly string[]): Promise<Outcome> {
  return run([...args, "--config-dir", folder, "--log-dir", folder], { folder });
}

function contentOf(folder: string): [string, string][] {
  return filesIn(folder).map((name) => [name, Deno.readTextFileSync(`${folder}/${name}`)]);
}

/** The folder of a server that has stopped, with a queue for each text, which waits in it. */
async function makeServer(folder: string, texts: readonly string[]) {
  await using server = await ServerProcess.start({ folder, ini: journal });
  const queues = [];
  {
    await using client = await SmpClient.connect(server.address);
    for (const text of texts) {
      const queue = await client.createQueue({ keyPair });
      await client.send(queue, textBytes(text));
      await client.send(queue, textBytes(`${text} again`));
      queues.push(queue);
    }
  }
  assertEquals((await server.kill("SIGTERM")).code, 0);
  return queues;
}

const texts = ["a", "b", "c", "d", "e", "f"];

Deno.test("start makes the files of workers those of one process", async () => {
  await using folder = await temporaryFolder();
  const queues = await makeServer(folder.path, texts);
  (await prepareFolder(folder.path, 3))[Symbol.dispose]();
  await using server = await ServerProcess.start({ folder: folder.path });
  assertStringIncludes(
    await server.logged(),
    "wrote the files of 3 workers anew for one process: 6 queues",
  );
  await using client = await SmpClient.connect(server.address);
  for (const [i, queue] of queues.entries()) {
    const events = client.events(queue);
    await client.subscribe(queue);
    for (const text of [texts[i], `${texts[i]} again`]) {
      const { value } = await events.next();
      assert(value?.type === "MSG");
      assertEquals(new TextDecoder().decode(value.body), text);
      await client.acknowledge(queue);
    }
  }
  assertEquals(filesIn(folder.path), [
    "server_key",
    "smp-server-messages.log",
    "smp-server-store.log",
    "smp-server-store.log.handshakes",
    "smp-server.ini",
  ]);
});

Deno.test("start refuses files of one process beside those of workers with one line", async () => {
  await using folder = await temporaryFolder();
  await makeServer(folder.path, ["a"]);
  (await prepareFolder(folder.path, 2))[Symbol.dispose]();
  const stray = `${folder.path}/smp-server-store.log`;
  await Deno.writeTextFile(stray, "");
  for (const command of ["start", "verify", "export"]) {
    const args = command === "export" ? [command, `${folder.path}/exported`] : [command];
    const { code, stdout, stderr } = await onFolder(folder.path, ...args);
    assertEquals(code, 1);
    assertStringIncludes(
      command === "verify" ? stdout : stderr,
      `Cannot use ${stray}: ${stray}.workers says`,
    );
  }
});

Deno.test("verify reads the files of workers and changes nothing", async () => {
  await using folder = await temporaryFolder();
  await makeServer(folder.path, texts);
  (await prepareFolder(folder.path, 2))[Symbol.dispose]();
  const before = contentOf(folder.path);
  const { code, stdout } = await onFolder(folder.path, "verify");
  assertEquals(code, 0);
  assertStringIncludes(
    stdout,
    `ok: 6 queues in ${folder.path}/smp-server-store.log, the files of 2 workers\n`,
  );
  assertStringIncludes(stdout, "ok: 12 messages in ");
  assertEquals(contentOf(folder.path), before);
  const damaged = `${folder.path}/smp-server-messages.log.g1-w1`;
  await Deno.writeTextFile(damaged, "no record\n", { append: true });
  const second = await onFolder(folder.path, "verify");
  assertEquals(second.code, 1);
  assertStringIncludes(second.stdout, `wrong: ${damaged}: line `);
  await Deno.remove(damaged);
  assertStringIncludes(
    (await onFolder(folder.path, "verify")).stdout,
    `wrong: Cannot read ${damaged}: it is not there`,
  );
});

Deno.test("export gives the files of one process, which import and start take", async () => {
  await using folder = await temporaryFolder();
  await using other = await temporaryFolder();
  await makeServer(folder.path, texts);
  let expected;
  {
    await using two = await openWorkers(folder.path, 2);
    const [[recipientId, [, , first]]] = Object.entries((await two.content()).queues) as [
      [string, [string, string, string]],
    ];
    await two.of(recipientId).messages.remove(recipientId, first);
    expected = await two.content();
  }
  const before = contentOf(folder.path);
  await using outside = await temporaryFolder();
  const to = `${outside.path}/exported`;
  const folders = [folder.path, other.path, outside.path];
  const exported = await run(["export", to, "--config-dir", folder.path, "--log-dir", folder.path], {
    folders,
  });
  assertEquals([exported.code, exported.stderr], [0, ""]);
  assertStringIncludes(exported.stdout, "exported the key, 6 queues and 11 messages");
  assertEquals(contentOf(folder.path), before);
  assertEquals(filesIn(to), [
    "server_key",
    "smp-server-messages.log",
    "smp-server-store.log",
    "smp-server-store.log.handshakes",
    "smp-server.ini",
  ]);
  const lines = (await Deno.readTextFile(`${to}/smp-server-messages.log`)).trimEnd().split("\n");
  assertEquals(lines.length, 12);
  const imported = await run(["import", to, "--config-dir", other.path, "--log-dir", other.path], {
    folders,
  });
  assertEquals(imported.code, 0);
  await using four = await openWorkers(other.path, 4);
  assertEquals(await four.content(), expected);
  await four[Symbol.asyncDispose]();
  // Not over files of workers.
  await Deno.remove(`${other.path}/server_key`);
  await Deno.remove(`${other.path}/smp-server.ini`);
  const again = await run(["import", to, "--config-dir", other.path, "--log-dir", other.path], { folders });
  assertEquals(again.code, 1);
  assertStringIncludes(again.stderr, "smp-server-store.log.workers is there already");
});

Deno.test("export and delete refuse files that are in use", async () => {
  await using folder = await temporaryFolder();
  await makeServer(folder.path, ["a"]);
  (await prepareFolder(folder.path, 2))[Symbol.dispose]();
  await using two = await openWorkers(folder.path, 2);
  const exported = await onFolder(folder.path, "export", `${folder.path}/exported`);
  assertEquals(exported.code, 1);
  assertStringIncludes(exported.stderr, "another server uses it");
  const deleted = await onFolder(folder.path, "delete", "-y");
  assertEquals(deleted.code, 1);
  assertStringIncludes(deleted.stderr, "Cannot delete the server: it is running with");
  // A worker that has outlived the others counts too.
  two.files[Symbol.dispose]();
  await two.stores[0]!.close();
  assertStringIncludes((await onFolder(folder.path, "delete", "-y")).stderr, "log.g1-w1; stop it first");
});

Deno.test("delete removes the files of workers", async () => {
  await using folder = await temporaryFolder();
  await makeServer(folder.path, ["a"]);
  (await prepareFolder(folder.path, 2))[Symbol.dispose]();
  {
    await using _two = await openWorkers(folder.path, 2);
  }
  await Deno.writeTextFile(`${folder.path}/smp-server-store.log.conversion`, "");
  await Deno.writeTextFile(`${folder.path}/smp-server-store.log.g1-w1.broken-1`, "");
  // What a server leaves that was killed.
  for (const name of ["server_key", "smp-server-store.log"]) {
    await Deno.mkdir(`${folder.path}/${name}.sockets`);
    await Deno.writeTextFile(`${folder.path}/${name}.sockets/0`, "");
  }
  assertEquals((await onFolder(folder.path, "delete", "-y")).code, 0);
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), []);
});
