import { assertRejects } from "@std/assert";
import { Agent } from "../../agent/mod.ts";
import { SmpClient } from "../../mod.ts";

Deno.test("a server that was not given is told, as of a program without its argument", async () => {
  const [missing] = [] as string[];
  const acts = [() => Agent.start({ servers: [missing!], keyPool: 0 }), () => SmpClient.connect(missing!)];
  for (const act of acts) {
    await assertRejects(act, TypeError, "Cannot use the server: its address is undefined, not a text");
  }
});

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
