import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { billOfMaterials, type LockFile } from "../../deploy/sbom.ts";
import { cacheOf } from "../support/module_cache.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { permissionFlags } from "../support/web_chat.ts";

const permissions = "none";
const root = new URL("../../", import.meta.url);
const lock: LockFile = JSON.parse(await Deno.readTextFile(new URL("deno.lock", root)));
const serverLock: LockFile = JSON.parse(await Deno.readTextFile(new URL("deploy/server.lock", root)));
const runner = await Deno.readTextFile(new URL("../main.ts", import.meta.url));

Deno.test(
  "every package of the lock file has its hash, and is in the bill of materials",
  { permissions },
  () => {
    const packages = lock.npm;
    const { components, dependencies } = billOfMaterials(lock);
    assertEquals(components.map((component) => component["bom-ref"]), Object.keys(packages));
    for (const { integrity } of Object.values(packages)) {
      assert(
        /^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity),
      );
    }
    for (const { hashes: [{ content }] } of components) assertEquals(content.length, 128);
    for (const { dependsOn } of dependencies) for (const ref of dependsOn) assert(ref in packages, ref);
  },
);

Deno.test("what is installed with the server is what the bill says is required", { permissions }, () => {
  const required = billOfMaterials(lock).components.filter(({ scope }) => scope === "required");
  assertEquals(required.map(({ name }) => name), [
    ...["jetstream", "kv", "nats-core", "nkeys", "nuid", "transport-node"].map((name) => `@nats-io/${name}`),
    "idb",
    "mlkem",
    "tweetnacl",
    "uqr",
    "ws",
  ]);
});

Deno.test("executables and the library load the packages that SECURITY.md names, and no others", async () => {
  const allowed: Record<string, readonly string[]> = {
    // Those of NATS are loaded by nodes of a cluster alone.
    "server/main.ts": [
      ...["jetstream", "kv", "nats-core", "transport-node"].map((name) => `@nats-io/${name}`),
      "mlkem",
      "uqr",
      "ws",
    ],
    "agent/main.ts": ["mlkem"],
    "client/main.ts": ["mlkem"],
    "mod.ts": ["mlkem"],
    "agent/mod.ts": ["mlkem"],
    "agent/store/indexeddb.ts": ["idb", "mlkem"],
  };
  for (const [path, names] of Object.entries(allowed)) {
    const args = ["info", "--json", new URL(`../../${path}`, import.meta.url).pathname];
    const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
    const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
      modules: { npmPackage?: string }[];
    };
    const packages = modules.flatMap(({ npmPackage }) => npmPackage?.replace(/@[^@]*$/, "") ?? []);
    const loaded = new Set(packages.filter((name) => !name.startsWith("@types/")));
    assertEquals([...loaded].sort(), names, path);
  }
});

Deno.test("what is published depends on ws, uqr, idb, mlkem and in clusters @nats-io, and on nothing of the standard library", async () => {
  const args = ["publish", "--dry-run", "--allow-dirty", "--no-check"];
  const { stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: root, env: { NO_COLOR: "1" } })
    .output();
  const found = new Map<string, string[]>();
  const listed = [...new TextDecoder().decode(stderr).matchAll(/^\s*file:\/\/(\S+\.ts) /gm)];
  assert(listed.length > 80, `${listed.length} modules are published`);
  for (const [, path] of listed) {
    for (const line of (await Deno.readTextFile(path!)).split("\n")) {
      const name = /^(?! \*).*\b(?:from|import\() ?"([\w@][\w@/.:-]*)"|ts-types="([^"]*)"/.exec(line);
      const from = name?.[1] ?? name?.[2];
      if (from === undefined || from.startsWith("node:")) continue;
      found.set(from, [...new Set([...found.get(from) ?? [], path!.slice(root.pathname.length)])]);
    }
  }
  const ofClusters = [...found].filter(([name]) => name.startsWith("@nats-io/"));
  for (const [name, paths] of ofClusters) {
    assertEquals(paths.filter((path) => !path.startsWith("server/cluster/")), [], name);
    found.delete(name);
  }
  assertEquals([...found].sort(([a], [b]) => a < b ? -1 : 1), [
    ["@types/ws", ["server/net/websocket_listener.ts", "server/net/ws_channel.ts"]],
    ["idb", ["database", "first", "snapshot", "tables"].map((name) => `agent/store/indexeddb_${name}.ts`)],
    ["mlkem", ["protocol/crypto/ml_kem.ts"]],
    ["uqr", ["server/net/welcome_page.ts"]],
    ["ws", ["server/net/websocket_listener.ts", "server/net/ws_channel.ts"]],
  ]);
});

