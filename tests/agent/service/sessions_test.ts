import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MemoryStore } from "../../../agent/store/memory.ts";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import { command, connectClients, startService } from "../../support/agent_service.ts";
import { startServer } from "../../support/server.ts";
import { servicePair, untilSession } from "../../support/service_pair.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { until } from "../../support/wait.ts";
import { Telnet } from "../../support/telnet.ts";

const announcing = { extensions: ["session1"] };

Deno.test("after EXT receipts RCVD tells that the other side has done with a message", async () => {
  await using server = await startServer();
  await using clients = await servicePair(server);
  const { a, b } = clients;
  assertEquals(await a.ask("2", "", "EXT receipts"), ["2", "", "OK"]);
  assertEquals(await b.ask("2", "", "MODE manual"), ["2", "", "OK"]);
  assertEquals(await a.ask("3", "bob", "SEND :hello"), ["3", "bob", "SENT 1"]);
  const id = /R=(\d+),/.exec(command(await b.said(), "", "alice"))![1]!;
  // Not before the ACK.
  assertEquals(await a.ask("4", "bob", "SEND :again"), ["4", "bob", "SENT 2"]);
  await b.said();
  assertEquals(await b.ask("5", "alice", `ACK ${id}`), ["5", "alice", "OK"]);
  assertEquals(await a.said(), ["", "bob", "RCVD 1"]);
  assertEquals(await b.ask("6", "alice", `ACK ${Number(id) + 1}`), ["6", "alice", "OK"]);
  assertEquals(await a.said(), ["", "bob", "RCVD 2"]);
});

Deno.test("a client that says no EXT sees what 0.3 has alone, and receipts are taken for it", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using clients = await servicePair(server, { one: { store } });
  const { one, a, b } = clients;
  for (let i = 0; i < 5; i++) {
    assertEquals(await a.ask("3", "bob", `SEND :${i}`), ["3", "bob", `SENT ${2 * i + 1}`]);
    assertMatch(command(await b.said(), "", "alice"), new RegExp(`^MSG OK R=.*\n${i}$`));
    assertEquals(await b.ask("4", "alice", "SEND :back"), ["4", "alice", `SENT ${2 * i + 2}`]);
    assertMatch(command(await a.said(), "", "bob"), /^MSG OK R=.*\nback$/);
  }
  const [connection] = await store.connections();
  const isLeft = async () =>
    (await store.undelivered(connection!.record.id, 1, 100, 1)).length + (await store.events(0, 1)).length >
      0;
  await until(async () => !await isLeft());
  // They are not told to the next client either, which asks for them.
  await using last = await Telnet.connect(one.port);
  assertEquals(await last.ask("5", "", "EXT receipts"), ["5", "", "OK"]);
  assertEquals(await last.ask("6", "bob", "SUB"), ["6", "bob", "OK"]);
  assertEquals(await last.ask("7", "bob", "SEND :last"), ["7", "bob", "SENT 11"]);
  assertEquals(await last.said(), ["", "bob", "RCVD 11"]);
});

Deno.test("a receipt that nobody was there for is told to the next client that has asked for them", async () => {
  await using folder = await temporaryFolder();
  const open = async () => ({ ...announcing, store: await SqliteStore.open(`${folder.path}/agent.db`) });
  await using server = await startServer();
  await using two = await startService(server, {}, announcing);
  await using b = await Telnet.connect(two.port);
  {
    await using one = await startService(server, {}, await open());
    await using a = await Telnet.connect(one.port);
    await connectClients(a, b);
    await Promise.all([untilSession(a, "bob"), untilSession(b, "alice")]);
    assertEquals(await b.ask("2", "", "MODE manual"), ["2", "", "OK"]);
    assertEquals(await a.ask("3", "bob", "SEND :hello"), ["3", "bob", "SENT 1"]);
    assertMatch(command(await b.said(), "", "alice"), /\nhello$/);
  }
  assertEquals(await b.ask("4", "alice", "ACK 1"), ["4", "alice", "OK"]);
  await using one = await startService(server, {}, await open());
  await using a = await Telnet.connect(one.port);
  assertEquals(await a.ask("5", "", "EXT receipts"), ["5", "", "OK"]);
  assertEquals(await a.ask("6", "bob", "SUB"), ["6", "bob", "OK"]);
  assertEquals(await a.said(), ["", "bob", "RCVD 1"]);
});

