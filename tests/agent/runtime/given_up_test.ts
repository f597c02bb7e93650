import { assertEquals } from "@std/assert";
import { TestAgent } from "../../support/agent.ts";
import { turn } from "../../support/fake_server.ts";
import { FaultyServer, type Peer, transportOf } from "../model/faulty_server.ts";

Deno.test("when KEY is refused nothing that was to follow it is sent", async () => {
  const server = new FaultyServer("server");
  const commands: string[] = [];
  const peer: Peer = {
    fault({ command: { type } }) {
      commands.push(type);
      return "none";
    },
    acknowledged() {},
  };
  const client = { transport: transportOf([server], peer, () => false) };
  await using a = await TestAgent.start([], { servers: [server.address], client });
  await using b = await TestAgent.start([], { servers: [server.address], client });
  const { invitation } = await a.agent.create("b");
  await a.agent.delete("b");
  server.isUp = false;
  commands.splice(0);
  await b.agent.join(invitation, { alias: "a", reply: false });
  for (const text of ["one", "two"]) await b.send("a", text);
  server.isUp = true;
  for (const id of [1, 2]) await b.next("error", (event) => event.id === id);
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(commands, ["SEND"]);
});
