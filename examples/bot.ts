/**
 * A bot that answers whoever joins its invitation: `time`, `echo TEXT`, and what it does not know.
 *
 * `deno run --allow-net examples/bot.ts ADDRESS` prints an invitation; join it with any agent.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Agent, AgentError } from "@simplexmq/smp/agent";
import { formatQueueInfo } from "@simplexmq/smp";
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
  let guests = 0;
  /** An invitation is for one: each guest gets a new one. */
  const invite = async () => {
    const { invitation } = await agent.create(`guest ${++guests}`);
    console.log(formatQueueInfo(invitation));
  };
  await using agent: Agent = await Agent.start({
    servers,
    // When this fails it is tried again with the guest's confirmation: an invitation is never used up without the next.
    approve: async () => {
      await invite();
      return true;
    },
  });
  await invite();
  for await (const event of agent.events()) {
    if (event.type === "message") await reply(agent, event.connection, event.message.body);
  }
}

/** Answers a message. What a guest sends must not end the bot: one that cannot be answered has no answer. */
async function reply(agent: Agent, guest: string, body: Uint8Array): Promise<void> {
  try {
    const text = answer(new TextDecoder().decode(body));
    await agent.send(guest, new TextEncoder().encode(text));
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    console.error(`${guest}: ${error.message}`);
  }
}

await run("bot.ts ADDRESS…, which is what a server prints", (args) => args.length > 0 ? bot(args) : null);
