import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { openAdministration } from "../../../agent/admin/open.ts";
import { AgentOperator } from "../../../agent/admin/operator.ts";
import { agentPlace } from "../../../agent/admin/place.ts";
import { statusLines } from "../../../agent/admin/report.ts";
import type { AgentStatus } from "../../../agent/admin/status.ts";
import { topLines } from "../../../agent/admin/top.ts";
import { Administration } from "../../../cli/admin/administration.ts";
import { ask } from "../../../cli/admin/ask.ts";
import { createLogger } from "../../../cli/logger.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { requiring } from "../../support/requires.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { codeOf, connectForStreams, nextOffer, sessions } from "../../support/streams.ts";
import { soon, until } from "../../support/wait.ts";

const isWindows = Deno.build.os === "windows";
const socketTest = requiring(isWindows ? "there are no Unix sockets here" : null);

const service = { sessions: 3, setToken: () => {} };

function operatorOf(agent: ConstructorParameters<typeof AgentOperator>[0]["agent"], lines: string[] = []) {
  return new AgentOperator({
    agent,
    service,
    logger: createLogger({ level: "warn", format: "text", write: (line) => void lines.push(line) }),
    version: "1.2.3",
    address: "127.0.0.1:5224",
    database: "no.db",
    readToken: null,
  });
}

Deno.test("the status of an agent has its numbers, and no names or content", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, { ...sessions, acknowledge: "manual" });
  await using bob = await TestAgent.start(server.address, sessions);
  const operator = operatorOf(alice.agent);
  const [before] = (await operator.status()).servers;
  assertEquals(before, { server: server.address, state: "idle", since: null });
  await connectForStreams(server, alice, bob);
  await bob.agent.send("a", new TextEncoder().encode("secret text"));
  await alice.next("message");
  const offered = await alice.agent.offerStream("b", { name: "secret name" });
  const other = await bob.agent.offerStream("a", { name: "secret name" });
  await nextOffer(alice);
  await alice.agent.create("secret alias");
  const status = await operator.status();
  assertEquals(status.connections, {
    connected: 1,
    closed: 0,
    suspended: 0,
    invited: 1,
    joining: 0,
    failed: 0,
  });
  assertEquals(status.sessions, { active: 1, waiting: 0, closed: 0 });
  assertEquals([status.messages.unread, status.messages.unreadable], [1, 0]);
  assertEquals(status.streams, { sending: 0, receiving: 0, offered: 1, offers: 1 });
  const [reached] = status.servers;
  assertEquals([reached!.state, status.servers.length], ["connected", 1]);
  assert(Math.abs(Date.parse(reached!.since!) - Date.now()) < 600_000, reached!.since!);
  const texts = [JSON.stringify(status), ...statusLines(status)];
  assertEquals(texts.filter((text) => text.includes("secret")), []);
  for (const line of ["clients: 3", "messages unread: 1", "streams offered here: 1", "invited: 1"]) {
    assert(texts.includes(line), line);
  }
  await Promise.all([offered.cancel(), other.cancel(), codeOf(offered.ended), codeOf(other.ended)]);
});

Deno.test("a server that cannot be reached is told with since when", async () => {
  const server = await startServer();
  const { address } = server;
  await using alice = await TestAgent.start(address);
  await using bob = await TestAgent.start(address);
  await connectAgents(alice, bob);
  await server[Symbol.asyncDispose]();
  const look = async () => (await operatorOf(alice.agent).status()).servers[0]!;
  await until(async () => (await look()).state === "unreachable");
  const { since } = await look();
  assert(since !== null);
  await alice.agent.send("b", new Uint8Array(1));
  await until(async () => (await operatorOf(alice.agent).status()).waitingQueues === 1);
});

Deno.test("the numbers are printed for people, and fit into any terminal", { permissions: "none" }, () => {
  const status: AgentStatus = {
    version: "1.2.3",
    pid: 1,
    uptime: 61,
    address: "127.0.0.1:5224",
    clients: 2,
    database: "a.db",
    databaseSize: 2048,
    memory: 1 << 20,
    logLevel: "warn",
    connections: { connected: 4, closed: 0, suspended: 0, invited: 0, joining: 0, failed: 1 },
    sessions: { active: 4, waiting: 1, closed: 0 },
    messages: { unread: 7, unreadable: 0, unsent: 2 },
    waitingQueues: 1,
    streams: { sending: 1, receiving: 2, offered: 3, offers: 4 },
    servers: [{ server: "a.example:5223#x=", state: "unreachable", since: "2026-01-02T03:04:05.678Z" }],
  };
  const lines = statusLines(status);
  for (
    const line of [
      "uptime: 1 min 1 s",
      "database: a.db (2.0 KiB)",
      "all: 5",
      "failed: 1",
      "to be sent without: in 1 queue",
      "streams offered here: 4",
      "a.example:5223: unreachable since 2026-01-02 03:04:05 UTC",
    ]
  ) assert(lines.includes(line), line);
  assertEquals(lines.filter((line) => /unreadable|suspended/.test(line)), []);
  const look = { status, at: 0 };
  assertStringIncludes(topLines(look, null, { columns: 200, rows: 50 }).join("\n"), "unreachable since");
  const small = topLines(look, null, { columns: 10, rows: 3 });
  assertEquals([small.length, Math.max(...small.map((line) => line.length))], [3, 10]);
});