Deno.test("both sides are told the same safety code, and remember that it was compared", async () => {
  await using server = await startServer();
  await using clients = await servicePair(server);
  const { a, b } = clients;
  const code = command(await a.ask("2", "bob", "CODE"), "2", "bob");
  assertMatch(code, /^CODE( \d{5}){12}$/);
  assertEquals(await b.ask("3", "alice", "CODE"), ["3", "alice", code]);
  const flags = async () => {
    const said = command(await a.ask("4", "", "LIST"), "4", "bob");
    assertEquals(await a.said(), ["4", "", "DONE 1"]);
    return said.split(" ").at(-1)!.split(",");
  };
  const before = ["connected", "send", "receive", "subscribed", "session"];
  assertEquals(await flags(), before);
  assertEquals(await a.ask("5", "bob", "VERIFY"), ["5", "bob", "OK"]);
  assertEquals(await flags(), [...before, "verified"]);
  assertEquals(await a.ask("6", "bob", "VERIFY NOT"), ["6", "bob", "OK"]);
  assertEquals(await flags(), before);
  const digits = code.slice("CODE ".length);
  const other = `${digits.slice(0, -1)}${(Number(digits.at(-1)) + 1) % 10}`;
  assertEquals(await a.ask("6", "bob", `VERIFY ${other}`), ["6", "bob", "ERR CMD PROHIBITED"]);
  assertEquals(await flags(), before);
  assertEquals(await a.ask("6", "bob", `VERIFY ${digits}`), ["6", "bob", "OK"]);
  assertEquals(await flags(), [...before, "verified"]);
  for (
    const line of [
      "CODE 1",
      "VERIFY 1",
      "VERIFY NOT ",
      "EXT",
      "EXT receipts receipts receipts receipts receipts",
      "EXT more",
    ]
  ) {
    assertEquals(await a.ask("7", "bob", line), ["7", "bob", "ERR CMD SYNTAX"], line);
  }
});

Deno.test("where there is no session there is no safety code", async () => {
  await using server = await startServer();
  await using one = await startService(server, {}, announcing);
  await using two = await startService(server);
  await using a = await Telnet.connect(one.port);
  await using b = await Telnet.connect(two.port);
  await connectClients(a, b);
  for (const [client, alias] of [[a, "bob"], [b, "alice"]] as const) {
    assertEquals(await client.ask("1", alias, "CODE"), ["1", alias, "ERR CMD PROHIBITED"]);
    assertEquals(await client.ask("2", alias, "VERIFY"), ["2", alias, "ERR CMD PROHIBITED"]);
    assertEquals(await client.ask("3", "nobody", "CODE"), ["3", "nobody", "ERR CONN UNKNOWN"]);
    assertEquals(await client.ask("4", "", "CODE"), ["4", "", "ERR CMD NO_CONN"]);
  }
  assertEquals(await a.ask("5", "bob", "SEND :as in 0.3"), ["5", "bob", "SENT 1"]);
  assertMatch(command(await b.said(), "", "alice"), /^MSG OK .*\nas in 0\.3$/);
  const large = "x".repeat(10_000);
  assertEquals(await a.ask("6", "bob", `SEND ${large.length}\n${large}`), ["6", "bob", "ERR CMD LARGE"]);
});

