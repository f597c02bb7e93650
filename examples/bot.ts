/**
 * A bot that answers whoever joins its invitation: `time`, `echo TEXT`, and what it does not know.
 *
 * `deno run --allow-net examples/bot.ts ADDRESS` prints an invitation; join it with any agent.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Agent } from "../agent/mod.ts";
import { formatQueueInfo } from "../mod.ts";
import { run } from "./run.ts";

function answer(text: string): string {
  const [command, ...rest] = text.trim().split(" ");
  switch (command) {
    case "time":
      return new Date().toISOString();
    case "echo":
      return rest.join(" ");
    default:
      return "I know: time, echo TEXT";
  }
}

async function bot(servers: readonly string[]): Promise<void> {
  await using agent = await Agent.start({ servers });
  let guests = 0;
  /** An invitation is for one: each guest gets a new one. */
  const invite = async () => {
    const { invitation } = await agent.create(`guest ${++guests}`);
    console.log(formatQueueInfo(invitation));
  };
  await invite();
  for await (const event of agent.events()) {
    switch (event.type) {
      case "connected":
        await invite();
        break;
      case "message": {
        const text = answer(new TextDecoder().decode(event.message.body));
        await agent.send(event.connection, new TextEncoder().encode(text));
        break;
      }
    }
  }
}

await run("bot.ts ADDRESS…, which is what a server prints", (args) => args.length > 0 ? bot(args) : null);