/** What is answered to bytes, or nothing when they are not answered. */
async function answerTo(path: string, bytes: string | Uint8Array<ArrayBuffer>): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  await connection.write(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes).catch(() => {});
  let text = "";
  try {
    for await (const chunk of connection.readable) text += new TextDecoder().decode(chunk);
  } catch {
    // It was reset.
  }
  return text;
}

const numbers: Awaited<ReturnType<Parameters<typeof operatorOf>[0]["numbers"]>> = {
  connections: { connected: 0, closed: 0, suspended: 0, invited: 0, joining: 0, failed: 0 },
  sessions: { active: 0, waiting: 0, closed: 0 },
  messages: { unread: 0, unreadable: 0, unsent: 0 },
  waitingQueues: 0,
  streams: { sending: 0, receiving: 0, offered: 0, offers: 0 },
  servers: [],
};

socketTest("whatever is done to the socket of an agent, it goes on and is stopped by nobody", async () => {
  await using folder = await temporaryFolder();
  const stops: string[] = [];
  let counted = 0;
  const place = await agentPlace(`${folder.path}/a.db`);
  const options = { stop: () => void stops.push("stop"), requestTime: 200, now: () => counted += 1000 };
  await using administration = await Administration.listen<AgentStatus>(place, options);
  administration.serve(operatorOf({ numbers: () => Promise.resolve(numbers) }));
  const { path } = place;
  const connect = () => Deno.connect({ transport: "unix", path });
  const write = async (text: string) => {
    const connection = await connect();
    await connection.write(new TextEncoder().encode(text)).catch(() => {});
    return connection;
  };
  // Garbage
  for (
    const bytes of ["\n", "{}\n", "[1]\n", "GET / HTTP/1.1\r\n\r\n", '{"type":"stop"\n', "\0".repeat(2000)]
  ) {
    const answer = await soon(answerTo(path, bytes));
    assert(answer === "" || answer.startsWith('{"ok":false'), answer);
  }
  assertMatch(
    await soon(answerTo(path, crypto.getRandomValues(new Uint8Array(500)))),
    /^$|^\{"ok":false/,
  );
  // Gone before the answer, or with the answer unread
  for (let i = 0; i < 12; i++) (await write('{"type":"status"}\n')).close();
  for (let i = 0; i < 12; i++) (await write('{"type":"st')).close();
  for (let i = 0; i < 4; i++) {
    const connection = await write('{"type":"status"}\n');
    await connection.read(new Uint8Array(1)).catch(() => null);
    connection.close();
  }
  // Slow ones, and more of them than there is room for
  const slow: Deno.Conn[] = [];
  for (let i = 0; i < 30; i++) slow.push(await write("{"));
  const ended = slow.map((connection) => connection.read(new Uint8Array(1)).catch(() => null));
  assertEquals(await soon(Promise.all(ended)), slow.map(() => null));
  for (const connection of slow) connection.close();
  // They have gone here, and soon there.
  await until(async () => {
    using asked = await ask<AgentStatus>(place, { type: "status" }).catch(() => null);
    return asked !== null && asked.reply.ok && "status" in asked.reply && asked.reply.status.clients === 3;
  });
  assertEquals(stops, []);
});

socketTest("a socket is for its owner alone, and a folder where others write is told", async () => {
  await using folder = await temporaryFolder();
  const database = `${folder.path}/a.db`;
  const { path } = await agentPlace(database);
  for (const [mode, isTold] of [[0o700, false], [0o755, false], [0o777, true], [0o1777, false]] as const) {
    await Deno.chmod(folder.path, mode);
    const told: string[] = [];
    await using _opened = await openAdministration(database, {
      stop: () => {},
      tell: (line) => void told.push(line),
    });
    assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
    assertEquals(told.length, isTold ? 1 : 0, told[0]);
    if (isTold) assertStringIncludes(told[0]!, "others can write to");
  }
});

socketTest("an agent whose socket cannot be made says why, and serves", async () => {
  await using folder = await temporaryFolder();
  const long = `${folder.path}/${"x".repeat(120)}.db`;
  const taken = `${folder.path}/taken.db`;
  await Deno.writeTextFile((await agentPlace(taken)).path, "mine");
  for (
    const [database, reason] of [[long, "is too long for the path of a socket"], [taken, "is no socket"]]
  ) {
    const told: string[] = [];
    const options = { stop: () => {}, tell: (line: string) => void told.push(line) };
    assertEquals(await openAdministration(database!, options), null);
    assertEquals(told.length, 1);
    assertStringIncludes(told[0]!, reason!);
  }
});

Deno.test("reload takes the token and the log level of the start, and nothing when the token cannot be read", async () => {
  const [lines, tokens]: [string[], (string | null)[]] = [[], []];
  const logger = createLogger({ level: "warn", format: "text", write: (line) => void lines.push(line) });
  let token = "";
  const operator = new AgentOperator({
    agent: { numbers: () => Promise.resolve(numbers) },
    service: { sessions: 0, setToken: (given) => void tokens.push(given) },
    logger,
    version: "",
    address: "",
    database: "",
    readToken: () => token === "" ? Promise.reject(new Error("nothing in it")) : Promise.resolve(token),
  });
  operator.setLogLevel("debug");
  assertEquals(await operator.reload().catch((error) => error.message), "nothing in it");
  assertEquals([logger.level, tokens], ["debug", []]);
  token = "new";
  assertEquals(await operator.reload(), [
    "taken: --token-file, for clients that connect from now on",
    "not taken until the next start: all else, which the command line says",
  ]);
  assertEquals([logger.level, tokens], ["warn", ["new"]]);
});