Deno.test("a message of 1 MiB goes through the port, in text and in JSON", async () => {
  await using server = await startServer();
  await using clients = await servicePair(server);
  const { a, b } = clients;
  const text = "0123456789abcdef".repeat(65_536);
  assertEquals(await a.ask("2", "bob", `SEND ${text.length}\r\n${text}`), ["2", "bob", "SENT 1"]);
  assertEquals(command(await b.said(), "", "alice").split("\n")[1], text);
  assertEquals(await a.ask("3", "bob", `SEND ${text.length + 1}\r\n${text}x`), ["3", "bob", "ERR CMD LARGE"]);
  assertEquals(await a.ask("4", "", "MODE json"), ["4", "", "OK"]);
  await a.type(`${JSON.stringify({ id: 5, command: "SEND", connection: "bob", data: btoa(text) })}\n`);
  assertEquals(JSON.parse((await a.line())!), { id: 5, type: "SENT", connection: "bob", message: 2 });
  assertEquals(command(await b.said(), "", "alice").split("\n")[1], text);
});

Deno.test("the same commands in JSON, and what LIST tells of a session", async () => {
  await using server = await startServer();
  await using clients = await servicePair(server);
  const { a, b } = clients;
  assertEquals(await a.ask("2", "", "MODE json"), ["2", "", "OK"]);
  const said = async () => JSON.parse((await a.line())!);
  const ask = async (request: Readonly<Record<string, unknown>>) => {
    await a.type(`${JSON.stringify({ id: 1, connection: "bob", ...request })}\n`);
    return await said();
  };
  const ok = { id: 1, type: "OK", connection: "bob" };
  const { code } = await ask({ command: "CODE" });
  assertEquals(await b.ask("3", "alice", "CODE"), ["3", "alice", `CODE ${code}`]);
  assertEquals(await ask({ command: "VERIFY", code }), ok);
  const { session } = await ask({ command: "LIST", connection: undefined });
  await said();
  const servers = { receiving: [server.address], sending: [server.address] };
  assertEquals({ ...session, since: null }, {
    active: true,
    closed: false,
    since: null,
    verified: true,
    servers,
  });
  assert(Math.abs(Date.parse(session.since) - Date.now()) < 600_000);
  assertEquals(await ask({ command: "VERIFY", verified: false }), ok);
  assertEquals((await ask({ command: "LIST", connection: undefined })).session.verified, false);
  await said();
  assertEquals(await ask({ command: "EXT", connection: undefined, extensions: ["receipts"] }), {
    id: 1,
    type: "OK",
  });
  assertEquals((await ask({ command: "SEND", text: "hello" }))["message"], 1);
  assertEquals(await said(), { type: "RCVD", connection: "bob", message: 1 });
  for (
    const [request, reason] of [
      [{ command: "EXT", connection: undefined, extensions: "receipts" }, "extensions is not a list"],
      [{ command: "EXT", connection: undefined, extensions: [] }, "extensions is not a list"],
      [{ command: "EXT", connection: undefined, extensions: ["x"] }, "extensions is not a list"],
      [{ command: "VERIFY", verified: 1 }, "verified is neither"],
      [{ command: "VERIFY", code: "12345" }, "code is not a safety code"],
      [{ command: "CODE", verified: true }, 'CODE has no field "verified"'],
    ] as const
  ) {
    const answer = await ask(request);
    assertEquals(answer.error, "CMD SYNTAX");
    assertStringIncludes(answer.reason, reason);
  }
  assertStringIncludes((await ask({ command: "HELP", connection: undefined })).text, "EXT <words>");
});

