import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Agent } from "../../agent/mod.ts";
import { SqliteStore } from "../../agent/store/sqlite.ts";
import { parseInput } from "../../examples/terminal-chat/input.ts";
import { harmless } from "../../examples/terminal-chat/screen.ts";
import { formatQueueInfo } from "../../mod.ts";
import { equalBytes } from "../../protocol/mod.ts";
import { keySource, TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { steadyPort } from "../support/ports.ts";
import { lackOf, requiring } from "../support/requires.ts";
import { commandOf, linesOf, run, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { codeOf, sessions, someBytes } from "../support/streams.ts";
import { type Size, TmuxTerminal } from "../support/tmux.ts";
import { next, soon, until } from "../support/wait.ts";

const script = "examples/terminal-chat/main.ts";
const testInTerminal = requiring(lackOf("tmux", "-V"));

const ini = "[STORE_LOG]\nenable: on\nmessages: journal\n";

testInTerminal(
  "two people talk in two terminals, over a server that is killed and a program that is ended",
  async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await Deno.writeTextFile(`${path}/smp-server.ini`, ini, { mode: 0o600 });
    const directories = ["--config-dir", path, "--log-dir", path, "--host", "127.0.0.1"];
    const serve = (port: number) =>
      ServerProcess.startBare({ folder: path, args: ["start", "-y", ...directories, "--port", `${port}`] });
    const server = await serve(steadyPort());
    const start = (name: string) => {
      const colour = name === "alice" ? ["NO_COLOR=1"] : ["-u", "NO_COLOR"];
      const args = ["--server", server.address, "--db", `${path}/${name}.db`];
      const command = commandOf(args, { script, folder: path });
      return TmuxTerminal.start(path, ["env", ...colour, ...command]);
    };
    await using alice = await start("alice");
    await using bob = await start("bob");
    await alice.type("/c bob");
    const invitation = (await alice.line(/^smp::/)).trim();
    await bob.type(`/a alice ${invitation}`);
    await Promise.all([alice.line(/^bob is connected/), bob.line(/^alice is connected/)]);
    await alice.type("@bob hello, Bob");
    await bob.line(/^alice: hello, Bob/);
    await alice.line(/^\[1\] ✓ the server of bob has it/);
    await alice.line(/^\[1\] ✓✓ bob has it/);
    await bob.type("@alice hello, Alice");
    await alice.line(/^bob: hello, Alice/);
    await alice.type("/connections");
    await alice.line(/^bob: connected, secret since/);
    await alice.type("/code bob");
    await bob.type("/code alice");
    const codes: string[][] = [];
    for (const person of [alice, bob]) {
      let lines: string[] = [];
      await until(async () => {
        lines = (await person.screen()).match(/^\d{5} \d{5} \d{5} \d{5}(?= *$)/gm) ?? [];
        return lines.length === 3;
      });
      codes.push(lines);
    }
    assertEquals(codes[0], codes[1]);
    await alice.type("/verify bob");
    await alice.line(/^bob is verified/);
    await alice.type("/connections");
    await alice.line(/^bob: connected, secret since .*, verified, from/);
    const colour = "\x1b[36m";
    assert((await bob.screen({ colours: true })).includes(colour));
    assert(!(await alice.screen({ colours: true })).includes(colour));
    // What is being typed stays when something comes.
    await bob.press("u", "n", "f", "i", "n");
    await alice.type("@bob one more");
    await bob.line(/^alice: one more/);
    await bob.line(/^> unfin/);
    await bob.press("C-u");

    const port = server.port("TCP");
    await server.kill("SIGKILL");
    await alice.line(/^127\.0\.0\.1:\d+ cannot be reached: bob/);
    await alice.type("@bob while it is down");
    await using _again = await serve(port);
    await alice.line(/^127\.0\.0\.1:\d+ is back: bob/);
    await bob.line(/^alice: while it is down/);

    await bob.type("/quit");
    assertEquals(await bob.ended(), 0);
    await alice.type("@bob while you were away");
    await using bobAgain = await start("bob");
    await bobAgain.line(/^talking to alice/);
    await bobAgain.line(/^alice: while you were away/);
    await bobAgain.type("/history alice");
    await bobAgain.line(/^\S+ \S+ < \[1\] hello, Bob/);
    await bobAgain.type("/delete alice");
    await bobAgain.line(/^alice and all messages are deleted/);
    await bobAgain.type("@alice x");
    await bobAgain.line(/there is no connection/i);
  },
);

testInTerminal("what comes while a line is typed stands above it, whatever the width", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  const args = ["--server", server.address, "--db", `${folder.path}/bob.db`];
  const command = ["env", "NO_COLOR=1", ...commandOf(args, { script, folder: folder.path })];
  await using bob = await TmuxTerminal.start(folder.path, command, { columns: 60, rows: 24 });
  const { invitation } = await peer.agent.create("bob");
  await bob.line(/^\/help/);
  await bob.type(`/a alice ${formatQueueInfo(invitation)}`);
  await Promise.all([peer.next("connected"), bob.line(/^alice is connected/)]);
  const words = Array.from({ length: 25 }, (_, i) => `word${i + 1}`).join(" ");
  const wide = "x" + "\u6f22\u5b57".repeat(40);
  let count = 0;
  for (const typed of [words, wide, "a".repeat(58), "b".repeat(118)]) {
    await bob.typePart(typed);
    const whole = `>${typed.replaceAll(" ", "")}`;
    await bob.packed(new RegExp(`${whole}$`));
    for (const columns of [60, 41, 80, 33, 60]) {
      await bob.resize({ columns, rows: 24 });
      await peer.send("bob", `incoming ${++count}`);
      await bob.packed(new RegExp(`alice:incoming${count}${whole}$`));
    }
    // In the middle of the line too.
    await bob.press(...Array<string>(50).fill("Left"));
    await peer.send("bob", `incoming ${++count}`);
    await bob.packed(new RegExp(`alice:incoming${count}${whole}$`));
    await bob.press("C-e", "BSpace");
    await peer.send("bob", `incoming ${++count}`);
    const screen = await bob.packed(new RegExp(`alice:incoming${count}${whole.slice(0, -1)}$`));
    const shown = [...screen.matchAll(/alice:incoming(\d+)(?=>|alice)/g)].map(([, number]) => Number(number));
    assertEquals(shown.slice(-7), Array.from({ length: 7 }, (_, i) => count - 6 + i), await bob.screen());
    assertEquals(screen.split(whole.slice(0, 9)).length, 2, screen);
    await bob.press("C-e", "C-u");
    await bob.packed(/>$/);
  }
});

