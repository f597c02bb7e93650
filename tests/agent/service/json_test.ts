import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseJsonRequest } from "../../../agent/service/json.ts";
import { asciiText, encodeBase64, textBytes } from "../../../protocol/mod.ts";
import { command, connectClients, startService } from "../../support/agent_service.ts";
import { lackOf, requiring } from "../../support/requires.ts";
import { startServer } from "../../support/server.ts";
import { Telnet } from "../../support/telnet.ts";
import { until } from "../../support/wait.ts";

const key = "rsa:MIIBCgKC";

type Json = Readonly<Record<string, unknown>>;

/** A client in the mode `json`. */
class JsonClient implements AsyncDisposable {
  private constructor(readonly telnet: Telnet) {}

  static async connect(port: number, modes = "json"): Promise<JsonClient> {
    const telnet = await Telnet.connect(port);
    assertEquals(await telnet.ask("m", "", `MODE ${modes}`), ["m", "", "OK"]);
    return new JsonClient(telnet);
  }

  async said(): Promise<Json> {
    // Telnet reads bytes as Latin-1 characters.
    const line = Uint8Array.from((await this.telnet.line())!, (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(line));
  }

  async ask(request: Json): Promise<Json> {
    await this.telnet.type(`${JSON.stringify(request)}\n`);
    return await this.said();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.telnet[Symbol.asyncDispose]();
  }
}

Deno.test("two programs connect and talk in JSON", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await JsonClient.connect(service.port, "json manual");
  await using b = await JsonClient.connect(service.port);
  const { invitation, ...made } = await a.ask({ id: 1, command: "NEW", connection: "боб" });
  assertEquals(made, { id: 1, type: "INV", connection: "боб" });
  assertMatch(String(invitation), /^smp::/);
  const joined = await b.ask({ id: "j", command: "JOIN", invitation });
  assertEquals([joined["id"], joined["type"]], ["j", "OK"]);
  const alice = joined["connection"] as string;
  assertMatch(alice, /^[A-Za-z0-9+/]{16}$/);
  assertEquals(await a.said(), { type: "CON", connection: "боб" });
  assertEquals(await b.said(), { type: "CON", connection: alice });
  const sent = await b.ask({ id: 2, command: "SEND", connection: alice, text: "привет\n" });
  assertEquals(sent, { id: 2, type: "SENT", connection: alice, message: 1 });
  const { received, server: at, sender, ...message } = await a.said();
  const data = encodeBase64(textBytes("привет\n"));
  const integrity = { type: "OK" };
  assertEquals(message, { type: "MSG", connection: "боб", message: 1, integrity, data, text: "привет\n" });
  for (const time of [received, (at as Json)["at"], (sender as Json)["at"]]) {
    assert(!Number.isNaN(Date.parse(String(time))));
  }
  assertEquals((sender as Json)["id"], 1);
  assertEquals(server.gauges().messages, 1);
  assertEquals(await a.ask({ id: 3, command: "ACK", connection: "боб", message: 1 }), {
    id: 3,
    type: "OK",
    connection: "боб",
  });
  await until(() => server.gauges().messages === 0);
  // What is not UTF-8 has no text.
  const bytes = Uint8Array.of(0, 255, 128, 10);
  await a.telnet.type(
    `${JSON.stringify({ id: 4, command: "SEND", connection: "боб", data: encodeBase64(bytes) })}\n`,
  );
  assertEquals((await a.said())["type"], "SENT");
  const binary = await b.said();
  assertEquals([binary["data"], "text" in binary], [encodeBase64(bytes), false]);
  assertEquals((await b.ask({ id: 5, command: "OFF", connection: alice }))["type"], "OK");
  const refused = await a.ask({ id: 6, command: "SEND", connection: "боб", text: "x" });
  assertEquals([refused["id"], refused["type"], refused["error"]], [6, "ERR", "SMP AUTH"]);
  const { created, connectionId, ...listed } = await a.ask({ id: 7, command: "LIST" });
  assertEquals([typeof created, typeof connectionId], ["string", "string"]);
  const flags = ["connected", "send", "receive", "subscribed"];
  assertEquals(listed, { id: 7, type: "CONNECTION", connection: "боб", flags, unreadable: 0 });
  assertEquals((await a.said())["connection"], alice);
  assertEquals(await a.said(), { id: 7, type: "DONE", count: 2 });
  assertEquals(await b.ask({ id: 8, command: "DEL", connection: alice }), {
    id: 8,
    type: "OK",
    connection: alice,
  });
  assertEquals(await b.ask({ id: 9, command: "SUB", connection: "боб" }), {
    id: 9,
    type: "OK",
    connection: "боб",
  });
  assertEquals(await a.said(), { type: "END", connection: "боб" });
  assertEquals(await a.ask({ id: 10, command: "SUBALL" }), { id: 10, type: "OK", connection: "боб" });
  assertEquals(await a.said(), { id: 10, type: "DONE", count: 1 });
  assertEquals((await a.ask({ id: 11, command: "HELP" }))["type"], "HELP");
  assertEquals(await a.ask({ id: 12, command: "TOKEN", token: "x" }), { id: 12, type: "OK" });
  assertEquals(await a.ask({ id: 13, command: "QUIT" }), { id: 13, type: "OK" });
  assertEquals(await a.telnet.line(), null);
});

