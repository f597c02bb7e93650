import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { commandOf, run, temporaryFolder } from "../support/server_process.ts";
import { startServer } from "../support/server.ts";
import { soon } from "../support/wait.ts";

const script = "client/main.ts";

/** Runs `client/main.ts`, which may use the files of a folder; gives its JSON lines. */
async function smp(folder: string, ...args: readonly string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await run(args, { script, folder });
  assertEquals([code, stderr], [0, ""]);
  return stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test("smp ping times a connection and answers", async () => {
  await using server = await startServer();
  const lines = await smp("/tmp", "ping", server.address, "--count", "3");
  assertEquals(lines.map(({ type }) => type), ["connected", "pong", "pong", "pong", "summary"]);
  assertEquals(lines.at(-1)!.count, 3);
  assert(lines.slice(0, 4).every(({ milliseconds }) => Number(milliseconds) > 0));
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
  const late = await run(["queue", "receive", "--timeout", "1", ...queue], { script, folder: folder.path });
  assertEquals([late.code, late.stderr], [1, "no message came in 1 seconds\n"]);
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

Deno.test("smp load measures, and leaves nothing", async () => {
  await using server = await startServer();
  const args = ["--pairs", "3", "--connections", "1", "--seconds", "1"];
  const [result] = await smp("/tmp", "load", server.address, ...args);
  assertEquals([result?.type, result?.pairs, result?.connections], ["load", 3, 2]);
  assert(Number(result!.messages) > 10 && Number(result!.p99) >= Number(result!.p50));
  assertEquals([server.gauges().queues, server.gauges().messages], [0, 0]);
});

Deno.test("what the command line of smp does not know ends with 2 and one line", async () => {
  const cases = [
    [[], "a command is missing"],
    [["dance"], "there is no command dance"],
    [["queue"], "there is no smp queue "],
    [["queue", "dance"], "there is no smp queue dance"],
    [["ping"], "an argument is missing"],
    [["ping", "a"], "a has no key hash"],
    [["ping", "a:x"], "a:x: "],
    [["ping", "a", "--allow-unverified", "--count", "0"], "--count 0 is not a number"],
    [["ping", "a", "b"], "unknown argument b"],
    [["ping", "a", "--bogus"], "unknown option --bogus"],
    [["queue", "create", "a", "--allow-unverified"], "--file is missing"],
    [["queue", "secure", "rsa:x", "--file", "f"], "Cannot parse public key"],
    [["load", "a", "--allow-unverified", "--seconds", "x"], "--seconds x is not a number"],
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
    [["queue", "receive", "--file", `${folder.path}/none`], "No such file"],
    [["queue", "create", server.address, "--file", file], "File exists"],
  ] as const;
  for (const [args, text] of cases) {
    const { code, stdout, stderr } = await run(args, { script, folder: folder.path });
    assertEquals([code, stdout], [1, ""], stderr);
    assert(stderr.startsWith(text), stderr);
  }
  assertEquals(server.gauges().queues, 0);
});

Deno.test("smp --help and --version need no permission", async () => {
  const [help, version] = await Promise.all([run(["--help"], { script }), run(["--version"], { script })]);
  assertEquals([help.code, version.code], [0, 0]);
  for (const command of ["ping", "queue create", "queue receive", "load"]) {
    assert(help.stdout.includes(command));
  }
  assert(version.stdout.includes(config.version));
});
