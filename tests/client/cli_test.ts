import { assert, assertEquals, assertRejects } from "@std/assert";
import { counted } from "../../cli/counted.ts";
import { runLoad } from "../../client/cli/load.ts";
import { makeSigner } from "../../client/cli/load_queues.ts";
import { median } from "../../client/cli/ping.ts";
import { oneLine, readable } from "../../client/cli/print.ts";
import { SmpClient } from "../../client/mod.ts";
import { formatAddress, serverExtensions, serverHandshake, smpVersion } from "../../protocol/mod.ts";
import config from "../../deno.json" with { type: "json" };
import { commandOf, type Outcome, run, temporaryFolder } from "../support/server_process.ts";
import { FakeServer } from "../support/fake_server.ts";
import { identity, startServer } from "../support/server.ts";
import { next, soon, until } from "../support/wait.ts";

const script = "client/main.ts";

/** Runs `client/main.ts`, which may use the files of a folder; gives its JSON lines. */
async function smp(folder: string, ...args: readonly string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await run(args, { script, folder });
  assertEquals([code, stderr], [0, ""]);
  return stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Less than the processor can do, where it is not about how fast it goes. */
const slowly = ["--rate", "50"];

Deno.test("smp ping times a connection and answers", async () => {
  await using server = await startServer();
  const lines = await smp("/tmp", "ping", server.address, "--count", "3");
  assertEquals(lines.map(({ type }) => type), ["connected", "pong", "pong", "pong", "summary"]);
  assertEquals(lines.at(-1)!.count, 3);
  assert(lines.slice(0, 4).every(({ milliseconds }) => Number(milliseconds) > 0));
});

Deno.test("smp ping says what the server can, and whether nobody can read the session later", async () => {
  for (const extensions of [[...serverExtensions], ["window1"], []] as const) {
    await using server = await startServer({ extensions });
    const [connected] = await smp("/tmp", "ping", server.address, "--count", "1");
    const { protocolVersion, extensions: listed, forwardSecret } = connected!;
    const isRekeyed = extensions.some((name) => name === "rekey1");
    assertEquals([protocolVersion, listed, forwardSecret], [smpVersion, extensions, isRekeyed]);
  }
});

Deno.test("a queue is created, secured, sent to, read, suspended and deleted from the command line", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const file = (name: string) => `${folder.path}/${name}`;
  const queue = ["--file", file("queue")];
  const [created] = await smp(folder.path, "queue", "create", server.address, ...queue);
  assertEquals([created?.type, created?.server], ["created", server.address]);
  const senderId = String(created!.senderId);
  for (const name of ["queue"]) assertEquals((await Deno.stat(file(name))).mode! & 0o777, 0o600);
  const send = (text: string, ...more: string[]) =>
    smp(folder.path, "queue", "send", server.address, senderId, text, ...more);
  assertEquals(await send("unsigned"), [{ type: "sent", bytes: 8 }]);
  const [key] = await smp(folder.path, "queue", "key", "--file", file("key"));
  assertEquals((await Deno.stat(file("key"))).mode! & 0o777, 0o600);
  await smp(folder.path, "queue", "secure", String(key!.publicKey), ...queue);
  const refused = await run(["queue", "send", server.address, senderId, "no"], {
    script,
    folder: folder.path,
  });
  assertEquals(refused.code, 1);
  assert(refused.stderr.includes("(AUTH)"), refused.stderr);
  await send("signed", "--key", file("key"));
  await smp(folder.path, "queue", "suspend", ...queue);
  const received = await smp(folder.path, "queue", "receive", "--count", "2", ...queue);
  assertEquals(received.map(({ type, text }) => [type, text]), [["message", "unsigned"], [
    "message",
    "signed",
  ]]);
  // On a busy machine the server may take longer to answer.
  for (const seconds of [1, 4, 16, 64]) {
    const args = ["queue", "receive", "--timeout", `${seconds}`, ...queue];
    const late = await run(args, { script, folder: folder.path });
    if (late.stderr.includes("the server has not answered") && seconds < 64) continue;
    assertEquals([late.code, late.stderr], [1, `no message came in ${counted(seconds, "second")}\n`]);
    break;
  }
  assertEquals(await smp(folder.path, "queue", "delete", ...queue), [{ type: "deleted" }]);
  assertEquals(server.gauges().queues, 0);
});

