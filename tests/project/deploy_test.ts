import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { SmpClient, webSocketTransport } from "../../mod.ts";
import { environmentNames } from "../../server/config/cli.ts";
import { settings } from "../../server/config/settings.ts";
import { cacheOf } from "../support/module_cache.ts";
import { soon } from "../support/wait.ts";
import { openSslPaths } from "../../protocol/mod.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));

/** The directories in what is deployed. */
const [configDir, logDir] = ["/etc/opt/simplex", "/var/opt/simplex"];

/** The command line of a `deno run` that is deployed, with the directories of a test and free ports. */
function forTest(command: readonly string[], folder: string): string[] {
  const args = command.slice(1).map((arg) =>
    arg.replaceAll(configDir, `${folder}/etc`).replaceAll(logDir, `${folder}/log`)
      .replaceAll("/opt/smp/bin/deno", Deno.execPath()).replaceAll("/opt/smp/server/", root.pathname)
  );
  const place = ["--config-dir", `${folder}/etc`, "--log-dir", `${folder}/log`];
  return [...args, ...place, "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "-l"];
}

/** What the program runs that `ENTRYPOINT` names, with the arguments of `CMD`. */
async function dockerCommand(): Promise<string[]> {
  const text = await read("deploy/Dockerfile");
  const [[program, ...none], args] = ["ENTRYPOINT", "CMD"].map((word) =>
    JSON.parse(new RegExp(`^${word} (\\[.*\\])$`, "m").exec(text)![1]!)
  ) as [string[], string[]];
  assertEquals(none, []);
  return [...await programCommand(program!), ...args];
}

/** What a program of `deploy/programs` runs. */
async function programCommand(name: string): Promise<string[]> {
  const [, command] = /^exec (.*) "\$@"$/m.exec(await read(`deploy/programs/${name}`))!;
  return command!.split(" ");
}

async function unitCommand(file = "smp-server.service"): Promise<string[]> {
  return /^ExecStart=(.+)$/m.exec(await read(`deploy/${file}`))![1]!.split(" ");
}

for (
  const [what, command] of [
    ["the systemd unit", () => unitCommand()],
    ["the Dockerfile", dockerCommand],
    ...(Deno.build.os === "linux"
      ? [["the systemd unit with workers", () => unitCommand("smp-server-workers.conf")] as const]
      : []),
  ] as const
) {
  Deno.test(`${what} starts a server with its permissions, and no packages but mlkem, uqr and ws`, async () => {
    await using folder = await temporaryFolder();
    const args = forTest(await command(), folder.path);
    assert(args.includes("--cached-only"));
    const env = { DENO_DIR: await cacheOf(["ws", "mlkem", "uqr"], folder.path) };
    await using server = await ServerProcess.spawned({ command: [Deno.execPath(), ...args], env });
    await using client = await soon(SmpClient.connect(server.address));
    await client.createQueue();
    const port = server.port("WebSockets");
    const webSocket = { host: "127.0.0.1", port, keyHash: server.keyHash };
    await using _client = await soon(SmpClient.connect(webSocket, { transport: webSocketTransport }));
    const { code } = await server.kill("SIGTERM");
    assertEquals(code, 0);
  });
}

Deno.test("the container's image has every module of the server", async () => {
  const copied = [...(await read("deploy/Dockerfile")).matchAll(/^COPY (.*) \S+$/gm)].flatMap((
    [, paths],
  ) => paths!.split(" "));
  const modules: string[] = [];
  for (
    const path of ["server/main.ts", "server/net/websocket_listener.ts", "client/main.ts", "agent/main.ts"]
  ) {
    const args = ["info", "--json", path];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: root }).output();
    const graph = JSON.parse(new TextDecoder().decode(stdout)) as { modules: { specifier: string }[] };
    modules.push(...graph.modules.map(({ specifier }) => specifier));
  }
  const own = modules.filter((url) => url.startsWith(root.href)).map((url) => url.slice(root.href.length));
  assert(own.length > 20);
  const left = own.filter((path) => !copied.some((one) => path === one || path.startsWith(`${one}/`)));
  assertEquals(left, []);
});

