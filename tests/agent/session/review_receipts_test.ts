import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

const session = { extensions: ["session1"] };

Deno.test("a server that makes no queue holds up no receipts", async () => {
  await using one = await startServer();
  const two = await startServer();
  await two.stop();
  await using alice = await TestAgent.start(one.address, session);
  await using bob = await TestAgent.start(one.address, session);
  await connectAgents(alice, bob, ["bob", "alice"]);
  await bob.next("route", ({ direction }) => direction === "sending");
  alice.agent.setServers([one.address, two.address]);
  await alice.agent.setRoutes("bob", 2);
  await alice.next("error", ({ error: { code } }) => code.startsWith("BROKER"));
  const id = await bob.send("alice", "hello");
  await bob.next("delivered", (event) => event.id === id);
});
