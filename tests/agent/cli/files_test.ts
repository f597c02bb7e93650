import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import config from "../../../deno.json" with { type: "json" };
import { TestAgent } from "../../support/agent.ts";
import { AgentFolder, connectCommand } from "../../support/agent_command.ts";
import { agentHere } from "../../support/agent_here.ts";
import { startServer } from "../../support/server.ts";
import { run, ServerProcess } from "../../support/server_process.ts";
import { soon } from "../../support/wait.ts";

const script = "agent/main.ts";

/** The names in a folder that begin in a certain way. */
function namesOf(folder: string, start: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.startsWith(start));
}

Deno.test("an export of a running agent goes on elsewhere, with the messages that were sent meanwhile", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  const [db, moved, backup] = ["old.db", "new.db", "a.backup"].map((name) => folder.file(name)) as [
    string,
    string,
    string,
  ];
  await connectCommand(peer, { db, server: server.address });
  const key = ["--backup-passphrase-file", await folder.write("key", "correct horse\n")];
  {
    const args = ["--db", db, "--port", "0", "--server", server.address];
    await using service = await ServerProcess.startBare({
      script,
      folder: folder.path,
      args,
      until: "listening",
    });
    const exported = await folder.run(["export", backup, "--db", db, "--json", ...key]);
    const { size, mode } = await Deno.stat(backup);
    assertEquals(JSON.parse(exported.stdout), { type: "exported", file: backup, bytes: size });
    assertEquals(mode! & 0o777, 0o600);
    assertEquals(namesOf(folder.path, "a.backup"), ["a.backup"]);
    // Everything else is refused meanwhile, and says why.
    const others = [["receive", "b"], ["send", "b", "x"], ["list"], ["delete", "b", "-y"], [
      "passphrase",
      "--remove",
    ]];
    for (const other of [...others, ["import", backup, ...key]]) {
      const { code, stdout, stderr } = await folder.here([...other, "--db", db]);
      assertEquals([code, stdout], [1, ""], other.join(" "));
      assert(stderr.startsWith(`Cannot open ${db}: another agent uses it; `), stderr);
      assertStringIncludes(stderr, '"smp-agent start"');
    }
    await service.kill("SIGTERM");
  }
  await peer.send("a", "sent meanwhile");
  await peer.next("sent");
  const imported = await folder.here(["import", backup, "--db", moved, "--json", ...key]);
  assertEquals(JSON.parse(imported.stdout), { type: "imported", connections: 1, messages: 0 });
  assertStringIncludes(imported.stderr, "never run the agent that the backup is of again");
  assertEquals((await folder.here(["receive", "b", "--db", moved])).stdout, "sent meanwhile\n");
  assertEquals((await folder.here(["send", "b", "from elsewhere", "--db", moved])).code, 0);
  assertEquals(await peer.text(), "from elsewhere");
});

Deno.test("of two imports at once one is refused, and takes nothing from the other", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const [db, moved, backup] = ["old.db", "new.db", "a.backup"].map((name) => folder.file(name)) as [
    string,
    string,
    string,
  ];
  const key = ["--backup-passphrase-file", await folder.write("key", "correct horse\n")];
  assertEquals((await folder.here(["invite", "bob", "--db", db, "--server", server.address])).code, 0);
  assertEquals((await folder.here(["export", backup, "--db", db, ...key])).code, 0);
  const one = ["import", backup, "--db", moved, ...key];
  const imports = await Promise.all([folder.here(one), folder.here(one)]);
  const refused = imports.find(({ code }) => code === 1);
  assertEquals(imports.map(({ code }) => code).sort(), [0, 1]);
  assertStringIncludes(refused!.stderr, "another agent uses it");
  const listed = await folder.here(["list", "--db", moved]);
  assertEquals(listed.code, 0, listed.stderr);
  assertStringIncludes(listed.stdout, "bob");
});

