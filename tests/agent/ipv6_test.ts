import { assert, assertEquals } from "@std/assert";
import { formatAddress, formatQueueInfo } from "../../mod.ts";
import { connectAgents, TestAgent } from "../support/agent.ts";
import { lackOfIpv6, requiring } from "../support/requires.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const test = requiring(lackOfIpv6());

test("agents whose servers have IPv6 addresses invite, answer, upgrade and talk", async () => {
  await using server = await startServer({ host: "::1" });
  await using other = await startServer({ host: "::1" });
  assert(server.address.startsWith("[::1]:"), server.address);
  const extensions = ["session1"];
  await using a = await TestAgent.start([server.address], { extensions });
  await using b = await TestAgent.start([other.address], { extensions });
  const { invitation } = await a.agent.create("unused");
  assert(formatQueueInfo(invitation).startsWith(`smp::${server.address}::`));
  await connectAgents(a, b);
  await a.send("b", "hello");
  assertEquals(await b.text(), "hello");
  await b.send("a", "and you");
  assertEquals(await a.text(), "and you");
  await until(() => b.agent.connection("a").session?.active === true);
  // Routes tell servers by their addresses.
  // The one of SMP 0.3 may be there yet.
  const sending = b.agent.connection("a").session!.servers.sending.map(formatAddress);
  assertEquals(new Set(sending), new Set([server.address]));
});
