import { commands, help, overview } from "../../agent/cli/commands.ts";
import { helpText as clientHelp } from "../../client/cli/help.ts";
import config from "../../deno.json" with { type: "json" };
import { helpText as serverHelp } from "../../server/config/cli.ts";
import { settings } from "../../server/config/settings.ts";
import type { ManualPage } from "./roff.ts";

const { version } = config;

/** The manual pages of the programs: what `--help` of each prints, and the keys of smp-server.ini. */
export function manualPages(): readonly ManualPage[] {
  return [
    {
      name: "smp-server",
      section: 8,
      summary: "broker for private, one-way message queues (SMP 0.3)",
      version,
      parts: [
        ...parts(serverHelp),
        { title: "smp-server.ini", text: keys() },
        { title: "See also", text: "smp(1), smp-agent(1), systemctl(1)" },
      ],
    },
    {
      name: "smp-agent",
      section: 1,
      summary: "end-to-end encrypted connections between two sides",
      version,
      parts: [
        ...parts(overview()),
        ...[...commands].filter(([name]) => name !== "start").map(([name, command]) => ({
          title: name,
          text: help(name, command),
        })),
        { title: "See also", text: "smp(1), smp-server(8)" },
      ],
    },
    {
      name: "smp",
      section: 1,
      summary: "ping servers, use queues from scripts, and put load on a server (SMP 0.3)",
      version,
      parts: [...parts(clientHelp), { title: "See also", text: "smp-agent(1), smp-server(8)" }],
    },
  ];
}

/** A help, whose first line has what the program is, and whose second paragraph how it is called. */
function parts(text: string): ManualPage["parts"] {
  const [, usage = "", ...more] = text.split("\n\n");
  return [{ title: "Synopsis", text: usage }, { title: "Description", text: more.join("\n\n") }];
}

function keys(): string {
  const directories = { configDir: "/etc/opt/simplex", logDir: "/var/opt/simplex" };
  const lines = settings(directories).map(({ section, key, comment }) => `  [${section}] ${key}  ${comment}`);
  return `Keys of /etc/opt/simplex/smp-server.ini, which has their defaults:\n\n${lines.join("\n")}`;
}
