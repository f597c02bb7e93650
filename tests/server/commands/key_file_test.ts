import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { SmpClient } from "../../../mod.ts";
import { writeNewFile } from "../../../server/commands/new_file.ts";
import { lockKeyFile } from "../../../server/commands/key_file.ts";
import { Fatal } from "../../../server/commands/terminal.ts";
import {
  commandOf,
  type Outcome,
  run,
  ServerProcess,
  temporaryFolder,
} from "../../support/server_process.ts";
import { rsaVector } from "../../support/vectors.ts";
import { keyOf } from "../../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

const place = ["--host", "127.0.0.1", "--port", "0"];
const taken = "it is taken";

function at(folder: string): string[] {
  return ["--config-dir", folder, "--log-dir", folder];
}

function assertRefused({ code, stdout, stderr }: Outcome, ...texts: readonly string[]): void {
  assertEquals([code, stdout], [1, ""]);
  for (const text of texts) assertStringIncludes(stderr, text);
  assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
}

async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).toSorted();
}

for (const [mode, log] of [["without a store log", []], ["with a store log", ["-l"]]] as const) {
  Deno.test(`whoever needs the key of a running server ${mode} for itself is refused, and it goes on`, async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await using server = await ServerProcess.start({ folder: path, args: ["-y", ...log] });
    const names = await namesIn(path);
    const key = `${path}/server_key`;
    const all = { folder: path };
    assertRefused(
      await run(["start", "-y", ...log, ...place, ...at(path)], all),
      key,
      "another server",
      "--config-dir",
    );
    assertRefused(await run(["delete", "-y", ...at(path)], all), key, "it is running", "stop it first");
    assertRefused(await run(["export", `${path}/moved`, ...at(path)], all), key, "stop it first");
    assertRefused(await run(["import", path, ...at(`${path}/to`)], all), key, "stop it first");
    assertEquals(await namesIn(path), names);
    await using client = await SmpClient.connect(server.address);
    await client.createQueue({ keyPair });
  });

  Deno.test(`init and verify work beside a running server ${mode}`, async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await using server = await ServerProcess.start({ folder: path, args: ["-y", ...log] });
    for (const command of ["init", "verify"]) {
      const { code, stdout, stderr } = await run([command, ...at(path)], { folder: path });
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, `transport key hash: ${server.keyHash}\n`);
    }
  });

  Deno.test(`a server ${mode} that was killed keeps nobody out`, async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await using first = await ServerProcess.start({ folder: path, args: ["-y", ...log] });
    await first.kill("SIGKILL");
    {
      await using second = await ServerProcess.start({ folder: path, args: [...log] });
      assertEquals(second.keyHash, first.keyHash);
      await second.kill("SIGKILL");
    }
    assertEquals((await run(["export", `${path}/moved`, ...at(path)], { folder: path })).code, 0);
    assertEquals((await run(["delete", "-y", ...at(path)], { folder: path })).code, 0);
    assertEquals(await namesIn(path), ["moved"]);
  });
}

Deno.test("servers with one key by different names keep each other out", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  await using _server = await ServerProcess.start({ folder: path });
  await Deno.mkdir(`${path}/link`);
  await Deno.symlink(`${path}/server_key`, `${path}/link/server_key`);
  await Deno.mkdir(`${path}/named`);
  await Deno.writeTextFile(`${path}/named/smp-server.ini`, `[TRANSPORT]\nkey_file: ${path}/server_key\n`);
  for (const [name, key] of [["link", `${path}/link/server_key`], ["named", `${path}/server_key`]]) {
    const other = await run(["start", ...place, ...at(`${path}/${name}`)], { folder: path });
    assertRefused(other, key!, "another server");
  }
});

Deno.test("a configuration that may only be read is enough for a start, and is locked all the same", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const [etc, log] = [`${path}/etc`, `${path}/log`];
  await Deno.mkdir(etc);
  await Deno.mkdir(log);
  await Deno.writeTextFile(`${etc}/server_key`, rsaVector("rsa2048").pkcs1Pem, { mode: 0o400 });
  await Deno.chmod(etc, 0o500);
  const directories = ["--config-dir", etc, "--log-dir", log];
  const readOnly = (args: readonly string[]) =>
    commandOf([...args, ...place, ...directories], { folder: etc, folders: [log] }).map((arg) =>
      arg.startsWith("--allow-write=") ? `--allow-write=${log}` : arg
    );
  await using server = await ServerProcess.spawned({ command: readOnly(["start"]) });
  const { message } = await assertRejects(async () => {
    await using _second = await ServerProcess.spawned({ command: readOnly(["start", "-l"]) });
  }, Error);
  assertStringIncludes(message, `Cannot use ${etc}/server_key: another server`);
  const { code: ended, stderr: logged } = await server.kill("SIGTERM");
  assertEquals(ended, 0);
  assertMatch(
    logged,
    /^\S+ INFO status, reload, stop and log-level do not work: it has not the permission for it\n$/,
  );
  assertEquals(await namesIn(etc), ["server_key"]);
  await Deno.chmod(etc, 0o700);
});

Deno.test("where nothing can be locked the key is used with a warning", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/server_key`;
  await Deno.writeTextFile(path, "x");
  const tryLock = () => Promise.reject(new Error("No locks available"));
  using key = await lockKeyFile(path, { taken, tryLock });
  assertEquals(key?.text, "x");
  assertStringIncludes(key?.warning ?? "", `${path} cannot be locked (No locks available)`);
});

Deno.test("a key is locked until it is let go, and one that was replaced meanwhile is read anew", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/server_key`;
  assertEquals(await lockKeyFile(path, { taken }), null);
  await Deno.writeTextFile(path, "first");
  {
    using key = await lockKeyFile(path, { taken });
    assertEquals([key?.text, key?.warning], ["first", null]);
    await assertRejects(() => lockKeyFile(path, { taken }), Fatal, taken);
  }
  let tries = 0;
  const replacing = async (file: Deno.FsFile) => {
    if (++tries === 1) await Deno.remove(path).then(() => Deno.writeTextFile(path, "second"));
    return await file.tryLock(true);
  };
  {
    using key = await lockKeyFile(path, { taken, tryLock: replacing });
    assertEquals([key?.text, tries], ["second", 2]);
  }
  const removing = async (file: Deno.FsFile) => {
    await Deno.remove(path);
    return await file.tryLock(true);
  };
  assertEquals(await lockKeyFile(path, { taken, tryLock: removing }), null);
});

Deno.test("a file that cannot be a key is not read to its end", async () => {
  await assertRejects(() => lockKeyFile("/dev/zero", { taken }), Fatal, "Cannot read /dev/zero: ");
});

Deno.test("a file that cannot be written leaves nothing beside it", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/server_key`;
  await Deno.writeTextFile(path, "first");
  await assertRejects(() => writeNewFile(path, "second"), Fatal, "it is already there");
  assertEquals([await namesIn(folder.path), await Deno.readTextFile(path)], [["server_key"], "first"]);
});

Deno.test("of several that make a file at once one does, and the others say so", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/server_key`;
  const texts = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(1000 * (i + 1)));
  const results = await Promise.allSettled(texts.map((text) => writeNewFile(path, text)));
  const made = texts.filter((_, i) => results[i]!.status === "fulfilled");
  assertEquals(made, [await Deno.readTextFile(path)]);
  assertEquals(await namesIn(folder.path), ["server_key"]);
  for (const result of results) {
    if (result.status === "fulfilled") continue;
    assert(result.reason instanceof Fatal);
    assertStringIncludes(result.reason.message, `Cannot write ${path}: `);
  }
});
