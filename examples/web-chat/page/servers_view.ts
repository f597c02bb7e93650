import type { PageConfig } from "../smp_server.ts";
import { bindDialog } from "./dialogs.ts";
import { element } from "./dom.ts";
import { problemOfServer, serversIn, storeServers } from "./servers.ts";

/** The servers of new conversations. */
export interface ServerChoice {
  get(): readonly string[];
  set(servers: readonly string[]): void;
}

/** Lets a button choose the servers on which new conversations are made. */
export function bindServers(button: HTMLElement, config: PageConfig, choice: ServerChoice): void {
  button.hidden = !config.anyServer;
  const list = element("servers-list", HTMLTextAreaElement);
  const submit = async () => {
    const given = serversIn(list.value);
    if ("problem" in given) return given.problem;
    const before = choice.get();
    for (const server of given.servers.filter((server) => !before.includes(server))) {
      const problem = await problemOfServer(server, config);
      if (problem !== null) return problem;
    }
    choice.set(given.servers);
    storeServers(given.servers, config);
    return null;
  };
  bindDialog("servers-dialog", button, { submit, done: () => {} });
  button.addEventListener("click", () => list.value = choice.get().join("\n"));
}