Deno.test("the permissions of unit, container, task and executable are those that the docs list", async () => {
  const docs = await read("docs/operations.md");
  const allowed = (command: readonly string[]) => command.filter((arg) => arg.startsWith("--allow-"));
  const names = ["WS_NO_BUFFER_UTIL", "WS_NO_UTF_8_VALIDATE"];
  const files = [`--allow-read=${configDir},${logDir}`, `--allow-write=${configDir},${logDir}`];
  const ffi = (paths: readonly string[]) => `--allow-ffi=${paths.join(",")}`;
  const onLinux = ffi(openSslPaths.filter((path) => path.endsWith(".so.3")));
  const env = `--allow-env=${[...environmentNames, ...names].join(",")}`;
  for (const command of [await unitCommand(), await dockerCommand()]) {
    assertEquals(allowed(command), ["--allow-net", ...files, env, onLinux]);
  }
  for (const name of ["smp", "smp-agent"]) {
    assertEquals(allowed(await programCommand(name)), ["--allow-net", "--allow-read=.", "--allow-write=."]);
  }
  const { tasks, permissions } = JSON.parse(await read("deno.json")) as {
    tasks: Record<string, { command: string }>;
    permissions: Record<string, unknown>;
  };
  for (const name of ["start", "start-workers"]) assertStringIncludes(tasks[name]!.command, " -P=server ");
  assertEquals(allowed(tasks.start!.command.split(" ")), []);
  assertEquals(permissions.server, {
    net: true,
    read: ["data"],
    write: ["data"],
    env: names,
    ffi: [...openSslPaths],
  });
  const compile = tasks.compile!.command.split(" ");
  assertEquals(allowed(compile), ["--allow-net", "--allow-read", "--allow-write", env, ffi(openSslPaths)]);
  for (
    const text of [
      "`--allow-net`",
      "`--allow-ffi=PATH`",
      `\`--allow-env=${names.join(",")}\``,
      ...environmentNames,
    ]
  ) {
    assertStringIncludes(docs, text);
  }
});

Deno.test("an agent that is installed, that of the task and the benchmark's run under the same conditions", async () => {
  const { tasks } = JSON.parse(await read("deno.json")) as { tasks: Record<string, { command: string }> };
  const bench = await read("bench/streams.ts");
  for (const text of [tasks.agent!.command, await read("deploy/programs/smp-agent"), bench]) {
    for (const name of ["DENO_TOKIO_EVENT_INTERVAL", "MALLOC_ARENA_MAX"]) {
      const values = [...text.matchAll(new RegExp(`\\b${name}(?:=|: ")(\\d+)`, "g"))].map(([, value]) =>
        value
      );
      assertEquals(values, ["1"], name);
    }
    assertStringIncludes(text, "--v8-flags=--max-semi-space-size=4,--heap-growing-percent=60");
  }
});

Deno.test("the unit with workers adds what they need to the unit, and nothing else", async () => {
  const [run, added, ...others] = (await unitCommand("smp-server-workers.conf")).toSpliced(0, 1);
  assertEquals([run, added], ["run", "--allow-run=/opt/smp/bin/deno"]);
  assertEquals(["run", ...others], [...(await unitCommand()).slice(1), "--workers", "0"]);
  const unit = await read("deploy/smp-server.service");
  // The last one is for the sockets of administration and workers.
  assertStringIncludes(unit, "\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\n");
  assertStringIncludes(await read("deploy/smp-server-workers.conf"), "\n[Service]\nExecStart=\nExecStart=");
});

Deno.test("operations.md has every key of the ini with its default and meaning", async () => {
  const docs = await read("docs/operations.md");
  const rows = docs.split("\n").map((row) => row.split("|").map((cell) => cell.trim()));
  const table = settings({ configDir, logDir });
  for (const { section, key, default: usual, comment } of table) {
    const row = rows.find((cells) => cells[1] === `\`[${section}]\`` && cells[2] === `\`${key}\``);
    assertEquals(row?.slice(3, 5), [usual === null ? "none" : `\`${usual}\``, comment]);
  }
  assert(table.length > 20);
});

Deno.test("the unit leads to the documentation that it is installed with", async () => {
  const [, page] = /^Documentation=file:\/\/\/opt\/smp\/server\/(\S+)$/m.exec(
    await read("deploy/smp-server.service"),
  )!;
  assertStringIncludes(await read(page!), "deploy/smp-server.service");
});

Deno.test("the proxy passes on to the port that the docs give the server", async () => {
  const port = /proxy_pass http:\/\/127\.0\.0\.1:(\d+);/.exec(await read("deploy/nginx.conf"))![1];
  assertStringIncludes(await read("docs/operations.md"), `websockets: ${port}\n`);
});

Deno.test("the server compiles into one executable without what only tests need", async () => {
  // The base binary of executables cannot be had everywhere: Deno itself stands in for it, which cannot run the program.
  await using folder = await temporaryFolder();
  const { tasks } = JSON.parse(await read("deno.json")) as { tasks: Record<string, { command: string }> };
  const output = `${folder.path}/smp-server`;
  const command = tasks.compile!.command.replace("--output smp-server", `--no-check --output ${output}`);
  const args = command.split(" ").slice(1);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: root,
    env: { DENORT_BIN: Deno.execPath(), NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 0, text);
  for (const name of ["main.ts", "net/", "ws/"]) assertStringIncludes(text, name);
  for (const name of ["playwright", "fast-check"]) assert(!text.includes(name), name);
  assert((await Deno.stat(output)).isFile);
});
