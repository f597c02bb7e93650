import { generateKeyPairSync } from "node:crypto";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { SmpClient } from "../../../mod.ts";
import { connectTcp, textBytes } from "../../../protocol/mod.ts";
import { parseConfig } from "../../../server/config/config_file.ts";
import { RawClient } from "../../support/raw_client.ts";
import {
  commandOf,
  giveKey,
  type Outcome,
  run,
  ServerProcess,
  temporaryFolder,
} from "../../support/server_process.ts";
import { soon } from "../../support/wait.ts";
import { rsaVector } from "../../support/vectors.ts";
import { keyOf } from "../../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

const journal = "[STORE_LOG]\nenable: on\nmessages: journal\n";
const logs = ["smp-server-messages.log", "smp-server-store.log"];

/** Runs a command on the files of a folder. */
function onFolder(folder: string, ...args: readonly string[]): Promise<Outcome> {
  return run([...args, "--config-dir", folder, "--log-dir", folder], { folder });
}

async function metricsOf(server: ServerProcess): Promise<string> {
  return await (await fetch(`${server.metricsUrl}metrics`)).text();
}

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).toSorted();
}

/** Every file of a folder with its content and when it was written. */
function contentOf(folder: string): [string, string, number | undefined][] {
  return namesIn(folder).map((name) => {
    const path = `${folder}/${name}`;
    return [name, Deno.readTextFileSync(path), Deno.statSync(path).mtime?.getTime()];
  });
}

/** Makes a queue with messages on a server. */
async function fillQueue(address: string, texts: readonly string[]) {
  await using client = await SmpClient.connect(address);
  const queue = await client.createQueue({ keyPair });
  for (const text of texts) await client.send(queue, textBytes(text));
  return queue;
}

type Queue = Awaited<ReturnType<typeof fillQueue>>;

/** What waits in a queue. */
async function textsOf(address: string, queue: Queue, count: number): Promise<string[]> {
  await using client = await SmpClient.connect(address);
  const events = client.events(queue);
  await client.subscribe(queue);
  const texts: string[] = [];
  for await (const event of events) {
    assert(event.type === "MSG");
    texts.push(new TextDecoder().decode(event.body));
    await client.acknowledge(queue);
    if (texts.length === count) break;
  }
  return texts;
}

function assertFailed({ code, stderr }: Outcome, ...texts: readonly string[]): void {
  assertEquals(code, 1);
  for (const text of texts) assertStringIncludes(stderr, text);
  assert(!stderr.includes("    at "), stderr);
}

