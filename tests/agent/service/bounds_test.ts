import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FakeClock } from "../../support/fake_clock.ts";
import { command, connectClients, FakeSocket, startService } from "../../support/agent_service.ts";
import { startServer } from "../../support/server.ts";
import { Telnet } from "../../support/telnet.ts";
import { soon, until } from "../../support/wait.ts";

Deno.test("who speaks HTTP is cut off, and nothing of what it says is done", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  const heads = ["POST /x HTTP/1.0", "GET / HTTP/1.1", "patch / HTTP/1.1", "PRI * HTTP/2.0"];
  for (const head of heads) {
    await using a = await Telnet.connect(service.port);
    // A body of a web page's choice follows.
    await a.type(`${head}\r\nHost: x\r\n\r\n1\r\nbob\r\nNEW\r\n`);
    // Whether it is ended or reset: nothing was said.
    const said = await a.said().catch((error) => {
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    });
    assertEquals(said, null, head);
  }
  await using a = await Telnet.connect(service.port);
  assertEquals(await a.ask("1", "", "LIST"), ["1", "", "DONE 0"]);
});

Deno.test("who begins with TLS is cut off, and nothing is done of what is in its first message", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  // A browser sends back what a server of anybody's choice has given it to resume a session.
  const hello = (chosen: string) =>
    `\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03${"r".repeat(32)}${chosen}\nbob\nNEW\n`;
  for (const chosen of ["", "\n\nLIST\n1"]) {
    await using a = await Telnet.connect(service.port);
    await a.type(hello(chosen));
    const said = await a.said().catch((error) => {
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    });
    assertEquals(said, null);
  }
  await using a = await Telnet.connect(service.port);
  assertEquals(await a.ask("1", "", "LIST"), ["1", "", "DONE 0"]);
});

Deno.test("what is too long is answered, with what is known of the command, before the session ends", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  const long = "x".repeat(100_000);
  const cases = [
    [long, ["", "", "ERR CMD SYNTAX"]],
    [`1\n${long}\n`, ["1", "", "ERR CMD SYNTAX"]],
    [`1\nbob\n${long}\n`, ["1", "bob", "ERR CMD SYNTAX"]],
    [`1\nbob\nSEND :${long}\n`, ["1", "bob", "ERR CMD LARGE"]],
    [`1\nbob\nSEND 99999999\n${long}`, ["1", "bob", "ERR CMD LARGE"]],
    [`1\nbob\nSEND 3\nabc${long}\n`, ["1", "bob", "ERR CMD SIZE"]],
    [`1\n\nMODE json\n${long.repeat(22)}`, ["1", "", "OK"]],
  ] as const;
  for (const [text, answer] of cases) {
    await using a = await Telnet.connect(service.port);
    await a.type(text);
    assertEquals(await a.said(), [...answer], text.slice(0, 20));
    if (text.includes("json")) {
      const error = JSON.parse((await a.line())!);
      assertEquals([error.type, error.error, "id" in error], ["ERR", "CMD LARGE", false]);
    }
    assertEquals(await a.line(), null);
  }
  await using a = await Telnet.connect(service.port);
  command(await a.ask("1", "x", "NEW"), "1", "x");
});

Deno.test("an answer arrives although the client goes on sending", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await Telnet.connect(service.port);
  const line = "x".repeat(16_384);
  for (let i = 0; i < 16; i++) await a.type(line);
  assertEquals(await a.said(), ["", "", "ERR CMD SYNTAX"]);
  assertEquals(await a.line(), null);
});

Deno.test("with a token nothing works before it, and a wrong one ends the session", async () => {
  await using server = await startServer();
  await using service = await startService(server, { token: "secret token" });
  for (const line of ["NEW", "SUB", "TOKEN wrong", "TOKEN secret toke", "TOKEN secret token2"]) {
    await using a = await Telnet.connect(service.port);
    assertEquals(await a.ask("1", "x", line), ["1", "x", "ERR CMD PROHIBITED"]);
    assertEquals(await a.said(), null);
  }
  for (const line of ["LIST", "HELP", "QUIT", "MODE json", "ACK 1"]) {
    await using a = await Telnet.connect(service.port);
    assertEquals(await a.ask("1", "", line), ["1", "", "ERR CMD PROHIBITED"]);
    assertEquals(await a.said(), null);
  }
  await using a = await Telnet.connect(service.port);
  assertEquals(await a.ask("1", "", "TOKEN secret token"), ["1", "", "OK"]);
  command(await a.ask("2", "x", "NEW"), "2", "x");
});

