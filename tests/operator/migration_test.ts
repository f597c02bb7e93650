import { assertEquals, assertStringIncludes } from "@std/assert";
import { run, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { decodePublicKey, publicKeyHash } from "../../protocol/mod.ts";
import { base64, rsaVector } from "../support/vectors.ts";

Deno.test("the files of an original server are taken as they are", async () => {
  await using folder = await temporaryFolder();
  const { path } = folder;
  const log = await Deno.readTextFile(new URL("../vectors/reference-store.log", import.meta.url));
  await Deno.writeTextFile(`${path}/server_key`, rsaVector("rsa2048").pkcs1Pem, { mode: 0o600 });
  await Deno.writeTextFile(`${path}/smp-server-store.log`, log, { mode: 0o600 });
  await Deno.writeTextFile(`${path}/smp-server.ini`, "[STORE_LOG]\nenable: on\n", { mode: 0o600 });
  const directories = ["--config-dir", path, "--log-dir", path];
  const { code, stdout } = await run(["verify", ...directories], { folder: path });
  assertEquals(code, 0, stdout);
  // The original's log is not changed by a look at it.
  assertEquals(await Deno.readTextFile(`${path}/smp-server-store.log`), log);
  await using server = await ServerProcess.start({ folder: path, args: [] });
  const created = log.split("\n").filter((line) => line.startsWith("CREATE ")).length;
  const deleted = new Set(
    log.split("\n").filter((line) => line.startsWith("DELETE ")).map((line) => line.split(" ")[1]),
  );
  // Users keep their addresses.
  const publicKey = decodePublicKey(base64(rsaVector("rsa2048").spki));
  assertEquals(server.keyHash, await publicKeyHash(publicKey));
  const { stderr } = await server.kill("SIGTERM");
  assertStringIncludes(stderr, `read ${created - deleted.size} queues`);
});
