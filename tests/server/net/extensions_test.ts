import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ClientCommand,
  encodeBase64,
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  memoryChannelPair,
  randomBytes,
  type ServerExtension,
  serverExtensions,
  signPss,
  textBytes,
} from "../../../protocol/mod.ts";
import type { SmpServer } from "../../../server/mod.ts";
import { RawClient, socketNames } from "../../support/raw_client.ts";
import { workers } from "../../support/partitions.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

const { publicKey, privateKey } = await generateKeyPair("sign", 1024);

/** Gives a signed command and the answer to it. */
async function ask(client: RawClient, queueId: string, command: ClientCommand): Promise<string> {
  await client.send(await signed(queueId, command));
  return (await client.receive())!;
}

async function signed(queueId: string, command: ClientCommand): Promise<Uint8Array> {
  const text = encodeSigned(textBytes("s"), queueId, command);
  return encodeClientTransmission(await signPss(privateKey, text), text);
}

async function create(client: RawClient): Promise<{ recipientId: string; senderId: string }> {
  const answer = await ask(client, "", { type: "NEW", recipientKey: publicKey });
  const [, recipientId, senderId] = /IDS (\S+) (\S+) $/.exec(answer)!;
  return { recipientId: recipientId!, senderId: senderId! };
}

Deno.test("the welcome lists what is on, and is that of 0.3 when all is off", async () => {
  // extensions.md Server to client
  const cases: readonly (readonly [readonly ServerExtension[] | undefined, string])[] = [
    [undefined, "0.3.2.0 ext=open1,window1,blocks1,rekey1 "],
    [["rekey1", "open1"], "0.3.2.0 ext=open1,rekey1 "],
    [["blocks1"], "0.3.2.0 ext=blocks1 "],
    // All that follows is padding.
    [[], "0.3.2.0 "],
  ];
  for (const [extensions, welcome] of cases) {
    await using server = await startServer(extensions && { extensions });
    for (const socket of socketNames) {
      await using client = await RawClient.connect(server, socket);
      assertEquals(client.welcome, welcome);
    }
  }
});

Deno.test("an extension that there is not cannot be listed", async () => {
  const extensions = ["open1", "open2"] as ServerExtension[];
  await assertRejects(() => startServer({ extensions }), RangeError, "Cannot use extension open2");
});

Deno.test("a command of an extension that is off is answered as a word that nobody knows", async (t) => {
  const id = encodeBase64(randomBytes(12));
  const signature = encodeBase64(randomBytes(128));
  const commands: Record<string, ServerExtension> = {
    [`OPEN ${encodeBase64(randomBytes(32))}`]: "open1",
    "OPEN !": "open1",
    "SUBN 1": "window1",
    "SUBN 0": "window1",
    "ACKM AAAA": "window1",
    [`REKEY ${encodeBase64(randomBytes(1216))}`]: "rekey1",
  };
  for (const [command, extension] of Object.entries(commands)) {
    await t.step(command.slice(0, 10), async () => {
      for (const extensions of [[], serverExtensions.filter((name) => name !== extension)]) {
        await using server = await startServer({ extensions });
        await using client = await RawClient.connect(server);
        for (const credentials of [" 1 ", ` 1 ${id}`, `${signature} 1 `, `${signature} 1 ${id}`]) {
          await client.send(
            `${credentials} ${command} `,
            `${credentials} ${command.replace(/^\w+/, "HELLO")} `,
          );
          const [answer, unknown] = [await client.receive(), await client.receive()];
          assertEquals(answer, unknown);
          assertEquals(answer, `${credentials.replace(signature, "")} ERR CMD SYNTAX `);
        }
        await client.send(" 2  PING ");
        assertEquals(await client.receive(), " 2  PONG ");
      }
    });
  }
});

Deno.test("a signature is needed as in 0.3 until a queue is opened on the connection", async () => {
  await using server = await startServer();
  await using client = await RawClient.connect(server);
  await using other = await RawClient.connect(server);
  const { recipientId, senderId } = await create(client);
  const sub = ` 1 ${recipientId} SUB `;
  await client.send(sub);
  assertEquals(await client.receive(), ` 1 ${recipientId} ERR CMD NO_AUTH `);
  const open = await signed(recipientId, { type: "OPEN", binding: await client.binding() });
  await other.send(open);
  assertEquals(await other.receive(), ` s ${recipientId} ERR AUTH `);
  await client.send(open);
  assertEquals(await client.receive(), ` s ${recipientId} OK `);
  await client.send(sub);
  assertEquals(await client.receive(), ` 1 ${recipientId} OK `);
  await other.send(sub);
  assertEquals(await other.receive(), ` 1 ${recipientId} ERR CMD NO_AUTH `);
  await client.send(` 1 ${recipientId} KEY rsa:${encodeBase64(publicKey.der)} `);
  assertEquals(await client.receive(), ` 1 ${recipientId} OK `);
  assertEquals(
    await ask(client, senderId, { type: "OPEN", binding: await client.binding() }),
    ` s ${senderId} OK `,
  );
  await client.send(` 1 ${senderId} SEND 1 x  `);
  assertEquals(await client.receive(), ` 1 ${senderId} OK `);
  assert((await client.receive())!.startsWith(`  ${recipientId} MSG `));
  // With workers the owner hears of the end later than the session.
  const held = () => [server.gauges().opened, server.gauges().delivered].join();
  await until(() => held() === "2,1");
  await client.channel.close();
  await until(() => held() === "0,0");
});

