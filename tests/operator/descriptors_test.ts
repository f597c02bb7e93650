import { assertEquals } from "@std/assert";
import { generateKeyPair, SmpClient } from "../../mod.ts";
import { asciiText, textBytes } from "../../protocol/bytes.ts";
import { lackOf, requiring } from "../support/requires.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { next, soon } from "../support/wait.ts";

/** Descriptors that the server may have, files and sockets together. */
const most = 64;
const ini = "[STORE_LOG]\nenable: on\nmessages: journal\n";

const test = requiring(lackOf("prlimit", "--version"));

test("without descriptors the server goes on, and takes connections when there are some again", async () => {
  const wrapper = ["prlimit", `--nofile=${most}:${most}`];
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, ini, wrapper });
  await using client = await SmpClient.connect(server.address);
  const keyPair = await generateKeyPair("sign", 1024);
  const queue = await client.createQueue({ keyPair });
  const events = client.events(queue);
  const port = server.port("TCP");
  const connections: Deno.TcpConn[] = [];
  while (connections.length < 2 * most) {
    connections.push(await Deno.connect({ hostname: "127.0.0.1", port }));
  }
  while (!(await server.logged()).includes("Cannot accept a connection"));
  // Who is connected notices nothing, and what is accepted is written.
  for (const text of ["one", "two"]) await soon(client.send(queue, textBytes(text)));
  await soon(client.ping());
  for (const connection of connections) connection.close();
  await using later = await soon(SmpClient.connect(server.address));
  await later.ping();
  for (const text of ["one", "two"]) {
    const event = await next(events);
    assertEquals(event.type === "MSG" && asciiText(event.body), text);
    await client.acknowledge(queue);
  }
  await events.return();
});
