import { assert, assertEquals, assertMatch } from "@std/assert";
import { command, connectClients, startService } from "../../support/agent_service.ts";
import { steadyPort } from "../../support/ports.ts";
import { startServer } from "../../support/server.ts";
import { Telnet } from "../../support/telnet.ts";
import { soon, until } from "../../support/wait.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";

Deno.test("two people at telnet connect and talk, as agent.md says", async () => {
  await using server = await startServer();
  await using one = await startService(server);
  await using two = await startService(server);
  await using a = await Telnet.connect(one.port);
  await using b = await Telnet.connect(two.port);
  assertEquals([a.greeting, b.greeting], Array(2).fill("Welcome to SMP v0.3.2 agent"));
  const invitation = command(await a.ask("1", "bob", "NEW"), "1", "bob");
  assertMatch(invitation, /^INV smp::127\.0\.0\.1:\d+#[A-Za-z0-9+/]{43}=::[A-Za-z0-9+/]{16}::rsa:\S+$/);
  await b.send("2", "alice", `JOIN ${invitation.slice(4)}`);
  assertEquals(await a.said(), ["", "bob", "CON"]);
  assertEquals(await b.said(), ["", "alice", "CON"]);
  assertEquals(await a.ask("3", "bob", "SEND :hello bob"), ["3", "bob", "SENT 1"]);
  const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
  assertMatch(
    command(await b.said(), "", "alice"),
    new RegExp(`^MSG OK R=1,${time} B=[A-Za-z0-9+/]{8},${time} S=1,${time} 9\nhello bob$`),
  );
  await b.type("4\nalice\nSEND 9\nhi\nthere!\n");
  assertEquals(await b.said(), ["4", "alice", "SENT 2"]);
  assertMatch(command(await a.said(), "", "bob"), /^MSG OK R=2,.* 9\nhi\nthere!$/);
  assertEquals(await a.ask("5", "bob", "OFF"), ["5", "bob", "OK"]);
  assertEquals(await b.ask("6", "alice", "SEND :x"), ["6", "alice", "ERR SMP AUTH"]);
  assertEquals(await a.ask("7", "bob", "DEL"), ["7", "bob", "OK"]);
  assertEquals(await a.ask("8", "bob", "SUB"), ["8", "bob", "ERR CONN UNKNOWN"]);
});

Deno.test("what the agent writes has CRLF everywhere but after the size of a message", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: service.port });
  const text = async (end: RegExp) => {
    const buffer = new Uint8Array(65_536);
    let all = "";
    while (!end.test(all)) {
      const count = await soon(connection.read(buffer)).catch(() => null);
      if (count === null) throw new Error(`after ${JSON.stringify(all)} nothing came`);
      all += new TextDecoder().decode(buffer.subarray(0, count));
    }
    return all;
  };
  const write = (line: string) => connection.write(new TextEncoder().encode(line));
  assertEquals(await text(/\n/), "Welcome to SMP v0.3.2 agent\r\n");
  await write("1\nx\nNEW\n");
  const answer = await text(/INV \S+\r\n/);
  assertMatch(answer, /^1\r\nx\r\nINV \S+\r\n$/);
  await write(`2\ny\nJOIN ${answer.trim().split(" ")[1]}\n`);
  const connected = await text(/x\r\nCON\r\n[^]*CON\r\n|y\r\nCON\r\n[^]*CON\r\n/);
  assertEquals(connected.split("\r\n").length, 7);
  await write("3\nx\nSEND :body\n");
  const messages = await text(/SENT[^]*MSG[^]*body\r\n|MSG[^]*body\r\n[^]*SENT 1\r\n/);
  assertMatch(messages, /\r\ny\r\nMSG OK [^\r\n]* 4\nbody\r\n/);
  assertMatch(messages, /3\r\nx\r\nSENT 1\r\n/);
});

