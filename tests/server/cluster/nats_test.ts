import { assert, assertEquals, assertRejects } from "@std/assert";
import { jetstream, jetstreamManager, RetentionPolicy } from "@nats-io/jetstream";
import { Nats, natsLack } from "../../support/nats.ts";
import { allStore, NotReadyError } from "../../support/nats_ready.ts";
import { requiring } from "../../support/requires.ts";
import { until } from "../../support/wait.ts";

const test = requiring(natsLack);

test("one NATS server has after kill -9 what it acknowledged", async () => {
  await using nats = await Nats.start();
  const connection = await nats.connect();
  try {
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: "log", subjects: ["log"], retention: RetentionPolicy.Limits });
    assertEquals((await jetstream(connection).publish("log", "one")).seq, 1);
    await nats.servers[0]!.restart();
    await until(() => manager.streams.info("log").then(({ state }) => state.last_seq === 1, () => false));
  } finally {
    await connection.close();
  }
});

test("three NATS servers go on without the leader of a stream", async () => {
  await using nats = await Nats.start({ servers: 3 });
  const connection = await nats.connect();
  try {
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: "log", subjects: ["log"], num_replicas: 3 });
    const first = await nats.leaderOf("log");
    first.stop();
    await until(async () => {
      // The frozen one may be asked, which does not answer.
      const other = nats.servers.find((server) => server !== first)!;
      const second = await nats.connect({ servers: [other.url] });
      try {
        const others = await jetstreamManager(second, { timeout: 1000, checkAPI: false });
        const leader = (await others.streams.info("log").catch(() => null))?.cluster?.leader;
        return leader !== undefined && leader !== first.name;
      } finally {
        await second.close();
      }
    });
    const other = await nats.connect({ servers: nats.urls.filter((url) => url !== first.url) });
    const options = { servers: nats.servers.map(({ name }) => name), milliseconds: 500, probe: null };
    const error = await assertRejects(() => allStore(other, options), NotReadyError);
    assert(error.absent.includes(first.name));
    await other.close();
    first.cont();
    await first.kill();
    assert(!first.running);
    const leader = await nats.leaderOf("log");
    assert(leader.name !== first.name);
    await first.restart();
    await nats.recovered();
  } finally {
    await connection.close();
  }
});
