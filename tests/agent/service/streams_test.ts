import { assert, assertEquals, assertMatch } from "@std/assert";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import { command, connectClients, startService } from "../../support/agent_service.ts";
import { startServer } from "../../support/server.ts";
import { type ServicePair, servicePair, untilSession } from "../../support/service_pair.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { sessions } from "../../support/streams.ts";
import { until } from "../../support/wait.ts";
import { Telnet } from "../../support/telnet.ts";

/** How a stream is named. */
const id = "([0-9a-f]{32})";

/** Waits until both sides have said what they know, which comes before any message. */
async function untilReady(a: Telnet, b: Telnet, number = ""): Promise<void> {
  const [bob, alice] = [`bob${number}`, `alice${number}`];
  await Promise.all([untilSession(a, bob), untilSession(b, alice)]);
  for (const [from, to, alias] of [[a, b, bob], [b, a, alice]] as const) {
    assertMatch(command(await from.ask("r", alias, "SEND :ready"), "r", alias), /^SENT/);
    assertMatch((await to.said())![2], /^MSG .*\nready$/);
  }
}

/** Two clients of two services, "bob" and "alice", that have said `EXT streams`. */
async function pair(...[server, options]: Parameters<typeof servicePair>): Promise<ServicePair> {
  const clients = await servicePair(server, options);
  const { a, b } = clients;
  await untilReady(a, b);
  for (const client of [a, b]) assertEquals(await client.ask("0", "", "EXT streams"), ["0", "", "OK"]);
  return clients;
}

/** The ID of a stream that `a` offers `b` and `b` accepts. */
async function open(a: Telnet, b: Telnet, size = "-"): Promise<string> {
  const [, stream] = new RegExp(`^STREAM ${id} ${size}$`).exec(
    command(await a.ask("n", "bob", `SNEW ${size}`), "n", "bob"),
  )!;
  assertEquals(await b.said(), ["", "alice", `STREAM ${stream} ${size}`]);
  assertEquals(await b.ask("j", "alice", `SJOIN ${stream}`), ["j", "alice", `SREADY ${stream} 65536`]);
  assertEquals(await a.said(), ["", "bob", `SREADY ${stream} 65536`]);
  return stream!;
}

/** Sends data of a stream. */
function put(client: Telnet, stream: string, number: number, data: string): Promise<void> {
  return client.type(`p${number}\r\nbob\r\nSPUT ${stream} ${number} ${data.length}\n${data}\r\n`);
}

/** The data that comes next, which must have this number. */
async function data(client: Telnet, stream: string, number: number): Promise<string> {
  const said = command(await client.said(), "", "alice");
  const match = new RegExp(`^SDATA ${stream} ${number} \\S+Z OK (\\d+)\n`).exec(said);
  assert(match !== null, said.slice(0, 100));
  const body = said.slice(match[0].length);
  assertEquals(body.length, Number(match[1]));
  return body;
}

Deno.test("a stream goes from one client to another, each piece as it was put, and ends on both sides", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b } = clients;
  const stream = await open(a, b);
  await put(a, stream, 1, "hello");
  assertEquals(await data(b, stream, 1), "hello");
  // Messages go beside it.
  assertMatch(command(await b.ask("m", "alice", "SEND :hi"), "m", "alice"), /^SENT/);
  assertMatch(command(await a.said(), "", "bob"), /^MSG .*\nhi$/);
  await put(a, stream, 2, "world");
  assertEquals(await data(b, stream, 2), "world");
  await a.send("c", "bob", `SCLOSE ${stream}`);
  assertEquals(await b.said(), ["", "alice", `SCLOSED ${stream}`]);
  assertEquals(await a.said(), ["c", "bob", `SCLOSED ${stream}`]);
  await put(a, stream, 3, "more");
  assertEquals(await a.said(), ["p3", "bob", "ERR STREAM CLOSED"]);
  await until(() => server.gauges().queues <= 4);
});