/** Runs a command on a terminal of its own, which it asks; gives what the terminal shows. */
async function onTerminal(answer: string, args: readonly string[], folder: string): Promise<string> {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const command = commandOf([...args, "--config-dir", folder, "--log-dir", folder], { folder });
  const process = new Deno.Command("script", {
    args: ["--quiet", "--return", "--command", command.map(quote).join(" "), "/dev/null"],
    cwd: new URL("../../../", import.meta.url),
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  let shown = "", isAnswered = false;
  const talk = async () => {
    for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
      shown += text;
      if (isAnswered || !shown.includes("[y/N] ")) continue;
      isAnswered = true;
      await writer.write(textBytes(answer));
    }
  };
  await soon(talk());
  const { code } = await soon(process.status);
  await writer.close().catch(() => {});
  return `${shown}\ncode ${code}`;
}

Deno.test("init makes key and ini, prints the address, and changes nothing the second time", async () => {
  await using parent = await temporaryFolder();
  const folder = `${parent.path}/etc`;
  const first = await run(["init", "--config-dir", folder], { folder: parent.path });
  assertEquals([first.code, first.stderr], [0, ""]);
  assertEquals(namesIn(folder), ["server_key", "smp-server.ini"]);
  const hash = /^transport key hash: (\S+)$/m.exec(first.stdout)![1];
  assertStringIncludes(first.stdout, `\nserver address: localhost:5223#${hash}\n`);
  const content = contentOf(folder);
  const second = await run(["init", "--config-dir", folder], { folder: parent.path });
  assertEquals([second.code, second.stderr], [0, ""]);
  assertEquals(
    second.stdout,
    first.stdout.replace(/^made .*$/m, `${folder}/server_key is there already: nothing was changed`),
  );
  assertEquals(contentOf(folder), content);
  // The address has the name that the ini gives.
  await Deno.writeTextFile(
    `${folder}/smp-server.ini`,
    "[TRANSPORT]\npublic_host: smp.example.org\nport: 443\n",
  );
  const third = await run(["init", "--config-dir", folder], { folder: parent.path });
  assertStringIncludes(third.stdout, `\nserver address: smp.example.org:443#${hash}\n`);
});

Deno.test("init writes what it is given into the ini that it makes, and start goes by it", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const given = ["-l", "--host", "127.0.0.1", "--port", "0", "--ws-port=0"];
  const made = await onFolder(path, "init", ...given);
  assertEquals([made.code, made.stderr], [0, ""]);
  const directories = { configDir: path, logDir: path };
  const text = await Deno.readTextFile(`${path}/smp-server.ini`);
  assertEquals(text.split("\n").filter((line) => /^[a-z]/.test(line)), [
    "enable: on",
    "host: 127.0.0.1",
    "port: 0",
    "websockets: 0",
  ]);
  const written = { host: "127.0.0.1", port: 0, webSocketPort: 0, storeLog: true };
  assertEquals(parseConfig(text, "ini", directories).config, {
    ...parseConfig("", "ini", directories).config,
    ...written,
  });
  const content = contentOf(path);
  assertEquals((await onFolder(path, "init", ...given)).code, 0);
  assertFailed(await onFolder(path, "init", "--port", "1"), `${path}/smp-server.ini is there already`);
  assertEquals(contentOf(path), content);
  await using server = await ServerProcess.startBare({
    folder: path,
    args: ["start", "--config-dir", path, "--log-dir", path],
    webSockets: true,
  });
  assert(server.port("TCP") > 0 && server.port("WebSockets") > 0);
  assert(server.printed.includes(`store log: ${path}/smp-server-store.log`));
});

Deno.test("verify and export take the -l that start needed", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await onFolder(path, "init");
  const off = "warning: the store log is off: start does not read these logs\n";
  assertStringIncludes((await onFolder(path, "verify")).stdout, off);
  const verified = await onFolder(path, "verify", "-l");
  assertEquals([verified.code, verified.stdout.includes(off)], [0, false]);
  assertEquals((await onFolder(path, "export", `${path}/moved`, "-l")).code, 0);
});

Deno.test("a directory that cannot be written to is told, and nothing is left in it", async () => {
  await using folder = await temporaryFolder();
  const denied = await run(["init", "--config-dir", `${folder.path}/etc`], {
    folder: `${folder.path}/other`,
  });
  assertFailed(denied, `${folder.path}/etc`);
  assertEquals(namesIn(folder.path), []);
  await Deno.writeTextFile(`${folder.path}/file`, "");
  assertFailed(await onFolder(`${folder.path}/file`, "init"), `${folder.path}/file/`);
  assertEquals(namesIn(folder.path), ["file"]);
});

Deno.test("start asks at a terminal whether to make the files", async () => {
  await using folder = await temporaryFolder();
  const no = await onTerminal("n\n", ["start", "--host", "127.0.0.1", "--port", "0"], folder.path);
  for (const text of ["Create the server's key and smp-server.ini?", "Nothing was created", "code 1"]) {
    assertStringIncludes(no, text);
  }
  assertEquals(namesIn(folder.path), []);
});