Deno.test("what others write commands no terminal", { permissions: "none" }, () => {
  assertEquals(harmless("plain text, ümläute 👋"), "plain text, ümläute 👋");
  assertEquals(harmless("\x1b[2J\x07\x9b1m\x7f"), "\\u001b[2J\\u0007\\u009b1m\\u007f");
  assertEquals(harmless("one\r\nalice: forged\rx"), "one\n    alice: forged\n    x");
  assertEquals(harmless("\u202egnp.exe\u2066"), "\\u202egnp.exe\\u2066");
  assertEquals(harmless("\u061c\u200e\u200f"), "\\u061c\\u200e\\u200f");
});

Deno.test("what is typed is understood, or told what is wrong", { permissions: "none" }, () => {
  assertEquals(parseInput("@bob  hi there "), { type: "send", name: "bob", text: "hi there" });
  assertEquals(parseInput("/c bob"), { type: "create", name: "bob" });
  assertEquals(parseInput("/a bob smp::x"), { type: "accept", name: "bob", invitation: "smp::x" });
  assertEquals(parseInput("/code bob"), { type: "code", name: "bob" });
  assertEquals(parseInput("/verify bob"), { type: "verify", name: "bob", isVerified: true });
  assertEquals(parseInput("/verify bob not"), { type: "verify", name: "bob", isVerified: false });
  assertEquals(parseInput("/f @bob a path.txt "), { type: "file", name: "bob", path: "a path.txt" });
  assertEquals(parseInput("/accept"), { type: "receive", number: null, path: null });
  assertEquals(parseInput("/accept #12 a path"), { type: "receive", number: 12, path: "a path" });
  assertEquals(parseInput("/accept a #2"), { type: "receive", number: null, path: "a #2" });
  assertEquals(parseInput("/refuse #3"), { type: "refuse", number: 3 });
  assertEquals(parseInput("/cancel"), { type: "cancel", number: null });
  assertEquals(parseInput("  "), { type: "nothing" });
  for (
    const text of [
      "@bob",
      "hello",
      "/c",
      "/c a b",
      "/a bob",
      "/quit now",
      "/dance",
      "/history",
      "/code",
      "/verify",
      "/f @bob",
      "/refuse it",
      "/cancel 3",
      "/files now",
    ]
  ) {
    assertEquals(parseInput(text).type, "wrong", text);
  }
});

