import { assertEquals } from "@std/assert";
import { generateKeyPair, parseAddress, SmpClient, webSocketTransport } from "../../mod.ts";
import { asciiText, textBytes } from "../../protocol/mod.ts";
import { lackOf, requiring } from "../support/requires.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { next, soon, until, untilEqual } from "../support/wait.ts";
import { childrenOf, startWorkers, workersIni } from "../support/worker_processes.ts";

/** Descriptors that the server may have, files and sockets together. */
const most = 64;
const ini = "[STORE_LOG]\nenable: on\nmessages: journal\n[METRICS]\nport: 0\n";

const test = requiring(lackOf("prlimit", "--version"));

test("without descriptors the server goes on, and all ports take connections when there are some again", async () => {
  const wrapper = ["prlimit", `--nofile=${most}:${most}`];
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, ini, wrapper, webSockets: true });
  await using client = await SmpClient.connect(server.address);
  const keyPair = await generateKeyPair("sign", 1024);
  const queue = await client.createQueue({ keyPair });
  const events = client.events(queue);
  const connections: Deno.TcpConn[] = [];
  const dial = async (port: number) => {
    connections.push(await Deno.connect({ hostname: "127.0.0.1", port }));
  };
  while (connections.length < 2 * most) await dial(server.port("TCP"));
  while (!(await server.logged()).includes("Cannot accept a connection"));
  await dial(server.port("WebSockets"));
  await dial(Number(new URL(server.metricsUrl!).port));
  // Who is connected notices nothing, and what is accepted is written.
  for (const text of ["one", "two"]) await soon(client.send(queue, textBytes(text)));
  await soon(client.ping());
  for (const connection of connections) connection.close();
  await using later = await soon(SmpClient.connect(server.address));
  await later.ping();
  const { host, keyHash } = parseAddress(server.address);
  await using webSocket = await soon(SmpClient.connect(
    { host, port: server.port("WebSockets"), keyHash: keyHash! },
    { transport: webSocketTransport },
  ));
  await webSocket.ping();
  const response = await soon(fetch(new URL("/health", server.metricsUrl)));
  assertEquals(await response.text(), "ok\n");
  for (const text of ["one", "two"]) {
    const event = await next(events);
    assertEquals(event.type === "MSG" && asciiText(event.body), text);
    await client.acknowledge(queue);
  }
  await events.return();
});

/** Descriptors that each process of a server with workers may have, and connections of which each worker has some. */
const mostOfWorker = 96, many = 32;

const workersTest = requiring(
  lackOf("prlimit", "--version") ??
    (Deno.build.os === "linux" ? null : "processes can share a port only on Linux"),
);

workersTest(
  "a worker without descriptors lets another one, which was started again, use its queues when it has some",
  async () => {
    const wrapper = ["prlimit", `--nofile=${mostOfWorker}:${mostOfWorker}`];
    await using folder = await temporaryFolder();
    await using server = await startWorkers({
      folder: folder.path,
      // Connections that say nothing stay as long as the test lasts.
      ini: `${workersIni}handshake_timeout_seconds: 600\n`,
      wrapper,
    });
    const [first, second] = await childrenOf(server.pid);
    const connections: Deno.TcpConn[] = [];
    while (connections.length < 4 * mostOfWorker) {
      connections.push(await Deno.connect({ hostname: "127.0.0.1", port: server.port("TCP") }));
    }
    await until(async () => await descriptorsOf(first!) >= mostOfWorker);
    Deno.kill(second!, "SIGKILL");
    await untilEqual(async () => {
      const { workers } = await server.status();
      return [workers?.ready, workers?.restarts];
    }, [2, 1]);
    for (const connection of connections) connection.close();
    const clients = await Promise.all(
      Array.from({ length: many }, () => soon(SmpClient.connect(server.address))),
    );
    const keyPair = await generateKeyPair("sign", 1024);
    const queues = await Promise.all(clients.map((client) => client.createQueue({ keyPair })));
    for (const [i, queue] of queues.entries()) {
      await soon(clients[(i + 1) % many]!.send(queue, textBytes("hello")));
    }
    await Promise.all(clients.map((client) => client.close()));
  },
);

async function descriptorsOf(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("ls", { args: [`/proc/${pid}/fd`] }).output();
  return asciiText(stdout).trim().split("\n").length;
}