Deno.test("export and import write over nothing, and leave nothing when they fail", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const [db, other, backup] = ["a.db", "b.db", "a.backup"].map((name) => folder.file(name)) as [
    string,
    string,
    string,
  ];
  const key = ["--backup-passphrase-file", await folder.write("key", "correct horse\n")];
  const wrong = ["--backup-passphrase-file", await folder.write("wrong", "battery staple\n")];
  await folder.invite("bob", { db, server: server.address });
  assertEquals((await folder.here(["export", backup, "--db", db, ...key])).code, 0);
  const bytes = await Deno.readFile(backup);
  const unfinished = await folder.write("b.backup.new", "somebody's");
  await Deno.writeFile(folder.file("cut"), bytes.subarray(0, bytes.length - 1));
  const cases = [
    [["export", backup, "--db", db, ...key], "is there already, and never written over"],
    [["export", folder.file("b.backup"), "--db", db, ...key], "b.backup.new: it is there"],
    [["export", folder.file("c"), "--db", other, ...key], `There is no ${other}`],
    [["import", backup, "--db", db, ...key], "it has connections"],
    [["import", backup, "--db", other, ...wrong], "the passphrase is wrong"],
    [["import", folder.file("cut"), "--db", other, ...key], "Cannot read the backup: "],
    [["import", folder.file("key"), "--db", other, ...key], "Cannot read the backup: "],
    [["import", folder.file("missing"), "--db", other, ...key], "missing"],
  ] as const;
  const { close } = DatabaseSync.prototype;
  const left = new Set<string>();
  DatabaseSync.prototype.close = function (this: DatabaseSync) {
    const { file } = this.prepare("PRAGMA database_list").get()!;
    if (file === `${other}-lock`) namesOf(folder.path, "b.db").forEach((name) => left.add(name));
    close.call(this);
  };
  using _ = { [Symbol.dispose]: () => void (DatabaseSync.prototype.close = close) };
  for (const [args, text] of cases) {
    const { code, stdout, stderr } = await folder.here(args);
    assertEquals([code, stdout], [1, ""], args.join(" "));
    assertStringIncludes(stderr, text);
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
  }
  assertEquals(await Deno.readFile(backup), bytes);
  assertEquals(await Deno.readTextFile(unfinished), "somebody's");
  assertEquals([namesOf(folder.path, "b.db"), namesOf(folder.path, "c")], [[], ["cut"]]);
  // They are gone before another agent can take the lock.
  assertEquals([...left], []);
  assertEquals((await folder.here(["list", "--db", db])).stdout, "invited    0 unread  0 unsent  bob\n");
  const asked = await folder.here(["export", folder.file("c"), "--db", db]);
  assertEquals([asked.code, asked.stdout], [2, ""]);
  assertStringIncludes(asked.stderr, "--backup-passphrase-file is missing: nobody is there to ask");
});

Deno.test("an import that fails removes no database that another program has made meanwhile", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const [db, backup, pipe] = [folder.file("a.db"), folder.file("a.backup"), folder.file("pipe")];
  const key = ["--backup-passphrase-file", await folder.write("key", "correct horse\n")];
  await folder.invite("bob", { db: folder.file("old.db"), server: server.address });
  await folder.here(["export", backup, "--db", folder.file("old.db"), ...key]);
  assert((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
  const importing = folder.here(["import", backup, "--db", db, "--passphrase-file", pipe, ...key]);
  {
    // As of a program that asks somebody: it is open when it is read.
    using writer = await soon(Deno.open(pipe, { write: true }));
    await folder.invite("alice", { db, server: server.address });
    const same = await folder.write("same", "pass\n");
    assertEquals((await folder.here(["passphrase", "--new-passphrase-file", same, "--db", db])).code, 0);
    await writer.write(new TextEncoder().encode("pass\n"));
  }
  const { code, stderr } = await importing;
  assertEquals([code, stderr], [
    1,
    `Cannot import into ${db}: it has connections; name a new file with --db\n`,
  ]);
  const list = ["list", "--db", db, "--passphrase-file", folder.file("same")];
  assertEquals((await folder.here(list)).stdout, "invited    0 unread  0 unsent  alice\n");
});

Deno.test("a file that cannot be used is named, with the reason in words", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const db = ["--db", folder.file("a.db")];
  await folder.invite("bob", { db: folder.file("a.db"), server: server.address });
  const [none, key, here] = [folder.file("none"), await folder.write("key", "pass\n"), folder.path];
  const missing = "there is no such file or directory";
  const cases = [
    [["send-file", "bob", none, ...db], `Cannot read ${none}: ${missing}`],
    [["send-file", "bob", here, ...db], `Cannot send ${here}: it is not a file`],
    [["send", "bob", "--file", none, ...db], `Cannot read ${none}: ${missing}`],
    [["send", "bob", "--file", here, ...db], `Cannot read ${here}: it is a directory`],
    [["receive-file", "bob", "--to", key, ...db], `Cannot receive into ${key}: `],
    [["import", none, ...db], `Cannot read ${none}: ${missing}`],
    [
      ["export", `${none}/a`, "--backup-passphrase-file", key, ...db],
      `Cannot write ${none}/a.new: ${missing}`,
    ],
    [["export", none, "--backup-passphrase-file", none, ...db], `Cannot read ${none}: ${missing}`],
    [["list", "--passphrase-file", none, ...db], `Cannot read ${none}: ${missing}`],
    [["list", "--passphrase-file", here, ...db], `Cannot read ${here}: it is a directory`],
  ] as const;
  for (const [args, text] of cases) {
    const { code, stdout, stderr } = await folder.here(args);
    assertEquals([code, stdout], [1, ""], args.join(" "));
    assert(stderr.startsWith(text) && !/os error|E[A-Z]{4}/.test(stderr), `${args.join(" ")}: ${stderr}`);
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
  }
  // A file of which nothing may be known is none that is there.
  const outside = await folder.run(["export", "/root-of-nobody", "--backup-passphrase-file", key, ...db]);
  assertEquals(outside.code, 1);
  assertMatch(
    outside.stderr,
    /^Cannot write \/root-of-nobody: Deno's --allow-read does not name it; deno task agent has /,
  );
});

