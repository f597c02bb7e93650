import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { createInbox, type NatsConnection } from "@nats-io/nats-core";
import { SmpClient } from "../../client/mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { parseConfig } from "../../server/config/config_file.ts";
import { ClusterOperator } from "../../server/cluster/operator.ts";
import { stepDown } from "../../server/cluster/step_down.ts";
import { cacheOf } from "../support/module_cache.ts";
import { balanced, startNode, type TestNode } from "../support/cluster_nodes.ts";
import { beginTogether, Nats, natsLack, NatsServer } from "../support/nats.ts";
import { steadyPort } from "../support/ports.ts";
import { lackOf, requiring } from "../support/requires.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { next, patience, soon, until } from "../support/wait.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));

const withNats = requiring(natsLack);
const withHaproxy = requiring(lackOf("haproxy", "-v"));
const credentials = { user: "smp", password: "secret1" };

/** Three servers as they are deployed, without TLS, on loopback. */
async function deployed(folder: string): Promise<readonly NatsServer[]> {
  const text = await read("deploy/cluster/nats.conf");
  const ports = Array.from({ length: 6 }, () => steadyPort());
  const replaced = (config: string, from: string | RegExp, to: string) => {
    const changed = config.replaceAll(from, to);
    assert(changed !== config, `${from}`);
    return changed;
  };
  const servers: NatsServer[] = [];
  for (const i of [0, 1, 2]) {
    const own = `${folder}/nats${i + 1}`;
    await Deno.mkdir(own);
    let config = replaced(text, /^ *tls \{[^}]*\}\n/gm, "");
    config = replaced(config, "$NATS_NAME", `nats${i + 1}`);
    config = replaced(config, "$SMP_NATS_PASSWORD", credentials.password);
    config = replaced(config, "/var/lib/nats", own);
    config = replaced(config, "0.0.0.0:4222", `127.0.0.1:${ports[i]}`);
    config = replaced(config, "0.0.0.0:6222", `127.0.0.1:${ports[3 + i]}`);
    for (const j of [0, 1, 2]) config = replaced(config, `nats${j + 1}:6222`, `127.0.0.1:${ports[3 + j]}`);
    config = replaced(config, "max_file: 100GB", "max_file: 4GB");
    config += `\nlog_file: "${own}/nats.log"\n`;
    servers.push(new NatsServer({ name: `nats${i + 1}`, folder: own, port: ports[i]!, config }));
  }
  return servers;
}

withNats("nodes have what they need at the NATS servers of deploy/cluster, and nothing else", async () => {
  await using folder = await temporaryFolder();
  await using resources = new AsyncDisposableStack();
  const servers = await deployed(folder.path);
  for (const server of servers) resources.use(server);
  const engine = { address: servers.map(({ url }) => url).join(), ...credentials };
  const nodeOptions = { engine, cluster: "smp", snapshotAfter: 2_000 };
  let first: TestNode;
  await beginTogether(servers, async (milliseconds) => {
    const giveUp = new AbortController();
    // The node makes streams and takes partitions, too.
    const timer = setTimeout(() => giveUp.abort(), 3 * milliseconds);
    const options = { ...nodeOptions, signal: giveUp.signal };
    first = await startNode({ urls: [] } as unknown as Nats, "a", options).finally(() => clearTimeout(timer));
  });
  await using a = first!;
  await using b = await startNode({ urls: [] } as unknown as Nats, "b", nodeOptions);
  await balanced([a, b]);
  await using client = await a.connect();
  await using other = await b.connect();
  for (let i = 0; i < 8; i++) {
    const queue = await client.createQueue();
    const events = client.events(queue);
    await other.send(queue, textBytes("hello"));
    assertEquals((await next(events)).type, "MSG");
    await client.acknowledge(queue);
    await events.return();
  }
  // Two snapshots, so that a log is purged.
  const queue = await client.createQueue();
  await until(async () => {
    await other.send(queue, textBytes("x".repeat(1_000)));
    const own = [...a.node.status.partitions, ...b.node.status.partitions];
    return own.some((one) => (one.own?.snapshot?.sequence ?? 0) > 20);
  });
  await using operator = await ClusterOperator.connect({ engine, cluster: "smp", log: () => {} });
  // A node that is busy may answer too late.
  await until(async () => (await operator.status()).nodes.filter(({ answers }) => answers).length === 2);
  await soon(operator.drain("a"));
  await operator.undrain("a");
  const said = [...a.lines, ...b.lines].filter((line) => /permission|could not check|error /i.test(line));
  assertEquals(said, []);

  const connection = resources.use(await connectAs(servers[0]!.url));
  assertEquals(await stepDown(connection.connection, "smp-0", patience), true);
  for (
    const subject of [
      "$JS.API.STREAM.DELETE.smp-0",
      "$JS.API.STREAM.UPDATE.smp-0",
      "$JS.API.STREAM.MSG.DELETE.smp-0",
      "$JS.API.CONSUMER.CREATE.smp-0",
      "$SYS.REQ.SERVER.PING.CONNZ",
      "$KV.other.x",
      "smp-link.other.a.operator",
      "anything",
    ]
  ) {
    const answered = connection.connection.request(subject, "{}", { timeout: patience });
    const error = await assertRejects(() => answered);
    assertMatch(`${error} ${(error as Error).cause}`, /permissions violation/i, subject);
  }
  for (const subject of [">", "smp-0.>", "$KV.>", "$SYS.>", createInbox("OTHER")]) {
    const refused = Promise.withResolvers<Error | null>();
    connection.connection.subscribe(subject, { callback: (error) => refused.resolve(error) });
    assertMatch(`${await soon(refused.promise)}`, /permissions violation/i, subject);
  }
});

