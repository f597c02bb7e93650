import type { OptionKinds } from "../../cli/options.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command, Surroundings } from "./command.ts";
import { oneLine, printable } from "./print.ts";
import { Session } from "./session.ts";

const kinds = { ...serverOptions, "yes": "flag", "json": "flag" } as const satisfies OptionKinds;

/** Seconds for which the servers are waited for. */
const patience = "10";

/** Milliseconds between two looks at what servers have still to delete. */
const interval = 50;

/** `smp-agent delete`: removes a connection. */
export const remove: Command = {
  summary: "delete a connection with its messages",
  usage: "NAME [-y] [options]",
  help: `\
  -y, --yes               do not ask
  --timeout SECONDS       how long the server is waited for (default 10)
  --json                  print a JSON object: deleted
${serverHelp}

When the server cannot be reached, the connection is deleted here, and its queue at the server by what runs
next on the database.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME"], letters: { y: "yes" } });
    const name = positional[0]!;
    const { print, tell, ask } = surroundings;
    let isDeleted = false;
    try {
      await Session.use({ ...options, timeout: options.timeout ?? patience }, surroundings, {
        needs: { mayMake: false, needsServer: () => false },
        left: () => "nothing was deleted",
        async use(session) {
          session.connection(name);
          if (!options.yes) await confirm(name, ask);
          const queues = await queuesOf(name, session);
          await session.agent.delete(name);
          isDeleted = true;
          await untilGone(queues, session);
        },
      });
    } catch (error) {
      if (!isDeleted) throw error;
      tell(`"${printable(name)}" is deleted here; its server could not be told, what runs next will do it`);
    }
    if (isDeleted && options.json) await print(oneLine({ type: "deleted", connection: name }));
  },
};

async function confirm(name: string, ask: Surroundings["ask"]): Promise<void> {
  const answer = await ask(`Delete "${printable(name)}" with its messages?`);
  if (answer === null) throw new Error(`nobody is there to ask whether "${name}" is to be deleted; pass -y`);
  if (!answer) throw new Error("nothing was deleted");
}

async function queuesOf(name: string, { store }: Session): Promise<readonly string[]> {
  const connection = (await store.connections()).find(({ record: { alias } }) => alias === name);
  return connection === undefined ? [] : [...connection.receiving, ...connection.inbound].map(({ id }) => id);
}

/** Waits until servers have deleted queues. Nothing tells of it. */
async function untilGone(queues: readonly string[], { store }: Session): Promise<void> {
  while ((await store.discarded()).some(({ id }) => queues.includes(id))) {
    await new Promise((resolve) => setTimeout(resolve, interval));
  }
}