Deno.test("a token may have any characters", async () => {
  await using server = await startServer();
  for (const token of ["пароль 🐸", "ÿþ", "x"]) {
    await using service = await startService(server, { token });
    await using wrong = await Telnet.connect(service.port);
    assertEquals(await wrong.ask("1", "", `TOKEN ${token}!`), ["1", "", "ERR CMD PROHIBITED"]);
    await using a = await Telnet.connect(service.port);
    assertEquals(await a.ask("1", "", `TOKEN ${token}`), ["1", "", "OK"]);
  }
});

Deno.test("a token on the first line is answered by what is expected", async () => {
  await using server = await startServer();
  await using service = await startService(server, { token: "secret" });
  await using a = await Telnet.connect(service.port);
  await a.type("TOKEN secret\r\n");
  assertMatch(command(await a.said(), "", ""), /^ERR INTERNAL "a command has three lines: .*TOKEN/);
  assertEquals(await a.said(), null);
});

Deno.test("a session that gives no token ends in time, one that has given it does not", async () => {
  await using server = await startServer();
  const clock = new FakeClock();
  await using service = await startService(server, { token: "secret", tokenTimeout: 7, clock });
  await using a = await Telnet.connect(service.port);
  await until(() => clock.begun.includes(7));
  assertEquals(await a.ask("1", "", "TOKEN secret"), ["1", "", "OK"]);
  await until(() => [...clock.pauses].every(({ milliseconds }) => milliseconds !== 7));
  await using silent = await Telnet.connect(service.port);
  await silent.type("1\n\n");
  await until(() => [...clock.pauses].some(({ milliseconds }) => milliseconds === 7));
  for (const pause of clock.pauses) if (pause.milliseconds === 7) pause.end();
  assertEquals(await silent.said(), null);
  assertEquals(await a.ask("2", "", "LIST"), ["2", "", "DONE 0"]);
});

Deno.test("nothing that came with too late a token is done", async () => {
  await using server = await startServer();
  const clock = new FakeClock();
  await using service = await startService(server, { token: "secret", tokenTimeout: 7, clock });
  const socket = new FakeSocket();
  const served = service.serve(socket);
  await socket.reads("Welcome");
  // The refusal cannot be written until the time is over.
  socket.isHeld = true;
  socket.type("1\n\nTOKEN wrong\n2\nbob\nNEW\n");
  await until(() => socket.pending.includes("PROHIBITED"));
  for (const pause of clock.pauses) if (pause.milliseconds === 7) pause.end();
  await soon(served);
  assertEquals(service.isOwned("bob"), false);
  await using a = await Telnet.connect(service.port);
  await a.ask("1", "", "TOKEN secret");
  assertEquals(await a.ask("2", "", "LIST"), ["2", "", "DONE 0"]);
});

Deno.test("sessions without a token make room, those with one stay", async () => {
  await using server = await startServer();
  await using service = await startService(server, { token: "secret", mostSessions: 3 });
  const enter = async () => {
    const client = await Telnet.connect(service.port);
    assertEquals(await client.ask("1", "", "TOKEN secret"), ["1", "", "OK"]);
    return client;
  };
  await using first = await enter();
  await using oldest = await Telnet.connect(service.port);
  await using younger = await Telnet.connect(service.port);
  await using second = await enter();
  assertEquals(await oldest.said(), null);
  await using third = await enter();
  assertEquals(await younger.said(), null);
  assertEquals(service.sessions, 3);
  // All have given it.
  await using fourth = await Telnet.connect(service.port);
  assertEquals([fourth.greeting, await fourth.said()], [null, null]);
  for (const client of [first, second, third]) {
    assertEquals(await client.ask("2", "", "LIST"), ["2", "", "DONE 0"]);
  }
});

Deno.test("a message is acknowledged when it is written, not before", async () => {
  await using server = await startServer();
  await using own = await startServer();
  await using one = await startService(server);
  await using two = await startService(own);
  await using a = await Telnet.connect(one.port);
  const socket = new FakeSocket();
  const served = two.serve(socket);
  const invitation = command(await a.ask("1", "bob", "NEW"), "1", "bob").slice(4);
  socket.type(`1\nalice\nJOIN ${invitation}\n`);
  await socket.reads("alice\r\nCON");
  assertEquals(await a.said(), ["", "bob", "CON"]);
  await using b = await Telnet.connect(two.port);
  await connectClients(a, b, ["b", "a"]);
  await until(() => own.gauges().messages === 0);
  socket.isHeld = true;
  assertEquals(await a.ask("2", "bob", "SEND :slowly"), ["2", "bob", "SENT 1"]);
  await until(() => socket.pending.includes("slowly"));
  // The same agent does much meanwhile.
  for (let i = 1; i <= 5; i++) {
    assertEquals(await b.ask("3", "a", "SEND :x"), ["3", "a", `SENT ${i}`]);
    assertMatch(command(await a.said(), "", "b"), /\nx$/);
  }
  assertEquals(own.gauges().messages, 1);
  socket.release();
  await socket.reads("slowly");
  await until(() => own.gauges().messages === 0);
  socket.end();
  await soon(served);
});

Deno.test("a message that cannot be written whole comes again", async () => {
  await using server = await startServer();
  await using one = await startService(server);
  await using two = await startService(server);
  await using a = await Telnet.connect(one.port);
  const socket = new FakeSocket();
  const served = two.serve(socket);
  const invitation = command(await a.ask("1", "bob", "NEW"), "1", "bob").slice(4);
  socket.type(`1\nalice\nJOIN ${invitation}\n`);
  await socket.reads("alice\r\nCON");
  assertEquals(await a.said(), ["", "bob", "CON"]);
  socket.isHeld = true;
  assertEquals(await a.ask("2", "bob", "SEND :once more"), ["2", "bob", "SENT 1"]);
  await until(() => socket.pending.includes("once more"));
  socket.close();
  await soon(served);
  await using b = await Telnet.connect(two.port);
  assertEquals(await b.ask("3", "alice", "SUB"), ["3", "alice", "OK"]);
  assertMatch(command(await b.said(), "", "alice"), /\nonce more$/);
  await until(() => server.gauges().messages === 0);
});

Deno.test("a client that does not read is given up in time, and holds up no other", async () => {
  await using server = await startServer();
  const clock = new FakeClock();
  await using service = await startService(server, { writeTimeout: 77, clock });
  const socket = new FakeSocket();
  const served = service.serve(socket);
  await socket.reads("Welcome");
  socket.isHeld = true;
  socket.type("1\n\nLIST\n2\n\nLIST\n");
  await until(() => socket.pending.includes("DONE"));
  await using a = await Telnet.connect(service.port);
  command(await a.ask("1", "x", "NEW"), "1", "x");
  for (const pause of clock.pauses) if (pause.milliseconds === 77) pause.end();
  await soon(served);
  assertEquals([socket.isClosed, socket.text.includes("DONE")], [true, false]);
});

Deno.test("an agent that is closed does not wait for a client that does not read", async () => {
  await using server = await startServer();
  const service = await startService(server);
  const socket = new FakeSocket();
  const served = service.serve(socket);
  await socket.reads("Welcome");
  socket.isHeld = true;
  socket.type("1\n\nLIST\n");
  await until(() => socket.pending.includes("DONE"));
  await soon(service[Symbol.asyncDispose]());
  await soon(served);
});

Deno.test("what a session waits for is bounded, and nothing of what it may not send is stored", async () => {
  await using server = await startServer();
  await using one = await startService(server);
  await using two = await startService(server);
  await using a = await Telnet.connect(one.port);
  const b = await Telnet.connect(two.port);
  await connectClients(a, b);
  await b[Symbol.asyncDispose]();
  const socket = new FakeSocket();
  const served = one.serve(socket);
  const corrId = "c".repeat(16_000);
  await server.stop();
  assertEquals(await a.said(), ["", "bob", "END"]);
  for (let i = 0; i < 66; i++) socket.type(`${i}${corrId}\nbob\nSEND :x\n`);
  await socket.reads("ERR INTERNAL");
  assertStringIncludes(socket.text, 'ERR INTERNAL "Too many commands wait for their answers"');
  assertEquals(socket.text.indexOf("\r\nbob\r\nSENT"), -1);
  socket.end();
  await soon(served);
  // It has gone, and what it waited for with it.
  await using again = await Telnet.connect(one.port);
  await again.send("1", "bob", "SEND :y");
  assertEquals(await again.ask("2", "nobody", "SUB"), ["2", "nobody", "ERR CONN UNKNOWN"]);
  assert(one.sessions >= 1);
});

Deno.test("a client whose commands are all there lets all else of the agent have its turn", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  const socket = new FakeSocket();
  const served = service.serve(socket);
  await socket.reads("Welcome");
  const commands = 20_000;
  socket.type("1\n\nX\n".repeat(commands));
  await socket.reads("ERR");
  await new Promise((resolve) => setTimeout(resolve, 0));
  const answers = socket.text.split("ERR").length - 1;
  assert(answers < commands, `${answers} answers`);
  await until(() => socket.text.split("ERR").length - 1 === commands);
  socket.end();
  await soon(served);
});