Deno.test("the terminal chat works in a pipe, and explains wrong options", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path });
  await Deno.writeTextFile(`${folder.path}/server`, `p@${server.address}\n`);
  const args = ["--server", `@${folder.path}/server`, "--db", `${folder.path}/chat.db`];
  const [command, ...rest] = commandOf(args, { script, folder: folder.path });
  const child = new Deno.Command(command!, { args: rest, stdin: "piped", stdout: "piped" }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode("/connections\n/dance\n/a bob smp::x\n/quit\n"));
  await input.close();
  const { code, stdout } = await child.output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assertEquals([code, lines], [0, [
    "/help shows what there is",
    "there is nobody yet; /c NAME makes an invitation",
    "there is no /dance; /help shows what there is",
    "this is not a whole invitation: copy all of the line that begins with smp::",
  ]]);
  for (
    const [wrong, text] of [
      [[], "--server is missing"],
      [["--server", "a"], "--server a has no key hash"],
      [["--server", "secret@a"], "--server a has no key hash"],
      [["--server="], "--server needs a value"],
      [["--server", server.address, "--bogus"], "unknown option --bogus"],
      [["--server", server.address, "bogus"], "unknown argument bogus"],
      [["--server", server.address, "--db="], "--db needs a value"],
      [["--server", server.address, "--routes", "5"], "--routes 5 is not a number from 1 to 4"],
    ] as const
  ) {
    const { code, stderr } = await run(wrong, { script });
    assertEquals(code, 2);
    assert(stderr.startsWith(text) && !stderr.includes("secret"), stderr);
  }
});

Deno.test("the terminal chat says that its server cannot be used, and goes on", async () => {
  await using folder = await temporaryFolder();
  const args = ["--server", `127.0.0.1:1#${"A".repeat(43)}=`, "--db", `${folder.path}/chat.db`];
  const [command, ...rest] = commandOf(args, { script, folder: folder.path });
  await using child = new Deno.Command(command!, { args: rest, stdin: "piped", stdout: "piped" }).spawn();
  const lines = linesOf(child.stdout);
  const shown = [await next(lines), await next(lines)].toSorted();
  assertEquals(shown[0], "/help shows what there is");
  assertStringIncludes(shown[1]!, "127.0.0.1:1 cannot be used now: Cannot connect to 127.0.0.1:1: ");
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode("/connections\n"));
  assertEquals(await next(lines), "there is nobody yet; /c NAME makes an invitation");
  await input.close();
  assertEquals((await soon(child.status)).code, 0);
  assert((await lines.next()).done);
});