Deno.test("a session goes back to text, and answers arrive in the mode of their time", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await JsonClient.connect(service.port);
  const modes = ["text", "manual"];
  assertEquals(await a.ask({ id: 1, command: "MODE", modes }), { id: 1, type: "OK" });
  assertEquals(await a.telnet.ask("2", "", "LIST"), ["2", "", "DONE 0"]);
});

Deno.test("a JSON request that cannot be used is refused with its ID, and the session goes on", async () => {
  await using server = await startServer();
  await using service = await startService(server);
  await using a = await JsonClient.connect(service.port);
  for (const line of ["", "x", "[]", "null", '{"id":1', "\xff", "[".repeat(100_000), "{}", '{"id":1.5}']) {
    await a.telnet.type(`${line}\n`);
    const { type, error, ...rest } = await a.said();
    assertEquals([type, error, Object.keys(rest)], ["ERR", "CMD SYNTAX", ["reason"]], line.slice(0, 20));
  }
  const cases: readonly (readonly [Json, string])[] = [
    [{}, "command is not one"],
    [{ command: "new" }, "command is not one"],
    [{ command: ["NEW"] }, "command is not one"],
    [{ command: "MSG" }, "command is not one"],
    [{ command: "NEW", alias: "x" }, 'NEW has no field "alias"'],
    [{ command: "NEW", ["__proto__x"]: 1 }, 'NEW has no field "__proto__x"'],
    [{ command: "NEW", connection: "a\nb" }, "connection is not a text of one line"],
    [{ command: "NEW", connection: "a\u{7f}" }, "connection is not a text of one line"],
    [{ command: "NEW", connection: 1 }, "connection is not a text of one line"],
    [{ command: "NEW", connection: "\ud800" }, "connection is not a text of one line"],
    [{ command: "JOIN", invitation: "x" }, "invitation is not"],
    [{ command: "JOIN", invitation: `smp::h::a::${key}` }, "invitation is not"],
    [{ command: "JOIN", invitation: "x", reply: 1 }, "reply is neither"],
    [{ command: "SEND", connection: "x" }, "SEND needs text or data"],
    [{ command: "SEND", connection: "x", text: "", data: "" }, "SEND needs text or data"],
    [{ command: "SEND", connection: "x", text: 1 }, "text is not a text"],
    [{ command: "SEND", connection: "x", text: "\udfff" }, "text is not a text"],
    [{ command: "SEND", connection: "x", data: "A" }, "data is not base64"],
    [{ command: "SEND", connection: "x", data: [1] }, "data is not base64"],
    [{ command: "ACK", connection: "x", message: "1" }, "message is not a whole number"],
    [{ command: "MODE", modes: "json" }, "modes is not a list"],
    [{ command: "MODE", modes: [] }, "modes is not a list"],
    [{ command: "MODE", modes: [["json"]] }, "modes is not a list"],
    [{ command: "TOKEN" }, "token is not a text"],
  ];
  for (const [fields, text] of cases) {
    const { id, type, error, reason } = await a.ask({ id: "r", ...fields });
    assertEquals([id, type, error], ["r", "ERR", "CMD SYNTAX"], JSON.stringify(fields));
    assert(String(reason).startsWith(text), `${JSON.stringify(fields)}: ${reason}`);
  }
  for (const type of ["SUB", "OFF", "DEL", "ACK", "SEND"]) {
    const more = type === "ACK" ? { message: 1 } : type === "SEND" ? { text: "x" } : {};
    assertEquals((await a.ask({ id: 1, command: type, ...more }))["error"], "CMD NO_CONN", type);
    const unknown = await a.ask({ id: 1, command: type, connection: "x", ...more });
    assertEquals(unknown["error"], "CONN UNKNOWN", type);
  }
});

