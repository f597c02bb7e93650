import { assertEquals } from "@std/assert";
import { TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

Deno.test("when an agent is closed nothing of it runs any more, whatever it was about", async () => {
  await using server = await startServer();
  const down = await startServer();
  const a = await TestAgent.start(down.address);
  const { invitation } = await a.agent.create("b");
  await a[Symbol.asyncDispose]();
  await down.stop();
  const { subtle } = crypto;
  const own = { sign: subtle.sign, encrypt: subtle.encrypt, decrypt: subtle.decrypt, verify: subtle.verify };
  let running = 0, begun = 0;
  const counted = Object.fromEntries(
    Object.entries(own).map(([name, work]) => [
      name,
      (...args: unknown[]) => {
        running++;
        begun++;
        return (work as (...args: unknown[]) => Promise<unknown>).apply(subtle, args).finally(() =>
          running--
        );
      },
    ]),
  );
  Object.assign(subtle, counted);
  try {
    for (let i = 0; i < 20; i++) {
      const before = begun;
      const b = await TestAgent.start(server.address, { retry: { first: 1, most: 2 } });
      await b.agent.join(invitation);
      await until(() => begun > before + i % 4);
      await b.agent.close();
      assertEquals(running, 0, `after ${i} agents`);
    }
  } finally {
    // Not deleted: others of this process may use private keys in another way (tests/support/prefer_openssl.ts).
    Object.assign(subtle, own);
  }
});
