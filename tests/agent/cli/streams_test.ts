import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { encodeBase64, equalBytes, sha256 } from "../../../protocol/mod.ts";
import type { OutgoingStream, StreamOffer } from "../../../agent/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { AgentFolder, connectCommand } from "../../support/agent_command.ts";
import { steadyPort } from "../../support/ports.ts";
import { lackOf, requiring } from "../../support/requires.ts";
import { startServer } from "../../support/server.ts";
import { commandOf, ServerProcess } from "../../support/server_process.ts";
import { nextOffer, sessions, someBytes } from "../../support/streams.ts";
import { TmuxTerminal } from "../../support/tmux.ts";
import { soon, until } from "../../support/wait.ts";

/** An agent "a" of this process, and a database whose commands call it "b". */
async function pair(given?: string) {
  const resources = new AsyncDisposableStack();
  const folder = resources.use(await AgentFolder.make());
  const server = given ?? resources.use(await startServer()).address;
  const peer = resources.use(await TestAgent.start(server, sessions));
  const db = folder.file("b.db");
  await connectCommand(folder, peer, { db, server });
  await until(() => peer.agent.connection("a").session?.active === true);
  return { folder, peer, db, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

/** The names of files in a folder, sorted. */
function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** How many bytes of a file are in a folder that has not come whole. */
function partIn(folder: string): number {
  const part = namesIn(folder).find((name) => name.endsWith(".part"));
  return part === undefined ? 0 : Deno.statSync(`${folder}/${part}`).size;
}

/** What was told about the end of a stream: its code, and the words of the other side. */
async function endOf(stream: OutgoingStream | StreamOffer): Promise<unknown[]> {
  const error = await soon(stream.ended).then(() => null, (error) => error);
  return [error?.code, error?.told];
}

/** Reads some of a stream, or the rest. */
async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  least = Infinity,
): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for (let length = 0; length < least;) {
    const { done, value } = await soon(reader.read());
    if (done) break;
    parts.push(value);
    length += value.length;
  }
  return parts;
}

async function joined(parts: Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  return await new Blob(parts as BlobPart[]).bytes();
}

Deno.test("send-file sends a file by its name, and says with --json how far it is", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const bytes = someBytes(300_000), path = folder.file("cat\x1b.png");
  await Deno.writeFile(path, bytes);
  await using sending = await folder.start(["send-file", "b", path, "--db", db, "--json"]);
  const { id, ...offered } = JSON.parse(await sending.line());
  assertEquals(offered, { type: "offered", connection: "b", name: "cat\x1b.png", size: 300_000 });
  const offer = await nextOffer(peer);
  assertEquals([offer.id, offer.name, offer.size], [id, "cat\x1b.png", 300_000]);
  const parts = await read(offer.accept().getReader());
  assert(equalBytes(await joined(parts), bytes));
  const { code, stdout, stderr } = await sending.end();
  assertEquals([code, stderr], [0, ""]);
  assert(!stdout.includes("\x1b"));
  const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.pop(), { type: "sent", connection: "b", id, name: "cat\x1b.png", size: 300_000 });
  for (const { type } of lines) assertEquals(type, "progress");
  const missing = await folder.run(["send-file", "b", folder.file("none"), "--db", db]);
  assertEquals([missing.code, missing.stdout], [1, ""]);
});

Deno.test("receive-file puts files into a folder by names that are no paths, and overwrites nothing", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const to = folder.file("in");
  await Deno.mkdir(to);
  await Deno.writeTextFile(`${to}/evil.txt`, "mine");
  const name = "../../b/\x1b[2J\u202e/evil.txt";
  const bytes = someBytes(100_000);
  await peer.agent.sendFile("a", new Blob([bytes]), { name });
  await peer.agent.sendFile("a", new Blob([]), { name });
  const first = await folder.run(["receive-file", "b", "--to", to, "--db", db]);
  assertEquals([first.code, first.stdout], [0, `${to}/evil (2).txt\n`]);
  for (const control of "\x1b\u202e") assert(!first.stderr.includes(control), first.stderr);
  assert(equalBytes(await Deno.readFile(`${to}/evil (2).txt`), bytes));
  const second = await folder.run(["receive-file", "b", "--to", to, "--db", db, "--json"]);
  const [receiving, received] = second.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  const { id } = receiving, file = `${to}/evil (3).txt`;
  assertEquals(receiving, { type: "receiving", connection: "b", id, name, size: 0, file });
  const hash = encodeBase64(await sha256(new Uint8Array(0)));
  assertEquals(received, { ...receiving, type: "received", sha256: hash });
  assertEquals(namesIn(to), ["evil (2).txt", "evil (3).txt", "evil.txt"]);
  assertEquals(await Deno.readTextFile(`${to}/evil.txt`), "mine");
});