Deno.test("without an alias NEW and JOIN make one, and nothing else works", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const [corrId, alias, invitation] = (await a.ask("1", "", "NEW"))!;
  assertMatch(alias, /^[A-Za-z0-9+/]{16}$/);
  assertEquals(corrId, "1");
  await a.send("2", "", `JOIN ${invitation.slice(4)}`);
  const connected = [await a.said(), await a.said()];
  const other = connected.map((said) => said![1]).find((name) => name !== alias)!;
  assertMatch(other, /^[A-Za-z0-9+/]{16}$/);
  for (const word of ["SUB", "SUBALL", "OFF", "DEL", "SEND :x"]) {
    assertEquals(await a.ask("3", "", word), ["3", "", "ERR CMD NO_CONN"], word);
  }
});

// agent.md Plaintext agent protocol
Deno.test("NEW and JOIN without an alias that fail answer without one", async () => {
  const server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const invitation = (await a.ask("1", "bob", "NEW"))![2].slice(4);
  const unknown = invitation.replace(/::[A-Za-z0-9+/]{16}::/, "::AAAAAAAAAAAAAAAA::");
  for (const alias of ["", "x"]) {
    assertEquals(await a.ask("2", alias, `JOIN ${unknown}`), ["2", alias, "ERR SMP AUTH"]);
    assertEquals(await a.ask("3", alias, `JOIN ${unknown} NO_REPLY x`), ["3", alias, "ERR CMD SYNTAX"]);
  }
  await server.stop();
  assertEquals(await a.said(), ["", "bob", "END"]);
  for (const alias of ["", "y"]) {
    assertEquals(await a.ask("4", alias, "NEW"), ["4", alias, "ERR BROKER NETWORK"]);
  }
});

Deno.test("every wrong command gets its error, and the session goes on", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const key = "rsa:AAAA";
  const cases: readonly (readonly [string, string])[] = [
    ["", "CMD SYNTAX"],
    ["HELP x", "CMD SYNTAX"],
    ["new", "CMD SYNTAX"],
    ["NEW x", "CMD SYNTAX"],
    ["SUB ", "CMD SYNTAX"],
    ["JOIN", "CMD SYNTAX"],
    [`JOIN smp::h::a::${key}`, "CMD SYNTAX"],
    ["SEND", "CMD SYNTAX"],
    ["SEND x", "CMD SYNTAX"],
    ["SEND -1", "CMD SYNTAX"],
    ["INV x", "CMD PROHIBITED"],
    ["CON", "CMD PROHIBITED"],
    ["OK", "CMD PROHIBITED"],
    ["SENT 1", "CMD PROHIBITED"],
    ["MSG OK", "CMD PROHIBITED"],
    ["END", "CMD PROHIBITED"],
    ["ERR x", "CMD PROHIBITED"],
    ["SUB", "CONN UNKNOWN"],
    ["OFF", "CONN UNKNOWN"],
    ["DEL", "CONN UNKNOWN"],
    ["SEND :x", "CONN UNKNOWN"],
  ];
  for (const [line, error] of cases) {
    assertEquals(await a.ask("c", "nobody", line), ["c", "nobody", `ERR ${error}`], line);
  }
  assertEquals(await a.ask("1", "x", "SEND 3\nabcd"), ["1", "x", "ERR CMD SIZE"]);
  assertEquals(await a.ask("2", "x", `SEND 1048577\n${"a".repeat(1_048_577)}`), ["2", "x", "ERR CMD LARGE"]);
  command(await a.ask("3", "x", "NEW"), "3", "x");
  assertEquals(await a.ask("4", "x", "NEW"), ["4", "x", "ERR CONN DUPLICATE"]);
  assertEquals(await a.ask("5", "x", "SEND :x"), ["5", "x", "ERR CONN SIMPLEX"]);
  assertEquals(await a.ask("6", "x", "SUB"), ["6", "x", "OK"]);
});

