import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { connectTcp, SmpClient } from "../../../mod.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { Metrics } from "../../../server/mod.ts";
import { type DurableOptions, DurableStores } from "../../../server/store/durable.ts";
import { RawClient } from "../../support/raw_client.ts";
import { commandOf, linesOf, run, ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { next, patience, soon } from "../../support/wait.ts";
import { rsaVector } from "../../support/vectors.ts";
import { keyOf } from "../../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

/** The moments of a start that are not told by anything that it prints, each by a file that is there then. */
const moments = [
  { when: "while the key is made", file: "smp-server.ini", args: ["-y"] },
  { when: "while the logs are read", file: "smp-server-store.log.lock", args: ["-l"] },
] as const;

/** Starts a server without waiting until it listens. */
function startIn(folder: string, args: readonly string[], preload?: string) {
  const [file, ...rest] = commandOf(
    ["start", "--host", "127.0.0.1", "--port", "0", "--config-dir", folder, "--log-dir", folder, ...args],
    // It is to make a key while it gets a signal.
    { folder, ready: false, ...(preload !== undefined && { preload }) },
  );
  const process = new Deno.Command(file!, { args: rest, stdin: "null", stdout: "piped", stderr: "piped" })
    .spawn();
  return process;
}

async function appears(path: string): Promise<void> {
  const end = performance.now() + patience;
  for (;;) {
    if (await Deno.stat(path).then(() => true, () => false)) return;
    assert(performance.now() < end, `there is no ${path}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A folder with a key and a log that takes long to read, of a queue and much that is gone. */
async function slowFolder(folder: string): Promise<void> {
  const { pkcs1Pem, text } = rsaVector("rsa2048");
  await Deno.writeTextFile(`${folder}/server_key`, pkcs1Pem, { mode: 0o600 });
  const create = `CREATE rid=AAAA sid=AAAB rk=${text} sk=\n`;
  await Deno.writeTextFile(`${folder}/smp-server-store.log`, create + "DELETE AAAC\n".repeat(1_000_000));
}

async function outcomeOf(process: Deno.ChildProcess) {
  const { code, stdout, stderr } = await soon(process.output());
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

for (const { when, file, args } of moments) {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.test(`${signal} ${when} ends the start well and leaves what a start needs`, async () => {
      await using folder = await temporaryFolder();
      const { path } = folder;
      if (args[0] === "-l") await slowFolder(path);
      const process = startIn(path, args);
      await appears(`${path}/${file}`);
      process.kill(signal);
      const { code, stdout, stderr } = await outcomeOf(process);
      assertEquals([code, stderr.includes(" ERROR ")], [0, false], stderr);
      assertMatch(stdout, /(^|\n)stopping\nstopped\n$/);
      const verified = await run(["verify", "--config-dir", path, "--log-dir", path], { folder: path });
      assertEquals(verified.code, 0, verified.stdout);
      if (args[0] === "-l") assertStringIncludes(verified.stdout, "ok: 1 queue");
      assert(!verified.stdout.includes("a server is running"));
    });
  }

  Deno.test(`SIGHUP ${when} waits until the server listens`, async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    if (args[0] === "-l") await slowFolder(path);
    const process = startIn(path, args);
    const errors = linesOf(process.stderr);
    await appears(`${path}/${file}`);
    await Deno.writeTextFile(`${path}/smp-server.ini`, "[LIMITS]\nnew_queues: off\n");
    // Several become one.
    for (let i = 0; i < 3; i++) process.kill("SIGHUP");
    let address = "";
    const printed = linesOf(process.stdout);
    for (; address === "";) {
      const { value, done } = await soon(printed.next());
      assert(!done, "the server has ended");
      address = /^server address: (.*)$/.exec(value)?.[1] ?? "";
    }
    for (let line = ""; !line.endsWith("read the limits again");) {
      const { value, done } = await soon(errors.next());
      assert(!done, "the server has ended");
      line = value;
    }
    await using client = await soon(SmpClient.connect(address));
    assertEquals(await client.createQueue({ keyPair }).then(() => "made", () => "refused"), "refused");
    process.kill("SIGTERM");
    const rest: string[] = [];
    for await (const line of printed) rest.push(line);
    assertEquals(rest.slice(-2), ["stopping", "stopped"]);
    for await (const _line of errors);
    assertEquals((await soon(process.status)).code, 0);
  });
}

for (const [name, args] of [["a start", []], ["a start with -y", ["-y"]]] as const) {
  Deno.test(`SIGTERM while the ini is read ends ${name} before a question is asked or a key made`, async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    const go = `${path}/go`;
    // When the server reads the ini it waits for who opens the pipe, and reads on when this is closed.
    assert((await new Deno.Command("mkfifo", { args: [go] }).output()).success);
    const preload = `${path}/slow_ini.ts`;
    await Deno.writeTextFile(
      preload,
      `const { readTextFile, stat } = Deno;
       Deno.stat = async (path) => {
         if (String(path).endsWith(".ini")) await readTextFile(${JSON.stringify(go)});
         return await stat(path);
       };`,
    );
    const process = startIn(path, args, preload);
    const printed = linesOf(process.stdout);
    {
      using _writer = await soon(Deno.open(go, { write: true }));
      process.kill("SIGTERM");
      assertEquals(await next(printed), "stopping");
    }
    assertEquals(await next(printed), "stopped");
    for await (const _line of printed);
    await process.stderr.cancel();
    assertEquals((await soon(process.status)).code, 0);
    assert(!await Deno.stat(`${path}/server_key`).then(() => true, () => false));
  });
}

Deno.test("a second signal while the logs are read ends the start at once", async () => {
  await using folder = await temporaryFolder();
  await slowFolder(folder.path);
  const process = startIn(folder.path, ["-l"]);
  await appears(`${folder.path}/smp-server-store.log.lock`);
  process.kill("SIGTERM");
  try {
    process.kill("SIGTERM");
  } catch {
    // The first one was enough.
  }
  const { code } = await outcomeOf(process);
  assert(code === 143 || code === 0, String(code));
  await using server = await ServerProcess.start({ folder: folder.path, args: ["-l"] });
  assertStringIncludes(await server.logged(), "read 1 queue");
});

/** Connects a peer that does not read its answers, for which a server that stops waits. */
async function stuckPeer(server: ServerProcess): Promise<AsyncDisposable> {
  const peer = await RawClient.handshake(await connectTcp("127.0.0.1", server.port("TCP")), 65536);
  const flood = (async () => {
    for (;;) await peer.send(...Array(16).fill(" 1  PING "));
  })().catch(() => {});
  const received = async () => {
    const metrics = await (await fetch(`${server.metricsUrl}metrics`)).text();
    return /^smp_received_bytes_total .*$/m.exec(metrics)![0];
  };
  for (let last = "", same = 0; same < 10;) {
    const now = await received();
    same = now === last && now !== "smp_received_bytes_total 0" ? same + 1 : 0;
    last = now;
  }
  return {
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]();
      await flood;
    },
  };
}

Deno.test("a second signal ends the server at once", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, ini: "[METRICS]\nport: 0\n" });
  await using _peer = await stuckPeer(server);
  server.signal("SIGTERM");
  assertEquals(await server.line(), "stopping");
  const { code, stdout } = await server.kill("SIGTERM");
  assertEquals([code, stdout], [143, ""]);
});

Deno.test("Ctrl-C that comes twice at once, as through npx, is one: messages are saved", async () => {
  const stopTwice = async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await using server = await ServerProcess.start({ folder: path, args: ["-y", "-l"] });
    {
      await using client = await SmpClient.connect(server.address);
      await client.send(await client.createQueue({ keyPair }), textBytes("x"));
    }
    server.signal("SIGINT");
    assertEquals(await server.line(), "stopping");
    const { code, stdout } = await server.kill("SIGINT");
    if (code !== 0) return code;
    assertEquals(stdout, "stopped\n");
    const verified = await run(["verify", "--config-dir", path, "--log-dir", path], { folder: path });
    assertStringIncludes(verified.stdout, "ok: 1 message");
    return code;
  };
  // On a busy machine the second one may be late, and ends what is left.
  let code = await stopTwice();
  for (let i = 0; i < 5 && code !== 0; i++) code = await stopTwice();
  assertEquals(code, 0);
});

Deno.test("SIGHUP while the server stops changes nothing: messages are saved", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const ini = "[STORE_LOG]\nenable: on\n[METRICS]\nport: 0\n";
  await using server = await ServerProcess.start({ folder: path, ini });
  await using client = await SmpClient.connect(server.address);
  await client.send(await client.createQueue({ keyPair }), textBytes("x"));
  {
    await using _peer = await stuckPeer(server);
    server.signal("SIGTERM");
    assertEquals(await server.line(), "stopping");
    server.signal("SIGHUP");
  }
  const { code, stdout } = await server.kill("SIGCONT");
  assertEquals([code, stdout], [0, "stopped\n"]);
  const verified = await run(["verify", "--config-dir", path, "--log-dir", path], { folder: path });
  assertStringIncludes(verified.stdout, "ok: 1 message");
});

Deno.test("SIGHUPs until the process has ended do not make a stop look like a crash", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, args: ["-y", "-l"] });
  const storm = setInterval(() => {
    try {
      server.signal("SIGHUP");
    } catch {
      // It has ended.
    }
  }, 1);
  try {
    assertStringIncludes(await server.logged(), "read 0 queues");
    assertStringIncludes(await server.logged(), "read the limits again");
    const { code, stdout } = await server.kill("SIGTERM");
    assertEquals([code, stdout], [0, "stopping\nstopped\n"]);
  } finally {
    clearInterval(storm);
  }
});

Deno.test("reading that is ended changes nothing and releases the log", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await slowFolder(path);
  const options: DurableOptions = {
    storeLog: `${path}/smp-server-store.log`,
    messagesFile: `${path}/smp-server-messages.log`,
    messages: "memory",
    restoreMessages: true,
    fsync: "off",
    fsyncInterval: 1000,
    metrics: new Metrics(),
    log: () => {},
  };
  const before = await Deno.readTextFile(options.storeLog);
  const reason = new Error("enough");
  const stop = new AbortController();
  const opened = DurableStores.open({ ...options, signal: stop.signal });
  await appears(`${options.storeLog}.lock`);
  stop.abort(reason);
  assertEquals(await opened.catch((error) => error), reason);
  assertEquals(await Deno.readTextFile(options.storeLog), before);
  await using _again = await DurableStores.open(options);
});

Deno.test("a stop that cannot save says why", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using server = await ServerProcess.start({ folder: path, ini: "[STORE_LOG]\nenable: on\n" });
  await using client = await SmpClient.connect(server.address);
  await client.send(await client.createQueue({ keyPair }), textBytes("x"));
  // What is written aside cannot be.
  await Deno.mkdir(`${path}/smp-server-messages.log.new`);
  const { code, stdout, stderr } = await server.kill("SIGTERM");
  assertEquals([code, stdout], [1, "stopping\n"]);
  assertStringIncludes(stderr, `Cannot write ${path}/smp-server-messages.log: `);
});
