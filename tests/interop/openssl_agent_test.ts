import { assert, assertEquals } from "@std/assert";
import { formatQueueInfo } from "../../mod.ts";
import { keySource, storedKeys, TestAgent } from "../support/agent.ts";
import { AgentPeer } from "../support/agent_peer.ts";
import { startServer } from "../support/server.ts";

// The agent against tests/peers/agent.mjs, which was written from the specification alone, takes its cryptography from
// OpenSSL, and does what a 0.3 agent does, with keys whose exponents have up to 1024 bits.

/** Three messages each way, all of them whole and in order. */
async function talk(agent: TestAgent, peer: AgentPeer, { back = true, forth = true } = {}): Promise<void> {
  for (let i = 1; forth && i <= 3; i++) await agent.send("peer", `from the agent ${i}`);
  for (let i = 1; back && i <= 3; i++) {
    const { message } = await agent.next("message");
    assertEquals([new TextDecoder().decode(message.body), message.integrity], [`from the peer ${i}`, {
      type: "OK",
    }]);
  }
  for (let i = 1; forth && i <= 3; i++) {
    const { received } = await peer.line((line) => line.received !== undefined);
    assertEquals(received, `from the agent ${i}`);
  }
  await peer.line((line) => line.done === true);
  assertEquals(agent.events.filter(({ type }) => type === "error"), []);
}

const keys: readonly { readonly key: string; readonly signer?: string }[] = [
  { key: "rsa2048" },
  { key: "rsa2048BigExponent" },
  { key: "rsa3072" },
  { key: "rsa4096" },
  // A body's header does not fit a key of 1024 bits, which only signs.
  { key: "rsa2048", signer: "rsa1024GreaterExponent" },
];

for (const options of keys) {
  const key = Object.values(options).join(" and ");
  for (const servers of ["one server", "two servers"]) {
    Deno.test(`an independent agent with keys ${key} joins over ${servers}, and talks`, async () => {
      await using ours = await startServer();
      await using theirs = await startServer();
      await using agent = await TestAgent.start(ours.address, { keyPool: keySource(storedKeys) });
      const { invitation } = await agent.agent.create("peer");
      const server = servers === "one server" ? ours : theirs;
      await using peer = new AgentPeer("joiner", server, formatQueueInfo(invitation), options);
      await agent.next("connected");
      await talk(agent, peer);
    });

    Deno.test(`our agent joins an independent one with keys ${key} over ${servers}, and talks`, async () => {
      await using ours = await startServer();
      await using theirs = await startServer();
      await using agent = await TestAgent.start(ours.address, { keyPool: keySource(storedKeys) });
      const server = servers === "one server" ? ours : theirs;
      await using peer = new AgentPeer("initiator", server, "", options);
      const { invitation } = await peer.line((line) => line.invitation !== undefined);
      await agent.agent.join(invitation!, { alias: "peer" });
      await agent.next("connected");
      await talk(agent, peer);
    });
  }
}

for (const key of ["rsa2048", "rsa2048BigExponent"]) {
  Deno.test(`an independent agent with keys ${key} makes a connection of one direction, either way`, async () => {
    await using server = await startServer();
    await using agent = await TestAgent.start(server.address, { keyPool: keySource(storedKeys) });
    const { invitation } = await agent.agent.create("peer");
    await using joiner = new AgentPeer("joiner", server, formatQueueInfo(invitation), { key, noReply: true });
    await talk(agent, joiner, { forth: false });
    await agent.agent.delete("peer");
    await using initiator = new AgentPeer("initiator", server, "", { key, noReply: true });
    const { invitation: theirs } = await initiator.line((line) => line.invitation !== undefined);
    await agent.agent.join(theirs!, { alias: "peer", reply: false });
    await agent.next("connected");
    await talk(agent, initiator, { back: false });
    assert(agent.agent.connections()[0]!.connected);
  });
}