Deno.test("smp queue receive ends by a signal, and keeps what was not printed", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const file = `${folder.path}/queue`;
  await smp(folder.path, "queue", "create", server.address, "--file", file);
  const [command, ...args] = commandOf(["queue", "receive", "--file", file], { script, folder: folder.path });
  await using child = new Deno.Command(command!, { args, stdout: "piped" }).spawn();
  const { senderId } = JSON.parse(await Deno.readTextFile(file));
  const output = child.stdout.getReader();
  // What comes from the standard input is sent as it is.
  const body = new Uint8Array([255, 0, 1]);
  const [sending, ...sendArgs] = commandOf(["queue", "send", server.address, senderId], {
    script,
    folder: folder.path,
  });
  await using sender = new Deno.Command(sending!, { args: sendArgs, stdin: "piped", stdout: "null" }).spawn();
  const input = sender.stdin.getWriter();
  await input.write(body);
  await input.close();
  const { value } = await soon(output.read());
  assertEquals(JSON.parse(new TextDecoder().decode(value)).base64, "/wAB");
  child.kill("SIGINT");
  assertEquals((await soon(child.status)).code, 0);
  await output.cancel();
  await soon(sender.status);
});

Deno.test("smp queue receive ends when nobody reads its output, and what comes then stays at the server", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const file = `${folder.path}/queue`;
  const [created] = await smp(folder.path, "queue", "create", server.address, "--file", file);
  const [command, ...args] = commandOf(["queue", "receive", "--file", file], { script, folder: folder.path });
  await using child = new Deno.Command(command!, { args, stdout: "piped", stderr: "piped" }).spawn();
  // As `head` does when it has enough.
  await child.stdout.cancel();
  await using client = await SmpClient.connect(server.address);
  await client.send({ senderId: String(created!.senderId) }, new Uint8Array(1));
  const stderr = await soon(new Response(child.stderr).text());
  assertEquals([(await child.status).code, stderr], [1, "nobody reads the standard output any more\n"]);
  assertEquals(server.gauges().messages, 1);
});

Deno.test("smp load measures, and leaves nothing", async () => {
  await using server = await startServer();
  const args = ["--pairs", "3", "--connections", "1", "--seconds", "1", ...slowly];
  const [result] = await smp("/tmp", "load", server.address, ...args);
  assertEquals([result?.type, result?.pairs, result?.connections], ["load", 3, 2]);
  assert(Number(result!.messages) > 0 && Number(result!.p99) >= Number(result!.p50));
  assertEquals([server.gauges().queues, server.gauges().messages], [0, 0]);
});

Deno.test("a load without a rate sends the next message when the one before is acknowledged", async () => {
  await using server = await startServer();
  const options = { pairs: 3, connections: 1, depth: 2, warmUp: 0, measured: 200 };
  const { cycles, p50, p99 } = await runLoad(server.address, options, { signer: await makeSigner() });
  assert(cycles > 3 * 2 && p99 >= p50, `${cycles} cycles, ${p50} and ${p99} ms`);
  assertEquals([server.gauges().queues, server.gauges().messages], [0, 0]);
});

Deno.test("smp makes queues on a server with a password, which it neither prints nor keeps", async () => {
  const password = "p:a@s#s";
  await using folder = await temporaryFolder();
  await using server = await startServer({ create: { password } });
  await Deno.writeTextFile(`${folder.path}/server`, `${password}@${server.address}\nmore\n`);
  for (const [i, address] of [`${password}@${server.address}`, `@${folder.path}/server`].entries()) {
    const file = `${folder.path}/queue${i}`;
    const [created] = await smp(folder.path, "queue", "create", address, "--file", file);
    assertEquals(created?.server, server.address);
    assertEquals((await Deno.readTextFile(file)).includes(password), false);
    const [connected] = await smp(folder.path, "ping", address, "--count", "1");
    assertEquals(connected?.type, "connected");
  }
  const load = ["--pairs", "2", "--connections", "1", "--seconds", "1", ...slowly];
  assertEquals((await smp(folder.path, "load", `@${folder.path}/server`, ...load))[0]?.type, "load");
  const cases = [
    [["queue", "create", server.address, "--file", `${folder.path}/x`], 1, "it wants its password (AUTH)"],
    [
      ["queue", "create", `x@${server.address}`, "--file", `${folder.path}/x`],
      1,
      "the password is not that of",
    ],
    [["load", server.address, ...load], 1, "the server answers ERR AUTH"],
    [["load", `x@${server.address}`, ...load], 1, "the server answers ERR AUTH"],
    [["ping", `${password}@a`], 2, "a has no key hash"],
    [["ping", `${password}@a:x`], 2, 'a:x: Cannot parse server address: port "x"'],
    [["ping", "pass word@a"], 2, 'a: Cannot parse server address: the password before "@"'],
    [["ping", `@${folder.path}/none`], 2, `cannot read the server in ${folder.path}/none: `],
  ] as const;
  for (const [args, expected, text] of cases) {
    const { code, stdout, stderr } = await run(args, { script, folder: folder.path });
    assertEquals([code, stdout], [expected, ""], stderr);
    assert(stderr.includes(text), stderr);
    assert(!stderr.includes(password) && !stderr.includes("word@"), stderr);
  }
});

