import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import { TestAgent } from "../../support/agent.ts";
import { agentHere } from "../../support/agent_here.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { connectForStreams, nextOffer, sessions } from "../../support/streams.ts";

Deno.test("list tells of streams that wait to be accepted, and no more of those that are", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/bob.db`;
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, sessions);
  {
    await using bob = await TestAgent.start(server.address, {
      ...sessions,
      store: await SqliteStore.open(path),
    });
    await connectForStreams(server, alice, bob);
    for (const name of ["one\x1b[2J.txt", "two"]) {
      const stream = await alice.agent.offerStream("b", { name, size: 5 });
      stream.ended.catch(() => {});
      await nextOffer(bob);
    }
    const own = await bob.agent.offerStream("a");
    own.ended.catch(() => {});
  }
  assertMatch(
    (await agentHere("list", "--db", path)).stdout.replaceAll(/ +/g, " "),
    /^connected 0 unread \d unsent 2 offers 1 offered secret since \S+ a\n$/,
  );
  const { stdout } = await agentHere("list", "--json", "--db", path);
  assertEquals(stdout.includes("\x1b"), false);
  const { offers, offered } = JSON.parse(stdout);
  assertEquals(offers.map(({ name, size }: Record<string, unknown>) => [name, size]), [
    ["one\x1b[2J.txt", 5],
    ["two", 5],
  ]);
  assertMatch(offers[0].stream, /^[0-9a-f]{32}$/);
  assertStringIncludes(new Date().toISOString().slice(0, 3), offers[0].offeredAt.slice(0, 3));
  assertEquals(offered.map(({ name, size }: Record<string, unknown>) => [name, size]), [["", null]]);
});

Deno.test("list says of a database without connections what makes one, and prints nothing", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/empty.db`;
  await (await SqliteStore.open(path))[Symbol.asyncDispose]();
  const { code, stdout, stderr } = await agentHere("list", "--db", path);
  assertEquals([code, stdout], [0, ""]);
  assertEquals(stderr, 'there is no connection yet: "smp-agent invite" and "smp-agent join" make one\n');
});
