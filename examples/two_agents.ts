/**
 * Two agents in one process, over a server in the same process: they connect, and each says something.
 *
 * `deno run --allow-net=127.0.0.1 examples/two_agents.ts`
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Agent } from "@simplexmq/smp/agent";
import { SmpServer } from "@simplexmq/smp/server";

await using server = await SmpServer.start({ host: "127.0.0.1", port: 0 });
await using alice = await Agent.start({ servers: [server.address] });
await using bob = await Agent.start({ servers: [server.address] });

/** Shows what an agent is told until a message has come. */
async function listen(name: string, agent: Agent): Promise<void> {
  for await (const event of agent.events()) {
    if (event.type === "connected") {
      await agent.send(event.connection, new TextEncoder().encode(`hello from ${name}`));
    }
    if (event.type !== "message") continue;
    console.log(`${name} received: ${new TextDecoder().decode(event.message.body)}`);
    return;
  }
}

const { invitation } = await alice.create("bob");
await bob.join(invitation, { alias: "alice" });
await Promise.all([listen("alice", alice), listen("bob", bob)]);
