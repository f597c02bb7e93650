import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import map from "../../import_map.json" with { type: "json" };
import { cacheForSite } from "../support/module_cache.ts";
import { serveCheckout } from "../support/checkout_server.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { Telnet } from "../support/telnet.ts";
import { soon } from "../support/wait.ts";

Deno.test("server, agent and client run from a URL", async () => {
  await using folder = await temporaryFolder();
  await using site = serveCheckout();
  const { host } = new URL(site.url);
  const env = { DENO_DIR: await cacheForSite(folder.path) };
  const command = (permissions: readonly string[], path: string, ...args: readonly string[]) => [
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    "--no-config",
    "--no-lock",
    `--allow-import=${host}`,
    `--import-map=${site.url}import_map.json`,
    ...permissions,
    `${site.url}${path}`,
    ...args,
  ];
  const files = ["--allow-net", `--allow-read=${folder.path}`, `--allow-write=${folder.path}`];
  const place = ["--config-dir", folder.path, "--log-dir", folder.path, "--host", "127.0.0.1", "--port", "0"];
  await using server = await ServerProcess.spawned({
    command: command(files, "server/main.ts", "start", "-y", ...place),
    env,
  });
  const [file, ...args] = command(["--allow-net"], "examples/hello.ts", server.address);
  const { stdout } = await soon(new Deno.Command(file!, { args, env }).output());
  assertEquals(new TextDecoder().decode(stdout), "received: hello through a simplex queue\n");
  const agentArgs = ["--db", `${folder.path}/agent.db`, "--port", "0", "--server", server.address];
  await using agent = await ServerProcess.spawned({
    command: command(files, "agent/main.ts", ...agentArgs),
    env,
    until: "listening",
  });
  await using telnet = await Telnet.connect(agent.port());
  assert((await telnet.ask("1", "a", "NEW"))![2].startsWith("INV smp::127.0.0.1:"));
});

Deno.test(
  "the import map for URLs names the packages that the project names",
  { permissions: "none" },
  () => {
    const imports: Record<string, string> = config.imports;
    for (const [name, target] of Object.entries(map.imports)) {
      if (target.startsWith("npm:") && name in imports) assertEquals(target, imports[name], name);
    }
    const own = Object.entries(map.imports).filter(([name]) => name.startsWith(config.name));
    const exported = Object.entries(config.exports);
    assertEquals(
      Object.fromEntries(own),
      Object.fromEntries(exported.map(([name, path]) => [config.name + name.slice(1), path])),
    );
  },
);