Deno.test("y and yes in any case mean yes, and everything else no", async () => {
  for (
    const [answer, isYes] of [["yes", true], ["Y", true], [" YES ", true], ["yess", false], [
      "",
      false,
    ]] as const
  ) {
    await using folder = await temporaryFolder();
    await giveKey(folder.path);
    await Deno.writeTextFile(`${folder.path}/smp-server.ini`, journal);
    const shown = await onTerminal(`${answer}\n`, ["delete"], folder.path);
    assertStringIncludes(shown, isYes ? "code 0" : "Nothing was deleted");
    assertEquals(namesIn(folder.path).length, isYes ? 0 : 2, answer);
  }
  await using folder = await temporaryFolder();
  // A port that cannot be had ends the start after its files are made.
  const place = ["start", "--host", "192.0.2.1", "--port", "1"];
  assertStringIncludes(await onTerminal("Yes\n", place, folder.path), "Cannot listen");
  assertEquals(namesIn(folder.path).filter((name) => !name.endsWith(".lock")), [
    "server_key",
    "smp-server.ini",
  ]);
});

Deno.test("Ctrl-C and Ctrl-D at a question end with a line that says so, and do nothing", async () => {
  await using folder = await temporaryFolder();
  await onFolder(folder.path, "init");
  for (
    const [key, line, code] of [["\x03", "interrupted", 130], ["\x04", "Nothing was deleted", 1]] as const
  ) {
    const shown = await onTerminal(key, ["delete"], folder.path);
    const text = shown.replaceAll("\r", "").replace("^C", "").replace("^D\b\b", "");
    assertStringIncludes(text, `[y/N] \n${line}\n`);
    assertStringIncludes(shown, `code ${code}`);
    assertEquals(namesIn(folder.path), ["server_key", "smp-server.ini"]);
  }
});

Deno.test("delete asks, and removes what the server made and nothing else", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await onFolder(path, "init");
  for (const name of [...logs, "smp-server-store.log.broken-1", "smp-server-store.log.bak", "mine"]) {
    await Deno.writeTextFile(`${path}/${name}`, "");
  }
  const before = namesIn(path);
  assertFailed(await onFolder(path, "delete"), "pass -y", `${path}/server_key`);
  const no = await onTerminal("n\n", ["delete"], path);
  assertStringIncludes(no, "Nothing was deleted");
  assertStringIncludes(no, "code 1");
  assertEquals(namesIn(path), before);
  const yes = await onTerminal("y\n", ["delete"], path);
  assertStringIncludes(yes, `deleted ${path}/server_key`);
  assertStringIncludes(yes, "code 0");
  assertEquals(namesIn(path), ["mine", "smp-server-store.log.bak"]);
  const again = await onFolder(path, "delete", "-y");
  assertEquals([again.code, again.stdout], [0, "there is nothing to delete\n"]);
});

Deno.test("delete works on an ini that cannot be read, and not on a server that runs", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  {
    await using _server = await ServerProcess.start({ folder: path, ini: journal });
    const content = namesIn(path);
    assertFailed(await onFolder(path, "delete", "-y"), "it is running", "stop it first");
    assertEquals(namesIn(path), content);
  }
  await Deno.writeTextFile(`${path}/smp-server.ini`, "junk");
  const { code, stderr } = await onFolder(path, "delete", "-y");
  assertEquals(code, 0);
  assertStringIncludes(stderr, "line 1");
  assertEquals(namesIn(path), []);
});

Deno.test("a second server on the same log is refused, and the first goes on", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using server = await ServerProcess.start({ folder: path, ini: journal });
  assert(server.printed.includes(`store log: ${path}/smp-server-store.log`));
  const place = ["--host", "127.0.0.1", "--port", "0", "--config-dir", `${path}/other`, "--log-dir", path];
  const second = await run(["start", "-y", "-l", ...place], { folder: path });
  assertFailed(second, `${path}/smp-server-store.log`, "another", "--log-dir");
  await using client = await SmpClient.connect(server.address);
  await client.createQueue({ keyPair });
});

