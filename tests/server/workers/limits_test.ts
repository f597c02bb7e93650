import { assertEquals } from "@std/assert";
import { encodeBase64, generateKeyPair, randomBytes } from "../../../protocol/mod.ts";
import { startLinkedServer } from "../../support/linked_server.ts";
import { RawClient } from "../../support/raw_client.ts";
import { connect, identity } from "../../support/server.ts";
import { soon, until } from "../../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const usual = { identity, host: "127.0.0.1", port: 0 };

Deno.test("what a connection may have open it may have at all workers together", async () => {
  await using server = await startLinkedServer({ ...usual, limits: { openedPerConnection: 3 } });
  await using client = await connect(server);
  const queues = await Promise.all(Array.from({ length: 8 }, () => client.createQueue({ keyPair })));
  for (let i = 0; i < 4; i++) await soon(Promise.all(queues.map((queue) => client.subscribe(queue))));
  const { commands } = server.metrics;
  await until(() => (commands.get("OPEN ERR QUOTA") ?? 0) + (commands.get("OPEN OK") ?? 0) === 8);
  assertEquals([commands.get("OPEN OK"), server.gauges().opened], [3, 3]);
  assertEquals(server.metrics.refusals("opened"), 5);
});

Deno.test("a connection that floods another worker with wrong signatures is read slowly, others are not", async () => {
  await using server = await startLinkedServer({ ...usual, limits: { refusedTimePerSecondPerIp: 1 } });
  // The second one of the two has queues with this ID.
  const farId = encodeBase64(new Uint8Array([0, 1, ...randomBytes(10)]));
  await using flood = await RawClient.connect(server);
  await using honest = await connect(server);
  const wrong = `${btoa("x".repeat(256))} 1 ${farId} SUB `;
  const sending = (async () => {
    for (;;) await flood.send(...Array(8).fill(wrong));
  })().catch(() => {});
  const reading = (async () => {
    while (await flood.channel.read(4096) !== null);
  })().catch(() => {});
  await until(() => server.metrics.refusals("refused_time") > 0);
  for (let i = 0; i < 20; i++) await soon(honest.ping());
  await flood.channel.close();
  await soon(Promise.all([sending, reading]));
});
