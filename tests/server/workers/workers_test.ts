import { assert, assertEquals, assertRejects } from "@std/assert";
import { SmpClient, webSocketTransport } from "../../../client/mod.ts";
import { type Channel, connectTcp, SmpError } from "../../../protocol/mod.ts";
import { RawClient, readServerKey } from "../../support/raw_client.ts";
import { requiring } from "../../support/requires.ts";
import { run, type ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { keyOf } from "../../support/test_keys.ts";
import { soon, until, untilEqual } from "../../support/wait.ts";
import { childrenOf, isAlive, startWorkers, workersIni } from "../../support/worker_processes.ts";

const test = requiring(Deno.build.os === "linux" ? null : "processes can share a port only on Linux");
const keyPair = await keyOf("client", "sign");

/** Enough connections that each of two workers has some: all at one is as likely as 1 : 2 ** 31. */
const many = 32;

/** Waits for a line of the log. */
async function logs(server: ServerProcess, text: string): Promise<void> {
  while (!(await server.logged()).includes(text));
}

async function connectMany(
  server: ServerProcess,
  count = many,
): Promise<AsyncDisposable & { clients: SmpClient[] }> {
  const clients = await Promise.all(Array.from({ length: count }, () => SmpClient.connect(server.address)));
  return {
    clients,
    [Symbol.asyncDispose]: async () => void await Promise.all(clients.map((client) => client.close())),
  };
}

test("two workers serve the clients of one address, and the status sums what they count", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path, webSockets: true });
  assert(server.printed.includes("workers: 2"));
  assertEquals((await childrenOf(server.pid)).length, 2);
  {
    await using connected = await connectMany(server);
    for (const client of connected.clients) {
      const queue = await client.createQueue({ keyPair });
      const events = client.events();
      await client.send(queue, new TextEncoder().encode("hello"));
      const { value: event } = await soon(events.next());
      assert(event?.type === "MSG" && new TextDecoder().decode(event.body) === "hello");
      await client.acknowledge(queue);
    }
    await using webSocket = await SmpClient.connect(
      { host: "127.0.0.1", port: server.port("WebSockets"), keyHash: server.keyHash },
      { transport: webSocketTransport },
    );
    await webSocket.ping();
    // A busy worker says what it has when nobody waits for it any more.
    await untilEqual(async () => {
      const { gauges, totals } = await server.status();
      return [gauges.connections, gauges.queues, totals.accepted, totals.delivered, totals.commands];
      // Each connection has sent a REKEY, too.
    }, [many + 1, many, many, many, 4 * many + 2]);
    const { workers, notReady } = await server.status();
    assertEquals([workers, notReady], [{ all: 2, ready: 2, restarts: 0 }, null]);
  }
  const metrics = await (await fetch(new URL("/metrics", server.metricsUrl))).text();
  assert(metrics.includes(`smp_handshakes_total{result="ok"} ${many + 1}\n`), metrics);
  assert(metrics.includes('smp_workers{state="ready"} 2\n'));
  assertEquals(await (await fetch(new URL("/ready", server.metricsUrl))).text(), "ready\n");
});

test("SIGHUP reaches all workers, and SIGTERM stops them in time", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path });
  await using connected = await connectMany(server);
  await Deno.writeTextFile(`${folder.path}/smp-server.ini`, `${workersIni}new_queues: off\n`);
  server.signal("SIGHUP");
  await logs(server, "read the limits again");
  for (const client of connected.clients) {
    await assertRejects(() => soon(client.createQueue({ keyPair })), SmpError, "AUTH");
  }
  const workers = await childrenOf(server.pid);
  const { code, stdout } = await server.kill("SIGTERM");
  assertEquals([code, stdout], [0, "stopping\nstopped\n"]);
  for (const worker of workers) assertEquals(await isAlive(worker), false);
  assertEquals(
    (await Array.fromAsync(Deno.readDir(folder.path))).filter(({ name }) => name.endsWith(".sockets")),
    [],
  );
});

test("SIGHUP reaches a worker that is being started", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path });
  const known = new Set(await childrenOf(server.pid));
  let [, worker] = [...known];
  // On a busy machine it may serve before it is stopped.
  for (let ready: number | undefined = 2; ready === 2;) {
    Deno.kill(worker!, "SIGKILL");
    worker = undefined;
    while (worker === undefined) worker = (await childrenOf(server.pid)).find((child) => !known.has(child));
    known.add(worker);
    Deno.kill(worker, "SIGSTOP");
    ready = (await server.status()).workers?.ready;
  }
  await Deno.writeTextFile(`${folder.path}/smp-server.ini`, `${workersIni}new_queues: off\n`);
  server.signal("SIGHUP");
  await logs(server, "read the limits again");
  Deno.kill(worker!, "SIGCONT");
  await until(async () => (await server.status()).workers?.ready === 2);
  await using connected = await connectMany(server);
  for (const client of connected.clients) {
    await assertRejects(() => soon(client.createQueue({ keyPair })), SmpError, "AUTH");
  }
});

test("a signal that reaches the workers, too, stops nothing but by the parent", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path });
  for (const worker of await childrenOf(server.pid)) {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.kill(worker, signal);
  }
  await using connected = await connectMany(server);
  for (const client of connected.clients) await client.ping();
  const { workers } = await server.status();
  assertEquals(workers, { all: 2, ready: 2, restarts: 0 });
});