Deno.test("no key is made for a server whose queues are there and whose key is not", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  {
    await using server = await ServerProcess.start({ folder: path, ini: journal });
    await fillQueue(server.address, ["a"]);
    await server.kill("SIGTERM");
  }
  await Deno.rename(`${path}/server_key`, `${path}/away`);
  const before = contentOf(path);
  for (const command of [["start", "-y", "--port", "0"], ["init"]]) {
    const outcome = await onFolder(path, ...command);
    assertFailed(outcome, `no ${path}/server_key`, `${path}/smp-server-store.log`, "put its key back");
  }
  assertEquals(contentOf(path), before);
  await Deno.rename(`${path}/smp-server-store.log`, `${path}/smp-server-store.log.g1-w0`);
  await Deno.writeTextFile(
    `${path}/smp-server-store.log.workers`,
    "smp-workers 1 generation=1 workers=2 partitions=2\n",
  );
  assertFailed(await onFolder(path, "start", "-y", "--port", "0"), "smp-server-store.log.workers");
});

Deno.test("verify tells what is right and what is wrong with key, ini and logs, and changes nothing", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const check = async () => {
    const before = contentOf(path);
    const outcome = await onFolder(path, "verify");
    assertEquals(contentOf(path), before);
    return outcome;
  };
  const empty = await check();
  assertFailed(empty, "1 thing is wrong");
  assertStringIncludes(empty.stdout, `wrong: there is no ${path}/server_key`);
  {
    await using server = await ServerProcess.start({ folder: path, ini: journal });
    await fillQueue(server.address, ["a", "b"]);
    const running = await onFolder(path, "verify");
    assertEquals(running.code, 0);
    assertStringIncludes(running.stdout, "a server is running");
    await server.kill("SIGTERM");
  }
  const good = await check();
  assertEquals([good.code, good.stderr], [0, ""]);
  assertStringIncludes(good.stdout, `ok: 1 queue in ${path}/smp-server-store.log\n`);
  assertStringIncludes(good.stdout, `ok: 2 messages in ${path}/smp-server-messages.log\n`);
  await Deno.chmod(`${path}/server_key`, 0o644);
  assertStringIncludes((await check()).stdout, "can be read by other users");
  const log = await Deno.readTextFile(`${path}/smp-server-store.log`);
  await Deno.writeTextFile(`${path}/smp-server-store.log`, `bogus line\n${log}`);
  const bad = await check();
  assertFailed(bad, "1 thing is wrong");
  assertStringIncludes(bad.stdout, `wrong: ${path}/smp-server-store.log: line 1: `);
  // start refuses, --repair goes on with a copy
  assertFailed(await onFolder(path, "start", "--port", "0"), "smp-server-store.log", "line 1", "--repair");
  await using server = await ServerProcess.start({ folder: path, args: ["--repair"] });
  assertEquals(namesIn(path).filter((name) => name.includes(".broken-")).length, 1);
  await server.kill("SIGTERM");
  assertEquals((await check()).code, 0);
  await Deno.writeTextFile(`${path}/server_key`, "x");
  assertFailed(await check(), `${path}/server_key: Cannot `);
});