Deno.test("a file goes on where it was when receive-file was killed and is called again", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const to = folder.file("in"), bytes = someBytes(20_000_000);
  await Deno.mkdir(to);
  const outgoing = await peer.agent.sendFile("a", new Blob([bytes]), { name: "big" });
  const args = ["receive-file", "b", "--to", to, "--db", db];
  const killed = await folder.start(args);
  await until(() => partIn(to) > 0);
  killed.signal("SIGKILL");
  await killed.end();
  const part = partIn(to);
  assert(part > 0 && part < bytes.length, `${part}`);
  await Deno.writeTextFile(`${to}/big`, "another one");
  const { code, stderr } = await folder.run(args);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, 'going on with "big"');
  await soon(outgoing.ended);
  assertEquals(namesIn(to), ["big", "big (2)"]);
  assert(equalBytes(await Deno.readFile(`${to}/big (2)`), bytes));
});

Deno.test("a file that had its name when receive-file was killed is not received again", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const to = folder.file("in"), bytes = someBytes(1000);
  await Deno.mkdir(to);
  const outgoing = await peer.agent.offerStream("a", { size: 1000, name: "x", sha256: await sha256(bytes) });
  const args = ["receive-file", "b", "--to", to, "--db", db];
  const killed = await folder.start(args);
  await soon(outgoing.accepted);
  killed.signal("SIGKILL");
  await killed.end();
  for (const name of namesIn(to)) await Deno.remove(`${to}/${name}`);
  await Deno.writeFile(`${to}/x`, new Uint8Array(1000));
  await Deno.writeFile(`${to}/x (2)`, bytes);
  const { code, stdout, stderr } = await folder.run(args);
  assertEquals([code, stdout], [0, `${to}/x (2)\n`], stderr);
  assertEquals(namesIn(to), ["x", "x (2)"]);
});

Deno.test("a file goes on when send-file or the server was killed and is started again", async () => {
  const port = steadyPort();
  await using place = await AgentFolder.make();
  await place.write("smp-server.ini", "[STORE_LOG]\nenable: on\nmessages: journal\n");
  const start = () =>
    ServerProcess.startBare({
      folder: place.path,
      args: [
        "start",
        "-y",
        "--config-dir",
        place.path,
        "--log-dir",
        place.path,
        "--host",
        "127.0.0.1",
        "--port",
        `${port}`,
      ],
    });
  await using first = await start();
  await using setting = await pair(first.address);
  const { folder, peer, db } = setting;
  const bytes = someBytes(8_000_000), path = await folder.write("big", "");
  await Deno.writeFile(path, bytes);
  const args = ["send-file", "b", path, "--db", db];
  const killed = await folder.start(args);
  const offer = await nextOffer(peer);
  const reader = offer.accept().getReader();
  const parts = await read(reader, 100_000);
  killed.signal("SIGKILL");
  await killed.end();
  await using again = await folder.start(args);
  assertStringIncludes(await again.told(), 'going on with "big"');
  parts.push(...await read(reader, 4_000_000));
  await first.kill("SIGKILL");
  await using _second = await start();
  parts.push(...await read(reader));
  assertEquals((await again.end()).code, 0);
  assert(equalBytes(await joined(parts), bytes));
});

Deno.test("a file that has changed since it was offered is offered anew, and the other side is told", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const path = await folder.write("notes", "before");
  const args = ["send-file", "b", path, "--db", db];
  const made = await folder.run([...args, "--no-wait"]);
  assertEquals(made.code, 0, made.stderr);
  const old = await (async () => {
    // The offer leaves with the next command, if it has not yet.
    await Deno.writeTextFile(path, "afterwards");
    return await folder.start(args);
  })();
  await using sending = old;
  assertStringIncludes(await sending.told(), '"notes" has changed since it was offered');
  const isNew = ({ offer }: { readonly offer: StreamOffer }) => offer.size === "afterwards".length;
  const { offer } = await peer.next("stream offered", isNew);
  assertEquals(peer.agent.streams("a").length, 1);
  const text = new TextDecoder().decode(await joined(await read(offer.accept().getReader())));
  assertEquals([text, (await sending.end()).code], ["afterwards", 0]);
});

