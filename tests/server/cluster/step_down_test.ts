import { assertEquals } from "@std/assert";
import { createStream, openLogStream } from "../../../server/cluster/nats_streams.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { requiring } from "../../support/requires.ts";
import { until } from "../../support/wait.ts";

const test = requiring(natsLack);

test("another server leads a stream when that is asked for, and has all of it", async () => {
  await using nats = await Nats.start({ servers: 3 });
  const connection = await nats.connect();
  const name = "log";
  await createStream({ connection, name });
  const log = await openLogStream({ connection, name });
  const append = (expected: number) =>
    until(async () => {
      await log.publish(new Uint8Array([expected]), { expected, kind: "batch" });
      return (await log.state()).last === expected + 1;
    });
  await append(0);
  const former = await nats.leaderOf(name);
  assertEquals(await log.stepDown(), true);
  await until(async () => (await nats.leaderOf(name)).name !== former.name);
  await append(1);
  await connection.close();
});

test("one server alone leads all streams, whatever is asked for", async () => {
  await using nats = await Nats.start();
  const connection = await nats.connect();
  await createStream({ connection, name: "log", replicas: 1 });
  const log = await openLogStream({ connection, name: "log" });
  assertEquals(await log.stepDown(), false);
  await connection.close();
});
