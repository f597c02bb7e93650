import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { SmpClient, webSocketTransport } from "../../client/mod.ts";
import { openSslLack } from "../support/openssl.ts";
import { requiring } from "../support/requires.ts";
import { keyOf } from "../support/test_keys.ts";
import { run, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { next, soon } from "../support/wait.ts";
import { base64, rsaVector } from "../support/vectors.ts";
import { encodeBase64, SmpError } from "../../protocol/mod.ts";

Deno.test("start prints hash, store log and one line a transport when it accepts connections", async () => {
  // smp.md Server files: on every start the server prints …
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, webSockets: true });
  const [hash = "", store, tcp, webSockets, engine, address, hint, ...more] = server.printed;
  assert(/^transport key hash: [A-Za-z0-9+/]{43}=$/.test(hash), hash);
  assert(/^store log: off\b/.test(store ?? ""), store);
  assert(/^listening on port [1-9]\d* \(TCP\) at 127\.0\.0\.1$/.test(tcp ?? ""), tcp);
  assert(/^listening on port [1-9]\d* \(WebSockets\) at 127\.0\.0\.1$/.test(webSockets ?? ""), webSockets);
  assert(/^cryptography: node:crypto;/.test(engine ?? ""), engine);
  const expected = `127.0.0.1:${server.port("TCP")}#${server.keyHash}`;
  assertEquals([address, more], [`server address: ${expected}`, []]);
  assertStringIncludes(hint ?? "", `: smp ping "${expected}"`);
  const at = { host: "127.0.0.1", keyHash: server.keyHash };
  await using _tcp = await soon(SmpClient.connect({ ...at, port: server.port("TCP") }));
  await using _webSocket = await soon(
    SmpClient.connect({ ...at, port: server.port("WebSockets") }, { transport: webSocketTransport }),
  );
});

requiring(openSslLack)("a server that may open OpenSSL says so and runs on it", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, openSsl: true });
  assert(
    server.printed.some((line) => /^cryptography: OpenSSL 3\.\d+\.\d+$/.test(line)),
    server.printed.join("\n"),
  );
  await using client = await soon(SmpClient.connect(server.address));
  const keyPair = await keyOf("client", "sign");
  const queue = await client.createQueue({ keyPair });
  await client.secureQueue(queue, keyPair.publicKey);
  const text = new TextEncoder().encode("hello");
  await client.send({ senderId: queue.senderId, senderKey: keyPair.privateKey }, text);
  const event = await next(client.events(queue));
  assertEquals(event.type === "MSG" && event.body, text);
  const other = { senderId: queue.senderId, senderKey: (await keyOf("other", "sign")).privateKey };
  await assertRejects(() => client.send(other, text), SmpError, "AUTH");
});

Deno.test("start -y makes a key for its owner alone, which later starts keep", async () => {
  // smp.md Server files; transport.md RSA keys: server_key = PEM, PKCS#1
  await using parent = await temporaryFolder();
  const folder = `${parent.path}/not/there`;
  const hashes: string[] = [];
  for (const args of [["-y"], ["-y"], []]) {
    await using server = await ServerProcess.start({ folder, args });
    hashes.push(server.keyHash);
  }
  assertEquals(hashes, Array(3).fill(hashes[0]));
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
    !name.endsWith(".sock")
  );
  assertEquals(names.toSorted(), ["server_key", "smp-server.ini"]);
  for (const name of names) assertEquals((await Deno.stat(`${folder}/${name}`)).mode! & 0o777, 0o600);
  assertStringIncludes(await Deno.readTextFile(`${folder}/server_key`), "-----BEGIN RSA PRIVATE KEY-----\n");
});

Deno.test("a key that was made elsewhere is taken, PKCS#1 or PKCS#8", async () => {
  // transport.md RSA keys: PKCS#8 PEM also accepted
  const { pkcs1Pem, pkcs8, hash } = rsaVector("rsa2048");
  const lines = encodeBase64(base64(pkcs8)).match(/.{1,64}/g)!;
  const pkcs8Pem = ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
  await Promise.all([pkcs1Pem, pkcs8Pem].map(async (pem) => {
    await using folder = await temporaryFolder();
    await Deno.writeTextFile(`${folder.path}/server_key`, pem, { mode: 0o600 });
    await using server = await ServerProcess.start({ folder: folder.path, args: [] });
    assertEquals(server.keyHash, hash);
    assertEquals(await Deno.readTextFile(`${folder.path}/server_key`), pem);
  }));
});