Deno.test("Ctrl-C cancels a file on either side, and the other one is told", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const path = await folder.write("big", "");
  await Deno.writeFile(path, someBytes(5_000_000));
  const sending = await folder.start(["send-file", "b", path, "--db", db]);
  const offer = await nextOffer(peer);
  await read(offer.accept().getReader(), 100_000);
  sending.signal("SIGINT");
  assertEquals(await endOf(offer), ["CANCELLED", "Cancelled by the user"]);
  const sent = await sending.end();
  assertEquals([sent.code, sent.stdout], [130, ""]);
  assertStringIncludes(sent.stderr, "interrupted; it was cancelled");
  const to = folder.file("in");
  await Deno.mkdir(to);
  const outgoing = await peer.agent.offerStream("a", { size: 1_000_000, name: "x" });
  const receiving = await folder.start(["receive-file", "b", "--to", to, "--db", db]);
  const writer = (await soon(outgoing.accepted)).getWriter();
  writer.closed.catch(() => {});
  await writer.write(new Uint8Array(100_000));
  await until(() => partIn(to) > 0);
  receiving.signal("SIGINT");
  assertEquals(await endOf(outgoing), ["CANCELLED", "Cancelled by the user"]);
  const received = await receiving.end();
  assertEquals([received.code, received.stdout, namesIn(to)], [130, "", []]);
});

Deno.test("a file that is refused, or ends otherwise, fails with the words of the other side", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const path = await folder.write("x", "x");
  await using sending = await folder.start(["send-file", "b", path, "--db", db]);
  await (await nextOffer(peer)).refuse("no \x1b[2J");
  const { code, stderr } = await sending.end();
  assertEquals(code, 1);
  assertStringIncludes(stderr, 'the other side does not want it: "no \\x1b[2J"');
  // One that follows goes on with the next.
  await using following = await folder.start([
    "receive-file",
    "b",
    "--follow",
    "--to",
    folder.path,
    "--db",
    db,
  ]);
  const outgoing = await peer.agent.offerStream("a", { size: 10, name: "y" });
  await soon(outgoing.accepted);
  await outgoing.cancel("changed my mind");
  for (let told = ""; !told.includes("did not come");) told = await following.told();
  await peer.agent.sendFile("a", new Blob(["z"]), { name: "z" });
  assertEquals(await following.line(), `${folder.path}/z`);
  following.signal("SIGINT");
  assertEquals((await following.end()).code, 0);
  assert(!namesIn(folder.path).includes("y"));
});

Deno.test("a folder goes through tar and a pipe", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const { code, stderr } = await folder.shell(
    `set -e
     agent invite bob --wait --db "$D/a.db" --server "$S" > "$D/invitation" & P=$!
     while ! [ -s "$D/invitation" ]; do sleep 0.1; done
     agent join alice - --db "$D/b.db" --server "$S" < "$D/invitation"
     wait $P
     mkdir -p "$D/from/sub" "$D/to"
     head -c 3000000 /dev/urandom > "$D/from/sub/data"
     ln -s sub "$D/from/link"
     (cd "$D/from" && tar c . | agent stream bob --send --db "$D/a.db") &
     (cd "$D/to" && agent stream alice --receive --db "$D/b.db" | tar x)
     wait $!
     diff -r "$D/from" "$D/to"`,
    { S: server.address, D: folder.path },
  );
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, 'sending the standard input to "bob"');
  assertStringIncludes(stderr, 'receiving what "alice" sends');
});

Deno.test("a pipe that was killed cannot go on, and the other side is told", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const receiving = await folder.start(["stream", "b", "--receive", "--db", db]);
  const outgoing = await peer.agent.offerStream("a");
  await soon(outgoing.accepted);
  receiving.signal("SIGKILL");
  await receiving.end();
  const next = await folder.start(["stream", "b", "--receive", "--db", db], { isRead: true });
  assertEquals(await endOf(outgoing), ["CANCELLED", "The program that received it was killed"]);
  const second = await peer.agent.offerStream("a");
  const writer = (await soon(second.accepted)).getWriter();
  await writer.write(new TextEncoder().encode("whole"));
  await writer.close();
  const { code, stdout } = await next.end();
  assertEquals([code, stdout], [0, "whole"]);
  // Input ends with the program here: nothing is sent again.
  const sending = await folder.start(["stream", "b", "--send", "--db", db], { input: someBytes(60_000) });
  const offer = await nextOffer(peer);
  assertEquals([offer.name, offer.size], ["", null]);
  sending.signal("SIGKILL");
  await sending.end();
  await folder.run(["send", "b", "next", "--db", db]);
  assertEquals((await endOf(offer))[0], "LOST");
});

