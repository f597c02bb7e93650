import { assertEquals, assertStringIncludes } from "@std/assert";
import { encodePublicKeyText } from "../../../protocol/mod.ts";
import { parseCli } from "../../../server/config/cli.ts";
import { importServer } from "../../../server/commands/transfer.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { keyOf } from "../../support/test_keys.ts";
import { rsaVector } from "../../support/vectors.ts";

Deno.test("of two imports into one folder at once one is refused, and takes nothing from the other", async () => {
  await using folder = await temporaryFolder();
  const to = `${folder.path}/to`;
  const { publicKey } = await keyOf("client", "sign");
  const printed: string[] = [];
  const terminal = {
    print: (line: string) => void printed.push(line),
    warn: () => {},
    ask: () => Promise.resolve(null),
  };
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
  const run = (from: string) => {
    const command = parseCli(["import", from, "--config-dir", to, "--log-dir", to], {});
    if (command.type !== "import") throw new Error(command.type);
    return importServer(command.options, command.directory, terminal);
  };
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