Deno.test("the terminal chat that is started before its server receives when it is there", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/smp-server.ini`, ini, { mode: 0o600 });
  const directories = ["--config-dir", path, "--log-dir", path, "--host", "127.0.0.1"];
  const serve = (port: number) =>
    ServerProcess.startBare({ folder: path, args: ["start", "-y", ...directories, "--port", `${port}`] });
  const server = await serve(steadyPort());
  const { address } = server;
  await using bob = await Agent.start({
    servers: [address],
    keyPool: keySource(),
    retry: { first: 10, most: 100 },
  });
  {
    await using alice = await Agent.start({
      servers: [address],
      keyPool: keySource(),
      store: await SqliteStore.open(`${path}/chat.db`),
    });
    const { invitation } = await alice.create("bob");
    await bob.join(formatQueueInfo(invitation), { alias: "alice" });
    await soon(Promise.all([alice, bob].map(async (agent) => {
      for await (const { type } of agent.events()) if (type === "connected") break;
    })));
  }
  const port = server.port("TCP");
  await server.kill("SIGKILL");
  const [command, ...rest] = commandOf(["--server", address, "--db", `${path}/chat.db`], {
    script,
    folder: path,
  });
  await using child = new Deno.Command(command!, { args: rest, stdin: "piped", stdout: "piped" }).spawn();
  const lines = linesOf(child.stdout);
  const line = async (wanted: RegExp) => {
    const shown: string[] = [];
    try {
      while (!wanted.test(shown.at(-1) ?? "")) shown.push(await next(lines));
    } catch (error) {
      throw new Error(`${wanted} did not come, but ${JSON.stringify(shown)}`, { cause: error });
    }
  };
  await line(/^bob: Cannot connect .* \(BROKER NETWORK\); trying again$/);
  await using _again = await serve(port);
  await line(/^127\.0\.0\.1:\d+ is back: bob$/);
  await bob.send("alice", new TextEncoder().encode("are you back?"));
  await line(/^bob: are you back\?$/);
  await child.stdin.close();
  assertEquals((await soon(child.status)).code, 0);
  await lines.return?.();
});

/** Starts the terminal chat of somebody who has a connection to `peer`, whom the terminal calls alice. */
async function terminalWith(
  { folder, server, peer, size }: {
    readonly folder: string;
    readonly server: string;
    readonly peer: TestAgent;
    readonly size?: Size;
  },
): Promise<TmuxTerminal> {
  const args = ["--server", server, "--db", `${folder}/bob.db`];
  const command = ["env", "NO_COLOR=1", ...commandOf(args, { script, folder })];
  const terminal = await TmuxTerminal.start(folder, command, size);
  const { invitation } = await peer.agent.create("bob");
  await terminal.line(/^\/help/);
  await terminal.type(`/a alice ${formatQueueInfo(invitation)}`);
  await peer.next("session", ({ change }) => change === "active");
  await peer.send("bob", "ready");
  await terminal.line(/^alice: ready/);
  return terminal;
}

testInTerminal("files are sent and received in the terminal, in place of no other one", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address, sessions);
  await using bob = await terminalWith({ folder: path, server: server.address, peer });
  const { agent } = peer;
  const bytes = someBytes(3_000_000);
  for (const [name, number] of [["cat.png", 1], ["cat (2).png", 2]] as const) {
    const sent = await agent.sendFile("bob", new Blob([bytes]), { name: "../\u202e\x1b[2J\ncat.png" });
    const commands = `/accept #${number} or /refuse #${number}`;
    await until(async () => (await bob.screen()).includes(`[2Jcat.png, 3.0 MB; ${commands}`));
    await bob.type("/accept");
    await soon(sent.ended);
    const saved = `${path}/files/[2J${name}`;
    await until(async () => (await bob.screen()).includes(`is in ${saved}`));
    assert(equalBytes(await Deno.readFile(saved), bytes));
  }
  const named = await agent.sendFile("bob", new Blob(["text"]), { name: "a.txt" });
  const refused = await agent.sendFile("bob", new Blob(["text"]), { name: "b.txt" });
  await bob.line(/^\[#4\] alice offers a file: b\.txt, 4 bytes/);
  await bob.type("/accept");
  await bob.line(/^say which one: #3, #4/);
  await bob.type("/files");
  await bob.line(/^\[#3\] offered: a\.txt from alice, 4 bytes/);
  await bob.type("/refuse #4");
  assertEquals(await codeOf(soon(refused.ended)), "REFUSED");
  await bob.line(/^\[#4\] b\.txt: refused/);
  // What is there is left alone, and the file can be accepted under another name.
  await bob.type("/accept #3 [2Jcat.png");
  await bob.line(/there is one with that name/);
  await bob.type("/accept #3 the text.txt");
  await soon(named.ended);
  assertEquals(await Deno.readTextFile(`${path}/files/the text.txt`), "text");

  await bob.type(`/f @alice ${path}/files/the text.txt`);
  const { offer } = await peer.next("stream offered", ({ offer }) => offer.name === "the text.txt");
  await soon(agent.receiveFile(offer, `${path}/back.txt`));
  await bob.line(/^\[#5\] ✓✓ alice has the text\.txt/);
  assertEquals(await Deno.readTextFile(`${path}/back.txt`), "text");
  await bob.type(`/f @alice ${path}/files/the text.txt`);
  const again = await peer.next("stream offered");
  await bob.type("/cancel");
  assertEquals(await codeOf(soon(again.offer.ended)), "CANCELLED");
  await bob.line(/^\[#6\] the text\.txt: cancelled/);
  await bob.type(`/f @alice ${path}/missing`);
  await bob.line(/^there is no \S+\/missing$/);
  await bob.type(`/f @alice ${path}/files`);
  await bob.line(/^\S+\/files is not a file$/);
  await bob.type("/f @alice /etc/passwd");
  await bob.line(/^\/etc\/passwd is not in a folder that this program may read \(--allow-read\)$/);
  const names = [...Deno.readDirSync(`${path}/files`)].map(({ name }) => name);
  assertEquals(names.toSorted(), ["[2Jcat (2).png", "[2Jcat.png", "the text.txt"]);
});

testInTerminal("how far a file is stands above what is typed, and goes with the file", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address, sessions);
  const size = { columns: 60, rows: 24 };
  await using bob = await terminalWith({ folder: folder.path, server: server.address, peer, size });
  const half = new Uint8Array(1_000_000);
  const outgoing = await peer.agent.offerStream("bob", { name: "漢字 notes.bin", size: 4 * half.length });
  await bob.line(/^\[#1\] alice offers a file/);
  await bob.type("/accept");
  const writer = (await soon(outgoing.accepted)).getWriter();
  const typed = "words that are being typed, and go on in the next line ".repeat(2).trim();
  const packed = typed.replaceAll(" ", "");
  await writer.write(half);
  await bob.typePart(typed);
  for (const percent of [25, 50, 75]) {
    await bob.resize({ columns: percent === 50 ? 41 : 60, rows: 24 });
    await peer.send("bob", `at ${percent}`);
    const screen = await bob.packed(new RegExp(`alice:at${percent}\\[#1\\]\\d+%of4\\.0MB.*>${packed}$`));
    assertEquals(screen.split(">words").length, 2, screen);
    assertEquals(screen.split("%of").length, 2, screen);
    await writer.write(half);
  }
  await writer.close();
  await bob.packed(new RegExp(`\\[#1\\]漢字notes\\.binfromaliceisin.*notes\\.bin>${packed}$`));
  assert(!(await bob.screen()).includes("% of"));
});