async function connectAs(url: string): Promise<AsyncDisposable & { readonly connection: NatsConnection }> {
  const { connect } = await import("@nats-io/transport-node");
  const connection = await soon(
    connect({ servers: url, user: credentials.user, pass: credentials.password }),
  );
  return { connection, [Symbol.asyncDispose]: () => connection.close() };
}

withNats(
  "the drop-in starts a node with its permissions, and no packages but those of its lock file",
  async () => {
    await using folder = await temporaryFolder();
    await using nats = await Nats.start();
    const [, line] = /^ExecStart=(\S.*)$/m.exec(await read("deploy/cluster/smp-server-cluster.conf"))!;
    const args = line!.split(" ").slice(1).map((arg) =>
      arg.replaceAll("/etc/opt/simplex", `${folder.path}/etc`).replaceAll(
        "/var/opt/simplex",
        `${folder.path}/log`,
      )
    );
    const place = ["--config-dir", `${folder.path}/etc`, "--log-dir", `${folder.path}/log`];
    const cluster = ["--cluster", nats.urls.join(), "--node", "a", "--host", "127.0.0.1", "--port", "0"];
    const DENO_DIR = await cacheOf(["ws", "mlkem", "uqr", "@nats-io", "tweetnacl"], folder.path);
    const command = [Deno.execPath(), ...args, ...place, ...cluster];
    await using server = await ServerProcess.spawned({ command, env: { DENO_DIR } });
    await using client = await soon(SmpClient.connect(server.address));
    await client.createQueue();
    assertEquals((await server.kill("SIGTERM")).code, 0);
  },
);

withHaproxy("HAProxy takes its configuration in deploy/cluster", async () => {
  await using folder = await temporaryFolder();
  const text = await read("deploy/cluster/haproxy.cfg");
  await Deno.writeTextFile(
    `${folder.path}/haproxy.cfg`,
    text.replaceAll(/ smp\d:5223$/gm, " 127.0.0.1:5223"),
  );
  const args = ["-c", "-f", `${folder.path}/haproxy.cfg`];
  const { code, stderr } = await new Deno.Command("haproxy", { args }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
});

Deno.test("the ini of a node in deploy/cluster is one, and is for what is deployed beside it", async () => {
  const ini = await read("deploy/cluster/smp-server.ini");
  const directories = { configDir: "/etc/opt/simplex", logDir: "/var/opt/simplex" };
  const { config, warnings } = parseConfig(ini, "smp-server.ini", directories);
  assertEquals(warnings, []);
  assertEquals(config.clusterServers, "tls://nats1:4222,tls://nats2:4222,tls://nats3:4222");
  const haproxy = await read("deploy/cluster/haproxy.cfg");
  assertStringIncludes(haproxy, `check port ${config.metricsPort}`);
  assertStringIncludes(haproxy, `smp1:${config.port}`);
  const nats = await read("deploy/cluster/nats.conf");
  for (const subject of ["smp-link", "smp-cluster"]) {
    assertStringIncludes(nats, `${subject}.${config.clusterName}.`);
  }
});

Deno.test("what a node is started with differs from one process in its packages alone", async () => {
  const map = JSON.parse(await read("deploy/cluster/import_map.json")).imports as Record<string, string>;
  const { imports } = JSON.parse(await read("deno.json")) as { imports: Record<string, string> };
  for (const [name, place] of Object.entries(map)) {
    if (!name.endsWith("/internal")) assertEquals(place, imports[name], name);
  }
  const unit = /^ExecStart=(\S.*)$/m;
  const lines = [
    await read("deploy/smp-server.service"),
    await read("deploy/cluster/smp-server-cluster.conf"),
  ]
    .map((text) => unit.exec(text)![1]!);
  const cluster = (text: string) =>
    text.replace("=import_map.json", "=deploy/cluster/import_map.json")
      .replace("=deploy/server.lock", "=deploy/cluster/server.lock");
  assertEquals(cluster(lines[0]!), lines[1]);
  const [own, all] = await Promise.all(
    ["deploy/cluster/server.lock", "deno.lock"].map(async (path) =>
      JSON.parse(await read(path)).npm as Record<string, { readonly integrity: string }>
    ),
  );
  for (const [name, { integrity }] of Object.entries(own!)) {
    assertEquals(integrity, all![name]?.integrity, name);
  }
});
