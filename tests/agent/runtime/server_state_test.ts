import { assertEquals } from "@std/assert";
import { Agent } from "../../../agent/mod.ts";
import { tcpTransport, type Transport } from "../../../client/mod.ts";
import type { Channel } from "../../../protocol/mod.ts";
import { keySource } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { next, until } from "../../support/wait.ts";

Deno.test("who reads events late learns of every connection whether it is up, and of none that was deleted", async () => {
  await using server = await startServer({ limits: { handshakesPerSecondPerIp: 0 } });
  const channels: Channel[] = [];
  const transport: Transport = async (address, signal) => {
    const channel = await tcpTransport(address, signal);
    channels.push(channel);
    return channel;
  };
  const retry = { first: 5, most: 50 };
  await using agent = await Agent.start({
    servers: [server.address],
    keyPool: keySource(),
    retry,
    client: { transport },
  });
  // More than are subscribed to, and told of, at a time.
  const names = Array.from({ length: 120 }, (_, i) => `connection ${i}`);
  for (const name of names) await agent.create(name);
  await channels[0]!.close();
  await until(() => channels.length === 2);
  // It is in the last group: the others are told of by then.
  await agent.subscribe(names.at(-1)!);
  await agent.delete(names[0]!);
  const events = agent.events();
  const down = new Set<string>(), up = new Set<string>();
  while (up.size < names.length - 1) {
    const event = await next(events);
    if (event.type !== "down" && event.type !== "up") continue;
    const [now, before] = event.type === "up" ? [up, down] : [down, up];
    for (const name of event.connections) {
      now.add(name);
      before.delete(name);
    }
  }
  assertEquals([down.size, up.has(names[0]!)], [0, false]);
});
