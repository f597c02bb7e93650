import { assertEquals } from "@std/assert";
import { isLogLocked, lockLog } from "../../../server/store/lock.ts";
import { temporaryFolder } from "../../support/durable.ts";

Deno.test("a log that was locked or looked at can be locked at once, while processes are being forked", async () => {
  await using folder = await temporaryFolder();
  const log = `${folder.path}/log`;
  let isDone = false;
  // Without its release by `unlock` a lock is found held within 200 times as a rule.
  const forking = Array.from({ length: 2 }, async () => {
    while (!isDone) await new Deno.Command("true").output();
  });
  try {
    for (let i = 0; i < 600; i++) {
      const lock = await lockLog(log);
      assertEquals(await isLogLocked(log), true);
      lock.release();
      assertEquals(await isLogLocked(log), false);
    }
  } finally {
    isDone = true;
    await Promise.all(forking);
  }
});