Deno.test("a connection moves to other servers by ROTATE, ROUTES and LEAVE, and goes on", async () => {
  await using server = await startServer();
  await using other = await startServer();
  await using clients = await servicePair(server, { one: { servers: [server.address, other.address] } });
  const { a, b } = clients;
  assertEquals(await a.ask("2", "", "MODE json"), ["2", "", "OK"]);
  const said = async () => JSON.parse((await a.line())!);
  const ask = (request: Readonly<Record<string, unknown>>) =>
    a.type(`${JSON.stringify({ id: 1, ...request })}\n`);
  await ask({ command: "EXT", extensions: ["routes"] });
  assertEquals(await said(), { id: 1, type: "OK" });
  const told: Record<string, unknown>[] = [];
  const next = async (isWanted: (said: Record<string, unknown>) => boolean) => {
    for (;;) {
      const each = await said();
      told.push(each);
      if (isWanted(each)) return each;
    }
  };
  const isOwn = ({ type, direction, change }: Record<string, unknown>) =>
    type === "ROUTE" && direction === "receiving" && change === "moved";
  await ask({ command: "ROTATE", connection: "bob" });
  await next(({ id, type }) => id === 1 && type === "OK");
  const { connection } = told.find(isOwn) ?? await next(isOwn);
  assertEquals(connection, "bob");
  await ask({ command: "LEAVE", server: server.address });
  const leaving = await next(({ type }) => type === "LEAVING");
  assertEquals([leaving["id"], leaving["staying"]], [1, 0]);
  await next(({ id, type }) => id === 1 && type === "OK");
  assertEquals(told.filter(({ type }) => type === "LEAVING").at(-1)!["left"], 0);
  await ask({ command: "LIST" });
  const { session } = await next(({ type }) => type === "CONNECTION");
  assertEquals((session as { servers: { receiving: string[] } }).servers.receiving, [other.address]);
  await next(({ type }) => type === "DONE");
  await b.send("3", "alice", "SEND :still there?");
  assertEquals((await next(({ type }) => type === "MSG"))["text"], "still there?");
  // The last server cannot be left.
  await ask({ command: "LEAVE", server: other.address });
  assertEquals((await next(({ type }) => type === "ERR"))["error"], "CMD PROHIBITED");
  await ask({ command: "ROUTES", connection: "bob", routes: 2 });
  await next(({ id, type }) => id === 1 && type === "OK");
  await ask({ command: "ROUTES", connection: "bob", routes: 5 });
  assertEquals((await next(({ type }) => type === "ERR"))["error"], "CMD SYNTAX");
  assertEquals(await b.said(), ["3", "alice", "SENT 1"]);
  for (const line of ["ROTATE 1", "ROUTES", "ROUTES 0", "ROUTES 5", "ROUTES  1", "LEAVE", "LEAVE a b"]) {
    assertEquals(await b.ask("4", "alice", line), ["4", "alice", "ERR CMD SYNTAX"], line);
  }
  assertEquals(await b.ask("5", "alice", "ROUTES 1"), ["5", "alice", "OK"]);
  assertEquals(await b.ask("6", "", `LEAVE ${server.address}`), ["6", "", "ERR CMD PROHIBITED"]);
});

Deno.test("SESSION tells a client that has asked for it when there is one, and when it is closed", async () => {
  await using server = await startServer();
  await using one = await startService(server, {}, announcing);
  await using two = await startService(server, {}, announcing);
  await using a = await Telnet.connect(one.port);
  await using b = await Telnet.connect(two.port);
  assertEquals(await a.ask("0", "", "EXT sessions routes"), ["0", "", "OK"]);
  await connectClients(a, b);
  assertEquals(await a.said(), ["", "bob", "SESSION active"]);
  // The first queues are replaced.
  const moved = new Set<string>();
  while (moved.size < 2) {
    const { 1: direction } = /^ROUTE (\w+) moved \S+ \S+$/.exec(command(await a.said(), "", "bob"))!;
    moved.add(direction!);
  }
  assertEquals(await b.ask("2", "alice", "DEL"), ["2", "alice", "OK"]);
  for (let said; (said = (await a.said())!)[2] !== "SESSION closed";) {
    assertMatch(said[2], /^(ROUTE (receiving|sending) \w+ \S+ \S+|ERR SMP AUTH)$/);
  }
});
