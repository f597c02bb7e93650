import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type CliOptions, parseCli } from "../../../server/config/cli.ts";
import { deleteFiles } from "../../../server/commands/delete.ts";
import { init } from "../../../server/commands/init.ts";
import type { Signals } from "../../../server/commands/signals.ts";
import { prepare } from "../../../server/commands/start.ts";
import type { Terminal } from "../../../server/commands/terminal.ts";
import { exportServer, importServer } from "../../../server/commands/transfer.ts";
import { verify } from "../../../server/commands/verify.ts";
import { openStores } from "../../support/durable.ts";
import { giveKey, run, temporaryFolder } from "../../support/server_process.ts";
import { soon } from "../../support/wait.ts";

const ignore = Deno.build.os === "windows";

/** What can be in the place of a file, and what is said of it. */
const kinds = {
  "a named pipe": "it is a named pipe, not a file",
  "a device": "it is a device, not a file",
  "a directory": "it is a directory",
} as const;

type Kind = keyof typeof kinds;

/** Puts one there. Disposed, it lets go of who waits for a pipe. */
async function put(kind: Kind, path: string): Promise<Disposable> {
  if (kind === "a directory") await Deno.mkdir(path);
  else if (kind === "a device") await Deno.symlink("/dev/zero", path);
  else {
    assert((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
    return await Deno.open(path, { read: true, write: true });
  }
  return { [Symbol.dispose]() {} };
}

/** Of a server whose files are all in one folder. */
function optionsOf(folder: string): CliOptions {
  const command = parseCli(["start", "-y", "--config-dir", folder, "--log-dir", folder], {});
  assert(command.type === "start");
  return command.options;
}

/** What a command says, to its end. */
async function saidBy(work: (terminal: Terminal) => Promise<unknown>): Promise<string> {
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const error = await soon(
    work({ print: say, warn: say, ask: () => Promise.resolve(true) }).then(() => "", String),
  );
  return [...said, error].join("\n");
}

/** The commands that read the configuration of a server, each with the folder of one. */
const commands: Readonly<Record<string, (folder: string, terminal: Terminal) => Promise<unknown>>> = {
  async start(folder, terminal) {
    const signals = { stop: new AbortController().signal, end() {} } as unknown as Signals;
    await using _prepared = await prepare(optionsOf(folder), terminal, signals);
  },
  init: (folder, terminal) => init(optionsOf(folder), {}, terminal),
  verify: (folder, terminal) => verify(optionsOf(folder), terminal),
  export: (folder, terminal) => exportServer(optionsOf(folder), `${folder}/to`, terminal),
  delete: (folder, terminal) => deleteFiles(optionsOf(folder), terminal),
  import: (folder, terminal) => importServer(optionsOf(`${folder}/to`), folder, terminal),
};

for (const kind of Object.keys(kinds) as Kind[]) {
  for (const name of ["server_key", "smp-server.ini"]) {
    Deno.test({
      name: `${kind} in the place of ${name} is told by every command, and never waited for`,
      ignore,
      async fn() {
        for (const [command, runIt] of Object.entries(commands)) {
          await using folder = await temporaryFolder();
          const path = `${folder.path}/${name}`;
          await giveKey(folder.path);
          await Deno.remove(path).catch(() => {});
          using _there = await put(kind, path);
          const said = await saidBy((terminal) => runIt(folder.path, terminal));
          assertStringIncludes(`${command}: ${said}`, `Cannot read ${path}: ${kinds[kind]}`);
        }
      },
    });
  }

  Deno.test({
    name: `${kind} in the place of a log, or of a file beside it, is told, and never waited for`,
    ignore,
    async fn() {
      const log = "smp-server-store.log";
      const names = [
        log,
        "smp-server-messages.log",
        ...["lock", "handshakes", "new"].map((end) => `${log}.${end}`),
        "smp-server-messages.log.lock",
      ];
      for (const name of names) {
        await using folder = await temporaryFolder();
        const path = `${folder.path}/${name}`;
        // Without an end it is written anew, aside.
        if (name !== log) await Deno.writeTextFile(`${folder.path}/${log}`, "DELETE AAAA");
        using _there = await put(kind, path);
        const error = await soon(assertRejects(() => openStores(folder.path), Error));
        // Of what is written aside the log is told.
        assertStringIncludes(error.message, path.replace(/\.new$/, ""));
        assertStringIncludes(error.message, kinds[kind]);
      }
    },
  });
}

Deno.test({
  name: "links to files of a server are as good as the files",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await Deno.mkdir(`${path}/data`);
    await giveKey(path);
    await Deno.writeTextFile(`${path}/data/ini`, "[STORE_LOG]\nenable: on\n", { mode: 0o600 });
    await Deno.rename(`${path}/server_key`, `${path}/data/key`);
    await Deno.symlink("data", `${path}/link`);
    await Deno.symlink("link/key", `${path}/server_key`);
    await Deno.symlink("link/ini", `${path}/smp-server.ini`);
    const said = await saidBy((terminal) => verify(optionsOf(path), terminal));
    assertStringIncludes(said, `ok: ${path}/server_key`);
    assertEquals(said.includes("warning"), false, said);
  },
});

Deno.test({
  name: "a server whose ini is a named pipe ends, and says so",
  ignore,
  async fn() {
    await using folder = await temporaryFolder();
    const { path } = folder;
    using _there = await put("a named pipe", `${path}/smp-server.ini`);
    const { code, stderr } = await run(["start", "-y", "--config-dir", path, "--log-dir", path], {
      folder: path,
    });
    assertEquals([code, stderr], [1, `Cannot read ${path}/smp-server.ini: it is a named pipe, not a file\n`]);
  },
});