Deno.test("what cannot be written any more cancels a pipe", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const outgoing = await peer.agent.offerStream("a");
  const ended = endOf(outgoing);
  const running = folder.shell('agent stream b --receive --db "$B" > /dev/full', { B: db });
  const writer = (await soon(outgoing.accepted)).getWriter();
  writer.closed.catch(() => {});
  await writer.write(new Uint8Array(100));
  assertEquals((await running).code, 1);
  assertEquals(await ended, ["CANCELLED", "What came cannot be written"]);
});

Deno.test("where there is no session there are no files and streams", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  const db = folder.file("b.db");
  await connectCommand(folder, peer, { db, server: server.address });
  for (
    const args of [["send-file", "b", db], ["receive-file", "b", "--to", folder.path], [
      "stream",
      "b",
      "--receive",
    ]]
  ) {
    const { code, stderr } = await folder.run([...args, "--db", db]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, '"b" has no session');
  }
});

Deno.test("a pipe's direction is never guessed", async () => {
  await using folder = await AgentFolder.make();
  for (
    const [args, message] of [
      [[], "--send or --receive is missing"],
      [["--send", "--receive"], "--send and --receive exclude each other"],
    ] as const
  ) {
    const { code, stdout, stderr } = await folder.run(["stream", "b", ...args, "--db", folder.file("b.db")]);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, message);
  }
});

const terminal = requiring(lackOf("tmux", "-V"));

/** Runs a line of a shell in a terminal, in which `agent` is the program. */
async function inTerminal(folder: AgentFolder, line: string): Promise<TmuxTerminal> {
  const script = new URL("../../../agent/main.ts", import.meta.url).pathname;
  const words = commandOf([], { script, folder: folder.path }).map((word) => `"${word}"`).join(" ");
  const file = await folder.write("run.sh", `cd "${folder.path}"\nagent() { ${words} "$@"; }\n${line}\n`);
  return await TmuxTerminal.start(folder.path, ["sh", file], { columns: 100, rows: 20 });
}

terminal("in a terminal a pipe sends what it is fed, and writes what is read from it", async () => {
  await using setting = await pair();
  const { folder, peer } = setting;
  {
    await using tmux = await inTerminal(folder, 'printf "through the pipe" | agent stream b --db b.db');
    const parts = await read((await nextOffer(peer)).accept().getReader());
    assertEquals(new TextDecoder().decode(await joined(parts)), "through the pipe");
    assertEquals(await tmux.ended(), 0);
  }
  {
    await using tmux = await inTerminal(folder, "agent stream b --db b.db > out");
    const writer = (await soon((await peer.agent.offerStream("a")).accepted)).getWriter();
    await writer.write(new TextEncoder().encode("and back"));
    await writer.close();
    assertEquals(await tmux.ended(), 0);
    assertEquals(await Deno.readTextFile(folder.file("out")), "and back");
  }
  for (
    const [line, message] of [["agent stream b", /neither the/], [
      "agent stream b --receive",
      /a terminal/,
    ]] as const
  ) {
    await using tmux = await inTerminal(folder, `${line} --db b.db`);
    await tmux.line(message);
    assertEquals(await tmux.ended(), 2);
  }
});

terminal("a terminal shows a bar, which is gone at the end", async () => {
  await using setting = await pair();
  const { folder, peer } = setting;
  await Deno.writeFile(folder.file("cat.png"), someBytes(8_000_000));
  await using tmux = await inTerminal(folder, "agent send-file b cat.png --db b.db");
  const reader = (await nextOffer(peer)).accept().getReader();
  await read(reader, 4_000_000);
  assertMatch(
    await tmux.line(/^cat\.png {2}\[#/),
    /^cat\.png {2}\[#+-+\] {2}\d\d % {2}\d\.\d MB of 8\.0 MB {2}\S+ .B\/s/,
  );
  await read(reader);
  assertEquals(await tmux.ended(), 0);
  const screen = await tmux.screen();
  assert(!screen.includes("[#"), screen);
  assertStringIncludes(screen, "sent\n");
});
