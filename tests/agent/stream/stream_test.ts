import { assertEquals } from "@std/assert";
import { equalBytes } from "../../../protocol/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { soon, until } from "../../support/wait.ts";

const session = { extensions: ["session1"] };

/** Waits until both sides have replaced the routes that only RSA protected. */
async function settled(...agents: readonly TestAgent[]): Promise<void> {
  for (const agent of agents) {
    await agent.next("route", ({ direction }) => direction === "receiving");
    await agent.next("route", ({ direction }) => direction === "sending");
  }
}

Deno.test("a stream that is written on one side is read on the other, and leaves no queue", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, session);
  await using bob = await TestAgent.start(server.address, session);
  await connectAgents(alice, bob);
  await settled(alice, bob);
  await until(() => server.gauges().queues === 2);
  const outgoing = await alice.agent.offerStream("b", { name: "a.txt", type: "text/plain" });
  const { offer, connection } = await bob.next("stream offered");
  assertEquals([connection, offer.name, offer.type, offer.size], ["a", "a.txt", "text/plain", null]);
  const sent = Uint8Array.from({ length: 1_000_000 }, (_, at) => at * 7 + (at >> 8));
  const reading = new Response(offer.accept()).bytes();
  const writer = (await soon(outgoing.accepted)).getWriter();
  for (let at = 0; at < sent.length; at += 30_000) await writer.write(sent.subarray(at, at + 30_000));
  await soon(writer.close());
  const received = await soon(reading);
  assertEquals(equalBytes(received, sent), true);
  await soon(Promise.all([offer.ended, outgoing.ended]));
  await until(() => server.gauges().queues === 2);
  assertEquals([alice.agent.streams(), bob.agent.streams()], [[], []]);
});
