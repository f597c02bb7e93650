import { assertEquals } from "@std/assert";
import { SmpClient } from "../../client/mod.ts";
import { memoryChannelPair, parseAddress } from "../../protocol/mod.ts";
import { connect, startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

for (const transport of ["tcp", "websocket"] as const) {
  Deno.test(`established connections over ${transport} that have all places keep nobody else out`, async () => {
    await using server = await startServer({ limits: { connections: 4 } });
    const holders = [];
    for (let i = 0; i < 4; i++) holders.push(await connect(server, transport));
    const other = await SmpClient.connect({ ...parseAddress(server.address) }, {
      transport: () => {
        const [clientEnd, serverEnd] = memoryChannelPair();
        server.handle(serverEnd, { address: "192.0.2.1" });
        return Promise.resolve(clientEnd);
      },
    });
    await other.ping();
    // The oldest has made room, the others go on.
    await soon(holders[0]!.closed);
    await until(() => server.connections === 4);
    for (const holder of holders.slice(1)) await holder.ping();
    assertEquals(server.metrics.refusals("connections"), 1);
    for (const client of [...holders, other]) await client.close();
  });
}
