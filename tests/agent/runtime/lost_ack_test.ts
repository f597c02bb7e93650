import { assertEquals } from "@std/assert";
import { TestAgent } from "../../support/agent.ts";
import { type CommandFault, FaultyServer, type Peer, transportOf } from "../model/faulty_server.ts";
import { turn } from "../../support/fake_server.ts";
import { until } from "../../support/wait.ts";

/** A peer whose commands go wrong, the first of each kind, as a test says; ACK waits until the next message is there. */
function peerWith(faults: Record<string, CommandFault>, server?: FaultyServer): Peer {
  const left = new Map(Object.entries(faults));
  return {
    async fault({ command: { type } }) {
      const fault = left.get(type) ?? "none";
      if (type === "ACK" && left.delete(type)) await until(() => server!.messages.size > 1);
      left.delete(type);
      return fault;
    },
    acknowledged() {},
  };
}

function start(server: FaultyServer, peer: Peer): Promise<TestAgent> {
  const transport = transportOf([server], peer, () => false);
  return TestAgent.start([], {
    servers: [server.address],
    client: { transport, commandTimeout: 1000 },
    acknowledge: "manual",
  });
}

for (const fault of ["answered INTERNAL", "unanswered", "refused", "cut after", "cut before"] as const) {
  Deno.test(`a second copy of a message whose ACK was ${fault} does not acknowledge the next one`, async () => {
    const server = new FaultyServer("server");
    await using a = await start(server, peerWith({ KEY: "delivered again", ACK: fault }, server));
    await using b = await start(server, peerWith({}));
    const { invitation } = await a.agent.create("b");
    await b.agent.join(invitation, { alias: "a", reply: false });
    await b.send("a", "one");
    await b.next("sent");
    assertEquals(await a.text("b"), "one");
    for (let i = 0; i < 20; i++) await turn();
    assertEquals(server.messages.size, 1);
  });
}