Deno.test("what the command line of smp does not know ends with 2 and one line", async () => {
  const cases = [
    [[], "a command is missing"],
    [["dance"], "there is no command dance"],
    [["queue"], "a command is missing after queue: create, key, "],
    [["queue", "dance"], "there is no smp queue dance: create, key, "],
    [["queue", "send", "a", "bad id", "x", "--allow-unverified"], '"bad id" is not a sender ID'],
    [["queue", "send", "a", "", "x", "--allow-unverified"], '"" is not a sender ID'],
    [[""], 'there is no command ""'],
    [["ping"], "ADDRESS is missing"],
    [["ping", ""], '"": Cannot parse server address: host is empty'],
    [["ping", "@none"], "cannot read the server in none: Deno's --allow-read does not name it;"],
    [["queue", "create"], "ADDRESS is missing"],
    [["queue", "secure", "--file", "f"], "KEY is missing"],
    [["queue", "send", "a"], "SENDER_ID is missing"],
    [["load"], "ADDRESS is missing"],
    [["ping", "a"], "a has no key hash"],
    [["ping", "a:x"], "a:x: "],
    [["ping", "a", "--allow-unverified", "--count", "0"], "--count 0 is not a number"],
    [["ping", "a", "b"], "unknown argument b"],
    [["ping", "a", "--bogus"], "unknown option --bogus"],
    [["queue", "create", "a", "--allow-unverified"], "--file is missing"],
    [["queue", "secure", "rsa:x", "--file", "f"], "Cannot parse public key"],
    [["load", "a", "--allow-unverified", "--seconds", "x"], "--seconds x is not a number"],
    [["load", "a", "--allow-unverified", "--window", "129"], "--window 129 is not a number"],
    [["load", "a", "--allow-unverified", "--block-size", "5000"], "--block-size 5000 is not one of 4096, "],
    [["load", "a", "--allow-unverified", "--open=yes"], "--open takes no value"],
  ] as const;
  await Promise.all(cases.map(async ([args, text]) => {
    const { code, stdout, stderr } = await run(args, { script });
    assertEquals([code, stdout], [2, ""], stderr);
    assert(stderr.startsWith(text), `${args.join(" ")}: ${stderr}`);
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  }));
});

Deno.test("what cannot be done ends with 1 and one line", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const file = `${folder.path}/file`;
  await Deno.writeTextFile(file, "{}");
  const cases = [
    [["ping", `127.0.0.1:1#${server.keyHash}`], "Cannot connect to 127.0.0.1:1"],
    [["ping", `127.0.0.1:${server.port}#${btoa("\0".repeat(32))}`], "Cannot trust the server"],
    [["queue", "receive", "--file", file], `Cannot read ${file}: it has no server`],
    [
      ["queue", "receive", "--file", `${folder.path}/none`],
      `Cannot read ${folder.path}/none: there is no such`,
    ],
    [
      ["queue", "key", "--file", `${folder.path}/no/key`],
      `Cannot write ${folder.path}/no/key: there is no such`,
    ],
    [["queue", "key", "--file", "/no-key"], "Cannot write /no-key: this program may not use it"],
    [["queue", "create", server.address, "--file", file], `Cannot write ${file}: it is there already`],
    [["queue", "key", "--file", file], `Cannot write ${file}: it is there already`],
  ] as const;
  for (const [args, text] of cases) {
    const { code, stdout, stderr } = await run(args, { script, folder: folder.path });
    assertEquals([code, stdout], [1, ""], stderr);
    assert(stderr.startsWith(text), stderr);
  }
  assertEquals(server.gauges().queues, 0);
  assertEquals(await Deno.readTextFile(file), "{}");
});

Deno.test("a disk that takes nothing leaves neither a file nor a queue", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const file = `${folder.path}/file`;
  // Files of no length, as on a full disk.
  const wrapper = ["sh", "-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "sh"];
  for (const command of [["create", server.address], ["key"]]) {
    const args = ["queue", ...command, "--file", file];
    const { code, stdout, stderr } = await run(args, { script, folder: folder.path, wrapper });
    assertEquals([code, stdout], [1, ""], stderr);
    assert(stderr.startsWith(`Cannot write ${file}: `) && !stderr.includes("os error"), stderr);
    assertEquals([...Deno.readDirSync(folder.path)], []);
  }
  assertEquals(server.gauges().queues, 0);
});

