/**
 * A server inside a test suite: `deno test --allow-net=127.0.0.1 examples/embedded_server_test.ts`. It takes a free port,
 * so that suites can run side by side, and nothing is left of it after the test.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { SmpClient } from "@simplexmq/smp";
import { SmpServer } from "@simplexmq/smp/server";

Deno.test("a message waits for its recipient", async () => {
  await using server = await SmpServer.start({ host: "127.0.0.1", port: 0 });
  await using recipient = await SmpClient.connect(server.address);
  await using sender = await SmpClient.connect(server.address);
  const queue = await recipient.createQueue();
  await sender.send({ senderId: queue.senderId }, new TextEncoder().encode("hello"));
  for await (const event of recipient.events(queue)) {
    assertEquals(event.type === "MSG" && new TextDecoder().decode(event.body), "hello");
    await recipient.acknowledge(queue);
    break;
  }
  assertEquals(server.gauges().messages, 0);
});
