import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { SmpClient } from "../../../client/mod.ts";
import { SmpError, textBytes } from "../../../protocol/mod.ts";
import type { ServerStatus } from "../../../server/admin/status.ts";
import { lackOf, requiring } from "../../support/requires.ts";
import {
  commandOf,
  type Outcome,
  run,
  ServerProcess,
  temporaryFolder,
} from "../../support/server_process.ts";
import { TmuxTerminal } from "../../support/tmux.ts";
import { startWorkers, workersIni } from "../../support/worker_processes.ts";
import { keyOf } from "../../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

/** Asks the server of a folder with the permissions that this needs, and no others. */
function ask(folder: string, ...args: readonly string[]): Promise<Outcome> {
  return run([...args, "--config-dir", folder], { folder });
}

async function statusOf(folder: string): Promise<ServerStatus> {
  const { code, stdout, stderr } = await ask(folder, "status", "--json");
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

async function sendOne(address: string): Promise<void> {
  await using client = await SmpClient.connect(address);
  await client.send(await client.createQueue({ keyPair }), textBytes("x"));
}

Deno.test("status tells what the server is and has done, for people and programs", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, ini: "" });
  await sendOne(server.address);
  const { pid, address, gauges, totals, storeLog, logLevel } = await statusOf(folder.path);
  assertEquals([pid, address, storeLog, logLevel], [server.pid, server.address, null, "info"]);
  assertEquals([gauges.queues, gauges.messages, totals.accepted], [1, 1, 1]);
  const { stdout } = await ask(folder.path, "status");
  for (const line of [`address: ${server.address}`, "queues: 1", "messages accepted: 1"]) {
    assertStringIncludes(stdout, `\n${line}\n`);
  }
});

Deno.test("reload takes limits and log level, says what takes a restart, and nothing of a bad ini", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using server = await ServerProcess.start({ folder: path, ini: "[LIMITS]\nnew_queues: off\n" });
  await assertRejects(() => sendOne(server.address));
  await Deno.writeTextFile(`${path}/smp-server.ini`, "[LIMITS]\nnew_queues: maybe\n");
  const bad = await ask(path, "reload");
  assertEquals(bad.code, 1);
  assertMatch(bad.stderr, /^The server refuses reload: .*line 2: new_queues must be on or off/);
  // As an editor leaves it for a moment.
  await Deno.writeTextFile(`${path}/smp-server.ini`, "\n");
  assertMatch((await ask(path, "reload")).stderr, /^The server refuses reload: .*smp-server.ini is empty/);
  await assertRejects(() => sendOne(server.address));
  const ini = "[LIMITS]\nnew_queues: on\n[LOG]\nlevel: debug\n[METRICS]\nport: 0\nhosts: a\n";
  await Deno.writeTextFile(`${path}/smp-server.ini`, ini);
  assertEquals(await ask(path, "reload"), {
    code: 0,
    stdout:
      "taken: [ACCESS], [LIMITS], [LOG] level\nnot taken until the next start: [METRICS] port, [METRICS] hosts\n",
    stderr: "",
  });
  await sendOne(server.address);
  assertEquals((await statusOf(path)).logLevel, "debug");
});

Deno.test("log-level changes what is logged, until the next reload", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using server = await ServerProcess.start({ folder: path, ini: "[LOG]\nlevel: info\n" });
  await Deno.writeTextFile(`${path}/smp-server.ini`, "[LOG]\nlevel: info\nsomething: else\n");
  assertEquals((await ask(path, "log-level", "error")).code, 0);
  assertStringIncludes((await ask(path, "reload")).stdout, "warning: ");
  assertMatch(await server.logged(), / INFO read the limits again/);
  assertEquals((await ask(path, "reload")).code, 0);
  assertMatch(await server.logged(), / WARN .* there is no key something/);
});

Deno.test("stop ends the server well, and comes back when another one can start", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using server = await ServerProcess.start({ folder: path, ini: "", args: ["-l"] });
  await sendOne(server.address);
  assertEquals(await ask(path, "stop"), { code: 0, stdout: "stopping\nstopped\n", stderr: "" });
  await using next = await ServerProcess.start({ folder: path, args: ["-l"] });
  assertEquals((await statusOf(path)).gauges.messages, 1);
  const { code, stdout } = await server.end();
  assertEquals([code, stdout], [0, "stopping\nstopped\n"]);
  assertEquals((await next.kill("SIGTERM")).code, 0);
});

