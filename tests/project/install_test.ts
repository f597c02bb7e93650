import { assert, assertEquals } from "@std/assert";
import { cacheForSite } from "../support/module_cache.ts";
import { serveCheckout } from "../support/checkout_server.ts";
import { startServer } from "../support/server.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { soon } from "../support/wait.ts";

const root = new URL("../../", import.meta.url);
const readme = await Deno.readTextFile(new URL("README.md", root));
/** The commands of the README that install programs. */
const commands = [...readme.matchAll(/^deno install .*$/gm)].map(([line]) => line);
const fromCheckout = commands.filter((line) => !/\$SITE|jsr:/.test(line));

/** A folder for what is installed, with Deno on the path, as the programs that are installed need it. */
async function installing({ ofSite = false } = {}) {
  const folder = await temporaryFolder();
  await Deno.mkdir(`${folder.path}/path`);
  await Deno.symlink(Deno.execPath(), `${folder.path}/path/deno`);
  const { stdout } = await new Deno.Command("sh", { args: ["-c", 'printf %s "$PATH"'] }).output();
  const env = {
    PATH: `${folder.path}/path:${new TextDecoder().decode(stdout)}`,
    NO_COLOR: "1",
    ...(ofSite && { DENO_DIR: await cacheForSite(folder.path) }),
  };
  const run = async (file: string, args: readonly string[], cwd: string | URL) => {
    const command = new Deno.Command(file, { args: [...args], cwd, env, stdin: "null" });
    const { code, stdout, stderr } = await soon(command.output());
    return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  };
  return {
    path: folder.path,
    env,
    run,
    /** Runs a command of the README; gives the program that it has installed. */
    async install(line: string): Promise<string> {
      const args = line.split(" ").slice(1).toSpliced(2, 0, "--root", folder.path);
      const { code, stderr } = await run(Deno.execPath(), args, root);
      assertEquals(code, 0, stderr);
      return `${folder.path}/bin/${/--name (\S+)/.exec(line)![1]}`;
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

Deno.test("the README installs each program with the permissions that it needs, and no others", () => {
  const files = ["--allow-read=.", "--allow-write=."];
  const webSockets = "--allow-env=WS_NO_BUFFER_UTIL,WS_NO_UTF_8_VALIDATE";
  const allowed = fromCheckout.map((line) => [
    /--name (\S+)/.exec(line)![1],
    ...line.match(/--allow-\S+/g)!,
  ]);
  assertEquals(allowed, [
    ["smp-server", "--allow-net", ...files, webSockets],
    ["smp-agent", "--allow-net", ...files],
    ["smp", "--allow-net", ...files],
  ]);
  // The same from a site and from JSR, which cannot be reached by tests.
  const others = commands.filter((line) => !fromCheckout.includes(line));
  assertEquals(others.map((line) => line.match(/--allow-(?!import)\S+/g)), [
    ["--allow-net", ...files],
    ["--allow-net", ...files],
  ]);
});

Deno.test("what the README installs from a checkout runs in any folder", async () => {
  await using place = await installing();
  for (const line of fromCheckout) await place.install(line);
  const folder = `${place.path}/work`;
  await Deno.mkdir(folder);
  const start = ["start", "-y", "--config-dir", "data", "--log-dir", "data", "--host", "127.0.0.1"];
  await using server = await ServerProcess.spawned({
    command: [`${place.path}/bin/smp-server`, ...start, "--port", "0", "--ws-port", "0"],
    cwd: folder,
    env: place.env,
  });
  const program = (name: string, ...args: readonly string[]) =>
    place.run(`${place.path}/bin/${name}`, args, folder);
  const made = await program("smp", "queue", "create", server.address, "--file", "q.json");
  assertEquals([made.code, JSON.parse(made.stdout).file], [0, "q.json"], made.stderr);
  const invited = await program("smp-agent", "invite", "bob", "--db", "a.db", "--server", server.address);
  assertEquals(invited.code, 0, invited.stderr);
  assert(invited.stdout.startsWith("smp::"));
  const names = [];
  for await (const { name } of Deno.readDir(folder)) names.push(name);
  assertEquals(names.filter((name) => /^(a\.db|data|q\.json)$/.test(name)).sort(), [
    "a.db",
    "data",
    "q.json",
  ]);
  assertEquals((await server.kill("SIGTERM")).code, 0);
});

Deno.test("what the README installs from a site runs", async () => {
  await using place = await installing({ ofSite: true });
  await using site = serveCheckout();
  await using server = await startServer();
  const line = commands.find((line) => line.includes("$SITE"))!
    .replaceAll("$SITE/", site.url).replace("$HOST", new URL(site.url).host);
  const smp = await place.install(line);
  const { code, stdout, stderr } = await place.run(smp, ["ping", server.address, "--count", "1"], place.path);
  assertEquals(code, 0, stderr);
  assertEquals(JSON.parse(stdout.trim().split("\n").at(-1)!).count, 1);
});

Deno.test("the modules that JSR would install as programs are the programs", async () => {
  const { exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  for (const line of fromCheckout) {
    const [, name, path] = /--name (\S+) .* (\S+)$/.exec(line)!;
    assertEquals(exports[`./${name}`], `./${path}`);
  }
});