Deno.test("a stream with a size comes in data of 65536 bytes, and has not more or less", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b } = clients;
  const stream = await open(a, b, "150000");
  const all = Array.from({ length: 150_000 }, (_, at) => "abcdefg"[at % 7]).join("");
  for (let at = 0, number = 1; at < all.length; at += 50_000) {
    await put(a, stream, number++, all.slice(at, at + 50_000));
  }
  await put(a, stream, 4, "x");
  assertEquals(await a.said(), ["p4", "bob", "ERR STREAM SIZE"]);
  const parts = [await data(b, stream, 1), await data(b, stream, 2), await data(b, stream, 3)];
  assertEquals(parts.map(({ length }) => length), [65_536, 65_536, 18_928]);
  assertEquals(parts.join(""), all);
  assertEquals(await b.said(), ["", "alice", `SCLOSED ${stream}`]);
  const short = await (async () => {
    // The end of the one with a size tells itself.
    assertEquals(await a.said(), ["", "bob", `SCLOSED ${stream}`]);
    return await open(a, b, "10");
  })();
  await put(a, short, 1, "123");
  await a.send("c", "bob", `SCLOSE ${short}`);
  assertEquals(await a.said(), ["c", "bob", `SCLOSED ${short} SIZE`]);
  assertEquals(await b.said(), ["", "alice", `SCLOSED ${short} SIZE`]);
});

Deno.test("what is out of order, too large or of no stream is refused, and the stream goes on", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b } = clients;
  const stream = await open(a, b);
  const other = "0".repeat(32);
  const refused = async (lines: string, error: string) => {
    await a.type(`1\r\nbob\r\n${lines}\r\n`);
    assertEquals(await a.said(), ["1", "bob", `ERR ${error}`], lines.slice(0, 50));
  };
  await refused(`SPUT ${other} 1 1\nx`, "STREAM UNKNOWN");
  await refused(`SPUT ${stream} 2 1\nx`, "STREAM ORDER");
  await refused(`SPUT ${stream} 1 65537\n${"x".repeat(65_537)}`, "STREAM SIZE");
  await refused(`SPUT ${stream} 1 1\nxy`, "CMD SIZE");
  await refused(`SJOIN ${other}`, "STREAM UNKNOWN");
  await refused(`SRESUME ${other} 7`, "STREAM UNKNOWN");
  await refused(`SCLOSE ${other}`, "STREAM UNKNOWN");
  for (
    const line of [
      "SNEW",
      "SNEW x",
      "SNEW 281474976710656",
      'SNEW 1 "a"',
      'SNEW 1 "a" "b" "c"',
      `SNEW 1 "a" "${"ä".repeat(128)}"`,
      'SNEW 1 "ä" "b"',
      "SJOIN x",
      `SJOIN ${stream} 1`,
      `SRESUME ${stream} 0`,
      `SPUT ${stream} 1`,
      `SPUT ${stream.toUpperCase()}A 1 1`,
      `SCLOSE ${stream} x`,
    ]
  ) await refused(line, "CMD SYNTAX");
  await put(a, stream, 1, "first");
  assertEquals(await data(b, stream, 1), "first");
  await a.type(`1\r\nnobody\r\nSNEW 1\r\n`);
  assertEquals(await a.said(), ["1", "nobody", "ERR CONN UNKNOWN"]);
  await a.type(`1\r\n\r\nSNEW 1\r\n`);
  assertEquals(await a.said(), ["1", "", "ERR CMD NO_CONN"]);
  await a.type(`1\r\nbob\r\nSPUT ${stream} 1 99999999\nx`);
  assertEquals(await a.said(), ["1", "bob", "ERR CMD LARGE"]);
  assertEquals(await a.line(), null);
});

Deno.test("a name and a type are told in quotes, and nothing in them makes a line", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b } = clients;
  const offered = command(
    await a.ask("1", "bob", 'SNEW 3 "image/png" "a \\u001b\\n\\"ä\u{1f408}.png"'),
    "1",
    "bob",
  );
  const text = String.raw` 3 "image/png" "a \u001b\n\"\u00e4\ud83d\udc08.png"`;
  const [, stream] = new RegExp(`^STREAM ${id} 3 `).exec(offered)!;
  assertEquals(offered, `STREAM ${stream}${text}`);
  assertEquals(await b.said(), ["", "alice", `STREAM ${stream}${text}`]);
  assertEquals(await b.ask("2", "alice", `SCLOSE ${stream} :no \x1b[2J`), [
    "2",
    "alice",
    `SCLOSED ${stream} REFUSED`,
  ]);
  assertEquals(await a.said(), ["", "bob", String.raw`SCLOSED ${stream} REFUSED "no \u001b[2J"`]);
  await put(a, stream!, 1, "x");
  assertEquals(await a.said(), ["p1", "bob", "ERR STREAM REFUSED"]);
});

