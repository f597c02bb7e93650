import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeBase64, encodePublicKeyText, SmpClient, SmpError, tcpChannel } from "../../mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { RawClient } from "../support/raw_client.ts";
import { run, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { keysOf } from "../support/test_keys.ts";
import { Telnet } from "../support/telnet.ts";
import { next, soon } from "../support/wait.ts";

const body = "the body of a message that nobody may see";
const token = "a token that nobody may see";
const password = "a@password:that#nobody=may-see";
const passphrase = "a passphrase that nobody may see";

/** Text in all the ways in which it could be printed. */
function forms(text: string): string[] {
  const bytes = textBytes(text);
  return [text, encodeBase64(bytes), bytes.toHex(), [...bytes].join(", "), [...bytes].join(",")];
}

function assertSecret(secrets: readonly string[], outputs: readonly string[]): void {
  for (const output of outputs) {
    for (const secret of secrets) {
      assert(secret.length > 8, "a secret that is short is found anywhere");
      assert(!output.includes(secret), `"${secret}" is in: ${output.slice(0, 2000)}`);
    }
  }
}

const ini = "[STORE_LOG]\nenable: on\nmessages: journal\n[METRICS]\nport: 0\n[LOG]\nlevel: debug\n" +
  `[ACCESS]\ncreate: password\npassword: ${password}\n` +
  "[LIMITS]\nmessages_per_queue: 3\nhandshake_timeout_seconds: 30\n";

/** Everything that can go well or wrong with queues; gives what must not be seen of it. */
async function useQueues(address: string): Promise<string[]> {
  const guess = "a-guess-that-nobody-may-see";
  await using guessing = await SmpClient.connect(`${guess}@${address}`);
  await using client = await SmpClient.connect(`${password}@${address}`);
  const [keyPair, other] = await keysOf("client", "sign");
  assert(keyPair !== undefined && other !== undefined);
  const queue = await client.createQueue({ keyPair });
  await assertRejects(() => guessing.createQueue({ keyPair }), SmpError, "the password is not");
  const wrong = { ...queue, recipientKey: other.privateKey };
  const refused = async (work: Promise<unknown>) =>
    assert(await work.then(() => null, (error) => error) instanceof SmpError);
  const sender = { senderId: queue.senderId, senderKey: keyPair.privateKey };
  await refused(client.subscribe(wrong));
  await refused(client.secureQueue(wrong, other.publicKey));
  await client.secureQueue(queue, keyPair.publicKey);
  for (let i = 0; i < 3; i++) await client.send(sender, textBytes(body));
  await refused(client.send(sender, textBytes(body)));
  await refused(client.send({ senderId: queue.senderId }, textBytes(body)));
  const events = client.events(queue);
  assertEquals((await next(events)).type, "MSG");
  await client.acknowledge(queue);
  const texts = [keyPair, other].map(({ publicKey }) => encodePublicKeyText(publicKey).slice(4));
  const passwords = [...forms(password), ...forms(guess)];
  return [queue.recipientId, queue.senderId, ...texts, ...forms(body), ...passwords];
}

/** Connections that are cut, that send junk, and a block that is not authentic. */
async function misbehave({ port }: { readonly port: number }): Promise<void> {
  for (const bytes of [new Uint8Array(0), new Uint8Array(256).fill(7)]) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(bytes);
    if (bytes.length > 0) { while (await connection.read(new Uint8Array(1000)) !== null); }
  }
  await using client = await RawClient.handshake(
    tcpChannel(await Deno.connect({ hostname: "127.0.0.1", port })),
  );
  await client.channel.write([new Uint8Array(4096).fill(9)]);
  assertEquals(await client.receive(), "   ERR BLOCK ");
}

/** The store log of the queues, whichever worker has them. */
async function logWithKeys(folder: string): Promise<string> {
  for await (const { name } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (name.startsWith("smp-server-store.log") && (await Deno.readTextFile(path)).includes("rk=rsa:")) {
      return path;
    }
  }
  throw new Error("no log has a key");
}

Deno.test("nothing that a server prints, logs or serves has IDs, keys, bodies or its password", async () => {
  await using parent = await temporaryFolder();
  const folder = `${parent.path}/a`, files = { folder: parent.path };
  await Deno.mkdir(folder);
  const directories = ["--config-dir", folder, "--log-dir", folder];
  const outputs: string[] = [];
  let secrets: string[];
  {
    await using server = await ServerProcess.start({ folder, ini });
    secrets = await useQueues(server.address);
    await misbehave({ port: server.port("TCP") });
    for (const path of ["metrics", "", "status.json", "health", "ready", "nothing"]) {
      outputs.push(await (await fetch(`${server.metricsUrl}${path}`)).text());
    }
    const admin = async (...args: string[]) => {
      const { stdout, stderr } = await run([...args, ...directories.slice(0, 2)], files);
      outputs.push(stdout, stderr);
    };
    await admin("status");
    await admin("status", "--json");
    await Deno.writeTextFile(`${folder}/smp-server.ini`, ini.replace("password: ", "password: x "));
    await admin("reload");
    await Deno.writeTextFile(`${folder}/smp-server.ini`, ini);
    await admin("reload");
    const { stdout, stderr } = await server.kill("SIGTERM");
    outputs.push(server.printed.join("\n"), stdout, stderr);
  }
  const runs = [
    ["verify", ...directories],
    ["export", `${parent.path}/exported`, ...directories],
  ];
  for (const args of runs) {
    const { stdout, stderr } = await run(args, files);
    outputs.push(stdout, stderr);
  }
  const storeLog = await logWithKeys(folder);
  // A damaged line is told by its number.
  await Deno.writeTextFile(storeLog, (await Deno.readTextFile(storeLog)).replace("rk=rsa:", "rk=rsa:!"));
  for (const args of [["start", "-y", "--port", "0", ...directories], ["verify", ...directories]]) {
    const { code, stdout, stderr } = await run(args, files);
    assertEquals(code, 1);
    outputs.push(stdout, stderr);
  }
  const key = (await Deno.readTextFile(`${folder}/server_key`)).split("\n")[2]!;
  assert(outputs.join("").length > 5_000);
  assertSecret([...secrets, key], outputs);
});

