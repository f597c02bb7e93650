import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../../deno.json" with { type: "json" };
import type { SmpServer } from "../../../server/mod.ts";
import { agentHere } from "../../support/agent_here.ts";
import { startService } from "../../support/agent_service.ts";
import { startServer } from "../../support/server.ts";
import { run, ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { Telnet } from "../../support/telnet.ts";

const script = "agent/main.ts";

/** Starts `agent/main.ts` on a free port with its database in a folder, with the permissions that it documents. */
function start(folder: string, server: SmpServer, ...args: readonly string[]): Promise<ServerProcess> {
  const given = ["--db", `${folder}/agent.db`, "--port", "0", "--server", server.address, ...args];
  return ServerProcess.startBare({ script, folder, args: given, until: "listening" });
}

Deno.test("the agent prints its port, serves, stops on a signal and goes on where it was", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  let invitation = "";
  {
    await using agent = await start(folder.path, server);
    assertEquals(agent.printed, [
      `database: ${folder.path}/agent.db`,
      `server: ${server.address}`,
      `address: 127.0.0.1:${agent.port()}`,
      `listening on port ${agent.port()}`,
    ]);
    await using a = await Telnet.connect(agent.port());
    invitation = (await a.ask("1", "b", "NEW"))![2].slice(4);
    assertEquals(await agent.kill("SIGTERM"), { code: 0, stdout: "stopping\nstopped\n", stderr: "" });
  }
  for (const { name } of Deno.readDirSync(folder.path)) {
    assertEquals(Deno.statSync(`${folder.path}/${name}`).mode! & 0o777, 0o600, name);
  }
  {
    await using again = await start(folder.path, server);
    await using a = await Telnet.connect(again.port());
    assertEquals(await a.ask("2", "b", "SUB"), ["2", "b", "OK"]);
    await a.send("3", "a", `JOIN ${invitation}`);
    const connected = [await a.said(), await a.said()].map((said) => said!.join(" "));
    assertEquals(connected.toSorted(), [" a CON", " b CON"]);
  }
  // Ctrl-C comes twice at once through npx. On a busy machine the second one may be late, and ends what is left.
  const codes: number[] = [];
  while (codes.at(-1) !== 0 && codes.length < 5) {
    await using again = await start(folder.path, server);
    again.signal("SIGINT");
    assertEquals(await again.line(), "stopping");
    codes.push((await again.kill("SIGINT")).code);
  }
  assertEquals(codes.at(-1), 0);
});

Deno.test("an agent that is given no server uses those through which its connections receive", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const given = ["--db", `${folder.path}/agent.db`, "--port", "0"];
  {
    await using agent = await start(folder.path, server);
    await using a = await Telnet.connect(agent.port());
    await a.ask("1", "b", "NEW");
    await agent.kill("SIGTERM");
  }
  await using agent = await ServerProcess.startBare({
    script,
    folder: folder.path,
    args: given,
    until: "listening",
  });
  assertEquals(agent.printed[1], `server: ${server.address}`);
  await using a = await Telnet.connect(agent.port());
  assertMatch((await a.ask("2", "c", "NEW"))![2], /^INV smp::/);
});

Deno.test("an agent without connections needs a server, and makes no database without one", async () => {
  await using folder = await temporaryFolder();
  const args = ["--db", `${folder.path}/agent.db`, "--port", "0"];
  const { code, stderr } = await run(args, { script, folder: folder.path });
  assertEquals(code, 2);
  assertStringIncludes(stderr, "--server is missing");
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("after SIGKILL a client that subscribes is told what it was not told, once and in order", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using peer = await startService(server);
  await using b = await Telnet.connect(peer.port);
  {
    await using agent = await start(folder.path, server);
    const first = await Telnet.connect(agent.port());
    const invitation = (await first.ask("1", "b", "NEW"))![2].slice(4);
    await first[Symbol.asyncDispose]();
    // Whether this client has gone by now, or is told CON, is for chance to say.
    await b.send("2", "a", `JOIN ${invitation}`);
    assertEquals(await b.said(), ["", "a", "CON"]);
    assertEquals(await b.ask("3", "a", "SEND :one"), ["3", "a", "SENT 1"]);
    await using other = await Telnet.connect(agent.port());
    assertEquals(await other.ask("4", "", "MODE manual"), ["4", "", "OK"]);
    assertEquals(await other.ask("5", "b", "SUB"), ["5", "b", "OK"]);
    let text = "";
    while (!text.endsWith("one")) text = (await other.said())![2];
    assertEquals(await b.ask("6", "a", "SEND :two"), ["6", "a", "SENT 2"]);
    await agent.kill("SIGKILL");
  }
  await using again = await start(folder.path, server);
  await using client = await Telnet.connect(again.port());
  assertEquals(await client.ask("7", "b", "SUB"), ["7", "b", "OK"]);
  const texts = [await client.said(), await client.said()].map((said) => said![2].split("\n").at(-1));
  assertEquals(texts, ["one", "two"]);
  assertEquals(await client.ask("8", "b", "SEND :x"), ["8", "b", "SENT 3"]);
  assertEquals(await b.said().then((said) => said![2].split("\n").at(-1)), "x");
});

Deno.test("a second agent on the same database is refused", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using _agent = await start(folder.path, server);
  const args = ["--db", `${folder.path}/agent.db`, "--port", "0", "--server", server.address];
  const { code, stderr } = await agentHere(...args);
  assertEquals(code, 1);
  assert(stderr.startsWith(`Cannot open ${folder.path}/agent.db: another agent uses it; `), stderr);
});

