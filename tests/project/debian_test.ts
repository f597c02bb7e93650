import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { manualPages } from "../../deploy/man/pages.ts";
import { SmpClient } from "../../mod.ts";
import { lackOf, requiring } from "../support/requires.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { soon } from "../support/wait.ts";

const root = new URL("../../", import.meta.url);
const lack = lackOf("dpkg-deb", "--version");
const read = (path: string) => Deno.readTextFile(new URL(path, root));

async function run(command: string, ...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd: root })
    .output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Makes the package, and unpacks it into `folder`. In the place of Deno, which takes long to copy, is a script that runs it. */
async function unpacked(folder: string): Promise<string> {
  const standIn = `${folder}/deno`;
  await Deno.writeTextFile(standIn, `#!/bin/sh\nexec '${Deno.execPath()}' "$@"\n`);
  const { tasks } = JSON.parse(await read("deno.json"));
  const [_deno, ...args] = tasks.deb.command.split(" ");
  await run(Deno.execPath(), ...args, `${folder}/smp.deb`, "--deno", standIn, "--compression", "none");
  await run("dpkg-deb", "--raw-extract", `${folder}/smp.deb`, `${folder}/package`);
  return `${folder}/package`;
}

requiring(lack)(
  "the Debian package has a service, a user, settings of the administrator's, and starts a server",
  async () => {
    await using folder = await temporaryFolder();
    const place = await unpacked(folder.path);
    assertEquals(await Deno.readTextFile(`${place}/DEBIAN/conffiles`), "/etc/default/smp-server\n");
    assertStringIncludes(await run("dpkg-deb", "--info", `${folder.path}/smp.deb`), "Package: smp-server");
    const units = `${place}/usr/lib/systemd/system`;
    const unit = await Deno.readTextFile(`${units}/smp-server.service`);
    assertEquals(unit, await read("deploy/smp-server.service"));
    const [, page] = /^Documentation=file:\/\/(\S+)$/m.exec(unit)!;
    assert((await Deno.stat(place + page)).isFile);
    const added = await Deno.readTextFile(`${units}/smp-server.service.d/package.conf`);
    assertStringIncludes(added, "\nEnvironmentFile=-/etc/default/smp-server\n");
    const manual = await run("gzip", "-dc", `${place}/usr/share/man/man8/smp-server.8.gz`);
    assertStringIncludes(manual, "smp\\-server \\- broker");
    assertStringIncludes(manual, '.B "\\-\\-config\\-dir DIR"\nwhere server_key');
    assertStringIncludes(manual, '.B "[STORE_LOG] enable"');
    const changes = await run("gzip", "-dc", `${place}/usr/share/doc/smp-server/changelog.gz`);
    // deb-changelog(5)
    assert(
      /^smp-server \(\d\S*\) \w+; urgency=medium\n\n( {2,4}\S.*\n)+\n -- .* <\S+> {2}\w{3}, \d\d /.test(
        changes,
      ),
    );
    for (const script of ["postinst", "prerm", "postrm"]) await run("sh", "-n", `${place}/DEBIAN/${script}`);

    // As it is installed, but for where everything is.
    const programs = `${folder.path}/bin`;
    await Deno.mkdir(programs);
    for (const name of ["smp-server", "smp", "smp-agent"]) {
      const installed = await Deno.readTextFile(`${place}/usr/bin/${name}`);
      const text = installed.replaceAll("/opt/smp/", `${place}/opt/smp/`)
        .replaceAll(/\/(etc|var)\/opt\/simplex/g, folder.path)
        .replaceAll(/\/usr\/lib\S*libcrypto\S*/g, "/none");
      await Deno.writeTextFile(`${programs}/${name}`, text, { mode: 0o755 });
      const { section } = manualPages().find((page) => page.name === name)!;
      assert((await Deno.stat(`${place}/usr/share/man/man${section}/${name}.${section}.gz`)).isFile);
    }
    const directories = ["--config-dir", folder.path, "--log-dir", folder.path];
    const args = ["start", "-y", ...directories, "--host", "127.0.0.1", "--port", "0"];
    const settings = Object.fromEntries(
      (await Deno.readTextFile(`${place}/etc/default/smp-server`)).split("\n").filter((line) =>
        /^\w/.test(line)
      )
        .map((line) => line.split("=")),
    );
    await using server = await ServerProcess.spawned({
      command: [`${programs}/smp-server`, ...args],
      env: settings,
    });
    assert(server.printed.some((line) => line.startsWith("store log: /")), "the settings are not used");
    await using client = await soon(SmpClient.connect(server.address));
    await client.createQueue();
    const [, hint] = /^try it from another terminal: (.*)$/.exec(server.printed.at(-1)!)!;
    assertStringIncludes(await run("sh", "-c", `${programs}/${hint} --count 1`), '"type":"summary"');
    assertStringIncludes(await run(`${programs}/smp-agent`, "--version"), "SMP agent");
    assertEquals((await server.kill("SIGTERM")).code, 0);
  },
);

Deno.test("the Debian package removes with everything what it has made", async () => {
  assertStringIncludes(await read("deploy/debian/postrm"), "rm -rf /etc/opt/simplex /var/opt/simplex\n");
  assertStringIncludes(await read("deploy/debian/postinst"), "-m 700 /etc/opt/simplex /var/opt/simplex\n");
});
