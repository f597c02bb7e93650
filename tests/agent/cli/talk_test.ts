import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { formatQueueInfo } from "../../../mod.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { AgentFolder, connectCommand } from "../../support/agent_command.ts";
import { steadyPort } from "../../support/ports.ts";
import { startServer } from "../../support/server.ts";

Deno.test("two programs of a shell connect and talk through pipes", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const { code, stdout, stderr } = await folder.shell(
    `set -e
     agent invite bob --wait --no-sessions --db "$D/a.db" --server "$S" |
       agent join alice - --db "$D/b.db" --server "$S"
     echo 'hello bob' | agent send bob --db "$D/a.db"
     agent receive alice --db "$D/b.db"
     agent send alice 'hello alice' --db "$D/b.db"
     agent receive --all --db "$D/a.db"
     printf 'no\\0text\\377' > "$D/bytes"
     agent send alice --file "$D/bytes" --db "$D/b.db"
     agent receive bob --raw --db "$D/a.db" | cmp - "$D/bytes"`,
    { S: server.address, D: folder.path },
  );
  assertEquals(code, 0, stderr);
  assertEquals(stdout, "hello bob\nbob: hello alice\n");
  const db = ["--db", folder.file("a.db")];
  const list = async () => (await folder.here(["list", ...db])).stdout;
  assertEquals(await list(), "connected  0 unread  0 unsent  bob\n");
  assertEquals((await folder.here(["delete", "bob", "-y", ...db])).code, 0);
  assertEquals(await list(), "");
});

Deno.test("with --json every line of every command is an object", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const [a, b] = ["a.db", "b.db"].map((name) => ["--db", folder.file(name), "--json"]) as [
    string[],
    string[],
  ];
  const made = ["--server", server.address, "--no-sessions"];
  await using inviting = folder.begin(["invite", "bob", "--wait", ...a, ...made]);
  const { type, invitation } = JSON.parse(await inviting.line());
  assertEquals(type, "invitation");
  const joined = await folder.here(["join", "alice", invitation, ...b, ...made]);
  assertEquals(JSON.parse(joined.stdout), { type: "connected", connection: "alice" });
  assertEquals(JSON.parse(await inviting.line()), { type: "connected", connection: "bob" });
  assertEquals((await inviting.end()).code, 0);
  const sent = await folder.here(["send", "alice", "hi\u202e\x1b", ...b]);
  assertEquals(JSON.parse(sent.stdout), { type: "sent", connection: "alice", id: 1 });
  const stored = await folder.here(["send", "alice", "--no-wait", ...b], new Uint8Array([0, 255]));
  assertEquals(JSON.parse(stored.stdout), { type: "stored", connection: "alice", id: 2 });
  const listed = JSON.parse((await folder.here(["list", ...b])).stdout);
  assertEquals([listed.connection, listed.state, listed.unread], ["alice", "connected", 0]);
  assertEquals(listed.servers, [server.address]);
  // What is stored is sent by what runs next.
  assertEquals(JSON.parse((await folder.here(["send", "alice", "3", ...b])).stdout).id, 3);
  const { stdout } = await folder.here(["receive", "bob", "--count", "3", ...a]);
  assert(!stdout.includes("\x1b") && !stdout.includes("\u202e"));
  const messages = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(messages.map(({ text }) => text), ["hi\u202e\x1b", undefined, "3"]);
  assertEquals(messages.map(({ base64 }) => base64), [undefined, "AP8=", undefined]);
  for (const { type, connection, integrity, sentAt, serverAt } of messages) {
    assertEquals([type, connection, integrity], ["message", "bob", "OK"]);
    assert(Date.parse(sentAt) > 0 && Date.parse(serverAt) > 0);
  }
  const deleted = await folder.here(["delete", "bob", "-y", ...a]);
  assertEquals(JSON.parse(deleted.stdout), { type: "deleted", connection: "bob" });
  // The queue is gone: nothing can be sent to it.
  const refused = await folder.here(["send", "alice", "lost", ...b]);
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertStringIncludes(refused.stderr, "AUTH");
});

