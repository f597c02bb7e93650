/**
 * Makes a Debian package of the server, the agent, the `smp` tool and the Deno that runs them: `deno task deb [FILE] [--deno FILE]
 * [--compression xz|gzip|none]`, without FILE `smp-server_VERSION_ARCHITECTURE.deb`.
 *
 * It is the service of docs/operations.md: `/opt/smp`, with the unit of `deploy/smp-server.service`.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import config from "../../deno.json" with { type: "json" };
import { readTaskArguments } from "../task_arguments.ts";
import { manualPages } from "../man/pages.ts";
import { roffOf } from "../man/roff.ts";
import { debianChangelog } from "./changelog.ts";

const root = new URL("../../", import.meta.url).pathname;
const own = `${root}deploy/debian`;
const lock: { npm: Record<string, unknown> } = JSON.parse(
  await Deno.readTextFile(`${root}deploy/server.lock`),
);
const architectures = { x86_64: "amd64", aarch64: "arm64" } as const;
/** What of the project is in the package, under `/opt/smp/server`. */
const sources = [
  "LICENSE",
  "deno.json",
  "import_map.json",
  "protocol",
  "cli",
  "client",
  "agent",
  "server",
  "docs/operations.md",
];
const programs = ["smp-server", "smp-agent", "smp"];

async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command(command, {
    args: [...args],
    cwd: root,
    stderr: "inherit",
  })
    .output();
  if (!success) throw new Error(`Cannot make the package: ${command} ${args[0]} failed`);
  return new TextDecoder().decode(stdout);
}

/** Copies a file or a folder, for everybody to read. */
async function copy(from: string, to: string, mode = 0o644): Promise<void> {
  await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
  if ((await Deno.stat(from)).isFile) {
    await Deno.copyFile(from, to);
    return await Deno.chmod(to, mode);
  }
  for await (const { name } of Deno.readDir(from)) await copy(`${from}/${name}`, `${to}/${name}`, mode);
}

/** Puts the npm packages of the server's lock file, and no others, into a cache for Deno. */
async function fillCache(place: string): Promise<void> {
  const options = ["--no-config", "--import-map=import_map.json", "--lock=deploy/server.lock", "--frozen"];
  const modules = [
    "server/main.ts",
    "server/net/websocket_listener.ts",
    "client/main.ts",
    "agent/main.ts",
  ];
  await run(Deno.execPath(), ["cache", "--quiet", ...options, ...modules]);
  const { npmCache } = JSON.parse(await run(Deno.execPath(), ["info", "--json"])) as { npmCache: string };
  for await (const { name: registry } of Deno.readDir(npmCache)) {
    for (const id of Object.keys(lock.npm)) {
      const [name, version] = id.split("@") as [string, string];
      const [from, to] = [`${npmCache}/${registry}/${name}`, `${place}/npm/${registry}/${name}`];
      if (await Deno.stat(`${from}/${version}`).catch(() => null) === null) continue;
      for (const part of ["registry.json", version]) await copy(`${from}/${part}`, `${to}/${part}`);
    }
  }
}

/** The manual pages of the programs, and what has changed. */
async function writeDocs(place: string): Promise<void> {
  const [, maintainer] = /^Maintainer: (.*)$/m.exec(await Deno.readTextFile(`${own}/control`))!;
  const { mtime } = await Deno.stat(`${root}CHANGELOG.md`);
  const changes = debianChangelog(await Deno.readTextFile(`${root}CHANGELOG.md`), {
    name: "smp-server",
    maintainer: maintainer!,
    date: mtime ?? new Date(),
  });
  const pages = manualPages().map((page) =>
    [`man/man${page.section}/${page.name}.${page.section}`, roffOf(page)] as const
  );
  const texts = { "doc/smp-server/changelog": changes, ...Object.fromEntries(pages) };
  for (const [path, text] of Object.entries(texts)) {
    const file = `${place}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, text, { mode: 0o644 });
    await run("gzip", ["-9n", file]);
  }
}

/** Bytes of all files in a folder, and the lines of `md5sums`. */
async function measure(folder: string): Promise<{ readonly size: number; readonly sums: string }> {
  let size = 0;
  const paths: string[] = [];
  const look = async (path: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(`${folder}/${path}`)) {
      if (isDirectory) await look(`${path}${name}/`);
      else {
        size += (await Deno.stat(`${folder}/${path}${name}`)).size;
        paths.push(path + name);
      }
    }
  };
  await look("");
  const { stdout } = await new Deno.Command("md5sum", { args: paths.sort(), cwd: folder }).output();
  return { size, sums: new TextDecoder().decode(stdout) };
}

const help = `deno task deb [FILE] [--deno FILE] [--compression xz|gzip|none]

Makes a Debian package for this machine's architecture (docs/operations.md), by default
smp-server_VERSION_ARCHITECTURE.deb.

  --deno FILE         the Deno that is in it (default: the one that makes it)
  --compression HOW   xz, gzip or none (default xz)`;
const { options, positional } = readTaskArguments(
  { "deno": "value", "compression": "value" },
  { help, most: 1 },
);
const { deno = Deno.execPath(), compression = "xz" } = options;
const architecture = architectures[Deno.build.arch];
const output = positional[0] ?? `smp-server_${config.version}_${architecture}.deb`;
const folder = await Deno.makeTempDir({ prefix: "smp-deb-" });
try {
  for (const path of sources) await copy(`${root}${path}`, `${folder}/opt/smp/server/${path}`);
  await copy(`${root}deploy/server.lock`, `${folder}/opt/smp/server/deploy/server.lock`);
  await copy(deno, `${folder}/opt/smp/bin/deno`, 0o755);
  await fillCache(`${folder}/opt/smp/deno`);
  const units = `${folder}/usr/lib/systemd/system`;
  await copy(`${root}deploy/smp-server.service`, `${units}/smp-server.service`);
  await copy(`${own}/package.conf`, `${units}/smp-server.service.d/package.conf`);
  for (const name of programs) {
    await copy(`${root}deploy/programs/${name}`, `${folder}/usr/bin/${name}`, 0o755);
  }
  await copy(`${own}/default`, `${folder}/etc/default/smp-server`);
  await copy(`${own}/copyright`, `${folder}/usr/share/doc/smp-server/copyright`);
  await writeDocs(`${folder}/usr/share`);
  const { size, sums } = await measure(folder);
  const control = (await Deno.readTextFile(`${own}/control`)).replace("VERSION", config.version)
    .replace("ARCHITECTURE", architecture).replace("SIZE", `${Math.ceil(size / 1024)}`);
  for (const script of ["postinst", "prerm", "postrm"]) {
    await copy(`${own}/${script}`, `${folder}/DEBIAN/${script}`, 0o755);
  }
  await Deno.writeTextFile(`${folder}/DEBIAN/control`, control);
  await Deno.writeTextFile(`${folder}/DEBIAN/conffiles`, "/etc/default/smp-server\n");
  await Deno.writeTextFile(`${folder}/DEBIAN/md5sums`, sums);
  await Deno.chmod(folder, 0o755);
  await run("dpkg-deb", [`-Z${compression}`, "--root-owner-group", "--build", folder, output]);
  console.log(`made ${output}`);
} finally {
  await Deno.remove(folder, { recursive: true });
}