Deno.test("the passphrase of a database is set, changed and removed", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const db = folder.file("a.db");
  const [first, second] = [await folder.write("first", "one\n"), await folder.write("second", "two\n")];
  await folder.invite("bob-and-more", { db, server: server.address });
  const list = (...args: string[]) => folder.here(["list", "--db", db, ...args]);
  const change = (...args: string[]) => folder.here(["passphrase", "--db", db, ...args]);
  assertEquals((await change("--new-passphrase-file", first)).code, 0);
  const locked = await list();
  assertEquals([locked.code, locked.stdout], [1, ""]);
  assertStringIncludes(locked.stderr, "it needs its passphrase; give it with --passphrase-file");
  assertEquals((await change("--passphrase-file", first, "--new-passphrase-file", second)).code, 0);
  assertStringIncludes((await list("--passphrase-file", first)).stderr, "the passphrase is wrong");
  assertEquals((await list("--passphrase-file", second)).code, 0);
  assertEquals((await change("--passphrase-file", second, "--remove")).code, 0);
  assertStringIncludes((await list()).stdout, "bob-and-more");
  assertEquals((await change("--remove")).code, 1);
});

Deno.test("a file that is no database, or a damaged one, is refused with what to do", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const [db, other] = [folder.file("a.db"), await folder.write("other.db", "x".repeat(5000))];
  await folder.invite("bob", { db, server: server.address });
  const bytes = await Deno.readFile(db);
  bytes.fill(0xff, 100);
  await Deno.writeFile(db, bytes);
  for (const command of [["list"], ["receive", "bob"], ["start", "--server", server.address]]) {
    const damaged = await folder.here([...command, "--db", db]);
    assertEquals([damaged.code, damaged.stdout], [1, ""]);
    assertStringIncludes(damaged.stderr, "malformed; keep a copy of it, then remove");
    const foreign = await folder.here([...command, "--db", other]);
    assertEquals([foreign.code, foreign.stdout], [1, ""]);
    assertStringIncludes(foreign.stderr, `Cannot open ${other}: it belongs to another program`);
  }
  assertEquals(await Deno.readTextFile(other), "x".repeat(5000));
});