Deno.test("a message stands in one line, whatever its sender has put into it", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  const db = folder.file("b.db");
  await connectCommand(peer, { db, server: server.address });
  await peer.send("a", "\x1b[2J\rb: forged\nb: too\u202e\t.\n");
  await peer.agent.send("a", new Uint8Array([0x61, 0xff, 0x9b]));
  const { stdout } = await folder.here(["receive", "--all", "--count", "2", "--db", db]);
  assertEquals(stdout, "b: \\x1b[2J\\x0db: forged\\nb: too\\u202e\t.\nb: a\\xff\\x9b\n");
});

Deno.test("a message whose printing was cut off by SIGKILL comes again, and none is lost", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  const db = folder.file("b.db");
  await connectCommand(peer, { db, server: server.address });
  // More than a pipe holds that nobody reads.
  const texts = Array.from({ length: 100 }, (_, i) => `${i} ${"x".repeat(2900)}`);
  for (const text of texts) await peer.send("a", text);
  for (const _ of texts) await peer.next("sent");
  const blocked = await folder.start(["receive", "b", "--follow", "--db", db]);
  const first = [await blocked.line()];
  blocked.signal("SIGKILL");
  const { stdout } = await blocked.end();
  // The last line may be a part of one.
  first.push(...stdout.split("\n").slice(0, -1));
  const whole = first.filter((line) => texts.includes(line));
  assert(whole.length < texts.length, "the pipe held everything");
  const count = texts.length - whole.length;
  const again = await folder.here(["receive", "b", "--count", `${count}`, "--db", db]);
  const second = again.stdout.trimEnd().split("\n");
  const at = texts.indexOf(second[0]!);
  assert(at === whole.length || at === whole.length - 1, `${at} came after ${whole.length}`);
  assertEquals(second, texts.slice(at, at + count));
});

Deno.test("a message that could not be printed is not acknowledged", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  const db = folder.file("b.db");
  await connectCommand(peer, { db, server: server.address });
  await peer.send("a", "precious");
  await peer.next("sent");
  const full = await folder.shell('agent receive b --db "$B" > /dev/full', { B: db });
  assertEquals(full.code, 1);
  assertStringIncludes(full.stderr, "No space left on device");
  const unread = await folder.here(["list", "--db", db]);
  assertEquals(unread.stdout, "connected  1 unread  0 unsent  b\n");
  assertEquals((await folder.here(["receive", "b", "--db", db])).stdout, "precious\n");
});

Deno.test("an invitation that was used or withdrawn cannot be joined, and nothing is sent there", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address);
  const { invitation } = await peer.agent.create("a");
  await peer.agent.delete("a");
  const db = ["--db", folder.file("b.db")];
  const args = ["b", formatQueueInfo(invitation), ...db, "--server", server.address];
  const refused = await folder.here(["join", ...args]);
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertStringIncludes(refused.stderr, "AUTH");
  assertMatch((await folder.here(["list", ...db])).stdout, /^failed /);
  const { code, stderr } = await folder.here(["send", "b", "x", ...db, "--server", server.address]);
  assertEquals([code, stderr], [1, '"b" cannot send: joining has failed\n']);
});

