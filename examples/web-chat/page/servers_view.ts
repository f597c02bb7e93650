import type { PageConfig } from "../smp_server.ts";
import { bindDialog } from "./dialogs.ts";
import { element } from "./dom.ts";
import { needPasswords } from "./password_view.ts";
import type { Passwords } from "./passwords.ts";
import { serversIn, storeServers } from "./servers.ts";

/** The servers of new conversations. */
export interface ServerChoice {
  get(): readonly string[];
  set(servers: readonly string[]): void;
  readonly passwords: Passwords;
}

/** Lets a button choose the servers on which new conversations are made. */
export function bindServers(button: HTMLElement, config: PageConfig, choice: ServerChoice): void {
  button.hidden = !config.anyServer;
  const list = element("servers-list", HTMLTextAreaElement);
  const submit = async () => {
    const given = serversIn(list.value);
    if ("problem" in given) return given.problem;
    // What is tried and stored has no password.
    list.value = given.servers.join("\n");
    for (const [server, password] of given.passwords) choice.passwords.give(server, password);
    const before = choice.get();
    const tried = given.servers.filter((server) => !before.includes(server) || given.passwords.has(server));
    const problem = await needPasswords(tried, choice.passwords, { tries: true }) ??
      await needPasswords(given.servers, choice.passwords, { tries: false });
    if (problem !== null) return problem;
    choice.set(given.servers);
    storeServers(given.servers, config);
    return null;
  };
  bindDialog("servers-dialog", button, { submit, done: () => {} });
  button.addEventListener("click", () => list.value = choice.get().join("\n"));
}
