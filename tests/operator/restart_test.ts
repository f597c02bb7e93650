import { assert, assertEquals } from "@std/assert";
import { Load } from "../support/load.ts";
import { ServerProcess } from "../support/server_process.ts";
import { soon, until } from "../support/wait.ts";

const storeLog = "[STORE_LOG]\nenable: on\n";
/** Queues that nobody reads fill up; what is read afterwards ends with one message more. */
const quota = "[LIMITS]\nmessages_per_queue: 40\n";
const roomy = "[LIMITS]\nmessages_per_queue: 1000\n";
const enough = 400;

for (
  const [mode, signal] of [["journal", "SIGKILL"], ["journal", "SIGTERM"], ["memory", "SIGTERM"]] as const
) {
  Deno.test(`with messages: ${mode}, ${signal} under load loses, doubles and reorders nothing`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const ini = `${storeLog}messages: ${mode}\n`;
      await using first = await ServerProcess.start({ folder, ini: ini + quota });
      const { load, ended } = await Load.start(first.address, 6);
      await until(() => load.accepted >= enough);
      const { code } = await first.kill(signal);
      if (signal === "SIGTERM") assertEquals(code, 0);
      await soon(ended);
      assert(load.accepted >= enough);
      await using second = await ServerProcess.start({ folder, ini: ini + roomy });
      assertEquals(await soon(load.check(second.address)), []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("what was acknowledged and what was deleted stays away over three restarts", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const ini = `${storeLog}messages: journal\n`;
    const loads: Load[] = [];
    for (let run = 0; run < 3; run++) {
      await using server = await ServerProcess.start({ folder, ini: ini + quota });
      const { load, ended } = await Load.start(server.address, 2);
      loads.push(load);
      await until(() => load.accepted >= 50);
      await server.kill("SIGKILL");
      await soon(ended);
    }
    await using server = await ServerProcess.start({ folder, ini: ini + roomy });
    for (const load of loads) assertEquals(await soon(load.check(server.address)), []);
    for (const load of loads) await load.delete(server.address);
    await server.kill("SIGKILL");
    await using last = await ServerProcess.start({ folder });
    for (const load of loads) assertEquals(await load.left(last.address), 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
