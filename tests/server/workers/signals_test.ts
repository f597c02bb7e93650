import { assertEquals, assertStringIncludes } from "@std/assert";
import { SmpClient } from "../../../client/mod.ts";
import { connectTcp, textBytes } from "../../../protocol/mod.ts";
import { RawClient } from "../../support/raw_client.ts";
import { requiring } from "../../support/requires.ts";
import { commandOf, run, temporaryFolder } from "../../support/server_process.ts";
import { next, soon, until } from "../../support/wait.ts";
import { childrenOf, isAlive, startWorkers, workersIni } from "../../support/worker_processes.ts";
import { keyOf } from "../../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

const test = requiring(Deno.build.os === "linux" ? null : "processes can share a port only on Linux");

test("SIGTERM while workers start ends the start well, and leaves none of them", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/smp-server.ini`, workersIni, { mode: 0o600 });
  const place = ["--config-dir", path, "--log-dir", path, "--host", "127.0.0.1", "--port", "0"];
  const args = ["start", "-y", ...place, "--workers", "2"];
  const [file, ...rest] = commandOf(args, { folder: path, workers: true });
  const process = new Deno.Command(file!, { args: rest, stdin: "null", stdout: "piped", stderr: "piped" })
    .spawn();
  let workers: readonly number[] = [];
  await until(async () => (workers = await childrenOf(process.pid)).length > 0);
  process.kill("SIGTERM");
  const { code, stdout, stderr } = await soon(process.output());
  const printed = new TextDecoder().decode(stdout);
  assertEquals([code, printed.endsWith("stopping\nstopped\n")], [0, true], new TextDecoder().decode(stderr));
  for (const worker of workers) assertEquals(await isAlive(worker), false);
  const verified = await run(["verify", "--config-dir", path, "--log-dir", path], { folder: path });
  assertEquals(verified.code, 0, verified.stdout);
});

test("a second signal ends a server with workers at once, and leaves none of them", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path });
  const workers = await childrenOf(server.pid);
  // One that hangs would be waited for.
  Deno.kill(workers[0]!, "SIGSTOP");
  server.signal("SIGTERM");
  assertEquals(await server.line(), "stopping");
  server.signal("SIGTERM");
  await until(async () => !await isAlive(server.pid));
  Deno.kill(workers[0]!, "SIGCONT");
  const { code, stdout } = await server.end();
  assertEquals([code, stdout], [143, ""]);
  await until(async () => !(await Promise.all(workers.map(isAlive))).includes(true));
});

test("SIGHUPs until the end do not make a stop of workers look like a crash", async () => {
  await using folder = await temporaryFolder();
  await using server = await startWorkers({ folder: folder.path });
  {
    await using client = await SmpClient.connect(server.address);
    await client.send(await client.createQueue({ keyPair }), textBytes("x"));
  }
  const storm = setInterval(() => {
    try {
      server.signal("SIGHUP");
    } catch {
      // It has ended.
    }
  }, 1);
  try {
    while (!(await server.logged()).includes("read the limits again"));
    const { code, stdout } = await server.kill("SIGTERM");
    assertEquals([code, stdout], [0, "stopping\nstopped\n"]);
  } finally {
    clearInterval(storm);
  }
  const place = ["--config-dir", folder.path, "--log-dir", folder.path];
  const verified = await run(["verify", ...place], { folder: folder.path });
  assertStringIncludes(verified.stdout, "ok: 1 message");
});

test("peers that read nothing are closed by all workers, and hold up nobody", async () => {
  await using folder = await temporaryFolder();
  const ini = `${workersIni}write_timeout_seconds: 1\n`;
  await using server = await startWorkers({ folder: folder.path, ini });
  const honest = await Promise.all(Array.from({ length: 4 }, () => SmpClient.connect(server.address)));
  const queues = await Promise.all(honest.map((client) => client.createQueue({ keyPair })));
  const events = honest.map((client, i) => client.events(queues[i]!));
  const peers = await Promise.all(Array.from({ length: 8 }, async () => {
    return await RawClient.handshake(await connectTcp("127.0.0.1", server.port("TCP")));
  }));
  const floods = peers.map(async (peer) => {
    for (;;) await peer.send(...Array(16).fill(" 1  PING "));
  }).map((flood) => flood.catch(() => {}));
  const closed = async () => {
    const metrics = await (await fetch(new URL("/metrics", server.metricsUrl))).text();
    return Number(/^smp_slow_peers_closed_total (\d+)$/m.exec(metrics)?.[1]);
  };
  do {
    for (const [i, client] of honest.entries()) {
      await soon(honest[(i + 1) % honest.length]!.send(queues[i]!, textBytes("x")));
      assertEquals((await next(events[i]!)).type, "MSG");
      await soon(client.acknowledge(queues[i]!));
    }
  } while (await closed() < peers.length);
  await soon(Promise.all(floods));
  await Promise.all([
    ...honest.map((client) => client.close()),
    ...peers.map((peer) => peer.channel.close()),
  ]);
});
