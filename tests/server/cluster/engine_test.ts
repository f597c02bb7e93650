import { jetstreamManager } from "@nats-io/jetstream";
import { nkeys } from "@nats-io/nats-core";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { openBucket } from "../../../server/cluster/bucket.ts";
import { Engine, type EngineEvent, type EngineOptions } from "../../../server/cluster/engine.ts";
import { EngineError, type EngineErrorCode } from "../../../server/cluster/error.ts";
import { ManualClock } from "../../support/cluster.ts";
import { CutProxy } from "../../support/cut_proxy.ts";
import { Nats, natsLack, NatsServer } from "../../support/nats.ts";
import { lackOf, requiring } from "../../support/requires.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { steadyPort } from "../../support/ports.ts";
import { soon, until } from "../../support/wait.ts";

const test = requiring(natsLack);

const lines: string[] = [];
const ofTests = {
  name: "test",
  log: (_level: string, message: string) => void lines.push(message),
};

async function refusal(
  options: Omit<EngineOptions, "name" | "log"> & Partial<EngineOptions>,
  code: EngineErrorCode,
): Promise<string> {
  const error = await soon(assertRejects(() => Engine.connect({ ...ofTests, ...options }), EngineError));
  assertEquals(error.code, code, error.message);
  return error.message;
}