/** A port where nothing but connections happens; tells of each. */
function silentPort() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.TcpConn[] = [];
  const accepted = (async function* () {
    for await (const connection of listener) {
      connections.push(connection);
      yield connection;
    }
  })();
  return {
    port: listener.addr.port,
    accepted,
    [Symbol.dispose]() {
      listener.close();
      for (const connection of connections) {
        try {
          connection.close();
        } catch {
          // The test has closed it.
        }
      }
    },
  };
}

Deno.test("Ctrl-C ends every command of smp, also while it waits for the server or its input", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  using silent = silentPort();
  const [file, made] = [`${folder.path}/queue`, `${folder.path}/made`];
  await smp(folder.path, "queue", "create", server.address, "--file", file);
  const address = `127.0.0.1:${silent.port}#${server.keyHash}`;
  const stored = JSON.parse(await Deno.readTextFile(file));
  await Deno.writeTextFile(file, JSON.stringify({ ...stored, server: address }));
  const [key] = await smp(folder.path, "queue", "key", "--file", `${folder.path}/key`);
  const queue = ["--file", file];
  const commands: readonly (readonly [code: number, args: readonly string[]])[] = [
    [130, ["ping", address]],
    [130, ["queue", "create", address, "--file", made]],
    [130, ["queue", "secure", String(key!.publicKey), ...queue]],
    [130, ["queue", "send", address, stored.senderId, "text"]],
    [130, ["queue", "suspend", ...queue]],
    [130, ["queue", "delete", ...queue]],
    [130, ["load", address]],
    // It is how one ends it.
    [0, ["queue", "receive", ...queue]],
  ];
  for (const [code, args] of commands) {
    const [command, ...rest] = commandOf(args, { script, folder: folder.path });
    await using child = new Deno.Command(command!, { args: rest, stdout: "null", stderr: "piped" }).spawn();
    await next(silent.accepted);
    child.kill("SIGINT");
    const { code: ended, stderr } = await soon(child.output());
    const text = new TextDecoder().decode(stderr);
    assertEquals([ended, text], [code, code === 0 ? "" : "interrupted\n"], args.join(" "));
  }
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name).toSorted(), ["key", "queue"]);
});

Deno.test("Ctrl-C ends smp queue send while it reads, and smp load with its queues deleted", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const start = (stdin: "piped" | "null", ...args: readonly string[]) => {
    const [command, ...rest] = commandOf(args, { script, folder: folder.path });
    return new Deno.Command(command!, { args: rest, stdin, stdout: "null", stderr: "piped" }).spawn();
  };
  await using sending = start("piped", "queue", "send", server.address, "AAAA");
  // More than a pipe holds: it is read.
  const input = sending.stdin.getWriter();
  await soon(input.write(new Uint8Array(2 ** 18)));
  sending.kill("SIGINT");
  const { code, stderr } = await soon(sending.output());
  assertEquals([code, new TextDecoder().decode(stderr)], [130, "interrupted\n"]);
  await input.abort().catch(() => {});
  await using loading = start("null", "load", server.address, "--seconds", "1000", "--pairs", "3");
  await until(() => server.gauges().connections === 8);
  loading.kill("SIGTERM");
  const load = await soon(loading.output());
  assertEquals([load.code, new TextDecoder().decode(load.stderr)], [143, "interrupted\n"]);
  await until(() => server.gauges().connections === 0);
  assertEquals(server.gauges().queues, 0);
});

Deno.test("Ctrl-C deletes the queues of smp load while it still makes them", async () => {
  await using folder = await temporaryFolder();
  const interrupt = async () => {
    await using server = await startServer();
    const [command, ...args] = commandOf(["load", server.address, "--pairs", "10000"], {
      script,
      folder: folder.path,
    });
    await using loading = new Deno.Command(command!, { args, stdout: "null", stderr: "piped" }).spawn();
    await until(() => server.gauges().queues > 20);
    loading.kill("SIGINT");
    // Through npx it comes twice at once.
    let most = 0;
    await until(() => server.gauges().queues < (most = Math.max(most, server.gauges().queues)));
    try {
      loading.kill("SIGINT");
    } catch {
      // It has ended.
    }
    const { code, stderr } = await soon(loading.output());
    assertEquals(code, 130);
    return { stderr: new TextDecoder().decode(stderr), left: server.gauges().queues };
  };
  // On a busy machine the second one may be late, and ends what is left.
  let outcome = await interrupt();
  for (let i = 0; i < 5 && outcome.left > 0; i++) outcome = await interrupt();
  assertEquals(outcome, { stderr: "interrupted\n", left: 0 });
});

