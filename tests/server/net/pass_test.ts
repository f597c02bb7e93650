import { assert, assertEquals } from "@std/assert";
import {
  type ClientCommand,
  decodeBase64,
  encodeBase64,
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  memoryChannelPair,
  passwordProof,
  randomBytes,
  signPss,
  textBytes,
} from "../../../protocol/mod.ts";
import type { SmpServer } from "../../../server/mod.ts";
import { openChannel, RawClient, readServerKey, socketNames } from "../../support/raw_client.ts";
import { startServer } from "../../support/server.ts";
import { slowClock } from "../../support/slow_clock.ts";
import { soon, until } from "../../support/wait.ts";

const { publicKey, privateKey } = await generateKeyPair("sign", 1024);
const password = "correct:horse@battery#staple";
const create = { password };
/** As long as it takes on a busy machine, and wrong passwords cost nothing. */
const limits = { handshakeTimeout: 600_000, refusedTimePerSecondPerIp: 0 };

async function signed(queueId: string, command: ClientCommand): Promise<Uint8Array> {
  const text = encodeSigned(textBytes("s"), queueId, command);
  return encodeClientTransmission(await signPss(privateKey, text), text);
}

/** Gives a signed command and the answer to it. */
async function ask(client: RawClient, queueId: string, command: ClientCommand): Promise<string> {
  await client.send(await signed(queueId, command));
  return (await client.receive())!;
}

async function createQueue(client: RawClient): Promise<{ recipientId: string; senderId: string } | null> {
  const answer = await ask(client, "", { type: "NEW", recipientKey: publicKey });
  const ids = /^ s {2}IDS (\S+) (\S+) $/.exec(answer);
  if (ids !== null) return { recipientId: ids[1]!, senderId: ids[2]! };
  assertEquals(answer, " s  ERR AUTH ");
  return null;
}

async function passOf(client: RawClient, shown: string): Promise<string> {
  const proof = await passwordProof(shown, decodeBase64(await client.binding())!);
  return ` p  PASS ${encodeBase64(proof)} `;
}

/** Shows that a password is known; whether the server takes it. */
async function pass(client: RawClient, shown: string): Promise<boolean> {
  await client.send(await passOf(client, shown));
  const answer = await client.receive();
  assert(answer === " p  OK " || answer === " p  ERR AUTH ", `${answer}`);
  return answer === " p  OK ";
}

function passAnswers(server: SmpServer): Record<string, number> {
  return Object.fromEntries([...server.metrics.commands].filter(([name]) => /^(PASS|NEW)/.test(name)));
}

for (const socket of socketNames) {
  Deno.test(`over ${socket}, with a password queues are made only by connections that know it`, async () => {
    // extensions.md pass1
    await using server = await startServer({ create, limits, extensions: ["open1"] });
    await using client = await RawClient.connect(server, socket);
    assertEquals(client.welcome, "0.3.2.0 ext=open1,pass1 ");
    assertEquals(await createQueue(client), null);
    assertEquals(await pass(client, "guess"), false);
    assertEquals(await createQueue(client), null);
    assertEquals(await pass(client, password), true);
    assert(await createQueue(client) !== null);
    assert(await createQueue(client) !== null);
    // What was shown last counts.
    assertEquals(await pass(client, password), true);
    assert(await createQueue(client) !== null);
    assertEquals(await pass(client, "guess"), false);
    assertEquals(await createQueue(client), null);
    assertEquals(passAnswers(server), {
      "NEW ERR AUTH": 3,
      "NEW IDS": 3,
      "PASS ERR AUTH": 2,
      "PASS OK": 2,
    });
    assertEquals(
      [server.metrics.refusals("new_queue_access"), server.metrics.refusals("password")],
      [3, 2],
    );
  });

  Deno.test(`over ${socket}, a PASS in the place of the handshake ends the connection without an answer`, async () => {
    await using server = await startServer({ create, limits });
    const channel = await openChannel(server, socket);
    const key = await readServerKey(channel);
    const early = new Uint8Array(key.length > 300 ? 256 : key.length);
    early.set(textBytes(` p  PASS ${encodeBase64(randomBytes(32))} `));
    await channel.write([early]);
    assertEquals(await soon(channel.read(4096).catch(() => null)), null);
    await channel.close();
    await until(() => server.metrics.handshakesFailed === 1);
    assertEquals(server.metrics.commands.size, 0);
  });
}

