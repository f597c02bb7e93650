import { assert, assertEquals, assertRejects } from "@std/assert";
import { ParseError, SmpClient, SmpError, TransportError } from "../../mod.ts";
import { generateKeyPair, passwordProof, type ServerResponse, textBytes } from "../../protocol/mod.ts";
import { FakeServer, rejection } from "../support/fake_server.ts";
import { connect, startServer, transportNames, transportTo } from "../support/server.ts";
import { slowClock } from "../support/slow_clock.ts";
import { soon } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const password = "p:a@s#s";

function idsOf(number: number): ServerResponse {
  return { type: "IDS", recipientId: `AAA${number}`, senderId: `BBB${number}` };
}

/** What is said of the refusals that a server answers. */
async function refusal(promise: Promise<unknown>, code: SmpError["code"]): Promise<string> {
  const error = await assertRejects(() => soon(promise), SmpError);
  assertEquals(error.code, code);
  assert(!error.message.includes(password) && !error.message.includes("guess"), error.message);
  return error.message;
}

for (const transport of transportNames) {
  Deno.test(`over ${transport}, a client with the password makes queues, and others use them`, async () => {
    // extensions.md pass1
    await using server = await startServer({ create: { password } });
    await using client = await connect(server, transport, { password });
    assert(client.extensions.includes("pass1"));
    const queues = await Promise.all([client.createQueue({ keyPair }), client.createQueue({ keyPair })]);
    assertEquals(server.metrics.commands.get("PASS OK"), 1);
    await using other = await connect(server, transport);
    await other.subscribe(queues[0]!);
    await other.send(queues[0]!, textBytes("x"));
    const message = await refusal(other.createQueue({ keyPair }), "AUTH");
    assert(message.includes("it wants its password"), message);
    // Nobody was asked for it before.
    assertEquals(server.metrics.commands.get("PASS OK"), 1);
  });
}

Deno.test("a wrong password is told as one, and shown again only when a queue is to be made", async () => {
  await using server = await startServer({ create: { password }, limits: { refusedTimePerSecondPerIp: 0 } });
  await using client = await connect(server, "memory", { password: "guess" });
  const wrong = "the password is not that of the server";
  assert((await refusal(client.createQueue({ keyPair }), "AUTH")).includes(wrong));
  await client.ping();
  assert((await refusal(client.createQueue({ keyPair }), "AUTH")).includes(wrong));
  assertEquals(server.metrics.commands.get("PASS ERR AUTH"), 2);
  assertEquals(server.metrics.commands.get("NEW ERR AUTH"), undefined);
});

Deno.test("after wrong passwords the client says that none is taken for a time", async () => {
  using _clock = slowClock();
  await using server = await startServer({ create: { password }, limits: { refusedTimePerSecondPerIp: 1 } });
  await using client = await connect(server, "tcp", { password: "guess" });
  await refusal(client.createQueue({ keyPair }), "AUTH");
  assert((await refusal(client.createQueue({ keyPair }), "QUOTA")).includes("try again later"));
});

Deno.test("a password can change on both sides while there is a connection", async () => {
  await using server = await startServer({ create: { password }, limits: { refusedTimePerSecondPerIp: 0 } });
  let known = password;
  await using client = await connect(server, "memory", { password: () => known });
  await client.createQueue({ keyPair });
  server.setCreate({ password: "another" });
  assert((await refusal(client.createQueue({ keyPair }), "AUTH")).includes("its password has changed"));
  known = "another";
  await client.createQueue({ keyPair });
});

Deno.test("a client whose connection is older than the password says that it must connect again", async () => {
  await using server = await startServer();
  await using client = await connect(server, "memory", { password });
  await client.createQueue({ keyPair });
  assertEquals([...server.metrics.commands.keys()].filter((name) => name.startsWith("PASS")), []);
  server.setCreate({ password });
  assert((await refusal(client.createQueue({ keyPair }), "AUTH")).includes("connect again"));
});

