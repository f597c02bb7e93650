import { assert, assertEquals } from "@std/assert";
import { equalBytes, generateKeyPair } from "../../../protocol/mod.ts";
import { MemoryMessageStore, SmpServer, type StoredMessage } from "../../../server/mod.ts";
import { SmpClient } from "../../../client/mod.ts";
import { identity } from "../../support/server.ts";
import { someBytes } from "../../support/streams.ts";
import { next, until } from "../../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);

/** All in one process: what goes to another one is not given back. */
function start(messages: MemoryMessageStore): Promise<SmpServer> {
  return SmpServer.start({ identity, messages, host: "127.0.0.1", port: 0, blockSize: 65_536 });
}

/** Shows what was given to it. */
class ShownMessages extends MemoryMessageStore {
  readonly shown: StoredMessage[] = [];

  override append(recipientId: string, message: StoredMessage): Promise<void> {
    this.shown.push(message);
    return super.append(recipientId, message);
  }
}

Deno.test("large bodies come whole, again after a lost connection too, and are given back when they are acknowledged", async () => {
  const messages = new ShownMessages();
  await using server = await start(messages);
  const connect = () => SmpClient.connect(server.address, { blockSize: 65_536 });
  const sent = [1, 2, 3].map((number) => someBytes(60_000 + number));
  const first = await connect();
  const queue = await first.createQueue({ keyPair });
  await first.subscribe(queue, { window: 3 });
  await using sender = await connect();
  for (const body of sent) await sender.send(queue, body);
  const before = first.events(queue);
  for (const body of sent) {
    const event = await next(before);
    assert(event.type === "MSG" && equalBytes(event.body, body));
  }
  await first.close();
  await until(() => server.gauges().connections === 1);
  const { memoryHeld } = server.gauges();
  await using second = await connect();
  await second.subscribe(queue, { window: 3 });
  const events = second.events(queue);
  let last = "";
  for (const body of sent) {
    const event = await next(events);
    assert(event.type === "MSG" && equalBytes(event.body, body));
    last = event.messageId;
  }
  await second.acknowledge(queue, last);
  // The first one was an answer.
  await until(() => messages.shown.slice(1).every(({ body }) => body.length === 0));
  assertEquals(messages.shown[0]!.body.length, 60_001);
  await second.close();
  await until(() => server.gauges().memoryHeld < memoryHeld - 3 * 60_000);
  assertEquals([messages.size, messages.bytes], [0, 0]);
});

Deno.test("bodies stay where the store does not say that nothing reads them", async () => {
  const messages = new class extends ShownMessages {
    override readonly releasesBodies = false;
  }();
  await using server = await start(messages);
  await using client = await SmpClient.connect(server.address, { blockSize: 65_536 });
  const queue = await client.createQueue({ keyPair });
  await client.subscribe(queue, { window: 2 });
  const body = someBytes(60_000);
  await client.send(queue, body);
  const event = await next(client.events(queue));
  assert(event.type === "MSG");
  await client.acknowledge(queue, event.messageId);
  assertEquals(messages.size, 0);
  assert(equalBytes(messages.shown[0]!.body, body));
});