Deno.test("all other commands need no password, on queues that are there already", async () => {
  await using server = await startServer({ create, limits });
  await using owner = await RawClient.connect(server);
  assert(await pass(owner, password));
  const { recipientId, senderId } = (await createQueue(owner))!;
  await using client = await RawClient.connect(server);
  assertEquals(await ask(client, recipientId, { type: "SUB" }), ` s ${recipientId} OK `);
  assertEquals(await owner.receive(), `  ${recipientId} END `);
  await using sender = await RawClient.connect(server);
  await sender.send(` 1 ${senderId} SEND 5 hello  `);
  assertEquals(await sender.receive(), ` 1 ${senderId} OK `);
  const message = await client.receive() ?? "";
  assert(message.endsWith(" 5 hello  "), message);
  const messageId = / MSG (\S+) /.exec(message)![1]!;
  assertEquals(await ask(client, recipientId, { type: "ACKM", messageId }), ` s ${recipientId} OK `);
  const open: ClientCommand = { type: "OPEN", binding: await client.binding() };
  assertEquals(await ask(client, recipientId, open), ` s ${recipientId} OK `);
  assertEquals(await ask(client, recipientId, { type: "SUBN", window: 4 }), ` s ${recipientId} OK `);
  assertEquals(
    await ask(client, recipientId, { type: "KEY", senderKey: publicKey }),
    ` s ${recipientId} OK `,
  );
  const body = textBytes("x");
  assertEquals(await ask(sender, senderId, { type: "SEND", body }), ` s ${senderId} OK `);
  assert((await client.receive())?.startsWith(`  ${recipientId} MSG `));
  assertEquals(await ask(client, recipientId, { type: "ACK" }), ` s ${recipientId} OK `);
  assertEquals(await ask(client, recipientId, { type: "OFF" }), ` s ${recipientId} OK `);
  assertEquals(await ask(client, recipientId, { type: "DEL" }), ` s ${recipientId} OK `);
  await client.send(" 1  PING ");
  assertEquals(await client.receive(), " 1  PONG ");
});

Deno.test("a PASS that is none is refused, opens nothing, and the connection goes on", async (t) => {
  await using server = await startServer({ create, limits });
  const proof = encodeBase64(randomBytes(32));
  const syntax = " p  ERR CMD SYNTAX ";
  const cases: Record<string, readonly [block: string, error: string]> = {
    "nothing": [" p  PASS  ", syntax],
    "no space": [" p  PASS", syntax],
    "no base64": [" p  PASS !!!! ", syntax],
    "base64 without its end": [` p  PASS ${proof.slice(0, -1)} `, syntax],
    "a byte too little": [` p  PASS ${encodeBase64(randomBytes(31))} `, syntax],
    "a byte too much": [` p  PASS ${encodeBase64(randomBytes(33))} `, syntax],
    "as much as a block takes": [` p  PASS ${encodeBase64(randomBytes(3_000))} `, syntax],
    "the password itself": [` p  PASS ${password} `, syntax],
    "lower case": [` p  pass ${proof} `, syntax],
    "a queue ID": [` p AAAA PASS ${proof} `, " p AAAA ERR CMD HAS_AUTH "],
    "a signature": [`${encodeBase64(randomBytes(128))} p  PASS ${proof} `, " p  ERR CMD HAS_AUTH "],
  };
  for (const [name, [block, error]] of Object.entries(cases)) {
    await t.step(name, async () => {
      await using client = await RawClient.connect(server);
      await client.send(block, " 1  PING ");
      assertEquals([await client.receive(), await client.receive()], [error, " 1  PONG "]);
      assertEquals(await createQueue(client), null);
    });
  }
  assertEquals([server.metrics.internalErrors, server.metrics.refusals("password")], [0, 0]);
});

Deno.test("a PASS of another session, or of before REKEY, is a wrong one", async () => {
  await using server = await startServer({ create, limits });
  await using client = await RawClient.connect(server);
  await using other = await RawClient.connect(server);
  const [before, ofOther] = [await passOf(client, password), await passOf(other, password)];
  await client.rekey();
  await client.send(before, ofOther);
  assertEquals([await client.receive(), await client.receive()], [" p  ERR AUTH ", " p  ERR AUTH "]);
  assertEquals(await createQueue(client), null);
  assert(await pass(client, password));
});

Deno.test("a REKEY after a PASS is PROHIBITED and the end", async () => {
  await using server = await startServer({ create, limits });
  await using client = await RawClient.connect(server);
  assert(await pass(client, password));
  await client.send(` k  REKEY ${encodeBase64(randomBytes(1216))} `);
  assertEquals([await client.receive(), await client.receive()], [" k  ERR CMD PROHIBITED ", null]);
});

Deno.test("without a password pass1 is not listed, and PASS is a word that nobody knows", async () => {
  await using server = await startServer({ limits });
  await using client = await RawClient.connect(server);
  assert(!client.welcome.includes("pass1"));
  await client.send(await passOf(client, password));
  assertEquals(await client.receive(), " p  ERR CMD SYNTAX ");
  assert(await createQueue(client) !== null);
});

