import { assertEquals } from "@std/assert";
import { holdable, MortalServer } from "../../support/mortal_server.ts";
import { streamPair } from "../../support/streams.ts";
import { until } from "../../support/wait.ts";

Deno.test("messages that a server had taken and has lost come again when it is back", async () => {
  await using mortal = await MortalServer.start();
  const { transport, hold, lose } = holdable();
  await using pair = await streamPair(mortal.now, { b: { client: { transport } } });
  const { alice, bob } = pair;
  await alice.send("b", "before");
  assertEquals(await bob.text(), "before");
  // Bob tells no more after that.
  await alice.next("delivered");
  await until(() => mortal.messages === 0);
  hold();
  for (const text of ["one", "two", "three"]) {
    const before = mortal.messages;
    await alice.send("b", text);
    await until(() => mortal.messages > before);
  }
  await mortal.kill();
  lose();
  assertEquals([await bob.text(), await bob.text(), await bob.text()], ["one", "two", "three"]);
});
