import { assertEquals, assertThrows } from "@std/assert";
import { connectTcp, tcpChannel } from "../../protocol/mod.ts";
import { soon } from "../support/wait.ts";

Deno.test("connections that are given up in the moment in which they are made are closed", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const accepting = (async () => {
    for await (const connection of listener) connection.close();
  })();
  const attempt = async (delay: number) => {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), delay);
    await connectTcp("127.0.0.1", port, giveUp.signal).then((channel) => channel.close(), () => {});
    clearTimeout(timer);
  };
  for (let round = 0; round < 100; round++) {
    const attempts = Array.from({ length: 20 }, (_, i) => attempt(i % 5));
    // Timers and connections are due together after that.
    const busy = setTimeout(() => {
      const until = performance.now() + 2;
      while (performance.now() < until);
    }, round % 4);
    await soon(Promise.all(attempts));
    clearTimeout(busy);
  }
  listener.close();
  await accepting;
});

Deno.test("a connection that breaks before it is a channel is closed", () => {
  let closed = 0;
  const connection = {
    read: () => Promise.resolve(null),
    write: () => Promise.resolve(0),
    closeWrite: () => Promise.resolve(),
    close: () => void closed++,
    setNoDelay() {
      throw new Error("it was reset");
    },
  };
  assertThrows(() => tcpChannel(connection), Error, "it was reset");
  assertEquals(closed, 1);
});