Deno.test("without a key and without -y the server says what to pass and makes nothing", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await run(["start", "--config-dir", folder.path], { folder: folder.path });
  assertEquals([code, stdout], [1, ""]);
  assertOneLine(stderr);
  for (const text of [`${folder.path}/server_key`, "pass -y", "--config-dir"]) {
    assertStringIncludes(stderr, text);
  }
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

Deno.test("a key file that is no key is explained with its path and left alone", async () => {
  const pem = rsaVector("rsa2048").pkcs1Pem;
  const garbage = [
    "",
    "garbage",
    pem.slice(0, 500),
    pem.replace("MII", "AAA"),
    rsaVector("rsa2048BigExponent").pkcs1Pem,
  ];
  await Promise.all(garbage.map(async (text) => {
    await using folder = await temporaryFolder();
    const path = `${folder.path}/server_key`;
    await Deno.writeTextFile(path, text);
    const { code, stdout, stderr } = await run(["start", "-y", "--port", "0", "--config-dir", folder.path], {
      folder: folder.path,
    });
    assertEquals([code, stdout], [1, ""]);
    assertOneLine(stderr);
    assert(stderr.startsWith(`${path}: Cannot `), stderr);
    assertEquals(await Deno.readTextFile(path), text);
  }));
});

Deno.test("a key file that cannot be read or written is explained with its path", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/server_key`;
  await Deno.mkdir(path);
  const unreadable = await run(["-y", "--config-dir", folder.path], { folder: folder.path });
  assert(unreadable.stderr.startsWith(`Cannot read ${path}: `), unreadable.stderr);
  await Deno.writeTextFile(`${folder.path}/file`, "");
  const unwritable = await run(["-y", "--config-dir", `${folder.path}/file`], { folder: folder.path });
  assertStringIncludes(unwritable.stderr, `${folder.path}/file/`);
  for (const { code, stderr } of [unreadable, unwritable]) {
    assertEquals(code, 1);
    assertOneLine(stderr);
  }
});

Deno.test("a port that is taken is explained, for both transports", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/server_key`, rsaVector("rsa2048").pkcs1Pem, { mode: 0o600 });
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const start = ["start", "--host", "127.0.0.1", "--config-dir", folder.path];
  for (const place of [["--port", String(port)], ["--port", "0", "--ws-port", String(port)]]) {
    const { code, stdout, stderr } = await run([...start, ...place], {
      folder: folder.path,
      webSockets: true,
    });
    assertEquals([code, stdout], [1, ""]);
    assertOneLine(stderr);
    assert(/^Cannot listen on 127\.0\.0\.1\b.*\bin use\b/i.test(stderr), stderr);
    assertStringIncludes(stderr, String(port));
    assertStringIncludes(stderr, "; stop the program that has the port, or choose another one: --port");
  }
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} ends the server and its connections, and is no failure`, async () => {
    await using folder = await temporaryFolder();
    await using server = await ServerProcess.start({ folder: folder.path });
    await using client = await soon(
      SmpClient.connect({ host: "127.0.0.1", port: server.port("TCP"), keyHash: server.keyHash }),
    );
    using handshaking = await Deno.connect({ hostname: "127.0.0.1", port: server.port("TCP") });
    const outcome = await server.kill(signal);
    assertEquals(outcome, { code: 0, stdout: "stopping\nstopped\n", stderr: "" });
    assert(handshaking.localAddr.port > 0);
    await soon(client.closed);
  });
}

Deno.test("a signal ends the server well as soon as it says anything", async () => {
  // Several at a time, so that the signal comes at once now and then.
  const signals: Deno.Signal[] = ["SIGTERM", "SIGINT", "SIGTERM", "SIGINT", "SIGTERM", "SIGINT"];
  await Promise.all(signals.map(async (signal) => {
    await using folder = await temporaryFolder();
    await Deno.writeTextFile(`${folder.path}/server_key`, rsaVector("rsa2048").pkcs1Pem, { mode: 0o600 });
    await using server = await ServerProcess.start({
      folder: folder.path,
      args: [],
      until: "transport key hash",
    });
    const { code, stderr } = await server.kill(signal);
    assertEquals([code, stderr], [0, ""]);
  }));
});

Deno.test("what the command line does not know ends with 2 and one line", async () => {
  for (
    const [arg, message] of [["--bogus", "unknown option --bogus"], [
      "stopp",
      "unknown command stopp",
    ]] as const
  ) {
    const { code, stdout, stderr } = await run([arg]);
    assertEquals([code, stdout], [2, ""]);
    assertOneLine(stderr);
    assert(stderr.startsWith(message), stderr);
    assertStringIncludes(stderr, "--help");
  }
});

Deno.test("help and version need no permission", async () => {
  const [help, version] = await Promise.all([run(["--help"]), run(["--version"])]);
  assertEquals([help.code, help.stderr, version.code, version.stderr], [0, "", 0, ""]);
  for (const text of ["Usage: ", "start", "--config-dir"]) assertStringIncludes(help.stdout, text);
  assertStringIncludes(version.stdout, config.version);
  assertOneLine(version.stdout);
});

function assertOneLine(text: string): void {
  assertEquals(text.trimEnd().split("\n").length, 1, text);
}
