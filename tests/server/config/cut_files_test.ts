import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { readConfig, readIdentity } from "../../../server/commands/files.ts";
import { Fatal } from "../../../server/commands/terminal.ts";
import { defaultConfig } from "../../../server/config/config.ts";
import { ConfigError, defaultIni, parseConfig } from "../../../server/config/config_file.ts";
import { formatIdentity, generateIdentity } from "../../../server/config/identity.ts";
import { temporaryFolder } from "../../support/durable.ts";

const permissions = { read: true, write: true };
const directories = { configDir: "config", logDir: "log" };

Deno.test("a server_key that is cut anywhere is refused or the same key", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/server_key`;
  const identity = await generateIdentity();
  const whole = await formatIdentity(identity);
  let refused = 0;
  for (const after of ["", "\0".repeat(100), "\r\n"]) {
    for (let at = 0; at <= whole.length; at++) {
      await Deno.writeTextFile(path, whole.slice(0, at) + after);
      try {
        assertEquals((await readIdentity(path))?.keyHash, identity.keyHash);
      } catch (error) {
        assert(error instanceof Fatal, String(error));
        assertStringIncludes(error.message, path);
        refused++;
      }
    }
  }
  // All but the whole key, with and without its last line end, alone and before another line end.
  assertEquals(refused, 3 * (whole.length + 1) - 4);
});

/** Settings of each kind, none of them at its default. */
const written = `[STORE_LOG]
enable: on
messages: journal
fsync_interval_ms = 2500

[TRANSPORT]
host: 192.168.100.200
port: 15223

[LIMITS]
connections: 12345
`;

Deno.test("an ini that is cut anywhere is refused, told, or has no value that was not written", {
  permissions,
}, () => {
  const expected = parseConfig(written, "file", directories);
  assertEquals(expected.warnings, []);
  const values = (config: object) => Object.entries(config).filter(([name]) => name !== "limits");
  const usual = Object.fromEntries(values(defaultConfig(directories)));
  for (const text of [written, written.replaceAll("\n", "\r\n"), defaultIni(directories) + written]) {
    for (let at = 0; at <= text.length; at++) {
      let read;
      try {
        read = parseConfig(text.slice(0, at), "file", directories);
      } catch (error) {
        assert(error instanceof ConfigError);
        assertStringIncludes(error.message, "file: line ");
        continue;
      }
      if (read.warnings.some((warning) => warning.includes("has no end"))) continue;
      const whole = Object.fromEntries(values(expected.config));
      for (const [name, value] of values(read.config)) {
        const known = [usual[name], whole[name]].map(String);
        assert(known.includes(String(value)), `${name}: ${value}, cut at ${at}`);
      }
      assert(
        [defaultConfig(directories), expected.config].some((config) =>
          config.limits.connections === read.config.limits.connections
        ),
      );
    }
  }
});

Deno.test("an empty ini is told, and one of NULs or a directory is refused", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const { path: configDir } = folder;
  const options = { configDir, logDir: configDir, yes: true, repair: false };
  const path = `${configDir}/smp-server.ini`;
  for (const text of ["", "\n", "\r\n\r\n"]) {
    await Deno.writeTextFile(path, text);
    assertEquals((await readConfig(options)).warnings, [`${path} is empty: everything is at its default`]);
  }
  await Deno.writeTextFile(path, "\0".repeat(1000));
  await assertRejects(() => readConfig(options), Fatal, `${path}: line 1`);
  await Deno.remove(path);
  await Deno.mkdir(path);
  await assertRejects(() => readConfig(options), Fatal, path);
  await assertRejects(() => readIdentity(path), Fatal, path);
});