Deno.test("either side cancels, with words, and an offer that is withdrawn is told", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b } = clients;
  const first = await open(a, b);
  await a.send("1", "bob", `SCLOSE ${first} :enough`);
  assertEquals(await a.said(), ["1", "bob", `SCLOSED ${first} CANCELLED`]);
  assertEquals(await b.said(), ["", "alice", `SCLOSED ${first} CANCELLED "enough"`]);
  const second = await open(a, b);
  assertEquals(await b.ask("1", "alice", `SCLOSE ${second}`), ["1", "alice", `SCLOSED ${second} CANCELLED`]);
  assertMatch(command(await a.said(), "", "bob"), /^SCLOSED \S+ CANCELLED/);
  const [, third] = new RegExp(`^STREAM ${id}`).exec(command(await a.ask("2", "bob", "SNEW 5"), "2", "bob"))!;
  assertEquals(await b.said(), ["", "alice", `STREAM ${third} 5`]);
  assertEquals(await a.ask("3", "bob", `SCLOSE ${third}`), ["3", "bob", `SCLOSED ${third} CANCELLED`]);
  assertMatch(command(await b.said(), "", "alice"), new RegExp(`^SCLOSED ${third} CANCELLED`));
  assertEquals(await b.ask("2", "alice", `SJOIN ${third}`), ["2", "alice", "ERR STREAM CLOSED"]);
});

Deno.test("the streams of a client that has gone end, and the other side is told why", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b, one } = clients;
  const first = await open(a, b);
  await put(a, first, 1, "x");
  assertEquals(await data(b, first, 1), "x");
  await a[Symbol.asyncDispose]();
  assertEquals(await b.said(), [
    "",
    "alice",
    `SCLOSED ${first} CANCELLED "The program that had the stream has gone"`,
  ]);
  await using again = await Telnet.connect(one.port);
  assertEquals(await again.ask("1", "", "EXT receipts,streams"), ["1", "", "OK"]);
  const second = await open(again, b);
  await b[Symbol.asyncDispose]();
  assertEquals(await again.said(), [
    "",
    "bob",
    `SCLOSED ${second} CANCELLED "The program that had the stream has gone"`,
  ]);
});

Deno.test("what is all put goes on without its client", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b } = clients;
  const stream = await open(a, b);
  await put(a, stream, 1, "last words");
  await a.send("c", "bob", `SCLOSE ${stream}`);
  assertEquals(await a.ask("q", "", "QUIT"), ["q", "", "OK"]);
  assertEquals(await data(b, stream, 1), "last words");
  assertEquals(await b.said(), ["", "alice", `SCLOSED ${stream}`]);
});

Deno.test("a client that has not said EXT streams sees nothing, and an offer waits for one that does", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, two } = clients;
  await using plain = await Telnet.connect(two.port);
  assertEquals(await plain.ask("1", "alice", "SUB"), ["1", "alice", "OK"]);
  const [, stream] = new RegExp(`^STREAM ${id}`).exec(
    command(await a.ask("1", "bob", "SNEW 5"), "1", "bob"),
  )!;
  assertMatch(command(await a.ask("2", "bob", "SEND :after"), "2", "bob"), /^SENT/);
  assertMatch(command(await plain.said(), "", "alice"), /^MSG .*\nafter$/);
  for (const line of ["SNEW 1", `SJOIN ${stream}`, `SCLOSE ${stream}`]) {
    assertEquals(await plain.ask("3", "alice", line), ["3", "alice", "ERR CMD PROHIBITED"]);
  }
  await plain.type(`4\r\nalice\r\nSPUT ${stream} 1 3\nabc\r\n`);
  assertEquals(await plain.said(), ["4", "alice", "ERR CMD PROHIBITED"]);
  await using other = await Telnet.connect(two.port);
  assertEquals(await other.ask("1", "", "EXT streams"), ["1", "", "OK"]);
  assertEquals(await other.ask("2", "alice", "SUB"), ["2", "alice", "OK"]);
  assertEquals(await other.said(), ["", "alice", `STREAM ${stream} 5`]);
  // To say it later is as good.
  assertEquals(await plain.said(), ["", "alice", "END"]);
  assertEquals(await plain.ask("5", "alice", "SUB"), ["5", "alice", "OK"]);
  assertEquals(await plain.ask("6", "", "EXT streams"), ["6", "", "OK"]);
  assertEquals(await plain.said(), ["", "alice", `STREAM ${stream} 5`]);
  assertEquals(await plain.ask("7", "alice", `SJOIN ${stream}`), ["7", "alice", `SREADY ${stream} 65536`]);
  assertEquals(await other.said(), ["", "alice", "END"]);
  assertEquals(await other.ask("3", "alice", `SJOIN ${stream}`), ["3", "alice", "ERR STREAM REFUSED"]);
  assertEquals(await other.ask("4", "alice", `SCLOSE ${stream}`), ["4", "alice", "ERR STREAM UNKNOWN"]);
});