Deno.test("smp load that the server refuses queues deletes those that it has", async () => {
  await using server = await startServer({ limits: { newQueuesPerHourPerIp: 5 } });
  const { code, stderr } = await run(["load", server.address, "--pairs", "20"], { script, folder: "/tmp" });
  assertEquals([code, stderr], [1, "the server answers ERR INTERNAL\n"]);
  assertEquals(server.gauges().queues, 0);
});

Deno.test("a load that was ended before it began makes nothing", async () => {
  await using server = await startServer();
  const options = { pairs: 1, connections: 1, depth: 1, warmUp: 0, measured: 1_000_000 };
  const load = runLoad(server.address, options, { signer: await makeSigner(), signal: AbortSignal.abort() });
  await soon(assertRejects(() => load, DOMException, "aborted"));
  assertEquals(server.gauges().queues, 0);
  await until(() => server.gauges().connections === 0);
});

Deno.test("the timeout of smp queue receive has connecting in it", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  using silent = silentPort();
  const file = `${folder.path}/queue`;
  await smp(folder.path, "queue", "create", server.address, "--file", file);
  const stored = JSON.parse(await Deno.readTextFile(file));
  await Deno.writeTextFile(
    file,
    JSON.stringify({ ...stored, server: `127.0.0.1:${silent.port}#${server.keyHash}` }),
  );
  const waiting = silent.accepted.next();
  const args = ["queue", "receive", "--file", file, "--timeout", "1"];
  const { code, stderr } = await run(args, { script, folder: folder.path });
  assertEquals([code, stderr], [1, "no message came in 1 second: the server has not answered\n"]);
  await soon(waiting);
});

Deno.test("the middle of an even count is between the two in the middle", { permissions: "none" }, () => {
  assertEquals([[3], [1, 3], [1, 2, 4], [1.265, 1.731, 2.969, 9.241]].map(median), [3, 2, 2, 2.35]);
});

Deno.test("deno task smp has the files where the user stands, and no others", async () => {
  await using folder = await temporaryFolder();
  await Deno.mkdir(`${folder.path}/a b`);
  const task = (...args: readonly string[]) => {
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const cwd = `${folder.path}/a b`;
    return new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "--config", config, "smp", ...args],
      cwd,
      // What started the tests may have set it.
      env: { INIT_CWD: cwd, NO_COLOR: "1" },
      stdin: "null",
    }).output();
  };
  const { code, stderr } = await soon(task("queue", "key", "--file", "bob.json"));
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  assert((await Deno.stat(`${folder.path}/a b/bob.json`)).isFile);
  assertEquals((await soon(task("queue", "key", "--file", `${folder.path}/elsewhere`))).code, 1);
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["a b"]);
});

Deno.test("smp --help and --version need no permission", async () => {
  const all = [["--help"], ["--version"], ["-h"], ["help"], ["ping", "-h"]].map((args) =>
    run(args, { script })
  );
  const [help, version, ...same] = await Promise.all(all) as [Outcome, Outcome, ...Outcome[]];
  assertEquals([help.code, version.code], [0, 0]);
  for (const { stdout } of same) assertEquals(stdout, help.stdout);
  for (const line of help.stdout.split("\n")) assert(line.length <= 110, line);
  for (const command of ["ping", "queue create", "queue receive", "load"]) {
    assert(help.stdout.includes(command));
  }
  assert(version.stdout.includes(config.version));
});

Deno.test("what is printed has no control characters, turns no writing, and is what it was", () => {
  const text = Array.from({ length: 0x100 }, (_, i) => String.fromCharCode(i)).join("") +
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069";
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/.test(oneLine({ text })));
  assertEquals(JSON.parse(oneLine({ text })), { text });
  // A mark of the order of bytes is a part of what was sent.
  assertEquals(readable(new TextEncoder().encode("\ufeffa")), { text: "\ufeffa" });
  assertEquals(readable(Uint8Array.of(0xff)), { base64: "/w==" });
});

for (const place of ["the handshake", "its answers"]) {
  Deno.test(`a load ends when the server is silent instead of ${place}`, async () => {
    await using server = await FakeServer.start("tcp");
    const options = { pairs: 1, connections: 1, depth: 1, warmUp: 1, measured: 1 };
    const load = runLoad(formatAddress(server.address), options, {
      signer: await makeSigner(),
      patience: 1_000,
    });
    const ended = assertRejects(() => load, Error, "1000 ms");
    const channel = await server.accept();
    if (place === "its answers") await serverHandshake(channel, identity.keyPair);
    await soon(ended);
    await channel.close();
  });
}
