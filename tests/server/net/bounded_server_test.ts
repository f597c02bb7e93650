import { assert, assertEquals, assertThrows } from "@std/assert";
import { createServer, type Server } from "node:http";
import { TransportError } from "../../../mod.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { BoundedServer, type SocketBounds } from "../../../server/net/bounded_server.ts";
import type { ConnectionStream } from "../../../server/net/connection_stream.ts";
import { soon, until } from "../../support/wait.ts";

const net = { net: ["127.0.0.1"] };
const host = "127.0.0.1";

function listen(bounds: Partial<SocketBounds>, server: Server = createServer()): BoundedServer {
  return BoundedServer.listen(server, { host, port: 0, most: () => 10, timeout: () => 60_000, ...bounds });
}

function dial({ port }: BoundedServer): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: host, port });
}

async function ended(connection: Deno.TcpConn): Promise<void> {
  const count = await soon(connection.read(new Uint8Array(1)).catch(() => null));
  assertEquals(count, null);
}

Deno.test("a socket above the most ends the oldest one", { permissions: net }, async () => {
  const server = listen({ most: () => 2 });
  const connections: Deno.TcpConn[] = [];
  for (let i = 0; i < 5; i++) {
    connections.push(await dial(server));
    await until(() => server.sockets === Math.min(i + 1, 2));
  }
  await Promise.all(connections.slice(0, 3).map(ended));
  assertEquals(server.sockets, 2);
  await soon(server.close());
  await Promise.all(connections.slice(3).map(ended));
  for (const connection of connections) connection.close();
});

Deno.test(
  "a socket that is not released in time ends, one that is released stays",
  { permissions: net },
  async () => {
    const accepted: ConnectionStream[] = [];
    const server = listen({
      timeout: () => 50,
      admit(socket) {
        // Whoever looks whether it is there may come too late.
        if (accepted.push(socket) === 1) queueMicrotask(() => server.release(socket));
        return true;
      },
    });
    using kept = await dial(server);
    using late = await dial(server);
    await ended(late);
    await kept.write(textBytes("GET / HT"));
    await until(() => server.sockets === 0);
    assertEquals([accepted.length, accepted[0]!.destroyed], [2, false]);
    accepted[0]!.destroy();
    await ended(kept);
    await soon(server.close());
  },
);

Deno.test("a socket that is not admitted ends at once and does not count", { permissions: net }, async () => {
  const server = listen({ admit: () => false });
  using connection = await dial(server);
  await ended(connection);
  assertEquals(server.sockets, 0);
  await soon(server.close());
});

for (const released of [false, true]) {
  Deno.test(`an error of a socket that is ${released ? "" : "not "}released ends it and nothing else`, {
    permissions: net,
  }, async () => {
    const accepted: ConnectionStream[] = [];
    const server = listen({ admit: (socket) => accepted.push(socket) > 0 });
    using connection = await dial(server);
    await until(() => accepted.length === 1);
    const [socket] = accepted;
    if (released) server.release(socket!);
    socket!.emit("error", new Error("reset"));
    await ended(connection);
    await until(() => server.sockets === 0);
    await soon(server.close());
  });
}

Deno.test("requests that come together are not all taken before the first one is answered", {
  permissions: net,
}, async () => {
  let requests = 0;
  const server = listen(
    {},
    createServer((_request, response) => {
      requests++;
      response.writeHead(404, { "connection": "close" }).end();
    }),
  );
  using connection = await dial(server);
  const request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  await connection.write(textBytes(request.repeat(500)));
  await until(() => server.sockets === 0);
  assert(requests > 0 && requests < 30, `${requests} requests`);
  await soon(server.close());
});

Deno.test("a port that is taken is an error", { permissions: net }, async () => {
  const server = listen({});
  const { port } = server;
  assertThrows(
    () => BoundedServer.listen(createServer(), { host, port, most: () => 1, timeout: () => 1 }),
    TransportError,
    `Cannot listen on ${host}:${port}`,
  );
  await soon(server.close());
});
