import { connected, copyOf, talk, untilText } from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";

const hour = 3_600_000;

for (const name of ["alice", "bob"] as const) {
  const role = name === "alice" ? "initiator" : "joiner";
  Deno.test(`${role === "initiator" ? "an" : "a"} ${role} that is restored to before a repair finds out although the other side says nothing`, async () => {
    await using server = await startServer();
    let ahead = 0;
    const pair = await connected(server, { now: () => Date.now() + ahead });
    await using alice = pair.alice;
    await using bob = pair.bob;
    const [restored, other] = name === "alice" ? [alice, bob] : [bob, alice];
    await talk(alice, bob, "1");
    const backup = await restored.backup();
    await talk(alice, bob, "2");
    await restored.restore(await copyOf(backup));
    await talk(alice, bob, "3");
    for (const side of [alice, bob]) {
      await side.agent.next("security", ({ reason }) => reason === "session repaired");
    }
    await talk(alice, bob, "4");
    ahead = 2 * hour;
    await restored.restore(backup);
    await restored.send("5");
    await untilText(other, "5");
    await other.agent.next("security", ({ reason }) => reason === "session repaired");
  });
}