Deno.test("a server that was exported and imported elsewhere keeps key, ini, queues and messages", async () => {
  await using folder = await temporaryFolder();
  const [from, moved, to] = ["from", "moved", "to"].map((name) => `${folder.path}/${name}`) as [
    string,
    string,
    string,
  ];
  await Deno.mkdir(from);
  const all = { folder: folder.path };
  const at = (directory: string) => ["--config-dir", directory, "--log-dir", directory];
  let queue: Queue, hash: string;
  {
    await using server = await ServerProcess.start({ folder: from, ini: journal });
    queue = await fillQueue(server.address, ["a", "b", "c"]);
    hash = server.keyHash;
    assertFailed(await run(["export", moved, ...at(from)], all), `${from}/server_key`, "stop it first");
    await server.kill("SIGTERM");
  }
  await Deno.mkdir(`${moved}/full`, { recursive: true });
  const before = contentOf(from);
  assertFailed(await run(["export", moved, ...at(from)], all), moved, "not empty");
  await Deno.remove(`${moved}/full`);
  const out = await run(["export", moved, ...at(from)], all);
  assertEquals([out.code, out.stderr], [0, ""]);
  assertStringIncludes(out.stdout, `1 queue and 3 messages to ${moved}`);
  assertEquals(
    contentOf(from).filter(([name]) => !name.endsWith(".lock")),
    before.filter(([name]) => !name.endsWith(".lock")),
  );
  assertEquals(
    namesIn(moved).filter((name) => !name.endsWith(".lock")),
    ["server_key", ...logs, "smp-server-store.log.handshakes", "smp-server.ini"].toSorted(),
  );
  for (const name of namesIn(moved)) assertEquals(Deno.statSync(`${moved}/${name}`).mode! & 0o077, 0, name);

  const into = await run(["import", moved, ...at(to)], all);
  assertEquals([into.code, into.stderr], [0, ""]);
  assertStringIncludes(into.stdout, "1 queue and 3 messages\n");
  assertStringIncludes(into.stdout, `transport key hash: ${hash}\n`);
  await using server = await ServerProcess.start({ folder: to, args: [] });
  assertEquals(server.keyHash, hash);
  assertEquals(await textsOf(server.address, queue, 3), ["a", "b", "c"]);
  const content = namesIn(to);
  assertFailed(await run(["import", moved, ...at(to)], all), "is there already");
  assertEquals(namesIn(to), content);
});

Deno.test("an import that fails leaves nothing, and says what is wrong", async () => {
  await using folder = await temporaryFolder();
  const [moved, to] = [`${folder.path}/moved`, `${folder.path}/to`];
  const attempt = () => run(["import", moved, "--config-dir", to, "--log-dir", to], { folder: folder.path });
  const files = () => {
    try {
      return namesIn(to).filter((name) => !name.endsWith(".lock"));
    } catch {
      return [];
    }
  };
  assertFailed(await attempt(), `There is no ${moved}/server_key`, "not an exported server");
  await Deno.mkdir(moved);
  await Deno.writeTextFile(`${moved}/server_key`, rsaVector("rsa2048").pkcs1Pem);
  await Deno.writeTextFile(`${moved}/smp-server.ini`, "[TRANSPORT]\nport: x\n");
  assertFailed(await attempt(), `${moved}/smp-server.ini: line 2: port must be`);
  assertEquals(files(), []);
  await Deno.writeTextFile(`${moved}/smp-server.ini`, `[STORE_LOG]\nfile: ${to}/elsewhere.log\n`);
  await Deno.writeTextFile(`${moved}/smp-server-store.log`, "bogus\nbogus\n");
  const bad = await attempt();
  assertFailed(bad, `${moved}/smp-server-store.log`, "line 1");
  assertStringIncludes(bad.stderr, `which is kept: ${to}/elsewhere.log`);
  assertEquals(files(), []);
  await Deno.writeTextFile(`${moved}/smp-server-store.log`, "");
  await Deno.writeTextFile(`${moved}/smp-server-store.log.handshakes`, "abc\n");
  // In the way of what is written last.
  await Deno.mkdir(`${to}/server_key.new/x`, { recursive: true });
  assertFailed(await attempt(), `Cannot write ${to}/server_key`);
  assertEquals(files(), ["server_key.new"]);
});

