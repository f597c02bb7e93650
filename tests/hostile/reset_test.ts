import { assertEquals } from "@std/assert";
import { connect as connectNet, type Socket } from "node:net";
import { textBytes } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { connect as connectClient, startServer } from "../support/server.ts";
import { upgradeRequest } from "../support/raw_client.ts";
import { soon } from "../support/wait.ts";

/** Connects, sends, and resets the connection as soon as the system has taken what was sent. */
async function sendAndReset(port: number, text: string): Promise<void> {
  const socket: Socket = connectNet({ host: "127.0.0.1", port });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  socket.once("connect", () => socket.write(textBytes(text), () => socket.resetAndDestroy()));
  await soon(closed);
}

async function serves(server: SmpServer): Promise<void> {
  for (const transport of ["tcp", "websocket"] as const) {
    await using client = await soon(connectClient(server, transport));
    await soon(client.ping());
  }
}

for (
  const [name, request] of [
    ["an upgrade on another path", upgradeRequest("/other")],
    ["an upgrade", upgradeRequest("/")],
    ["an upgrade of a version that is not known", upgradeRequest("/").replace("Version: 13", "Version: 7")],
    ["an upgrade and what comes after it", `${upgradeRequest("/")}${"x".repeat(5000)}`],
    ["a plain request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ] as const
) {
  Deno.test(`${name} and a reset do not end the server`, async () => {
    await using server = await startServer();
    for (let i = 0; i < 200; i++) await sendAndReset(server.webSocketPort!, request);
    await serves(server);
  });
}

Deno.test("resets before the connection is accepted keep nobody waiting", async () => {
  const logged: string[] = [];
  await using server = await startServer({ log: (message) => logged.push(message) });
  for (let i = 0; i < 5; i++) {
    await Promise.all(Array.from({ length: 100 }, () => sendAndReset(server.port, "")));
    await serves(server);
  }
  assertEquals(logged, []);
});