Deno.test("a token and a passphrase come from files", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const file = (name: string) => `${folder.path}/${name}`;
  await Deno.writeTextFile(file("token"), "open sesame\nrest\n");
  await Deno.writeTextFile(file("passphrase"), "correct horse\n");
  await Deno.writeTextFile(file("empty"), "\n");
  {
    await using agent = await start(
      folder.path,
      server,
      "--token-file",
      file("token"),
      "--passphrase-file",
      file("passphrase"),
    );
    await using a = await Telnet.connect(agent.port());
    assertEquals(await a.ask("1", "", "TOKEN open sesame"), ["1", "", "OK"]);
    await a.ask("2", "b", "NEW");
    await agent.kill("SIGTERM");
  }
  const base = ["--db", file("agent.db"), "--port", "0", "--server", server.address];
  const cases = [
    [[], "Cannot open the store: it needs its passphrase"],
    [["--passphrase-file", file("token")], "Cannot open the store: the passphrase is wrong"],
    [["--passphrase-file", file("empty")], "empty has nothing in its first line"],
    [["--token-file", file("missing")], "missing"],
  ] as const;
  for (const [args, text] of cases) {
    const { code, stderr } = await agentHere(...base, ...args);
    assertEquals(code, 1);
    assertStringIncludes(stderr, text);
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
  }
});

Deno.test("another interface than loopback is warned about", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using agent = await start(folder.path, server, "--host", "0.0.0.0");
  assertMatch(
    await agent.logged(),
    /^warning: whoever reaches 0\.0\.0\.0:\d+ can read and send everything, in plain text$/,
  );
});

Deno.test("an agent says which servers it cannot use, and goes on", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const nowhere = `127.0.0.1:1#${server.keyHash}`;
  const other = `127.0.0.1:${server.webSocketPort}#${server.keyHash}`;
  await using agent = await start(folder.path, server, "--server", nowhere);
  const line = await agent.logged();
  assert(line.startsWith("warning: 127.0.0.1:1 cannot be used now: Cannot connect to 127.0.0.1:1: "), line);
  await using a = await Telnet.connect(agent.port());
  assert((await a.ask("1", "b", "NEW"))![1] === "b");
  await agent.kill("SIGTERM");
  await using silent = await start(folder.path, server, "--server", other);
  // It does not wait for the answer of a server.
  assertEquals((await silent.kill("SIGTERM")).code, 0);
});

Deno.test("what the command line does not know ends with 2 and one line", async () => {
  const allow = "--allow-unverified";
  const cases = [
    [[], "--server is missing"],
    [["--bogus"], "unknown option --bogus"],
    [["--server", "a", "x"], "unknown argument x"],
    [["--server", ""], "--server needs a value"],
    [["--server", "a"], "--server a has no key hash"],
    [["--server", "a:x"], "--server a:x: "],
    [["--server", "a", allow, "--port", "x"], "--port x is not a number"],
    [["--server", "a", allow, "--port", "1", "--port", "2"], "--port is given more than once"],
    [["--server", "a", allow, "--db="], "--db needs a value"],
    [["--server", "a", allow, "--keep-days", "0"], "--keep-days 0 is not a number"],
  ] as const;
  for (const [i, [args, text]] of cases.entries()) {
    const { code, stdout, stderr } = i === 0 ? await run(args, { script }) : await agentHere(...args);
    assertEquals([code, stdout], [2, ""]);
    assert(stderr.startsWith(text), stderr);
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  }
});

Deno.test("a port that is taken is explained", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const args = [
    "--db",
    `${folder.path}/agent.db`,
    "--server",
    server.address,
    "--port",
    `${taken.addr.port}`,
  ];
  const { code, stderr } = await agentHere(...args);
  assertEquals(code, 1);
  assertStringIncludes(stderr, `Cannot listen on 127.0.0.1:${taken.addr.port}: `);
  assertStringIncludes(stderr, "; stop the program that has the port, or choose another one: --port\n");
});

Deno.test("help and version need no permission", async () => {
  const [help, version] = await Promise.all([run(["--help"], { script }), run(["--version"], { script })]);
  assertEquals([help.code, help.stderr, version.code, version.stderr], [0, "", 0, ""]);
  for (const option of ["--server", "--port", "--db", "--token-file", "--passphrase-file", "--keep-days"]) {
    assertStringIncludes(help.stdout, option);
  }
  assertStringIncludes(version.stdout, config.version);
});