Deno.test("nothing that an agent prints has keys, bodies, invitations, its token, passphrase or a server's password", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/token`, `${token}\n`);
  await Deno.writeTextFile(`${folder.path}/passphrase`, `${passphrase}\n`);
  const access = `[ACCESS]\ncreate: password\npassword: ${password}\n`;
  await using server = await ServerProcess.start({ folder: folder.path, ini: access });
  await Deno.writeTextFile(`${folder.path}/server`, `${password}@${server.address}\n`);
  const args = ["--db", `${folder.path}/agent.db`, "--port", "0", "--server", `@${folder.path}/server`];
  for (const name of ["token", "passphrase"]) args.push(`--${name}-file`, `${folder.path}/${name}`);
  const script = "agent/main.ts";
  await using agent = await ServerProcess.startBare({
    script,
    folder: folder.path,
    args,
    until: "listening",
  });
  await using telnet = await Telnet.connect(agent.port());
  await telnet.ask("0", "", "TOKEN wrong, and more");
  await using user = await Telnet.connect(agent.port());
  await user.ask("0", "", `TOKEN ${token}`);
  const invitation = (await user.ask("1", "b", "NEW"))![2].slice(4);
  await user.send("2", "a", `JOIN ${invitation}`);
  for (let i = 0; i < 2; i++) await user.said();
  await user.send("3", "a", `SEND :${body}`);
  for (let i = 0; i < 2; i++) await user.said();
  // A message that waits while the server is gone.
  await server.kill("SIGKILL");
  await user.send("4", "a", `SEND :${body}`);
  await soon(user.said());
  const { stdout, stderr } = await agent.kill("SIGTERM");
  const secrets = [
    invitation.slice(-60),
    ...forms(body),
    ...forms(token),
    ...forms(passphrase),
    ...forms(password),
  ];
  assertSecret(secrets, [agent.printed.join("\n"), stdout, stderr]);
  // The passphrase keeps bodies and keys out of the file too; the token is nowhere.
  for await (const { name } of Deno.readDir(folder.path)) {
    if (!name.startsWith("agent.db")) continue;
    const content = new TextDecoder("latin1").decode(await Deno.readFile(`${folder.path}/${name}`));
    assertSecret([body, token, passphrase, password], [content]);
  }
});

Deno.test("nothing that a server prints, logs or serves has the address of a client", async () => {
  await using folder = await temporaryFolder();
  const limits = "connections_per_ip: 1\nhandshake_timeout_seconds: 1\n";
  const ini =
    `[TRANSPORT]\ntrust_forwarded_for: on\n[METRICS]\nport: 0\n[LOG]\nlevel: debug\n[LIMITS]\n${limits}`;
  await using server = await ServerProcess.start({ folder: folder.path, ini, webSockets: true });
  const client = "203.0.113.77";
  const connect = async (bytes: Uint8Array<ArrayBuffer>) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port("WebSockets") });
    const lines = ["GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"];
    lines.push("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==");
    lines.push(`X-Forwarded-For: ${client}`, "", "");
    await connection.write(new Uint8Array([...textBytes(lines.join("\r\n")), ...bytes]));
    return connection;
  };
  // One is refused for the other, one sends a wrong frame, and both end in their handshake.
  const connections = [await connect(new Uint8Array(0)), await connect(new Uint8Array(0))];
  connections.push(await connect(new Uint8Array(100).fill(255)));
  for (const connection of connections) {
    const buffer = new Uint8Array(1000);
    while (await soon(connection.read(buffer).catch(() => null)) !== null);
    connection.close();
  }
  const outputs: string[] = [];
  for (const path of ["metrics", "", "status.json", "health", "ready"]) {
    outputs.push(await (await fetch(`${server.metricsUrl}${path}`)).text());
  }
  assert(/smp_refused_total\{reason="connections_per_ip"\} [1-9]/.test(outputs[0]!), outputs[0]);
  const { stdout, stderr } = await server.kill("SIGTERM");
  assertSecret([client], [...outputs, server.printed.join("\n"), stdout, stderr]);
});
