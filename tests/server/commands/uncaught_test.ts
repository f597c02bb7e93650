import { assertEquals, assertMatch } from "@std/assert";
import { parseAddress, SmpClient } from "../../../mod.ts";
import { ServerProcess, temporaryFolder } from "../../support/server_process.ts";
import { soon } from "../../support/wait.ts";

/** The errors of `uncaught_errors.ts` while the server runs. */
const errors = 7;

Deno.test("errors that nothing catches are counted and logged, and end the process only without the server", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({
    folder: folder.path,
    script: "tests/support/uncaught_errors.ts",
    ini: "[METRICS]\nport: 0\n",
  });
  const { host, port, keyHash } = parseAddress(server.address);
  await using client = await soon(SmpClient.connect({ host, port: port!, keyHash: keyHash! }));
  await soon(client.ping());
  assertEquals((await server.status()).totals.internalErrors, errors);
  const { code, stderr } = await server.kill("SIGTERM");
  assertMatch(stderr, /ERROR Nothing has caught an error, the server goes on: that is reported/);
  assertMatch(stderr, /after the end/);
  assertEquals(code, 1);
});
