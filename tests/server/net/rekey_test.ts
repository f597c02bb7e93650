import { assert, assertEquals } from "@std/assert";
import { decodeBase64, encodeBase64, joinParts, randomBytes, startRekey } from "../../../protocol/mod.ts";
import type { SmpServer } from "../../../server/mod.ts";
import { RawClient, socketNames } from "../../support/raw_client.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

/** As long as it takes on a busy machine. */
const limits = { handshakeTimeout: 600_000 };
const { payload } = await startRekey();
const request = ` k  REKEY ${encodeBase64(payload)} `;

/** Sends blocks; they must be answered by one error, and the end. */
async function assertRefused(client: RawClient, blocks: readonly string[], error: string): Promise<void> {
  await client.send(...blocks);
  assertEquals(await client.receive(), error);
  assertEquals(await client.receive(), null);
}

function rekeyAnswers(server: SmpServer): Record<string, number> {
  return Object.fromEntries([...server.metrics.commands].filter(([name]) => name.startsWith("REKEY")));
}

for (const socket of socketNames) {
  Deno.test(`over ${socket}, a session goes on with the keys of REKEY, and takes old ones no more`, async () => {
    // extensions.md rekey1
    await using server = await startServer({ limits });
    await using client = await RawClient.connect(server, socket);
    const before = await client.binding();
    const former = await client.rekey();
    assert(await client.binding() !== before);
    await client.send(" 1  PING ", " 2  PING ");
    assertEquals([await client.receive(), await client.receive()], [" 1  PONG ", " 2  PONG "]);
    assertEquals(rekeyAnswers(server), { "REKEY REKEY": 1 });
    const block = new Uint8Array(4096);
    await former.snd.encrypt(new TextEncoder().encode(" 3  PING "), block);
    await client.channel.write([block]);
    assertEquals([await client.receive(), await client.receive()], ["   ERR BLOCK ", null]);
  });
}

Deno.test("with larger blocks REKEY is the same", async () => {
  await using server = await startServer({ limits });
  await using client = await RawClient.connect(server, "tcp", 65536);
  await client.rekey();
  await client.send(" 1  PING ");
  assertEquals(await client.receive(), " 1  PONG ");
});

Deno.test("a second REKEY, or one after another command, is PROHIBITED and the end", async (t) => {
  await using server = await startServer({ limits });
  await t.step("after a REKEY", async () => {
    await using client = await RawClient.connect(server);
    await client.rekey();
    await assertRefused(client, [request], " k  ERR CMD PROHIBITED ");
  });
  for (
    const [before, answer] of [[" 1  PING ", " 1  PONG "], [" 1  HELLO ", " 1  ERR CMD SYNTAX "]] as const
  ) {
    await t.step(`after ${before.trim()}`, async () => {
      await using client = await RawClient.connect(server);
      await client.send(before);
      assertEquals(await client.receive(), answer);
      await assertRefused(client, [request], " k  ERR CMD PROHIBITED ");
    });
  }
  await t.step("behind a command that is not answered yet", async () => {
    await using client = await RawClient.connect(server);
    await client.send(" 1  PING ", request, " 2  PING ");
    assertEquals(await client.receive(), " 1  PONG ");
    assertEquals([await client.receive(), await client.receive()], [" k  ERR CMD PROHIBITED ", null]);
  });
  assertEquals(rekeyAnswers(server), { "REKEY REKEY": 1, "REKEY ERR CMD PROHIBITED": 4 });
});

Deno.test("a REKEY later than the time for a handshake is PROHIBITED and the end", async () => {
  await using server = await startServer({ limits });
  await using client = await RawClient.connect(server);
  await using inTime = await RawClient.connect(server);
  await inTime.rekey();
  const since = performance.now();
  await until(() => performance.now() - since > 20);
  server.setLimits({ handshakeTimeout: 10 });
  await assertRefused(client, [request], " k  ERR CMD PROHIBITED ");
  await inTime.send(" 1  PING ");
  assertEquals(await inTime.receive(), " 1  PONG ");
});

