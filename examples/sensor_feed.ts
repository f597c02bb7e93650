/**
 * A feed of measurements in one direction: a simplex queue and the client alone. Whoever reads makes the queue and gives
 * its sender ID to the sensor; the sensor's first message is its key, with which the reader secures the queue.
 *
 * ```sh
 * deno run --allow-net examples/sensor_feed.ts read ADDRESS               # prints the sender ID, then measurements
 * deno run --allow-net examples/sensor_feed.ts sense ADDRESS SENDER_ID
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console
import {
  encodePublicKeyText,
  generateKeyPair,
  parsePublicKeyText,
  SmpClient,
  SmpError,
} from "@simplexmq/smp";
import { run } from "./run.ts";

/** Milliseconds between measurements. */
const interval = 200;

async function read(address: string): Promise<void> {
  await using client = await SmpClient.connect(address);
  const queue = await client.createQueue();
  console.log(queue.senderId);
  let isSecured = false;
  for await (const event of client.events(queue)) {
    if (event.type === "END") return;
    const text = new TextDecoder().decode(event.body);
    if (isSecured) await print(`${event.timestamp.toISOString()} ${text}`);
    else await client.secureQueue(queue, parsePublicKeyText(text));
    isSecured = true;
    // Only now the server forgets it: nothing is lost if this program ends before.
    await client.acknowledge(queue);
  }
}

/** Fails when nobody reads the output any more, which `console.log` does not tell. */
async function print(line: string): Promise<void> {
  await new Blob([`${line}\n`]).stream().pipeTo(Deno.stdout.writable, { preventClose: true });
}

async function sense(address: string, senderId: string): Promise<void> {
  const { publicKey, privateKey } = await generateKeyPair("sign");
  const bytes = (text: string) => new TextEncoder().encode(text);
  await using client = await SmpClient.connect(address);
  await client.send({ senderId }, bytes(encodePublicKeyText(publicKey)));
  for (let count = 0;;) {
    const celsius = 20 + 5 * Math.sin(count / 10);
    try {
      await client.send({ senderId, senderKey: privateKey }, bytes(`${celsius.toFixed(2)} °C`));
      count++;
    } catch (error) {
      // Until the reader has secured the queue.
      if (!(error instanceof SmpError && error.code === "AUTH")) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, interval));
  }
}

await run("sensor_feed.ts read ADDRESS | sense ADDRESS SENDER_ID", ([role, address, senderId, ...rest]) => {
  if (address === undefined || rest.length > 0) return null;
  if (role === "read" && senderId === undefined) return read(address);
  return role === "sense" && senderId !== undefined ? sense(address, senderId) : null;
});