Deno.test("an address may name the password, and the server is found by its function", async () => {
  await using server = await startServer({ create: { password } });
  const options = { transport: transportTo(server, "tcp") };
  await using named = await SmpClient.connect(`${password}@${server.address}`, options);
  await named.createQueue({ keyPair });
  const asked: string[] = [];
  await using found = await SmpClient.connect(server.address, {
    ...options,
    password({ host, port }) {
      asked.push(`${host}:${port}`);
      return password;
    },
  });
  await found.ping();
  assertEquals(asked, []);
  await found.createQueue({ keyPair });
  assertEquals([...new Set(asked)], [`127.0.0.1:${server.port}`]);
});

Deno.test("a password that cannot be is refused without a word of it", async () => {
  const bad = "se cret";
  for (
    const attempt of [
      () => SmpClient.connect("h:1", { password: bad, allowUnverified: true }),
      () => SmpClient.connect(`${bad}@h:1`, { allowUnverified: true }),
      () => SmpClient.connect("@h:1", { allowUnverified: true }),
      () => SmpClient.connect(`${password}@`, { allowUnverified: true }),
      () => SmpClient.connect(`${password}@h:x`, { allowUnverified: true }),
    ]
  ) {
    const error = await rejection(attempt());
    assert(error instanceof RangeError || error instanceof ParseError, `${error}`);
    assert(!/se cret|p:a/.test(`${error.message}${error.stack}`), error.message);
  }
  await using server = await startServer({ create: { password } });
  await using client = await connect(server, "memory", { password: () => bad });
  const error = await assertRejects(() => client.createQueue({ keyPair }), RangeError);
  assert(!error.message.includes(bad));
});

Deno.test("a server that does not list pass1 is shown nothing, and one that does a proof of this session", async () => {
  await using plain = await FakeServer.start("memory", ["window1"]);
  const { client, peer } = await plain.serve({ password });
  const made = client.createQueue({ keyPair });
  const first = await peer.take();
  assertEquals(first.command.type, "NEW");
  await peer.answer(first, idsOf(1));
  await soon(made);
  await using listing = await FakeServer.start("memory", ["later9", "pass1"]);
  const { client: second, peer: asking } = await listing.serve({ password });
  const makings = [second.createQueue({ keyPair }), second.createQueue({ keyPair })];
  const pass = await asking.take();
  assert(pass.command.type === "PASS");
  assertEquals(pass.command.proof, await passwordProof(password, asking.blocks.binding));
  assertEquals([pass.signature.length, pass.queueId], [0, ""]);
  await asking.answer(pass, { type: "OK" });
  for (const at of [2, 3]) await asking.answer(await asking.take(), idsOf(at));
  await soon(Promise.all(makings));
});

Deno.test("who gives up a queue waits for no PASS, which goes on for the next one", async () => {
  await using server = await FakeServer.start("memory", ["pass1"]);
  const { client, peer } = await server.serve({ password });
  const abort = new AbortController();
  const given = client.createQueue({ keyPair, signal: abort.signal });
  const pass = await peer.take();
  const reason = new Error("never mind");
  abort.abort(reason);
  assertEquals(await rejection(given), reason);
  const made = client.createQueue({ keyPair });
  await peer.answer(pass, { type: "OK" });
  const create = await peer.take();
  assertEquals(create.command.type, "NEW");
  await peer.answer(create, idsOf(1));
  await soon(made);
});

Deno.test("an OK without queue ID answers PASS alone, and anything else answers PASS with UNEXPECTED", async () => {
  await using server = await FakeServer.start("memory", ["pass1"]);
  const { client, peer } = await server.serve({ password });
  const queue = { recipientId: "AAAA", senderId: "BBBB", recipientKey: keyPair.privateKey };
  const suspended = rejection(client.suspendQueue(queue));
  await peer.answer(await peer.take(), { type: "OK" }, "");
  const error = await soon(suspended);
  assert(error instanceof TransportError && error.code === "RESPONSE", `${error}`);
  for (const response of [{ type: "PONG" }, idsOf(1)] as const) {
    const made = rejection(client.createQueue({ keyPair }));
    await peer.answer(await peer.take(), response);
    const error = await soon(made);
    assert(error instanceof TransportError && error.code === "UNEXPECTED", `${error}`);
  }
});
