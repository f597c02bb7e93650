import { assertRejects } from "@std/assert";
import { Agent } from "../../agent/mod.ts";

Deno.test("extensions that cannot be announced are told when the agent starts, not to its peers' messages", async () => {
  const address = `localhost#${btoa("\0".repeat(32))}`;
  for (
    const extensions of [
      ["two words"],
      ["a1", "a1"],
      [""],
      Array.from({ length: 17 }, (_, i) => `a${i}`),
    ]
  ) {
    await assertRejects(
      () => Agent.start({ servers: [address], extensions, keyPool: 0 }).then((agent) => agent.close()),
      RangeError,
      "extensions",
    );
  }
});
