import { assertEquals } from "@std/assert";
import { generateKeyPair } from "../../../protocol/mod.ts";
import { startLinkedServer } from "../../support/linked_server.ts";
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
