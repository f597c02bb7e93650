import { assert } from "@std/assert";
import { encodeBase64, encodePublicKeyText, signPss, textBytes } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { RawClient } from "../support/raw_client.ts";
import { startServer } from "../support/server.ts";
import { keyOf } from "../support/test_keys.ts";

const { publicKey, privateKey } = await keyOf("client", "sign");

async function ask(client: RawClient, queueId: string, command: string): Promise<string> {
  const signed = `a ${queueId} ${command}`;
  await client.send(`${encodeBase64(await signPss(privateKey, textBytes(signed)))} ${signed} `);
  return (await client.receive())!;
}

/** A connection, and a command on a queue that it has opened. */
async function connectOpened(server: SmpServer): Promise<{ client: RawClient; command: string }> {
  const client = await RawClient.connect(server);
  const ids = await ask(client, "", `NEW ${encodePublicKeyText(publicKey)}`);
  const recipientId = ids.split(" ")[4]!;
  await ask(client, recipientId, `OPEN ${await client.binding()}`);
  return { client, command: ` a ${recipientId} ACK ` };
}

/** Gives commands without end, and drops the answers. */
async function flood({ client, command }: { client: RawClient; command: string }): Promise<void> {
  const writing = (async () => {
    for (;;) await client.send(...Array<string>(16).fill(command));
  })();
  const reading = (async () => {
    while (await client.channel.read(4096) !== null);
  })();
  await Promise.allSettled([writing, reading]);
}

Deno.test("connections that flood opened queues do not hold up another one", async () => {
  await using server = await startServer();
  const flooding = await Promise.all(Array.from({ length: 8 }, () => connectOpened(server)));
  await using client = await RawClient.connect(server);
  const floods = Promise.all(flooding.map(flood));
  const served: number[] = [];
  while (served.length < 9) {
    const before = server.metrics.bytesReceived;
    await client.send(" p  PING ");
    await client.receive();
    served.push((server.metrics.bytesReceived - before) / 4096);
  }
  for (const { client } of flooding) await client.channel.close();
  await floods;
  const median = served.sort((a, b) => a - b)[4]!;
  assert(median < 4_000, `${served}`);
});