Deno.test("Ctrl-C ends what waits with 130 and what follows with 0, SIGTERM with 143", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const db = folder.file("a.db");
  await using waiting = await folder.start([
    "invite",
    "bob",
    "--wait",
    "--db",
    db,
    "--server",
    server.address,
  ]);
  assertMatch(await waiting.line(), /^smp::/);
  assertEquals(await waiting.told(), 'waiting for somebody to join "bob"');
  waiting.signal("SIGINT");
  const stderr = 'interrupted; "bob" stays, and can still be joined\n';
  assertEquals(await waiting.end(), { code: 130, stdout: "", stderr });
  await using peer = await TestAgent.start(server.address);
  const other = folder.file("b.db");
  await connectCommand(peer, { db: other, server: server.address });
  for (
    const [signal, args, code] of [["SIGINT", ["--follow"], 0], ["SIGTERM", ["--count", "2"], 143]] as const
  ) {
    await using receiving = await folder.start(["receive", "b", ...args, "--db", other]);
    await peer.send("a", `before ${signal}`);
    assertEquals(await receiving.line(), `before ${signal}`);
    receiving.signal(signal);
    const ended = await receiving.end();
    assertEquals([ended.code, ended.stdout], [code, ""]);
    assertEquals(ended.stderr, code === 0 ? "" : "interrupted; 1 message came\n");
  }
  // What was printed was acknowledged.
  assertEquals((await folder.here(["receive", "b", "--timeout", "1", "--db", other])).code, 1);
});

Deno.test("receive goes on when the server was away, and says so", async () => {
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore(), port: steadyPort() };
  await using folder = await AgentFolder.make();
  await using cleanup = new AsyncDisposableStack();
  const server = cleanup.use(await startServer(stores));
  await using peer = await TestAgent.start(server.address);
  const db = folder.file("b.db");
  await connectCommand(peer, { db, server: server.address });
  await using receiving = folder.begin(["receive", "b", "--follow", "--db", db]);
  await peer.send("a", "before");
  assertEquals(await receiving.line(), "before");
  await server[Symbol.asyncDispose]();
  assertEquals(await receiving.told(), `warning: 127.0.0.1:${stores.port} cannot be reached, trying again`);
  await using _again = await startServer(stores);
  await peer.send("a", "after");
  assertEquals(await receiving.line(), "after");
  assertEquals(await receiving.told(), `127.0.0.1:${stores.port} is back`);
});

Deno.test("while the server cannot be reached send keeps the message, and says so", async () => {
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore(), port: steadyPort() };
  await using folder = await AgentFolder.make();
  await using cleanup = new AsyncDisposableStack();
  const server = cleanup.use(await startServer(stores));
  await using peer = await TestAgent.start(server.address);
  const db = folder.file("b.db");
  await connectCommand(peer, { db, server: server.address });
  await server[Symbol.asyncDispose]();
  const late = await folder.here(["send", "b", "kept", "--timeout", "5", "--db", db]);
  assertEquals([late.code, late.stdout], [1, ""]);
  const [warning, end] = late.stderr.split("\n");
  assertStringIncludes(warning!, `warning: 127.0.0.1:${stores.port} cannot be used now: Cannot connect`);
  assert(end!.startsWith("not done in 5 seconds (127.0.0.1:"), end);
  assert(end!.endsWith("; message 1 is stored, and what runs next sends it"), end);
  const none = await folder.here(["receive", "b", "--timeout", "1", "--db", db]);
  assertEquals(none.code, 1);
  assertStringIncludes(none.stderr, "; no message has come\n");
  const nothing = await folder.here(["invite", "c", "--db", db]);
  assertEquals(nothing.code, 1);
  assertStringIncludes(nothing.stderr, "Cannot connect to 127.0.0.1:");
  await using _again = await startServer(stores);
  assertEquals((await folder.here(["send", "b", "second", "--db", db])).code, 0);
  assertEquals([await peer.text(), await peer.text()], ["kept", "second"]);
});

Deno.test("a command that is ended while its server does not answer tells of no failure", async () => {
  await using folder = await AgentFolder.make();
  const port = steadyPort();
  const db = folder.file("b.db");
  {
    await using server = await startServer({ port });
    await using peer = await TestAgent.start(server.address);
    await connectCommand(peer, { db, server: server.address });
  }
  using silent = Deno.listen({ hostname: "127.0.0.1", port });
  const accepting = Array.fromAsync(silent).catch(() => []);
  const { code, stderr } = await folder.here(["receive", "b", "--timeout", "1", "--db", db]);
  silent.close();
  for (const connection of await accepting) connection.close();
  assertEquals([code, stderr], [1, "not done in 1 second; no message has come\n"]);
});