Deno.test(
  "the lock file of deployed servers has mlkem, uqr and ws, as the whole one has them",
  { permissions },
  () => {
    const ids = Object.keys(serverLock.npm);
    assertEquals(ids.map((id) => id.slice(0, id.lastIndexOf("@"))), ["mlkem", "uqr", "ws"]);
    for (const id of ids) assertEquals(serverLock.npm[id], lock.npm[id]);
  },
);

Deno.test("the programs without WebSockets need mlkem and no other package", async () => {
  await using folder = await temporaryFolder();
  const env = { DENO_DIR: await cacheOf(["mlkem"], folder.path), NO_COLOR: "1" };
  for (const program of ["client/main.ts", "agent/main.ts"]) {
    // With the configuration of a checkout, Deno would fetch what tests need too.
    const alone = ["--no-config", "--no-lock", "--import-map=import_map.json"];
    const args = ["run", "--cached-only", ...alone, program, "--help"];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: root, env }).output();
    assert(success, new TextDecoder().decode(stderr));
  }
});

Deno.test("no documented task has more permissions than it says it needs", { permissions }, () => {
  // Tasks that run browsers or make pictures are for developers alone.
  const all = Object.entries(config.tasks).filter(([, { command }]) =>
    /--allow-all|(^|\s)-A(\s|$)/.test(command)
  );
  assertEquals(all.map(([name]) => name), ["screenshots"]);
  assertEquals([...runner.matchAll(/"--allow-all".*/g)].map(([rest]) => rest), [
    '"--allow-all"], paths: ["tests/browser"], parts: 2 },',
  ]);
});

Deno.test("programs of tasks and pages get the network, and named files, variables and libraries alone", async () => {
  const tasks: Record<string, { readonly command: string }> = config.tasks;
  // tests/project/deploy_test.ts has the permissions of the others.
  const names = ["start-workers", "admin", "try", "web-chat", "terminal-chat", "smp"];
  const flags = permissionFlags(config.permissions["web-chat"]).join(" ");
  const commands = names.map((name) => tasks[name]!.command.replace("-P=web-chat", flags));
  const pages = ["README.md"];
  for await (const { name } of Deno.readDir(new URL("docs", root))) {
    if (name.endsWith(".md")) pages.push(`docs/${name}`);
  }
  for (const page of pages) {
    const text = (await Deno.readTextFile(new URL(page, root))).replaceAll("\\\n", " ");
    commands.push(
      ...[...text.matchAll(/^ *(deno run .*)$/gm)].map(([, line]) => line!).filter((line) =>
        !line.includes(" bench/")
      ),
    );
  }
  assert(commands.length > 12, `${commands.length} were found`);
  for (const command of commands) {
    const allowed = command.match(/(?<= )(--allow-run=\$\([^)]*\)|--allow-\S+|-A)(?= )/g) ?? [];
    assert(allowed.length > 0, command);
    for (const permission of allowed) {
      assert(
        /^--allow-(net(=.+)?|(read|write|env|ffi|import)=.+|sys=networkInterfaces|run=\$\(.*)$/.test(
          permission,
        ),
        `${permission}: ${command}`,
      );
    }
  }
});