Deno.test("a message that does not fit is refused, uses up no number, and the next one is sent", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await Telnet.connect(service.port);
  await connectClients(a, b);
  assertEquals(await a.ask("1", "bob", `SEND :${"x".repeat(3100)}`), ["1", "bob", "ERR CMD LARGE"]);
  assertEquals(await a.ask("2", "bob", "SEND :y"), ["2", "bob", "SENT 1"]);
});

Deno.test("another session takes a connection over, and gets what the first has not", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const first = await Telnet.connect(service.port);
  await connectClients(a, first);
  await using second = await Telnet.connect(service.port);
  assertEquals(await second.ask("1", "alice", "SUB"), ["1", "alice", "OK"]);
  assertEquals(await first.said(), ["", "alice", "END"]);
  assertEquals(await a.ask("2", "bob", "SEND :to the second"), ["2", "bob", "SENT 1"]);
  assertMatch(command(await second.said(), "", "alice"), /\nto the second$/);
  await first[Symbol.asyncDispose]();
  // Nobody is there: the message waits for whoever comes.
  await second[Symbol.asyncDispose]();
  await until(() => !service.isOwned("alice"));
  assertEquals(await a.ask("3", "bob", "SEND :later"), ["3", "bob", "SENT 2"]);
  await using third = await Telnet.connect(service.port);
  await third.send("4", "x", "SUBALL");
  const said = [await third.said(), await third.said(), await third.said()].map((s) => s!.join("|"));
  assert(said.includes("4|alice|OK") && said.includes("4|bob|OK"), said.join("\n"));
  assert(said.some((line) => /^\|alice\|MSG OK .*\nlater$/s.test(line)), said.join("\n"));
  assertEquals(await a.said(), ["", "bob", "END"]);
});

Deno.test("when its server is gone a client gets END, and messages again when it is back", async () => {
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore(), port: steadyPort() };
  const server = await startServer(stores);
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await Telnet.connect(service.port);
  await connectClients(a, b);
  await server.stop();
  assertEquals(await a.said(), ["", "bob", "END"]);
  assertEquals(await b.said(), ["", "alice", "END"]);
  // Sent when that is possible.
  await a.send("2", "bob", "SEND :while it was away");
  await using _again = await startServer(stores);
  assertEquals(await a.said(), ["2", "bob", "SENT 1"]);
  assertMatch(command(await b.said(), "", "alice"), /\nwhile it was away$/);
});

Deno.test("bytes of every value come through, in bodies and aliases", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const name = "жаба 🐸";
  const [, alias, invitation] = (await a.ask("1", name, "NEW"))!;
  assertEquals(new TextDecoder().decode(Uint8Array.from(alias, (c) => c.charCodeAt(0))), name);
  await a.send("2", "y", `JOIN ${invitation.slice(4)}`);
  for (let i = 0; i < 2; i++) assertEquals((await a.said())![2], "CON");
  await a.send("3", "y", "SEND :тест");
  const said = [await a.said(), await a.said()].map((s) => s![2]);
  assert(said.includes("SENT 1"));
  assertMatch(said.find((line) => line.startsWith("MSG"))!, / 8\nтест$/);
});

Deno.test("what was written to a client is not said again, what nobody was there for is", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const first = await Telnet.connect(service.port);
  await connectClients(a, first);
  assertEquals(await a.ask("2", "bob", "SEND :written"), ["2", "bob", "SENT 1"]);
  // It is written and acknowledged, and never read.
  await until(() => server.gauges().messages === 0);
  await first[Symbol.asyncDispose]();
  await until(() => !service.isOwned("alice"));
  assertEquals(await a.ask("3", "bob", "SEND :kept"), ["3", "bob", "SENT 2"]);
  await using second = await Telnet.connect(service.port);
  await second.send("4", "alice", "SUB");
  const said = [await second.said(), await second.said()].map((said) => said![2]);
  assert(said.includes("OK"));
  assertMatch(said.find((line) => line.startsWith("MSG"))!, /\nkept$/);
});
