/**
 * Sends one message through a queue and receives it: `deno run --allow-net examples/hello.ts <server address>`
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { generateKeyPair, SmpClient } from "@simplexmq/smp";
import { run } from "./run.ts";

async function hello(address: string): Promise<void> {
  await using client = await SmpClient.connect(address);
  const queue = await client.createQueue();
  const sender = await generateKeyPair("sign");
  await client.secureQueue(queue, sender.publicKey);
  const message = new TextEncoder().encode("hello through a simplex queue");
  await client.send({ senderId: queue.senderId, senderKey: sender.privateKey }, message);
  for await (const event of client.events(queue)) {
    if (event.type === "MSG") console.log(`received: ${new TextDecoder().decode(event.body)}`);
    await client.acknowledge(queue);
    break;
  }
  await client.deleteQueue(queue);
}

await run(
  "hello.ts ADDRESS, which is what a server prints",
  (args) => args.length === 1 ? hello(args[0]!) : null,
);
