import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { command, connectClients, FakeSocket, startService } from "../../support/agent_service.ts";
import { startServer } from "../../support/server.ts";
import { Telnet } from "../../support/telnet.ts";
import { soon, until } from "../../support/wait.ts";

async function enter(port: number, modes: string): Promise<Telnet> {
  const client = await Telnet.connect(port);
  assertEquals(await client.ask("m", "", `MODE ${modes}`), ["m", "", "OK"]);
  return client;
}

Deno.test("in the mode manual a message is acknowledged by ACK alone", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await enter(service.port, "manual");
  await connectClients(a, b);
  assertEquals(await a.ask("2", "bob", "SEND :one"), ["2", "bob", "SENT 1"]);
  assertMatch(command(await b.said(), "", "alice"), /^MSG OK R=1,.*\none$/);
  assertEquals(await a.ask("3", "bob", "SEND :two"), ["3", "bob", "SENT 2"]);
  // One after the other.
  assertEquals(await b.ask("4", "alice", "ACK 2"), ["4", "alice", "ERR CMD PROHIBITED"]);
  assertEquals(server.gauges().messages, 2);
  await b.send("5", "alice", "ACK 1");
  const said = [await b.said(), await b.said()].map((said) => said!.join("|"));
  assert(said.includes("5|alice|OK"), said.join("\n"));
  assert(said.some((line) => /^\|alice\|MSG OK R=2,.*\ntwo$/.test(line)), said.join("\n"));
  assertEquals(await b.ask("6", "alice", "ACK 2"), ["6", "alice", "OK"]);
  await until(() => server.gauges().messages === 0);
  for (const line of ["ACK 2", "ACK 99", "ACK 0"]) {
    assertEquals(await b.ask("7", "alice", line), ["7", "alice", "ERR CMD PROHIBITED"], line);
  }
  for (const line of ["ACK", "ACK x", "ACK -1", "ACK 1 2"]) {
    assertEquals(await b.ask("8", "alice", line), ["8", "alice", "ERR CMD SYNTAX"], line);
  }
  assertEquals(await b.ask("9", "nobody", "ACK 1"), ["9", "nobody", "ERR CONN UNKNOWN"]);
});

Deno.test("what was not acknowledged comes again once with each SUB, here and in another session", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await enter(service.port, "manual");
  await connectClients(a, b);
  assertEquals(await a.ask("2", "bob", "SEND :again"), ["2", "bob", "SENT 1"]);
  assertMatch(command(await b.said(), "", "alice"), /\nagain$/);
  for (let i = 0; i < 3; i++) {
    assertEquals(await b.ask("3", "alice", "SUB"), ["3", "alice", "OK"]);
    assertMatch(command(await b.said(), "", "alice"), /^MSG OK R=1,.*\nagain$/);
  }
  assertEquals(await b.ask("4", "", "LIST").then((said) => said![2].slice(0, 10)), "CONNECTION");
  await b.said();
  await b.said();
  const died = await enter(service.port, "manual");
  assertEquals(await died.ask("5", "alice", "SUB"), ["5", "alice", "OK"]);
  assertEquals(await b.said(), ["", "alice", "END"]);
  assertMatch(command(await died.said(), "", "alice"), /\nagain$/);
  // It is of no use any more where it was told first.
  assertEquals(await b.ask("6", "alice", "ACK 1"), ["6", "alice", "ERR CMD PROHIBITED"]);
  await died[Symbol.asyncDispose]();
  await until(() => !service.isOwned("alice"));
  assertEquals(server.gauges().messages, 1);
  await using last = await Telnet.connect(service.port);
  assertEquals(await last.ask("7", "alice", "SUB"), ["7", "alice", "OK"]);
  assertMatch(command(await last.said(), "", "alice"), /\nagain$/);
  await until(() => server.gauges().messages === 0);
});

Deno.test("MODE auto acknowledges by itself again, and ACK still works for what came before", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await enter(service.port, "manual");
  await connectClients(a, b);
  assertEquals(await a.ask("2", "bob", "SEND :one"), ["2", "bob", "SENT 1"]);
  assertMatch(command(await b.said(), "", "alice"), /\none$/);
  assertEquals(await b.ask("3", "", "MODE auto"), ["3", "", "OK"]);
  assertEquals(await b.ask("4", "alice", "ACK 1"), ["4", "alice", "OK"]);
  assertEquals(await a.ask("5", "bob", "SEND :two"), ["5", "bob", "SENT 2"]);
  assertMatch(command(await b.said(), "", "alice"), /\ntwo$/);
  await until(() => server.gauges().messages === 0);
  for (const modes of ["MODE", "MODE ", "MODE x", "MODE manual,json", "MODE auto auto auto auto auto"]) {
    assertEquals(await b.ask("6", "", modes), ["6", "", "ERR CMD SYNTAX"], modes);
  }
});

Deno.test("LIST tells of every connection and says when that was all", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  await using b = await Telnet.connect(service.port);
  assertEquals(await a.ask("0", "", "LIST"), ["0", "", "DONE 0"]);
  await connectClients(a, b);
  await a.ask("2", "new", "NEW");
  await a.send("3", "ignored", "LIST");
  const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
  const line = (flags: string) => new RegExp(`^CONNECTION [A-Za-z0-9+/]{16} ${time} ${flags}$`);
  assertMatch(command(await a.said(), "3", "bob"), line("connected,send,receive,subscribed"));
  assertMatch(command(await a.said(), "3", "alice"), line("connected,send,receive"));
  assertMatch(command(await a.said(), "3", "new"), line("receive,subscribed"));
  assertEquals(await a.said(), ["3", "", "DONE 3"]);
});

Deno.test("HELP lists the commands, QUIT is answered and ends the session", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const help = command(await a.ask("1", "", "HELP"), "1", "");
  const words = [
    "NEW",
    "JOIN",
    "SUB",
    "SUBALL",
    "SEND",
    "OFF",
    "DEL",
    "ACK",
    "LIST",
    "MODE",
    "TOKEN",
    "QUIT",
  ];
  for (const word of words) assertStringIncludes(help, word);
  // What comes after it is not done.
  await a.type("2\r\n\r\nQUIT\r\n3\r\nx\r\nNEW\r\n");
  assertEquals(await a.said(), ["2", "", "OK"]);
  assertEquals(await a.said(), null);
  await using b = await Telnet.connect(service.port);
  assertEquals(await b.ask("4", "", "LIST"), ["4", "", "DONE 0"]);
});

Deno.test("a session that dies between MSG and ACK has lost nothing", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const socket = new FakeSocket();
  const served = service.serve(socket);
  const invitation = command(await a.ask("1", "bob", "NEW"), "1", "bob").slice(4);
  socket.type(`1\n\nMODE manual\n2\nalice\nJOIN ${invitation}\n`);
  await socket.reads("alice\r\nCON");
  assertEquals(await a.said(), ["", "bob", "CON"]);
  const texts = ["one", "two", "three"];
  for (const [i, text] of texts.entries()) {
    assertEquals(await a.ask("2", "bob", `SEND :${text}`), ["2", "bob", `SENT ${i + 1}`]);
  }
  await socket.reads("one");
  socket.end();
  await soon(served);
  await using b = await enter(service.port, "manual");
  assertEquals(await b.ask("3", "alice", "SUB"), ["3", "alice", "OK"]);
  for (const [i, text] of texts.entries()) {
    assertMatch(command(await b.said(), "", "alice"), new RegExp(`^MSG OK R=${i + 1},.*\\n${text}$`));
    assertEquals(await b.ask("4", "alice", `ACK ${i + 1}`), ["4", "alice", "OK"]);
  }
});
