import { assert } from "@std/assert";
import { memoryChannelPair } from "../../mod.ts";
import { RawClient } from "../support/raw_client.ts";
import { identity, startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

Deno.test("three hundred connections that flood take fewer turns for each of another address than they are", async () => {
  await using server = await startServer({ identity });
  const serving: Promise<void>[] = [];
  const open = (address: string) => {
    const [near, far] = memoryChannelPair();
    serving.push(server.handle(far, { address }));
    return RawClient.handshake(near);
  };
  const honest = await open("10.0.0.2");
  const flood: RawClient[] = [];
  while (flood.length < 300) flood.push(await open("10.0.0.1"));
  const ping = " 1  PING ";
  let served = 0;
  const working = flood.map(async (client) => {
    await client.send(ping, ping);
    for (;; served++) {
      await client.receive();
      await client.send(ping);
    }
  }).map((one) => one.catch(() => {}));
  await until(() => served > 1_000);
  const before = served;
  const pings = 20;
  for (let i = 0; i < pings; i++) {
    await honest.send(ping);
    await honest.receive();
  }
  const each = (served - before) / pings;
  for (const client of [honest, ...flood]) await client.channel.close();
  await soon(Promise.all([...working, ...serving]));
  assert(each < flood.length, `${each} commands of the flood for each other`);
});
