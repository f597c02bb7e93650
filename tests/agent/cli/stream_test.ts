import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { TestAgent } from "../../support/agent.ts";
import { AgentFolder, connectCommand } from "../../support/agent_command.ts";
import { lackOf, requiring } from "../../support/requires.ts";
import { startServer } from "../../support/server.ts";
import { commandOf } from "../../support/server_process.ts";
import { nextOffer, someBytes } from "../../support/streams.ts";
import { TmuxTerminal } from "../../support/tmux.ts";
import { endOf, joined, pair, read } from "../../support/transfer.ts";
import { soon } from "../../support/wait.ts";

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
  const next = folder.here(["stream", "b", "--receive", "--db", db]);
  assertEquals(await endOf(outgoing), ["CANCELLED", "The program that received it was killed"]);
  const second = await peer.agent.offerStream("a");
  const writer = (await soon(second.accepted)).getWriter();
  await writer.write(new TextEncoder().encode("whole"));
  await writer.close();
  const { code, stdout } = await soon(next);
  assertEquals([code, stdout], [0, "whole"]);
  // Input ends with the program here: nothing is sent again.
  const sending = await folder.start(["stream", "b", "--send", "--db", db], { input: someBytes(60_000) });
  const offer = await nextOffer(peer);
  assertEquals([offer.name, offer.size], ["", null]);
  sending.signal("SIGKILL");
  await sending.end();
  await folder.here(["send", "b", "next", "--db", db]);
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

Deno.test("what was taken back before it came is not what is waited for", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const withdrawn = await peer.agent.offerStream("a");
  const file = await peer.agent.offerStream("a", { size: 10, name: "back" });
  for (const stream of [withdrawn, file]) await stream.cancel("another one comes");
  await using receiving = folder.begin(["stream", "b", "--receive", "--db", db]);
  for (let told = ""; !told.includes("did not come");) told = await receiving.told();
  const outgoing = await peer.agent.offerStream("a");
  const writer = (await soon(outgoing.accepted)).getWriter();
  await writer.write(new TextEncoder().encode("whole"));
  await writer.close();
  const { code, stdout } = await receiving.end();
  assertEquals([code, stdout], [0, "whole"]);
  const to = folder.file("in");
  await using receivingFile = folder.begin(["receive-file", "b", "--to", to, "--db", db]);
  await peer.agent.sendFile("a", await folder.write("next", "x"));
  assertEquals(await receivingFile.line(), `${to}/next`);
  assertEquals((await receivingFile.end()).code, 0);
});

Deno.test("what cannot be read is said, and cancels a pipe", async () => {
  await using setting = await pair();
  const { folder, peer, db } = setting;
  const running = folder.shell('agent stream b --send --db "$B" < "$D"', { B: db, D: folder.path });
  const offer = await nextOffer(peer);
  const ended = endOf(offer);
  offer.accept();
  assertEquals(await ended, ["CANCELLED", "What was sent cannot be read"]);
  const { code, stderr } = await running;
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Is a directory");
});

Deno.test("where there is no session there are no files and streams", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  const db = folder.file("b.db");
  await connectCommand(peer, { db, server: server.address });
  for (
    const args of [["send-file", "b", db], ["receive-file", "b", "--to", folder.path], [
      "stream",
      "b",
      "--receive",
    ]]
  ) {
    const { code, stderr } = await folder.here([...args, "--db", db]);
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
    const { code, stdout, stderr } = await folder.here(["stream", "b", ...args, "--db", folder.file("b.db")]);
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
  await tmux.line(/^cat\.png {2}\[#+-+\] {2}\d\d % {2}\d\.\d MB of 8\.0 MB {2}\S+ .B\/s/);
  await read(reader);
  assertEquals(await tmux.ended(), 0);
  const screen = await tmux.screen();
  assert(!screen.includes("[#"), screen);
  assertStringIncludes(screen, "sent\n");
});