Deno.test("bad values of ini and environment end the start with where they are and what is allowed", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/smp-server.ini`, "[TRANSPORT]\nport: x\n[LIMITS]\nconnections: none\n");
  const bad = await onFolder(path, "start", "-y");
  assertFailed(
    bad,
    `${path}/smp-server.ini: line 2: port must be `,
    `${path}/smp-server.ini: line 4: connections must be `,
  );
  assertEquals(namesIn(path), ["smp-server.ini"]);
  const env = await run(["start"], { folder: path, env: { SMP_PORT: "x", SMP_CONFIG_DIR: path } });
  assertEquals([env.code, env.stdout], [2, ""]);
  assertMatch(env.stderr, /^SMP_PORT x is not a number from 0 to 65535; [^\n]*\n$/);
});

Deno.test("a server is set up by the environment alone", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const env = {
    SMP_CONFIG_DIR: `${path}/etc`,
    SMP_LOG_DIR: `${path}/log`,
    SMP_STORE_LOG: "on",
    SMP_HOST: "127.0.0.1",
    SMP_PORT: "0",
    SMP_WS_PORT: "0",
  };
  await using server = await ServerProcess.startBare({
    folder: path,
    args: ["start", "-y"],
    env,
    webSockets: true,
  });
  assert(server.port("TCP") > 0 && server.port("WebSockets") > 0);
  await using client = await SmpClient.connect(server.address);
  await client.createQueue({ keyPair });
  assertEquals(namesIn(`${path}/etc`), ["server_key", "smp-server.ini", "smp-server.sock"]);
  assert(namesIn(`${path}/log`).includes("smp-server-store.log"));
  for (const name of ["etc", "log"]) assertEquals(Deno.statSync(`${path}/${name}`).mode! & 0o777, 0o700);
});

Deno.test("SIGHUP reads the limits again and says what else has changed; a bad ini leaves the old ones", async () => {
  await using folder = await temporaryFolder();
  const ini = (limits: string) => `[LOG]\nlog: json\n[LIMITS]\n${limits}\n`;
  await using server = await ServerProcess.start({ folder: folder.path, ini: ini("messages_per_queue: 1") });
  await using client = await SmpClient.connect(server.address);
  const queue = await client.createQueue({ keyPair });
  const isRoom = () => client.send(queue, textBytes("x")).then(() => true, () => false);
  assertEquals([await isRoom(), await isRoom()], [true, false]);
  const reload = async (text: string) => {
    await Deno.writeTextFile(`${folder.path}/smp-server.ini`, text);
    server.signal("SIGHUP");
    return JSON.parse(await server.logged());
  };
  const bad = await reload(ini("messages_per_queue: many"));
  assertEquals(bad.level, "error");
  assertStringIncludes(JSON.stringify(bad), "line 4: messages_per_queue must be ");
  assertEquals(await isRoom(), false);
  assertEquals((await reload(ini("messages_per_queue: 2"))).level, "info");
  assertEquals([await isRoom(), await isRoom()], [true, false]);
  // What the command line says instead of the ini has not changed.
  const more = "[TRANSPORT]\nport: 1\nwebsockets: 0\n[STORE_LOG]\nenable: on\n[METRICS]\nhosts: a, b\n" +
    "[EXTENSIONS]\nopen1: off\n";
  let record = await reload(ini("in_work: 3") + more);
  // It is written again when a second has passed.
  if (record.level === "info") record = JSON.parse(await server.logged());
  assertEquals([record.level, record.message], [
    "warn",
    "not taken until the next start: " +
    "[STORE_LOG] enable, [TRANSPORT] websockets, [EXTENSIONS] open1, [METRICS] hosts",
  ]);
});

Deno.test("a server offers the extensions that its ini leaves on", async () => {
  const off = (...names: string[]) => `[EXTENSIONS]\n${names.map((name) => `${name}: off\n`).join("")}`;
  const welcomes: Record<string, string> = {
    "": "0.3.2.0 ext=open1,window1,blocks1,rekey1 ",
    [off("open1", "blocks1")]: "0.3.2.0 ext=window1,rekey1 ",
    [off("open1", "window1", "blocks1", "rekey1")]: "0.3.2.0 ",
  };
  for (const [ini, welcome] of Object.entries(welcomes)) {
    await using folder = await temporaryFolder();
    await using server = await ServerProcess.start({ folder: folder.path, ini });
    await using client = await RawClient.handshake(await connectTcp("127.0.0.1", server.port("TCP")));
    assertEquals(client.welcome, welcome);
  }
});

Deno.test("SIGHUP says that the ini is gone, and leaves the limits", async () => {
  await using folder = await temporaryFolder();
  const ini = "[LOG]\nlog: json\n[LIMITS]\nnew_queues: off\n";
  await using server = await ServerProcess.start({ folder: folder.path, ini });
  await Deno.remove(`${folder.path}/smp-server.ini`);
  server.signal("SIGHUP");
  const record = JSON.parse(await server.logged());
  assertEquals([record.level, record.error], ["error", `there is no ${folder.path}/smp-server.ini`]);
  await using client = await SmpClient.connect(server.address);
  await assertRejects(() => client.createQueue({ keyPair }));
});

Deno.test("metrics say whether the server is ready, and the ini of the first start is the default", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({
    folder: folder.path,
    ini: `${journal}[METRICS]\nport: 0\n`,
  });
  await using client = await SmpClient.connect(server.address);
  await client.createQueue({ keyPair });
  const ready = await fetch(`${server.metricsUrl}ready`);
  assertEquals([ready.status, await ready.text()], [200, "ready\n"]);
  const metrics = await metricsOf(server);
  for (
    const line of ["smp_queues 1", "smp_connections 1", 'smp_commands_total{command="NEW",answer="IDS"} 1']
  ) {
    assertStringIncludes(metrics, `${line}\n`);
  }
  await Deno.mkdir(`${folder.path}/fresh`);
  await onFolder(`${folder.path}/fresh`, "init");
  const directories = { configDir: `${folder.path}/fresh`, logDir: `${folder.path}/fresh` };
  const text = await Deno.readTextFile(`${folder.path}/fresh/smp-server.ini`);
  assertEquals(parseConfig(text, "ini", directories), parseConfig("", "ini", directories));
});

Deno.test("a server that would keep nothing because of a slip in its ini does not start", async () => {
  const slips = [
    "[STORE_LOG]\nenabel: on\n",
    "[STORELOG]\nenable: on\n",
    "[STORE-LOG]\nenable: yes\n",
    "[BOGUS]\nenable: on\n",
    "enable: on\n",
  ];
  for (const ini of slips) {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await Deno.writeTextFile(`${path}/smp-server.ini`, ini);
    assertFailed(
      await onFolder(path, "start", "-y", "--port", "0"),
      `${path}/smp-server.ini: line `,
      "did you mean",
    );
    assertEquals(namesIn(path), ["smp-server.ini"]);
  }
});

Deno.test("a key that is all but one of those there are ends the start, and a reload changes nothing", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const slip = "[LIMITS]\nnew_qeues: off\n";
  await Deno.writeTextFile(`${path}/smp-server.ini`, slip);
  const said =
    `${path}/smp-server.ini: line 2: there is no key new_qeues in [LIMITS]; did you mean new_queues?`;
  assertFailed(await onFolder(path, "start", "-y", "--port", "0"), said);
  assertEquals((await onFolder(path, "verify")).code, 1);
  await using server = await ServerProcess.start({ folder: path, ini: "" });
  await Deno.writeTextFile(`${path}/smp-server.ini`, slip);
  assertFailed(await run(["reload", "--config-dir", path], { folder: path }), "did you mean new_queues?");
  await fillQueue(server.address, ["x"]);
});

Deno.test("a slip in an ini that takes nothing from the store log is a warning", async () => {
  const [on, off] = [["-l"], []] as const;
  const cases = [
    ["[BOGUS]\nenable: on\n", on],
    ["[BOGUS]\nenable: on\n[STORE_LOG]\nenable: on\n", off],
    ["[BOGUS]\nenable: off\n", off],
    ["[STORE_LOG]\nsomething: on\n", off],
  ] as const;
  for (const [ini, args] of cases) {
    await using folder = await temporaryFolder();
    await using server = await ServerProcess.start({ folder: folder.path, ini, args: ["-y", ...args] });
    assertMatch(await server.logged(), / WARN .* it is ignored/);
    if (/: off|something/.test(ini)) {
      assertMatch(await server.logged(), / WARN the store log is off: .* in memory only$/);
    }
  }
});

Deno.test("what the system does not do is told in words, with the file", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/file`, "");
  await Deno.mkdir(`${path}/full/server_key`, { recursive: true });
  await Deno.mkdir(`${path}/etc`);
  await Deno.symlink("smp-server.ini", `${path}/etc/smp-server.ini`);
  const notDirectory = "a part of its path is not a directory";
  const exists = "there is something of that name already";
  const cases = [
    [["init", "--config-dir", `${path}/file`], notDirectory],
    [["init", "--config-dir", `${path}/file/etc`], notDirectory],
    [["verify", "--config-dir", `${path}/file`], notDirectory],
    [["delete", "-y", "--config-dir", `${path}/file`], notDirectory],
    [["start", "-y", "--config-dir", `${path}/full`, "--log-dir", path], "it is a directory"],
    [["verify", "--config-dir", `${path}/etc`], "its links lead in a circle"],
    [["export", `${path}/file`, "--config-dir", `${path}/made`], exists],
    [["start", "-l", "--config-dir", `${path}/made`, "--log-dir", `${path}/file`], exists],
    [["import", `${path}/file`, "--config-dir", `${path}/new`], notDirectory],
  ] as const;
  await run(["init", "--config-dir", `${path}/made`], { folder: path });
  for (const [args, reason] of cases) {
    const outcome = await run(args, { folder: path });
    assertFailed(outcome, `${path}/`, reason);
    assert(!/os error|readfile|mkdir/.test(outcome.stderr), outcome.stderr);
  }
});