Deno.test("another rule counts at once, for connections that are there too", async () => {
  await using server = await startServer({ limits });
  await using before = await RawClient.connect(server);
  assert(await createQueue(before) !== null);
  server.setCreate(create);
  assertEquals(await createQueue(before), null);
  await using client = await RawClient.connect(server);
  assert(client.welcome.includes("pass1"));
  assert(await pass(client, password));
  server.setCreate({ password: "another" });
  assertEquals(await createQueue(client), null);
  assertEquals(await pass(client, password), false);
  assert(await pass(client, "another"));
  assert(await createQueue(client) !== null);
  server.setCreate(create);
  assertEquals(await createQueue(client), null);
  server.setCreate("anyone");
  // It was told of PASS, so that it may still give it.
  assert(await pass(client, "anything"));
  assert(await createQueue(client) !== null);
  assert(await createQueue(before) !== null);
});

Deno.test("of one address one wrong password is looked at, then none for a time, on whatever connection", async () => {
  // A wrong one costs ten seconds of what an address may.
  using _clock = slowClock();
  await using server = await startServer({ create, limits: { ...limits, refusedTimePerSecondPerIp: 1 } });
  const answers: (string | null)[] = [];
  for (let i = 0; i < 4; i++) {
    await using client = await RawClient.connect(server);
    // A right one might be a guess, too.
    await client.send(await passOf(client, i < 3 ? "guess" : password), " 1  PING ");
    answers.push(await client.receive());
    assertEquals(await client.receive(), " 1  PONG ");
    assertEquals(await createQueue(client), null);
  }
  const quota = " p  ERR QUOTA ";
  assertEquals(answers, [" p  ERR AUTH ", quota, quota, quota]);
  const { metrics } = server;
  assertEquals([metrics.refusals("password"), metrics.refusals("password_rate")], [1, 3]);
  server.setLimits({ refusedTimePerSecondPerIp: 0 });
  await using client = await RawClient.connect(server);
  assert(await pass(client, password));
});

Deno.test("guesses on connections of one address at the same time are looked at one after the other", async () => {
  using _clock = slowClock();
  await using server = await startServer({ create, limits: { ...limits, refusedTimePerSecondPerIp: 1 } });
  const clients = await Promise.all(Array.from({ length: 8 }, () => RawClient.connect(server)));
  const blocks = await Promise.all(clients.map(async (client) => client.seal(await passOf(client, "guess"))));
  await Promise.all(clients.map(async (client, i) => client.channel.write([await blocks[i]!])));
  const answers = await Promise.all(clients.map((client) => client.receive()));
  assertEquals(answers.filter((answer) => answer === " p  ERR AUTH ").length, 1);
  for (const client of clients) await client[Symbol.asyncDispose]();
});

Deno.test("a connection whose password was wrong goes on with everything else", async () => {
  await using server = await startServer({ create, limits: { ...limits, refusedTimePerSecondPerIp: 1 } });
  await using client = await RawClient.connect(server);
  assertEquals(await pass(client, "guess"), false);
  await client.send(" 1  PING ", " 2  PING ");
  assertEquals([await client.receive(), await client.receive()], [" 1  PONG ", " 2  PONG "]);
  assertEquals(server.metrics.refusals("refused_time"), 0);
});

Deno.test("addresses that may create queues do so without a password, others with it", async () => {
  const addresses = ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "::1"];
  await using server = await startServer({ create: { password, addresses }, limits });
  const cases: readonly (readonly [string | undefined, boolean])[] = [
    ["192.0.2.7", true],
    ["::ffff:192.0.2.7", true],
    ["10.255.0.1", true],
    ["::ffff:10.1.2.3", true],
    ["2001:db8:ffff::1", true],
    ["2001:DB8::1%eth0", true],
    ["::1", true],
    ["192.0.2.8", false],
    ["11.0.0.1", false],
    ["2001:db9::1", false],
    ["::2", false],
    ["somewhere", false],
    [undefined, false],
  ];
  for (const [address, mayCreate] of cases) {
    const [channel, end] = memoryChannelPair();
    const serving = server.handle(end, { address });
    await using client = await RawClient.handshake(channel);
    assertEquals(await createQueue(client) !== null, mayCreate, address);
    if (!mayCreate) assert(await pass(client, password), address);
    assert(await createQueue(client) !== null, address);
    await client.channel.close();
    await soon(serving);
  }
});

Deno.test("from an address that may create queues any PASS is right, and none is charged to it", async () => {
  await using server = await startServer({
    create: { password, addresses: ["127.0.0.1"] },
    limits: { ...limits, refusedTimePerSecondPerIp: 1 },
  });
  await using wrong = await RawClient.connect(server);
  await using right = await RawClient.connect(server);
  assertEquals(await pass(wrong, "an older password"), true);
  assert(await createQueue(wrong) !== null);
  assert(await pass(right, password));
  const { metrics } = server;
  assertEquals([metrics.refusals("password"), metrics.refusals("password_rate")], [0, 0]);
  // Each has the right that it has shown.
  server.setCreate({ password });
  assertEquals(await createQueue(wrong), null);
  assert(await createQueue(right) !== null);
});