Deno.test("a client that reads nothing holds up its own stream alone, and the sender's client", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b, one, two } = clients;
  await using reader = await Telnet.connect(two.port);
  assertEquals(await reader.ask("0", "", "EXT streams"), ["0", "", "OK"]);
  await using writer = await Telnet.connect(one.port);
  assertEquals(await writer.ask("0", "", "EXT streams"), ["0", "", "OK"]);
  const [, stream] = new RegExp(`^STREAM ${id}`).exec(
    command(await writer.ask("n", "bob", "SNEW -"), "n", "bob"),
  )!;
  assertEquals(await b.said(), ["", "alice", `STREAM ${stream} -`]);
  assertEquals(await reader.ask("j", "alice", `SJOIN ${stream}`), ["j", "alice", `SREADY ${stream} 65536`]);
  assertEquals(await writer.said(), ["", "bob", `SREADY ${stream} 65536`]);
  // More than sockets and the window hold.
  const count = 450, size = 65_536;
  let sent = 0;
  const sending = (async () => {
    for (let number = 1; number <= count; number++) {
      await put(writer, stream!, number, "x".repeat(size));
      sent = number;
    }
  })();
  await until(() => server.gauges().messages >= 8);
  // Others are not held up, for as long as it takes until nothing more of the stream is read.
  for (let same = 0, before = -1; same < 10;) {
    assertMatch(command(await a.ask("m", "bob", "SEND :hi"), "m", "bob"), /^SENT/);
    assertMatch(command(await b.said(), "", "alice"), /^MSG .*\nhi$/);
    same = sent === before ? same + 1 : 0;
    before = sent;
  }
  const other = await open(a, b);
  await put(a, other, 1, "through");
  assertEquals(await data(b, other, 1), "through");
  assert(sent < count, "nothing holds the sender up");
  // All comes when it is read.
  for (let number = 1, left = count * size; left > 0; number++) {
    left -= (await data(reader, stream!, number)).length;
  }
  await sending;
});

Deno.test("after a restart of the receiving agent a stream of a known size goes on from any of its data", async () => {
  await using folder = await temporaryFolder();
  const store = () => SqliteStore.open(`${folder.path}/b.db`);
  await using server = await startServer();
  const all = Array.from({ length: 200_000 }, (_, at) => "abcdefg"[at % 7]).join("");
  await Deno.writeTextFile(`${folder.path}/file`, all);
  await using one = await startService(server, {}, sessions);
  await using a = await Telnet.connect(one.port);
  let stream = "";
  {
    await using two = await startService(server, {}, { ...sessions, store: await store() });
    await using b = await Telnet.connect(two.port);
    await connectClients(a, b);
    await untilReady(a, b);
    assertEquals(await b.ask("0", "", "EXT streams"), ["0", "", "OK"]);
    assertEquals(await a.ask("0", "", "EXT streams"), ["0", "", "OK"]);
    stream = new RegExp(`^STREAM ${id}`).exec(
      command(await a.ask("1", "bob", "SNEW 200000"), "1", "bob"),
    )![1]!;
    await b.said();
    assertEquals(await b.ask("1", "alice", `SJOIN ${stream}`), ["1", "alice", `SREADY ${stream} 65536`]);
    assertEquals(await a.said(), ["", "bob", `SREADY ${stream} 65536`]);
    await put(a, stream, 1, all.slice(0, 65_536));
    assertEquals(await data(b, stream, 1), all.slice(0, 65_536));
  }
  await using two = await startService(server, {}, { ...sessions, store: await store() });
  await using b = await Telnet.connect(two.port);
  assertEquals(await b.ask("0", "", "EXT streams"), ["0", "", "OK"]);
  assertEquals(await b.ask("1", "alice", "SUB"), ["1", "alice", "OK"]);
  assertEquals(await b.said(), ["", "alice", `STREAM ${stream} 200000`]);
  assertEquals(await b.ask("2", "alice", `SRESUME ${stream} 9`), ["2", "alice", "ERR STREAM ORDER"]);
  assertEquals(await b.ask("2", "alice", `SRESUME ${stream} 2`), ["2", "alice", `SREADY ${stream} 65536`]);
  for (let number = 2; number <= 4; number++) {
    const start = (number - 1) * 65_536;
    await put(a, stream, number, all.slice(start, start + 65_536));
    assertEquals(await data(b, stream, number), all.slice(start, start + 65_536));
  }
  assertEquals(await b.said(), ["", "alice", `SCLOSED ${stream}`]);
});