/** One server whose whole configuration is `config`, but for where it listens. */
async function start(
  config: string,
): Promise<AsyncDisposable & { readonly server: NatsServer; readonly address: string }> {
  await using resources = new AsyncDisposableStack();
  const { path: folder } = resources.use(await temporaryFolder());
  const port = steadyPort();
  const listen = `listen: "127.0.0.1:${port}"\nlog_file: "${folder}/nats.log"\n`;
  const server = resources.use(
    new NatsServer({ name: "n", folder, port, config: listen + config.replaceAll("FOLDER", folder) }),
  );
  await server.restart();
  const kept = resources.move();
  return { server, address: server.url, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Lets `Date.now()` tell a later time. */
function laterBy(milliseconds: number): Disposable {
  const { now } = Date;
  Date.now = () => now() + milliseconds;
  return { [Symbol.dispose]: () => void (Date.now = now) };
}

const jetStream = `jetstream { store_dir: "FOLDER", sync_interval: always }`;

/** Listens, and says one line to whoever connects; `null`: nothing. */
async function withPeer(line: string | null, use: (address: string) => Promise<void>): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const accepting = (async () => {
    for await (const connection of listener) {
      open.add(connection);
      if (line !== null) await connection.write(new TextEncoder().encode(line)).catch(() => {});
    }
  })();
  try {
    await use(`nats://127.0.0.1:${listener.addr.port}`);
  } finally {
    listener.close();
    await accepting;
    for (const connection of open) connection.close();
  }
}

Deno.test("a NATS server that is too old is refused before credentials are sent to it", async () => {
  await withPeer(`INFO {"version":"2.10.22","jetstream":true}\r\n`, async (address) => {
    const message = await refusal({ address, user: "a", password: "b" }, "VERSION");
    assert(message.includes("its version is 2.10.22"), message);
    assert(message.includes("install 2.10.23 or later"), message);
  });
});

Deno.test("a NATS server without JetStream is refused with what to do", async () => {
  await withPeer(`INFO {"version":"2.10.27"}\r\n`, async (address) => {
    const message = await refusal({ address }, "NO_JETSTREAM");
    assert(message.includes("add `jetstream {"), message);
  });
});

Deno.test("what is no NATS server, says nothing or too much, or is not there is said, and leaves no socket", async () => {
  for (const line of ["SSH-2.0-x\r\n", "INFO nonsense\r\n", "INFO null\r\n", "x".repeat(70_000)]) {
    await withPeer(line, async (address) => {
      const message = await refusal({ address }, "UNREACHABLE");
      assert(message.includes("it is not a NATS server"), message);
    });
  }
  let gone = "";
  await withPeer(null, async (address) => {
    gone = address;
    const message = await refusal({ address }, "UNREACHABLE");
    assert(message.includes("it does not answer"), message);
  });
  const message = await refusal({ address: gone }, "UNREACHABLE");
  assert(message.includes("nothing listens there"), message);
});

Deno.test("connecting ends at once when it is aborted", async () => {
  await withPeer(null, async (address) => {
    const reason = new Error("stopped");
    const controller = new AbortController();
    const connecting = assertRejects(() =>
      Engine.connect({ ...ofTests, address, signal: controller.signal })
    );
    controller.abort(reason);
    assertEquals(await soon(connecting), reason);
  });
});

/** What a server says that then says no more. */
const silent = `INFO {"version":"2.10.27","jetstream":true}\r\n`;

Deno.test("connecting to a server that stays silent after its first line ends with the reason of the signal", async () => {
  await withPeer(silent, async (address) => {
    const reason = new Error("stopped");
    const controller = new AbortController();
    const connecting = assertRejects(() =>
      Engine.connect({ ...ofTests, address, signal: controller.signal })
    );
    setTimeout(() => controller.abort(reason), 100);
    assertEquals(await soon(connecting), reason);
  });
});

Deno.test("a server that stays silent after its first line is said not to answer", async () => {
  await withPeer(silent, async (address) => {
    const message = await refusal({ address }, "UNREACHABLE");
    assert(message.includes("it does not answer"), message);
  });
});

Deno.test("other machines are connected to without encryption only when that is allowed", async () => {
  const address = "nats://127.0.0.1:1,192.0.2.1:4222";
  const { message } = await assertRejects(() => Engine.connect({ ...ofTests, address }), RangeError);
  assert(message.includes("192.0.2.1:4222: it is not on this machine"), message);
  const stopped = AbortSignal.abort(new Error("stopped"));
  for (const allowed of [{ allowPlain: true }, { address: "tls://192.0.2.1" }]) {
    await assertRejects(
      () => Engine.connect({ ...ofTests, address, signal: stopped, ...allowed }),
      Error,
      "stopped",
    );
  }
});

test("an engine says when it has lost its server and when it is back", async () => {
  await using nats = await Nats.start();
  const server = nats.servers[0]!;
  await using engine = await soon(Engine.connect({ ...ofTests, address: server.url }));
  const events: EngineEvent[] = [];
  engine.listen((event) => void events.push(event));
  const before = performance.now();
  await server.kill();
  await until(() => events.length === 1);
  assertEquals(engine.lostAt, events[0]!.at);
  await server.restart();
  await until(() => events.length === 2);
  assertEquals(events.map(({ type }) => type), ["lost", "back"]);
  assert(before <= events[0]!.at && events[0]!.at <= events[1]!.at && events[1]!.at <= performance.now());
  assertEquals(engine.lostAt, null);
  await soon(engine.connection.flush());
});

test("an engine connects to the next server when one is down, and returns to that", async () => {
  await using nats = await Nats.start({ servers: 3 });
  const [first, second, third] = nats.servers as [NatsServer, NatsServer, NatsServer];
  await first.kill();
  await third.kill();
  await using engine = await soon(Engine.connect({ ...ofTests, address: nats.urls.join() }));
  assertEquals(engine.connection.info?.server_name, second.name);
  await first.restart();
  await second.kill();
  await until(() => engine.lostAt === null && engine.connection.info?.server_name === first.name);
});

test("an engine leaves its server for the next one when it is told to, or comes back to the only one", async () => {
  await using one = await start(jetStream);
  await using two = await start(jetStream);
  for (const servers of [[one, two], [one]]) {
    const address = servers.map(({ address }) => address).join();
    await using engine = await soon(Engine.connect({ ...ofTests, address }));
    const events: string[] = [];
    engine.listen(({ type }) => void events.push(type));
    assertEquals(engine.connection.getServer(), new URL(one.address).host);
    // The client passes over a server that it has connected to a moment ago.
    using _later = laterBy(10_000);
    await engine.changeServer();
    await until(() => events.length === 2);
    assertEquals(events, ["lost", "back"]);
    assertEquals(engine.connection.getServer(), new URL(servers.at(-1)!.address).host);
    await soon(engine.connection.flush());
  }
});

test("a bucket that cannot be made by one server is made by the next one", async () => {
  await using full = await start(
    `${jetStream}\nno_auth_user: a\naccounts { A { jetstream { max_streams: 1 }, users: [{ user: a, password: b }] } }`,
  );
  await using other = await start(jetStream);
  await using engine = await soon(
    Engine.connect({ ...ofTests, address: `${full.address},${other.address}` }),
  );
  const manager = await jetstreamManager(engine.connection);
  await manager.streams.add({ name: "the-only-one", subjects: ["a"] });
  const clock = new ManualClock();
  const { signal } = new AbortController();
  const changeServer = () => {
    assert(clock.now() >= 15_000);
    return engine.changeServer();
  };
  const opening = openBucket(engine.connection, { ...ofTests, name: "smp", signal, clock, changeServer });
  let isOpen = false;
  opening.then(() => isOpen = true);
  using _later = laterBy(10_000);
  await until(async () => {
    if (engine.lostAt === null) await clock.advance(50);
    return isOpen;
  });
  assertEquals(engine.connection.getServer(), new URL(other.address).host);
});

test("an engine leaves a frozen server that has not read what was sent", async () => {
  await using frozen = await Nats.start();
  await using other = await Nats.start();
  const address = `${frozen.urls[0]},${other.urls[0]}`;
  await using engine = await soon(Engine.connect({ ...ofTests, address }));
  const events: string[] = [];
  engine.listen(({ type }) => void events.push(type));
  frozen.servers[0]!.stop();
  try {
    for (let i = 0; i < 64; i++) engine.connection.publish("log", new Uint8Array(512 * 1024));
    await until(() => events.includes("back"));
    assertEquals(`nats://${engine.connection.getServer()}`, other.urls[0]);
  } finally {
    frozen.servers[0]!.cont();
  }
});

test("an engine is closed while its servers are down or frozen", async () => {
  await using nats = await Nats.start();
  const server = nats.servers[0]!;
  for (const fail of [() => server.kill(), () => server.stop()]) {
    const engine = await soon(Engine.connect({ ...ofTests, address: server.url }));
    await fail();
    for (let i = 0; i < 64; i++) engine.connection.publish("log", new Uint8Array(512 * 1024));
    await until(() => engine.lostAt !== null);
    await soon(engine[Symbol.asyncDispose]());
    server.cont();
    await server.restart();
  }
});

test("an engine does not stay with a server that it would not connect to", async () => {
  await using good = await start(jetStream);
  await using engine = await soon(Engine.connect({ ...ofTests, address: good.address }));
  const events: string[] = [];
  engine.listen(({ type }) => void events.push(type));
  await good.server.kill();
  await using folder = await temporaryFolder();
  const { hostname, port } = new URL(good.address);
  const config = `listen: "${hostname}:${port}"`;
  await using plain = new NatsServer({ name: "p", folder: folder.path, port: Number(port), config });
  lines.length = 0;
  await plain.restart();
  await until(() => lines.some((line) => line.includes("it runs without JetStream")));
  assertEquals(events, ["lost"]);
  await plain.kill();
  await good.server.restart();
  await until(() => events.length === 2);
  assertEquals(events, ["lost", "back"]);
});

test("users with password and with nkey are let in, others are not", async () => {
  const user = nkeys.createUser();
  const config = `authorization { users: [
    { user: "smp", password: "right" }, { nkey: ${user.getPublicKey()} }
  ] }`;
  await using started = await start(`${config}\n${jetStream}`);
  const { address } = started;
  await using folder = await temporaryFolder();
  const nkeyFile = `${folder.path}/seed`;
  await Deno.writeTextFile(nkeyFile, `${new TextDecoder().decode(user.getSeed())}\n`);
  for (const options of [{ user: "smp", password: "right" }, { nkeyFile }]) {
    await using engine = await soon(Engine.connect({ ...ofTests, address, ...options }));
    await soon(engine.connection.flush());
  }
  await refusal({ address, user: "smp", password: "wrong" }, "UNAUTHORIZED");
  await refusal({ address }, "UNAUTHORIZED");
  await Deno.writeTextFile(nkeyFile, new TextDecoder().decode(nkeys.createUser().getSeed()));
  await refusal({ address, nkeyFile }, "UNAUTHORIZED");
  await Deno.writeTextFile(nkeyFile, "SUX");
  await refusal({ address, nkeyFile }, "FILE");
  await refusal({ address, nkeyFile: `${folder.path}/none` }, "FILE");
  const pipe = `${folder.path}/pipe`;
  assert((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
  // Lets go of who waits for it.
  using _there = await Deno.open(pipe, { read: true, write: true });
  for (const options of [{ nkeyFile: pipe }, { user: "smp", password: "right", caFile: pipe }]) {
    await refusal({ address, ...options }, "FILE");
  }
});

/** A certificate of 127.0.0.1 that a CA has signed. */
async function makeCertificate(
  path: string,
): Promise<Readonly<Record<"ca" | "certificate" | "key", string>>> {
  const openssl = async (...args: string[]) => {
    const made = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-x509"];
    const { success, stderr } = await new Deno.Command("openssl", { args: ["req", ...made, ...args] })
      .output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  const [ca, caKey, certificate, key] = [
    `${path}-ca`,
    `${path}-ca-key`,
    `${path}-certificate`,
    `${path}-key`,
  ];
  const signed = ["-CA", ca, "-CAkey", caKey, "-addext", "subjectAltName=IP:127.0.0.1"];
  const leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
  await openssl("-subj", "/CN=ca", "-keyout", caKey, "-out", ca);
  await openssl("-subj", "/CN=server", "-keyout", key, "-out", certificate, ...signed, ...leaf);
  return { ca, certificate, key };
}

requiring(natsLack, lackOf("openssl", "version"))(
  "connections are encrypted with a CA file, and certificates that it does not sign are refused",
  async () => {
    await using folder = await temporaryFolder();
    const made = await makeCertificate(`${folder.path}/a`);
    const other = await makeCertificate(`${folder.path}/b`);
    const tls = `tls { cert_file: "${made.certificate}", key_file: "${made.key}" }`;
    await using started = await start(`${tls}\n${jetStream}`);
    const { address, server } = started;
    const encrypted = { address, caFile: made.ca };
    {
      await using engine = await soon(Engine.connect({ ...ofTests, ...encrypted }));
      await soon(engine.connection.flush());
      const events: string[] = [];
      engine.listen(({ type }) => void events.push(type));
      await server.restart();
      await until(() => events.includes("back"));
      await soon(engine.connection.flush());
    }
    assert((await refusal({ address }, "TLS")).includes("it requires TLS"));
    await refusal({ address, caFile: other.ca }, "TLS");
    await refusal({ address: address.replace("nats:", "tls:") }, "TLS");
    await using plain = await start(jetStream);
    assert(
      (await refusal({ ...encrypted, address: plain.address }, "TLS")).includes("it does not offer TLS"),
    );
  },
);

/** Lets users ask servers how they write. */
const exported = `
  system_account: SYS
  accounts {
    SYS { users: [{ user: sys, password: sys }], exports: [{ service: "$SYS.REQ.SERVER.PING.JSZ", response: stream }] }
    SMP {
      jetstream: enabled
      users: [{ user: smp, password: smp }]
      imports: [{ service: { account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ" } }]
    }
  }
`;

test("a server that acknowledges what is not on disk is refused, where it can be asked", async () => {
  const smp = { user: "smp", password: "smp" };
  const unsynced = jetStream.replace(", sync_interval: always", "");
  {
    await using started = await start(unsynced + exported);
    const message = await refusal({ address: started.address, ...smp }, "NOT_SYNCED");
    assert(message.includes("set `sync_interval: always`"), message);
  }
  lines.length = 0;
  {
    await using started = await start(jetStream + exported);
    await using _engine = await soon(Engine.connect({ ...ofTests, address: started.address, ...smp }));
    assert(!lines.some((line) => line.includes("could not check")));
  }
  await using started = await start(unsynced);
  await using _engine = await soon(Engine.connect({ ...ofTests, address: started.address }));
  assert(
    lines.some((line) => line.includes("could not check that NATS servers run with `sync_interval: always`")),
  );
});

test("that a user is not let in is said when other servers are silent or gone", async () => {
  await using started = await start(`authorization { user: smp, password: right }\n${jetStream}`);
  const wrong = { user: "smp", password: "wrong" };
  let gone = "";
  await withPeer(silent, async (address) => {
    gone = address;
    await refusal({ address: `${started.address},${address}`, ...wrong }, "UNAUTHORIZED");
  });
  await refusal({ address: `${started.address},${gone}`, ...wrong }, "UNAUTHORIZED");
});

test("what a user has no permission for is said at once", async () => {
  for (const denied of [`publish: { deny: "$JS.API.>" }`, `subscribe: { deny: "_INBOX.>" }`]) {
    const users = `authorization { users: [{ user: smp, password: smp, permissions: { ${denied} } }] }`;
    await using started = await start(`${users}\n${jetStream}`);
    const options = { ...ofTests, address: started.address, user: "smp", password: "smp" };
    await using engine = await soon(Engine.connect(options));
    lines.length = 0;
    const { signal } = new AbortController();
    const opening = openBucket(engine.connection, { name: "smp", log: ofTests.log, signal });
    const { code, message } = await soon(assertRejects(() => opening, EngineError));
    assertEquals(code, "BUCKET");
    assert(message.includes("Permissions Violation for "), message);
    assertEquals(lines.filter((line) => line.includes("trying again")), []);
  }
});

test("a server that answers too late is tried again", async () => {
  await using started = await start(jetStream);
  // The first connection reads what the server says, the second one logs in.
  await using proxy: CutProxy = new CutProxy(Number(new URL(started.address).port), (number) => {
    if (number === 2) proxy.cut();
    else proxy.mend();
  });
  const address = `nats://127.0.0.1:${proxy.port}`;
  await using engine = await soon(Engine.connect({ ...ofTests, address }));
  await soon(engine.connection.flush());
});