Deno.test("what commands cannot be asked for ends with 2 and one line, and makes no database", async () => {
  await using folder = await AgentFolder.make();
  const cases = [
    [["bogus"], "there is no command bogus"],
    [["help", "bogus"], "there is no command bogus"],
    [["invite"], "NAME is missing"],
    [["invite", "a"], "--server is missing"],
    [["invite", "a\nb", "--server", "a#aGk="], "a connection's NAME"],
    [["invite", "a", "b"], "unknown argument b"],
    [["invite", "a", "--server", "x"], "--server x has no key hash"],
    [["invite", "a", "--server", "secret@x"], "--server x has no key hash"],
    [["invite", "a", "--server", "secret@x:y"], "--server x:y: Cannot parse server address"],
    [
      ["invite", "a", "--server", `@${folder.file("none")}`],
      `cannot read the server in ${folder.file("none")}: there is no such file`,
    ],
    [["join", "a"], "INVITATION is missing"],
    [["join", "a", "hello"], "this is not a whole invitation: copy all of the line that begins with smp::"],
    [["join", "a", "smp::x"], "this is not a whole invitation: copy all of the line that begins with smp::"],
    [["routes", "a", "9"], "N 9 is not a number from 1 to 4"],
    [[""], 'there is no command ""'],
    [["send"], "NAME is missing"],
    [["send", "a", "text", "--file", "x"], "TEXT and --file exclude each other"],
    [["send", "a", "text", "--timeout", "0"], "--timeout 0 is not a number"],
    [["receive"], "NAME is missing, or --all"],
    [["receive", "a", "--all"], "NAME and --all exclude each other"],
    [["receive", "a", "--count", "1", "--follow"], "--count and --follow exclude each other"],
    [["receive", "a", "--raw", "--json"], "--raw and --json exclude each other"],
    [["list", "--server", "x"], "unknown option --server"],
    [["passphrase", "--remove", "--new-passphrase-file", "x"], "--remove and --new-passphrase-file"],
  ] as const;
  await Promise.all(cases.map(async ([args, text], i) => {
    const isUnnamed = ["bogus", "help", ""].includes(args[0]);
    const db = isUnnamed ? [] : ["--db", folder.file(`${i}.db`)];
    const { code, stdout, stderr } = await (i === 0 ? folder.run(args) : folder.here([...args, ...db]));
    assertEquals([code, stdout], [2, ""], stderr);
    assert(stderr.startsWith(text), stderr);
    assert(!stderr.includes("secret"), stderr);
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  }));
  assertEquals(namesOf(folder.path, ""), []);
});

Deno.test("nothing is deleted without a question or -y", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const db = folder.file("a.db");
  await folder.invite("bob", { db, server: server.address });
  const { code, stderr } = await folder.here(["delete", "bob", "--db", db]);
  assertEquals([code, stderr], [1, 'nobody is there to ask whether "bob" is to be deleted; pass -y\n']);
  const unknown = await folder.here(["delete", "alice", "-y", "--db", db]);
  assertEquals(unknown.code, 1);
  assertStringIncludes(unknown.stderr, 'There is no connection "alice"');
  await server[Symbol.asyncDispose]();
  const gone = await folder.here(["delete", "bob", "-y", "--timeout", "1", "--db", db]);
  assertEquals([gone.code, gone.stdout], [0, ""]);
  assertStringIncludes(gone.stderr, "its server could not be told");
  assertEquals((await folder.here(["list", "--db", db])).stdout, "");
});

Deno.test("every command has its help, which needs no permission", async () => {
  const overview = await run(["--help"], { script });
  const names = [
    "start",
    "invite",
    "join",
    "send",
    "receive",
    "list",
    "delete",
    "export",
    "import",
    "passphrase",
  ];
  await Promise.all(names.map(async (name) => {
    assertStringIncludes(overview.stdout, `\n  ${name} `);
    const [help, ...same] = await Promise.all([
      agentHere(name, "--help"),
      agentHere("help", name),
      agentHere(name, "-h"),
    ]);
    for (const { stdout } of same) assertEquals([help.code, help.stderr, help.stdout], [0, "", stdout]);
    assert(help.stdout.startsWith(`Usage: smp-agent ${name} `));
    for (const line of help.stdout.split("\n")) assert(line.length <= 110, line);
  }));
  const help = await run(["join", "--help"], { script });
  assertEquals([help.code, help.stderr, help.stdout], [0, "", (await agentHere("join", "--help")).stdout]);
  assertEquals((await run(["--version"], { script })).stdout.split(" ")[2], config.version);
});