Deno.test("a connection has 16 offers at a time and a client 64 streams: more are refused", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b, one } = clients;
  const offer = async (client: Telnet, alias: string) =>
    command(await client.ask("1", alias, "SNEW 1"), "1", alias);
  const offerAll = async (alias: string) => {
    for (let i = 0; i < 16; i++) {
      assertMatch(await offer(a, alias), /^STREAM /);
      assertMatch(command(await b.said(), "", alias.replace("bob", "alice")), /^STREAM/);
    }
  };
  await offerAll("bob");
  assertEquals(await a.ask("1", "bob", "SNEW 1"), ["1", "bob", "ERR STREAM REFUSED"]);
  for (const number of ["2", "3", "4", "5"]) {
    await connectClients(a, b, [`bob${number}`, `alice${number}`]);
    await untilReady(a, b, number);
    if (number !== "5") await offerAll(`bob${number}`);
  }
  assertEquals(await a.ask("1", "bob5", "SNEW 1"), ["1", "bob5", "ERR STREAM REFUSED"]);
  // It was the client's bound, and not the agent's.
  await using other = await Telnet.connect(one.port);
  assertEquals(await other.ask("0", "", "EXT streams"), ["0", "", "OK"]);
  assertMatch(await offer(other, "bob5"), /^STREAM /);
});

Deno.test("in the mode json streams have the same commands", async () => {
  await using server = await startServer();
  await using clients = await pair(server);
  const { a, b } = clients;
  for (const client of [a, b]) assertEquals(await client.ask("0", "", "MODE json"), ["0", "", "OK"]);
  const said = async (client: Telnet) => JSON.parse((await client.line())!);
  const tell = (client: Telnet, request: unknown) => client.type(`${JSON.stringify(request)}\n`);
  const named = { name: "a\nb", mediaType: "text/plain" };
  await tell(a, { id: 1, command: "SNEW", connection: "bob", size: 5, ...named });
  const { stream, ...offered } = await said(a);
  assertEquals(offered, { id: 1, type: "STREAM", connection: "bob", size: 5, ...named });
  assertEquals(await said(b), { type: "STREAM", connection: "alice", stream, size: 5, ...named });
  await tell(b, { id: 2, command: "SJOIN", connection: "alice", stream });
  assertEquals(await said(b), { id: 2, type: "SREADY", connection: "alice", stream, most: 65_536 });
  assertEquals(await said(a), { type: "SREADY", connection: "bob", stream, most: 65_536 });
  await tell(a, { id: 3, command: "SPUT", connection: "bob", stream, number: 2, data: "aGVsbG8=" });
  const refused = await said(a);
  assertEquals([refused.id, refused.type, refused.error], [3, "ERR", "STREAM ORDER"]);
  await tell(a, { id: 4, command: "SPUT", connection: "bob", stream, number: 1, data: "aGVsbG8=" });
  const { received, ...data } = await said(b);
  assert(Date.parse(received) > 0);
  assertEquals(data, {
    type: "SDATA",
    connection: "alice",
    stream,
    number: 1,
    status: "OK",
    data: "aGVsbG8=",
  });
  assertEquals(await said(b), { type: "SCLOSED", connection: "alice", stream });
  assertEquals(await said(a), { type: "SCLOSED", connection: "bob", stream });
  await tell(a, { id: 5, command: "SNEW", connection: "bob" });
  const second = await said(a);
  assertEquals([second.size, second.name], [null, ""]);
  assertEquals((await said(b)).stream, second.stream);
  await tell(b, { id: 6, command: "SCLOSE", connection: "alice", stream: second.stream, text: "no" });
  assertEquals(await said(b), {
    id: 6,
    type: "SCLOSED",
    connection: "alice",
    stream: second.stream,
    error: "REFUSED",
  });
  assertEquals(await said(a), {
    type: "SCLOSED",
    connection: "bob",
    stream: second.stream,
    error: "REFUSED",
    text: "no",
  });
  for (
    const wrong of [
      { command: "SNEW", size: -1 },
      { command: "SNEW", name: "x".repeat(256) },
      { command: "SNEW", mediaType: "ä" },
      { command: "SJOIN", stream: "x" },
      { command: "SRESUME", stream, number: 0 },
      { command: "SPUT", stream, number: 1, data: "?" },
      { command: "SPUT", stream, number: 1 },
      { command: "SCLOSE", stream, text: 1 },
    ]
  ) {
    await tell(a, { id: 7, connection: "bob", ...wrong });
    const { error } = await said(a);
    assertEquals(error, "CMD SYNTAX", JSON.stringify(wrong));
  }
});