Deno.test("after REKEY a queue is opened by the binding of the new keys", async () => {
  await using server = await startServer({ limits: { handshakeTimeout: 600_000 } });
  await using client = await RawClient.connect(server);
  const before = await client.binding();
  await client.rekey();
  const { recipientId } = await create(client);
  assert(await client.binding() !== before);
  assertEquals(
    await ask(client, recipientId, { type: "OPEN", binding: before }),
    ` s ${recipientId} ERR AUTH `,
  );
  const binding = await client.binding();
  assertEquals(await ask(client, recipientId, { type: "OPEN", binding }), ` s ${recipientId} OK `);
});

Deno.test("a peer that does not read a window gets a part, the rest stays in the store until it reads", async () => {
  const messages = 128, shown = 64;
  await using server = await startServer({ limits: { messagesPerQueue: messages } });
  await using sender = await RawClient.connect(server);
  const { recipientId, senderId } = await create(sender);
  const body = "x".repeat(3000);
  for (let i = 0; i < messages; i++) {
    await sender.send(` 1 ${senderId} SEND ${body.length} ${body}  `);
    assertEquals(await sender.receive(), ` 1 ${senderId} OK `);
    if (i === 0) await sender.receive();
  }
  const [near, far] = memoryChannelPair();
  const serving = server.handle(far);
  const held = server.gauges().memoryHeld;
  const client = await RawClient.handshake(near);
  await client.send(await signed(recipientId, { type: "SUBN", window: messages }));
  // END to the former subscriber comes before the messages.
  assertEquals(await sender.receive(), `  ${recipientId} END `);
  await until(() => server.gauges().delivered > shown);
  // A queue that is made and used later: by then whatever could be pushed was.
  const { senderId: other } = await create(sender);
  await sender.send(` 1 ${other} SEND 1 x  `);
  await sender.receive();
  // Over a link as much again is under way.
  if (workers === 1) {
    assert(server.gauges().delivered <= shown + 18, `${server.gauges().delivered} were pushed`);
  }
  assert(server.gauges().memoryHeld > held + shown * body.length);
  for (let i = 0; i < messages; i++) {
    const text = await client.receive();
    assert(text!.startsWith(i === 0 ? ` s ${recipientId} MSG ` : `  ${recipientId} MSG `), text!);
  }
  await client.send(" 9  PING ");
  assertEquals(await client.receive(), " 9  PONG ");
  assertEquals(server.gauges().windows, 1);
  await client.channel.close();
  await serving;
  await sender.channel.close();
  await until(() => holdsStoredOnly(server));
});

/** Whether nothing of any connection is counted any more, only queues and messages. */
function holdsStoredOnly(server: SmpServer): boolean {
  const { queues, messages, messageBytes, memoryHeld } = server.gauges();
  return memoryHeld === queues * 1.5 * 1024 + messages * 640 + messageBytes;
}

Deno.test("a peer that subscribes to many queues and does not read gets each message once when it reads", async () => {
  // smp.md Queues and delivery; 0.3 has no windows
  const count = 150;
  await using server = await startServer({ extensions: [] });
  await using sender = await RawClient.connect(server);
  const [near, far] = memoryChannelPair();
  const serving = server.handle(far);
  const client = await RawClient.handshake(near);
  const queues = new Map<string, string>();
  for (let i = 0; i < count; i++) {
    const { recipientId, senderId } = await create(client);
    queues.set(senderId, recipientId);
  }
  for (const senderId of queues.keys()) {
    await sender.send(` 1 ${senderId} SEND 1 x  `);
    assertEquals(await sender.receive(), ` 1 ${senderId} OK `);
  }
  assert(server.gauges().delivered < count, `${server.gauges().delivered} were pushed`);
  const got = [];
  for (let i = 0; i < count; i++) got.push(/^ {2}(\S+) MSG /.exec((await client.receive())!)![1]!);
  assertEquals(got.toSorted(), [...queues.values()].sort());
  await client.send(" 9  PING ");
  assertEquals(await client.receive(), " 9  PONG ");
  await client.channel.close();
  await serving;
});

Deno.test("a peer that ends with a full window leaves nothing held", async () => {
  await using server = await startServer();
  await using sender = await RawClient.connect(server);
  const { recipientId, senderId } = await create(sender);
  for (let i = 0; i < 100; i++) {
    await sender.send(` 1 ${senderId} SEND 1 x  `);
    await sender.receive();
    if (i === 0) await sender.receive();
  }
  for (let i = 0; i < 3; i++) {
    const [near, far] = memoryChannelPair();
    const serving = server.handle(far);
    const client = await RawClient.handshake(near);
    const subscription = await signed(recipientId, { type: "SUBN", window: 128 });
    const before = server.metrics.messagesDelivered;
    await client.send(subscription, subscription, subscription);
    // The first is answered and pushed to; the others are answered alone.
    await until(() => server.metrics.messagesDelivered >= before + 1 + 64 + 2);
    await client.channel.close();
    await serving;
  }
  await sender.channel.close();
  await until(() => holdsStoredOnly(server));
});