Deno.test("where no server runs the commands say so, also when one was killed, and delete removes what it left", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const isNone = async () => {
    for (const command of ["status", "reload", "stop"]) {
      const { code, stderr } = await ask(path, command);
      assertEquals(code, 1);
      assertMatch(stderr, /^No server runs with the files of .*; --config-dir says where else they are\n$/);
    }
  };
  await isNone();
  await using server = await ServerProcess.start({ folder: path, ini: "" });
  await server.kill("SIGKILL");
  await isNone();
  await using next = await ServerProcess.start({ folder: path });
  assertEquals((await statusOf(path)).pid, next.pid);
  await next.kill("SIGKILL");
  await run(["delete", "-y", "--config-dir", path, "--log-dir", path], { folder: path });
  assertEquals([...Deno.readDirSync(path)], []);
});

Deno.test("a folder that may not be looked at is told, with what says where the server is", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await run(["status"], { folder: folder.path });
  assertEquals([code, stdout], [1, ""]);
  assertMatch(
    stderr,
    /^Cannot ask the server of \/etc\/opt\/simplex: Deno's --allow-\w+ does not name it; --config-dir /,
  );
});

Deno.test("a server that may not make the socket says so, and serves", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const command = commandOf(["start", "-y", "--config-dir", path, "--log-dir", path, "--port", "0"], {
    folder: path,
  })
    .map((arg) => arg === "--allow-net" ? "--allow-net=[::],0.0.0.0" : arg);
  await using server = await ServerProcess.spawned({ command });
  assertMatch(
    await server.logged(),
    / INFO status, reload, stop and log-level do not work: it has not the permission/,
  );
  assertEquals([...Deno.readDirSync(path)].map(({ name }) => name).toSorted(), [
    "server_key",
    "smp-server.ini",
  ]);
});

const workersTest = requiring(Deno.build.os === "linux" ? null : "processes can share a port only on Linux");

workersTest("a server with workers is administered as one", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using server = await startWorkers({ folder: path });
  await sendOne(server.address);
  const { workers, totals, pid } = await statusOf(path);
  assertEquals([workers?.ready, totals.accepted, pid], [2, 1, server.pid]);
  assertEquals((await ask(path, "log-level", "debug")).code, 0);
  assertEquals((await statusOf(path)).logLevel, "debug");
  await Deno.writeTextFile(`${path}/smp-server.ini`, `${workersIni}[LIMITS]\nnew_queues: off\n`);
  assertStringIncludes((await ask(path, "reload")).stdout, "taken: [ACCESS], [LIMITS]");
  await assertRejects(() => sendOne(server.address));
  await Deno.writeTextFile(
    `${path}/smp-server.ini`,
    `${workersIni}[ACCESS]\ncreate: password\npassword: p@1\n`,
  );
  assertEquals((await ask(path, "reload")).code, 0);
  await assertRejects(() => sendOne(server.address), SmpError, "it wants its password");
  await assertRejects(() => sendOne(`p@${server.address}`), SmpError, "the password is not that");
  await sendOne(`p@1@${server.address}`);
  assertEquals((await ask(path, "stop")).stdout, "stopping\nstopped\n");
  assertEquals((await server.end()).code, 0);
});

requiring(lackOf("tmux", "-V"))(
  "top shows live numbers until q or a signal, and gives the terminal back",
  async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await using server = await ServerProcess.start({ folder: path, ini: "" });
    const command = commandOf(["top", "--config-dir", path], { folder: path });
    await using terminal = await TmuxTerminal.start(path, command, { columns: 100, rows: 30 });
    await terminal.packed(/SMPserver.*ready.*queues0/);
    await sendOne(server.address);
    await terminal.packed(/queues1/);
    await terminal.press("q");
    assertEquals(await terminal.ended(), 0);
    assert(!(await terminal.screen()).includes("queues"));
    {
      await using ended = await TmuxTerminal.start(path, command, { columns: 40, rows: 10 });
      await ended.packed(/SMPserver/);
      await ended.signal("SIGTERM");
      assertEquals([await ended.ended(), await ended.isRestored()], [143, true]);
    }
    await using other = await TmuxTerminal.start(path, command, { columns: 40, rows: 10 });
    await other.packed(/SMPserver/);
    await server.kill("SIGTERM");
    assertEquals(await other.ended(), 1);
    assertStringIncludes((await other.screen()).replaceAll(/\s/g, ""), "Noserverruns");
  },
);

Deno.test("top needs a terminal", async () => {
  await using folder = await temporaryFolder();
  const { code, stderr } = await ask(folder.path, "top");
  assertEquals(code, 1);
  assertStringIncludes(stderr, "top needs a terminal");
});