Deno.test("start and verify warn of what is weak: a short key, a key others can read, an ini others can change", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 1536 });
  await Deno.writeTextFile(
    `${path}/server_key`,
    privateKey.export({ type: "pkcs1", format: "pem" }) as string,
  );
  await Deno.chmod(`${path}/server_key`, 0o640);
  await Deno.writeTextFile(`${path}/smp-server.ini`, "# nothing\n");
  await Deno.chmod(`${path}/smp-server.ini`, 0o664);
  const warnings = [
    `${path}/server_key has 1536 bits: `,
    `${path}/server_key can be read by other users: chmod 600`,
    `${path}/smp-server.ini can be changed by other users: chmod 600`,
  ];
  const verified = await onFolder(path, "verify");
  assertEquals(verified.code, 0);
  for (const warning of warnings) assertStringIncludes(verified.stdout, `warning: ${warning}`);
  {
    await using server = await ServerProcess.start({ folder: path, args: [] });
    for (const warning of warnings) assertStringIncludes(await server.logged(), ` WARN ${warning}`);
    await using client = await SmpClient.connect(server.address);
    await client.createQueue({ keyPair });
  }
  // Whoever can read a password can use it.
  await Deno.writeTextFile(`${path}/smp-server.ini`, "[ACCESS]\ncreate: password\npassword: p\n");
  const open = `${path}/smp-server.ini has a password and can be read by other users: chmod 600`;
  for (const [mode, isWarned] of [[0o644, true], [0o640, true], [0o600, false]] as const) {
    await Deno.chmod(`${path}/smp-server.ini`, mode);
    assertEquals((await onFolder(path, "verify")).stdout.includes(open), isWarned);
  }
});

Deno.test("a key that no client can connect with ends the start", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await Deno.writeTextFile(`${path}/server_key`, rsaVector("rsa1024").pkcs1Pem, { mode: 0o600 });
  for (const command of ["start", "verify", "init"]) {
    assertFailed(await onFolder(path, command), `${path}/server_key: `, "1024 bits are too few");
  }
});