test("a worker that is killed is started again with its files, and the others' clients stay", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path });
  await using connected = await connectMany(server);
  const { clients } = connected;
  for (const client of clients) await client.createQueue({ keyPair });
  await until(async () => (await server.status()).gauges.queues === many);
  const before = (await server.status()).totals.commands;
  const [worker] = await childrenOf(server.pid);
  Deno.kill(worker!, "SIGKILL");
  await logs(server, "is started again: SIGKILL");
  await until(async () => (await server.status()).workers?.ready === 2);
  const pings = await Promise.all(clients.map((client) => client.ping().then(() => true, () => false)));
  const left = pings.filter((isAnswered) => isAnswered).length;
  assert(left > 0 && left < many, `${left} connections are left`);
  await using again = await connectMany(server);
  for (const client of again.clients) await client.ping();
  await untilEqual(async () => {
    const { gauges } = await server.status();
    return [gauges.connections, gauges.queues];
  }, [left + many, many]);
  // Pings, and a REKEY of each new connection; what the killed worker has counted stays in the totals.
  await until(async () => (await server.status()).totals.commands >= before + left + 2 * many);
  const { workers, notReady } = await server.status();
  assertEquals([workers, notReady], [{ all: 2, ready: 2, restarts: 1 }, null]);
});

test("workers end when their parent is killed, and it can be started again at once", async () => {
  await using folder = await temporaryFolder();
  const server = await startWorkers({ folder: folder.path });
  const workers = await childrenOf(server.pid);
  assertEquals(workers.length, 2);
  await server.kill("SIGKILL");
  await using again = await startWorkers({ folder: folder.path });
  await until(async () => !(await Promise.all(workers.map(isAlive))).includes(true));
  await using client = await SmpClient.connect(again.address);
  await client.ping();
});

test("a limit per address holds for all workers together", async () => {
  await using folder = await temporaryFolder();
  const ini = `${workersIni}connections_per_ip: 8\nnew_queues_per_hour_per_ip: 8\n`;
  await using server = await startWorkers({ folder: folder.path, ini });
  const attempt = () => SmpClient.connect(server.address).catch(() => null);
  await using connected = await connectMany(server, 8);
  let refused = 0;
  // Those that come to a worker that does not know of all others yet are closed, so that it stays at eight.
  await until(async () => {
    await using client = await attempt();
    refused = client === null ? refused + 1 : 0;
    return refused === many;
  });
  let created = 0, full = 0;
  await until(async () => {
    const client = connected.clients[(created + full) % 8]!;
    const isCreated = await client.createQueue({ keyPair }).then(() => true, () => false);
    if (isCreated) created++;
    else full++;
    await server.status();
    return full === many;
  });
  // Without what one knows of the other it would be eight at each.
  assert(created >= 8 && created < 16, `${created} queues`);
});

test("a handshake that is played back is refused by every worker", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path, count: 3 });
  const connect = () => connectTcp("127.0.0.1", server.port("TCP"));
  for (let i = 0; i < 3; i++) {
    const written: Uint8Array<ArrayBuffer>[] = [];
    const inner = await connect();
    const recording: Channel = {
      read: (size) => inner.read(size),
      write: (units) => (written.push(...units.map((unit) => unit.slice())), inner.write(units)),
      end: () => inner.end(),
      close: () => inner.close(),
    };
    await (await RawClient.handshake(recording))[Symbol.asyncDispose]();
    const before = (await server.status()).refused["replay"]!;
    await Promise.all(Array.from({ length: many }, async () => {
      const channel = await connect();
      await readServerKey(channel);
      await channel.write(written);
      assertEquals(await soon(channel.read(1).catch(() => null)), null);
      await channel.close();
    }));
    await until(async () => (await server.status()).refused["replay"] === before + many);
  }
});

test("a port that another server's workers have is not shared with them", async () => {
  await using folder = await temporaryFolder();
  await using other = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path });
  await Deno.writeTextFile(`${other.path}/smp-server.ini`, workersIni);
  const place = ["--config-dir", other.path, "--log-dir", other.path, "--host", "127.0.0.1"];
  const port = `${server.port("TCP")}`;
  const args = ["start", "-y", ...place, "--port", port, "--workers", "2"];
  const { code, stderr } = await run(args, { folder: other.path, workers: true });
  assertEquals(code, 1);
  assert(stderr.includes(`Cannot listen on 127.0.0.1:${port}`), stderr);
});

test("what workers need and lack is said before anything is started", async () => {
  await using folder = await temporaryFolder();
  const place = ["--config-dir", folder.path, "--log-dir", folder.path, "--port", "0"];
  const start = ["start", "-y", "--workers", "2", ...place];
  const forbidden = await run(start, { folder: folder.path });
  assert(forbidden.stderr.includes(`pass --allow-run=${Deno.execPath()}`), forbidden.stderr);
  const refused = [
    ["enable: off", "Cannot start workers without a store log"],
    ["messages: memory", "Cannot start workers with messages: memory"],
  ] as const;
  for (const [line, reason] of refused) {
    await Deno.writeTextFile(`${folder.path}/smp-server.ini`, `[STORE_LOG]\n${line}\n`);
    const { stderr } = await run(start, { folder: folder.path, workers: true });
    assert(stderr.startsWith(reason), stderr);
  }
  const tooMany = await run(["start", "--workers", "65", ...place], { folder: folder.path, workers: true });
  assertEquals([tooMany.code, tooMany.stderr.includes("--workers 65 is not a number from 0 to 64")], [
    2,
    true,
  ]);
  const byHand = await run(["worker"]);
  assertEquals(byHand.code, 1);
  assert(byHand.stderr.includes("start --workers starts the workers"), byHand.stderr);
});