Deno.test("an ID is repeated as it is, or refused", () => {
  const parse = (id: unknown) => parseJsonRequest(JSON.stringify({ id, command: "LIST" }));
  for (const id of [0, -1, Number.MAX_SAFE_INTEGER, "x", " ", "~".repeat(256)]) {
    const request = parse(id);
    assertEquals([request.ok, request.id], [true, id]);
  }
  for (const id of [null, 1.5, 2 ** 53, "", "a\nb", "é", "x".repeat(257), [1], { id: 1 }, true]) {
    const request = parse(id);
    assertEquals([request.ok, request.id], [false, null]);
  }
  const utf8 = asciiText(textBytes(JSON.stringify({ id: 1, command: "SUB", connection: "боб" })));
  const request = parseJsonRequest(utf8);
  assert(request.ok && request.connection === "боб");
});

Deno.test("a client in text sees no notification that only JSON has", async () => {
  await using server = await startServer();
  let asked = 0;
  await using one = await startService(server, {}, { approve: () => (asked++, false) });
  await using two = await startService(server);
  await using a = await Telnet.connect(one.port);
  await using json = await JsonClient.connect(one.port);
  const inText = command(await a.ask("1", "bob", "NEW"), "1", "bob").slice(4);
  const inJson = await json.ask({ id: 1, command: "NEW", connection: "ben" });
  await using b = await Telnet.connect(two.port);
  await b.send("2", "x", `JOIN ${inText}`);
  await b.send("3", "y", `JOIN ${inJson["invitation"]}`);
  const { type, connection, reason } = await json.said();
  assertEquals([type, connection, typeof reason], ["SECURITY", "ben", "string"]);
  await until(() => asked === 2);
  // It is done with there too, and not told to others.
  await until(() => server.gauges().messages === 0);
  assertEquals(await a.ask("4", "nobody", "SUB"), ["4", "nobody", "ERR CONN UNKNOWN"]);
  assertEquals(await a.ask("5", "ben", "SUB"), ["5", "ben", "OK"]);
  assertEquals(await json.said(), { type: "END", connection: "ben" });
  assertEquals(await json.ask({ id: 2, command: "SUB", connection: "bob" }), {
    id: 2,
    type: "OK",
    connection: "bob",
  });
  assertEquals(await a.said(), ["", "bob", "END"]);
  assertEquals((await json.ask({ id: 3, command: "HELP" }))["type"], "HELP");
});

requiring(lackOf("python3", "--version"))("the program of the docs answers every message", async () => {
  const docs = await Deno.readTextFile(new URL("../../../docs/agent.md", import.meta.url));
  const program = /```python\n([^]*?)```/.exec(docs)![1]!;
  await using server = await startServer();
  await using one = await startService(server);
  await using two = await startService(server);
  await using a = await Telnet.connect(one.port);
  {
    await using b = await Telnet.connect(two.port);
    await connectClients(a, b);
  }
  const child = new Deno.Command("python3", { args: ["-c", program, `${two.port}`], stdout: "null" }).spawn();
  try {
    for (const [i, text] of ["hello", "жаба 🐸"].entries()) {
      assertEquals(await a.ask("2", "bob", `SEND :${text}`), ["2", "bob", `SENT ${2 * i + 1}`]);
      assertMatch(command(await a.said(), "", "bob"), new RegExp(`^MSG OK .*\n${text}$`));
    }
    await until(() => server.gauges().messages === 0);
  } finally {
    child.kill();
    await child.status;
  }
});
