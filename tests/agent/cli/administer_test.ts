import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { agentPlace } from "../../../agent/admin/place.ts";
import { agentHere, agentUntil } from "../../support/agent_here.ts";
import { lackOf, requiring } from "../../support/requires.ts";
import { commandOf, run, ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { Telnet } from "../../support/telnet.ts";
import { TmuxTerminal } from "../../support/tmux.ts";
import { soon } from "../../support/wait.ts";

const script = "agent/main.ts";
/** Nobody is there, which an agent says, and serves. */
const nowhere = `127.0.0.1:1#${"A".repeat(43)}=`;
const socketTest = requiring(Deno.build.os === "windows" ? "there are no Unix sockets here" : null);

function start(folder: string, ...args: readonly string[]): Promise<ServerProcess> {
  const given = ["--db", `${folder}/agent.db`, "--port", "0", "--server", nowhere, ...args];
  return ServerProcess.startBare({ script, folder, args: given, until: "listening" });
}

socketTest("a running agent is looked at, changed and stopped from another terminal", async () => {
  await using folder = await temporaryFolder();
  const [db, file] = [`${folder.path}/agent.db`, `${folder.path}/token`];
  await Deno.writeTextFile(file, "old\n");
  await using agent = await start(folder.path, "--token-file", file);
  const { code, stdout } = await agentHere("status", "--json", "--db", db);
  const status = JSON.parse(stdout);
  assertEquals(
    [code, status.type, status.pid, status.database, status.address, status.logLevel],
    [0, "status", agent.pid, db, `127.0.0.1:${agent.port()}`, "warn"],
  );
  assert(status.databaseSize > 0);
  assertStringIncludes((await agentHere("status", "--db", db)).stdout, `\nprocess: ${agent.pid}\n`);
  // By any name of the database
  await Deno.symlink(db, `${folder.path}/link.db`);
  assertEquals((await agentHere("status", "--db", `${folder.path}/link.db`)).code, 0);

  const second = await run(["--db", db, "--port", "0", "--server", nowhere], { script, folder: folder.path });
  assertEquals(second.code, 1);
  assertStringIncludes(second.stderr, "another agent uses it");
  assertStringIncludes((await agentHere("log-level", "debug", "--db", db)).stdout, "log level: debug");

  await Deno.writeTextFile(file, "new\n");
  {
    await using before = await Telnet.connect(agent.port());
    assertEquals((await before.ask("1", "", "TOKEN new"))![2], "ERR CMD PROHIBITED");
  }
  assertEquals((await agentHere("reload", "--db", db)).stdout.split("\n").slice(0, 2), [
    "taken: --token-file, for clients that connect from now on",
    "not taken until the next start: all else, which the command line says",
  ]);
  {
    await using after = await Telnet.connect(agent.port());
    assertEquals((await after.ask("1", "", "TOKEN new"))![2], "OK");
  }
  assertEquals(await agentHere("stop", "--db", db), { code: 0, stdout: "stopping\nstopped\n", stderr: "" });
  const ended = await agent.end();
  assertEquals([ended.code, ended.stdout], [0, "stopping\nstopped\n"]);
  assertMatch(ended.stderr, / DEBUG a client has come, of 1 now$/m);
  assertEquals(await Deno.lstat((await agentPlace(db)).path).catch(() => null), null);
});

socketTest(
  "where no agent serves the commands say so, also when one was killed; the next one takes over",
  async () => {
    await using folder = await temporaryFolder();
    const db = `${folder.path}/agent.db`;
    const isNone = async () => {
      for (const command of [["status"], ["reload"], ["log-level", "info"], ["stop"]]) {
        assertEquals(await agentHere(...command, "--db", db), {
          code: 1,
          stdout: "",
          stderr: `No agent serves ${db}: "smp-agent start" does; --db says which one\n`,
        });
      }
    };
    await isNone();
    {
      await using agent = await start(folder.path);
      await agent.kill("SIGKILL");
    }
    assert((await Deno.lstat((await agentPlace(db)).path)).isSocket);
    await isNone();
    await using next = await start(folder.path);
    assertEquals(JSON.parse((await agentHere("status", "--json", "--db", db)).stdout).pid, next.pid);
    assertEquals((await next.kill("SIGTERM")).code, 0);
    await isNone();
    assertStringIncludes((await agentHere("top", "--db", db)).stderr, "top needs a terminal");
    assertStringIncludes((await agentHere("log-level", "loud", "--db", db)).stderr, "loud is no log level");
    const long = `${folder.path}/${"x".repeat(120)}.db`;
    assertStringIncludes(
      (await agentHere("status", "--db", long)).stderr,
      "is too long for the path of a socket",
    );
  },
);

requiring(lackOf("tmux", "-V"))(
  "top shows an agent live until q or a signal, also when the agent does not answer",
  async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await using agent = await start(path);
    const command = commandOf(["top", "--db", `${path}/agent.db`], { script, folder: path });
    const size = { columns: 90, rows: 20 };
    {
      await using terminal = await TmuxTerminal.start(path, command, size);
      await terminal.packed(/SMPagent.*clients000.*127.0.0.1:1idle/);
      await using _client = await Telnet.connect(agent.port());
      await terminal.packed(/clients001/);
      await terminal.press("q");
      assertEquals(await terminal.ended(), 0);
    }
    await using terminal = await TmuxTerminal.start(path, command, size);
    await terminal.packed(/SMPagent/);
    Deno.kill(agent.pid, "SIGSTOP");
    try {
      await terminal.signal("SIGTERM");
      assertEquals([await terminal.ended(), await terminal.isRestored()], [143, true]);
    } finally {
      Deno.kill(agent.pid, "SIGCONT");
    }
  },
);

socketTest("what waits for an agent ends with a signal", async () => {
  await using folder = await temporaryFolder();
  const db = `${folder.path}/agent.db`;
  const { path } = await agentPlace(db);
  using listener = Deno.listen({ transport: "unix", path });
  const ending = new AbortController();
  const status = agentUntil(ending.signal, ["status", "--db", db]);
  using _asked = await listener.accept();
  ending.abort();
  assertEquals(await soon(status), { code: 130, stdout: "", stderr: "interrupted\n" });

  const stopping = new AbortController();
  const stop = agentUntil(stopping.signal, ["stop", "--db", db], { printed: () => stopping.abort() });
  using asked = await listener.accept();
  await asked.write(new TextEncoder().encode('{"ok":true,"lines":["stopping"]}\n'));
  assertStringIncludes((await soon(stop)).stderr, "interrupted: the agent goes on stopping");
});
