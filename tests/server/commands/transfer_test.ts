import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { encodePublicKeyText } from "../../../protocol/mod.ts";
import { type CliOptions, parseCli } from "../../../server/config/cli.ts";
import { init } from "../../../server/commands/init.ts";
import type { Signals } from "../../../server/commands/signals.ts";
import { prepare } from "../../../server/commands/start.ts";
import { Fatal } from "../../../server/commands/terminal.ts";
import { importServer } from "../../../server/commands/transfer.ts";
import { handshakesPath } from "../../../server/store/handshake_log.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { keyOf } from "../../support/test_keys.ts";
import { rsaVector } from "../../support/vectors.ts";
import { soon } from "../../support/wait.ts";

function silentTerminal() {
  const printed: string[] = [];
  const print = (line: string) => void printed.push(line);
  return { printed, terminal: { print, warn: () => {}, ask: () => Promise.resolve(null) } };
}

/** Of a server whose files are all in one folder. */
function optionsOf(folder: string): CliOptions {
  const command = parseCli(["start", "--config-dir", folder, "--log-dir", folder], {});
  if (command.type !== "start") throw new Error(command.type);
  return command.options;
}

Deno.test("of two imports into one folder at once one is refused, and takes nothing from the other", async () => {
  await using folder = await temporaryFolder();
  const to = `${folder.path}/to`;
  const { publicKey } = await keyOf("client", "sign");
  const { printed, terminal } = silentTerminal();
  const key = encodePublicKeyText(publicKey);
  const make = async (name: string, queues: number) => {
    const from = `${folder.path}/${name}`;
    await Deno.mkdir(from);
    await Deno.writeTextFile(`${from}/server_key`, rsaVector("rsa2048").pkcs1Pem);
    const lines = Array.from({ length: queues }, (_, i) => {
      const id = `${i}`.padStart(6, "0");
      return `CREATE rid=${name}a${id} sid=${name}b${id} rk=${key} sk=\n`;
    });
    await Deno.writeTextFile(`${from}/smp-server-store.log`, lines.join(""));
    return from;
  };
  // The first one takes longer.
  const [a, b] = [await make("a", 2_000), await make("b", 1)];
  const run = (from: string) => importServer(optionsOf(to), from, terminal);
  const done = await Promise.allSettled([run(a), run(b)]);
  const refused = done.filter((one) => one.status === "rejected");
  assertEquals(refused.length, 1);
  assertStringIncludes(`${refused[0]!.reason}`, to);
  assertStringIncludes(printed[0]!, "imported the key, ");
  const kept = done[0]!.status === "fulfilled" ? a : b;
  for (const name of ["server_key", "smp-server-store.log"]) {
    assertEquals(await Deno.readTextFile(`${to}/${name}`), await Deno.readTextFile(`${kept}/${name}`));
  }
});

Deno.test("nobody else makes a server where one is being imported", async () => {
  await using folder = await temporaryFolder();
  const [from, to] = [`${folder.path}/from`, `${folder.path}/to`];
  await Deno.mkdir(from);
  const key = rsaVector("rsa2048").pkcs1Pem;
  await Deno.writeTextFile(`${from}/server_key`, key);
  await Deno.writeTextFile(`${from}/smp-server.ini`, "[STORE_LOG]\nenable: on\n");
  const last = handshakesPath(`${from}/smp-server-store.log`);
  await Deno.writeTextFile(last, "");
  const reached = Promise.withResolvers<void>(), allowed = Promise.withResolvers<void>();
  const { open } = Deno;
  Deno.open = async (path, options) => {
    if (path === last) {
      reached.resolve();
      await allowed.promise;
    }
    return await open(path, options);
  };
  using _ = { [Symbol.dispose]: () => void (Deno.open = open) };
  const { terminal } = silentTerminal();
  const importing = importServer(optionsOf(to), from, terminal);
  importing.catch(() => {});
  try {
    await soon(reached.promise);
    const making = () => init(optionsOf(to), {}, terminal);
    await assertRejects(making, Fatal, `Cannot write ${to}/server_key: another process is writing it`);
  } finally {
    allowed.resolve();
  }
  await importing;
  assertEquals(await Deno.readTextFile(`${to}/server_key`), key);
  assertEquals([...Deno.readDirSync(to)].map(({ name }) => name).sort(), [
    "server_key",
    "smp-server.ini",
  ]);
});

Deno.test("a server that starts while an import ends has its settings with its key", async () => {
  await using folder = await temporaryFolder();
  const { readTextFile } = Deno;
  let reads = 0;
  Deno.readTextFile = async (path) => {
    const text = await readTextFile(path).catch((error) => error);
    if (reads++ === 0) {
      await Deno.writeTextFile(`${folder.path}/smp-server.ini`, "[STORE_LOG]\nenable: on\n");
      await Deno.writeTextFile(`${folder.path}/server_key`, rsaVector("rsa2048").pkcs1Pem, { mode: 0o600 });
    }
    if (typeof text === "string") return text;
    throw text;
  };
  using _ = { [Symbol.dispose]: () => void (Deno.readTextFile = readTextFile) };
  const signals = { stop: new AbortController().signal, end() {} } as unknown as Signals;
  await using prepared = await prepare(optionsOf(folder.path), silentTerminal().terminal, signals);
  assertEquals(prepared.settings.storeLog, true);
});