Deno.test("a REKEY that is wrong is answered by one error and the end", async (t) => {
  await using server = await startServer({ limits });
  const [x25519, kem] = [payload.slice(0, 32), payload.slice(32)];
  const rekey = (...parts: Uint8Array[]) => ` k  REKEY ${encodeBase64(joinParts(parts))} `;
  const smallOrder = new Uint8Array(32);
  smallOrder[0] = 1;
  const syntax = " k  ERR CMD SYNTAX ";
  const cases: Record<string, readonly [block: string, error: string]> = {
    "nothing": [" k  REKEY  ", syntax],
    "an X25519 key alone": [rekey(x25519), syntax],
    "a byte too little": [rekey(payload.subarray(0, -1)), syntax],
    "a byte too much": [rekey(payload, new Uint8Array(1)), syntax],
    "as much as a block takes": [rekey(payload, new Uint8Array(1800)), syntax],
    "an X25519 key of zeros": [rekey(new Uint8Array(32), kem), syntax],
    "an X25519 key of small order": [rekey(smallOrder, kem), syntax],
    "an encapsulation key that is none": [rekey(x25519, new Uint8Array(1184).fill(255)), syntax],
    "no base64": [request.replace("REKEY ", "REKEY !"), syntax],
    "base64 with white space": [request.replace("REKEY ", "REKEY \n"), syntax],
    "a queue ID": [request.replace(" k  ", " k AAAA "), " k AAAA ERR CMD HAS_AUTH "],
    "a signature": [encodeBase64(randomBytes(128)) + request, " k  ERR CMD HAS_AUTH "],
  };
  for (const [name, [block, error]] of Object.entries(cases)) {
    await t.step(name, async () => {
      await using client = await RawClient.connect(server);
      await assertRefused(client, [block, " 1  PING "], error);
    });
  }
  await until(() => server.connections === 0);
  assertEquals(server.metrics.internalErrors, 0);
  assertEquals(rekeyAnswers(server), { "REKEY ERR CMD SYNTAX": 10, "REKEY ERR CMD HAS_AUTH": 2 });
});

Deno.test("a REKEY that was recorded gives nobody the keys of another session", async (t) => {
  await using server = await startServer({ limits });
  await using client = await RawClient.connect(server);
  const own = await startRekey();
  const block = await client.seal(` k  REKEY ${encodeBase64(own.payload)} `);
  await client.channel.write([block]);
  const answer = decodeBase64((await client.receive())!.split(" ")[4]!)!;
  await t.step("its block is not authentic on another session, or again on its own", async () => {
    await using other = await RawClient.connect(server);
    await other.channel.write([block]);
    assertEquals([await other.receive(), await other.receive()], ["   ERR BLOCK ", null]);
    const keys = await own.finish(answer, decodeBase64(await client.binding())!);
    await client.use(keys!);
    await client.channel.write([block]);
    assertEquals([await client.receive(), await client.receive()], ["   ERR BLOCK ", null]);
  });
  await t.step("its payload gets another answer", async () => {
    await using other = await RawClient.connect(server);
    await other.send(` k  REKEY ${encodeBase64(own.payload)} `);
    const again = decodeBase64((await other.receive())!.split(" ")[4]!)!;
    assertEquals(again.length, 32 + 1088);
    assert(
      [0, 32].every((at) =>
        encodeBase64(again.slice(at, at + 32)) !== encodeBase64(answer.slice(at, at + 32))
      ),
    );
  });
});

Deno.test("a server without rekey1 does not know REKEY, and goes on", async () => {
  await using server = await startServer({ limits, extensions: ["open1", "window1", "blocks1"] });
  await using client = await RawClient.connect(server);
  for (const block of [request, request.replace(" k  ", " k AAAA "), " k  REKEY  "]) {
    await client.send(block);
    assertEquals((await client.receive())!.replace("AAAA", ""), " k  ERR CMD SYNTAX ");
  }
  await client.send(" 1  PING ");
  assertEquals(await client.receive(), " 1  PONG ");
  assertEquals(rekeyAnswers(server), {});
});

Deno.test("a server that stops while it answers a REKEY leaves nothing behind", async () => {
  const server = await startServer({ limits });
  const clients = [];
  for (let i = 0; i < 4; i++) clients.push(await RawClient.connect(server));
  for (const client of clients) await client.send(request);
  await server.stop();
  for (const client of clients) await client.channel.close();
  assertEquals([server.connections, server.gauges().memoryHeld], [0, 0]);
});
