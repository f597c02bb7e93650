import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { formatQueueInfo } from "../../../mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { AgentFolder, connectCommand } from "../../support/agent_command.ts";
import { startServer } from "../../support/server.ts";

const announcing = { extensions: ["session1"] };
const secret = /^connected {2}0 unread {2}0 unsent {2}secret since \d{4}-\d\d-\d\d {2}b\n$/;

Deno.test("two programs of a shell get a session, and compare its code", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  const { code, stdout, stderr } = await folder.shell(
    `set -e
     agent invite bob --wait --db "$D/a.db" --server "$S" | agent join alice - --db "$D/b.db" --server "$S"
     echo 'hello bob' | agent send bob --db "$D/a.db"
     agent receive alice --db "$D/b.db"
     head -c 1048576 /dev/urandom > "$D/bytes"
     agent receive bob --raw --db "$D/a.db" > "$D/received" & receiving=$!
     agent send alice --file "$D/bytes" --db "$D/b.db"
     wait $receiving
     cmp "$D/received" "$D/bytes"`,
    { S: server.address, D: folder.path },
  );
  assertEquals(code, 0, stderr);
  assertEquals(stdout, "hello bob\n");
  const [bob, alice] = [["bob", "--db", folder.file("a.db")], [
    "alice",
    "--db",
    folder.file("b.db"),
  ]] as const;
  const shown = await folder.here(["code", ...bob]);
  assertMatch(shown.stdout, /^(\d{5}\s){12}/);
  assertEquals(await folder.here(["code", ...alice]), shown);
  assertEquals((await folder.here(["verify", ...bob])).code, 0);
  assertMatch(
    (await folder.here(["list", ...bob.slice(1)])).stdout,
    /^connected {2}0 unread {2}0 unsent {2}secret since \S+, verified {2}bob\n$/,
  );
});

Deno.test("a connection moves to other servers by rotate and leave, and goes on", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using other = await startServer();
  await using peer = await TestAgent.start(server.address, announcing);
  const db = ["--db", folder.file("b.db")];
  await connectCommand(peer, { db: db[1]!, server: server.address, isSession: true });
  const servers = ["--server", server.address, "--server", other.address];
  const moved = await folder.here(["rotate", "b", "--json", "--timeout", "60", ...servers, ...db]);
  assertEquals([moved.code, JSON.parse(moved.stdout).type], [0, "moved"], moved.stderr);
  const left = await folder.here(["leave", server.address, "--json", "--timeout", "60", ...servers, ...db]);
  assertEquals(left.code, 0, left.stderr);
  assertEquals(JSON.parse(left.stdout.trimEnd().split("\n").at(-1)!), {
    type: "leaving",
    server: server.address,
    left: 0,
    staying: 0,
  });
  const listed = JSON.parse((await folder.here(["list", "--json", ...db])).stdout);
  assertEquals(listed.servers, [other.address]);
  const none = await folder.run(["leave", "elsewhere.example.org", ...db]);
  assertEquals(none.stderr, "nothing comes through elsewhere.example.org\n");
  await peer.send("a", "still there?");
  assertEquals((await folder.here(["receive", "b", ...db])).stdout, "still there?\n");
});

Deno.test("a connection receives through as many servers as routes says", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using other = await startServer();
  await using peer = await TestAgent.start(server.address, announcing);
  const db = ["--db", folder.file("b.db")];
  await connectCommand(peer, { db: db[1]!, server: server.address, isSession: true });
  const rest = ["--json", "--timeout", "60", "--server", server.address, "--server", other.address, ...db];
  const routes = async (count: string) => {
    const { code, stdout, stderr } = await folder.here(["routes", "b", count, ...rest]);
    assertEquals(code, 0, stderr);
    const { type, connection, servers } = JSON.parse(stdout);
    assertEquals([type, connection], ["routes", "b"]);
    return servers.toSorted();
  };
  assertEquals(await routes("2"), [server.address, other.address].toSorted());
  assertEquals((await routes("default")).length, 1);
  // There are two servers.
  assertEquals((await routes("4")).length, 2);
  for (const [count, code] of [["5", 2], ["none", 2]] as const) {
    assertEquals((await folder.here(["routes", "b", count, ...rest])).code, code);
  }
});

Deno.test("the safety code and what is known of a session are printed with --json", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address, announcing);
  const db = ["--db", folder.file("b.db")];
  await connectCommand(peer, { db: db[1]!, server: server.address, isSession: true });
  assertMatch((await folder.here(["list", ...db])).stdout, secret);
  const shown = JSON.parse((await folder.here(["code", "b", "--json", ...db])).stdout);
  const safetyCode = peer.agent.safetyCode("a");
  assertEquals(shown, { type: "code", connection: "b", code: safetyCode, verified: false });
  const wrong = await folder.here(["verify", "b", Array(12).fill("12345").join(" "), ...db]);
  assertEquals([wrong.code, wrong.stderr], [1, 'Cannot verify "b": its safety code is another one now\n']);
  const verified = await folder.here(["verify", "b", safetyCode!, "--json", ...db]);
  assertEquals(JSON.parse(verified.stdout), { type: "verified", connection: "b", verified: true });
  assertEquals(JSON.parse((await folder.here(["code", "b", "--json", ...db])).stdout).verified, true);
  const listed = JSON.parse((await folder.here(["list", "--json", ...db])).stdout);
  assertEquals([listed.verified, listed.servers], [true, [server.address]]);
  assertEquals((await folder.here(["verify", "b", safetyCode!, "--not", ...db])).code, 2);
  assertEquals((await folder.here(["verify", "b", "--not", ...db])).code, 0);
  assertMatch((await folder.here(["list", ...db])).stdout, secret);
  assert(Math.abs(Date.parse(listed.secretSince) - Date.now()) < 600_000);
  for (const command of ["code", "verify", "rotate"]) {
    const { code, stderr } = await folder.here([command, "nobody", ...db]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, 'There is no connection "nobody"');
  }
});

Deno.test("the other side hears that a message was received before the command ends", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using peer = await TestAgent.start(server.address, announcing);
  const db = folder.file("b.db");
  await connectCommand(peer, { db, server: server.address, isSession: true });
  const id = await peer.send("a", "are you there?");
  assertEquals((await folder.here(["receive", "b", "--db", db])).stdout, "are you there?\n");
  await peer.next("delivered", (event) => event.id === id);
});

Deno.test("with --no-sessions, or another side without them, all is as in 0.3", async () => {
  await using folder = await AgentFolder.make();
  await using server = await startServer();
  await using old = await TestAgent.start(server.address);
  await using peer = await TestAgent.start(server.address, announcing);
  const db = ["--db", folder.file("b.db")];
  await connectCommand(old, { db: db[1]!, server: server.address });
  const { invitation } = await peer.agent.create("a");
  const made = ["--server", server.address];
  const joining = ["join", "c", formatQueueInfo(invitation), "--no-sessions", ...db, ...made];
  const joined = await folder.here(joining);
  assertEquals([joined.code, joined.stderr], [0, "waiting for the other side\nconnected\n"]);
  await peer.next("connected");
  for (const [name, agent] of [["b", old], ["c", peer]] as const) {
    for (const command of ["code", "verify"]) {
      const { code, stderr } = await folder.here([command, name, ...db]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, "has no session");
    }
    assertEquals((await folder.here(["send", name, "as in 0.3", ...db])).code, 0);
    assertEquals(await agent.text(), "as in 0.3");
  }
  const { stdout } = await folder.here(["list", ...db]);
  assertEquals(stdout, "connected  0 unread  0 unsent  b\nconnected  0 unread  0 unsent  c\n");
});
