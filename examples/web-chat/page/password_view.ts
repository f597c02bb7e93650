import { type Agent, AgentError } from "@simplexmq/smp/agent";
import { formatAddress, parseAddress } from "@simplexmq/smp/protocol";
import { bindDialog } from "./dialogs.ts";
import { element } from "./dom.ts";
import type { Access, Passwords } from "./passwords.ts";

/**
 * Sees to it that conversations can be made on servers, asking for passwords; gives what is wrong with one, or `null`. All
 * are tried with `tries`, else nothing is done but for those that have wanted a password which the page does not have. With
 * `isUnexpected` the page only says that it wants one, until the person does: what somebody is writing just then would go
 * to the server.
 */
export async function needPasswords(
  servers: readonly string[],
  passwords: Passwords,
  { tries, isUnexpected = false }: { readonly tries: boolean; readonly isUnexpected?: boolean },
): Promise<string | null> {
  for (const server of servers) {
    if (!tries && !passwords.isMissing(server)) continue;
    const access = passwords.isMissing(server) ? wanted : await passwords.try(server);
    if (access.type === "password" && isUnexpected) await personWants(server, passwords);
    const problem = access.type === "password"
      ? await passwords.inTurn(() => ask(server, passwords, access.isWrong))
      : access.type === "problem"
      ? access.text
      : null;
    if (problem !== null) return problem;
  }
  return null;
}

/** Makes an invitation, asking for passwords; gives what is wrong with a server, or `null`. Throws what the agent throws. */
export async function createInvitation(
  agent: Agent,
  name: string,
  passwords: Passwords,
): Promise<string | null> {
  const servers = agent.servers.map(formatAddress);
  let problem = await needPasswords(servers, passwords, { tries: false });
  for (let left = 2; problem === null; left--) {
    try {
      await agent.create(name);
      return null;
    } catch (error) {
      // The agent's connection may be older than the server's password: the next try is on another one.
      if (!(error instanceof AgentError && error.code === "SMP AUTH") || left === 0) throw error;
      problem = await needPasswords(servers, passwords, { tries: true });
    }
  }
  return problem;
}

const wanted: Access = { type: "password", isWrong: false };

/** Says that a server wants its password, until the person wants to give it, or has given it elsewhere. */
async function personWants(server: string, passwords: Passwords): Promise<void> {
  element("wanted-text", HTMLElement).textContent = `${
    parseAddress(server).host
  } wants its password, or a conversation that you have joined does not begin.`;
  const { promise, resolve } = Promise.withResolvers<unknown>();
  element("wanted-give", HTMLButtonElement).onclick = resolve;
  element("wanted", HTMLElement).hidden = false;
  await Promise.race([promise, passwords.whenTaken(server)]);
  element("wanted", HTMLElement).hidden = true;
}

/** Asks until the server takes the password, or the person does not go on. */
async function ask(server: string, passwords: Passwords, isWrong: boolean): Promise<string | null> {
  // It was given while another one was asked for.
  if (passwords.of(server) !== undefined) return null;
  const { host } = parseAddress(server);
  const dialog = element("password-dialog", HTMLDialogElement);
  const field = element("server-password", HTMLInputElement);
  element("password-label", HTMLElement).textContent = `Password of ${host}`;
  const { promise, resolve } = Promise.withResolvers<string | null>();
  let given: string | null = `${host} makes conversations for those alone who know its password.`;
  const submit = async () => {
    if (!passwords.give(server, field.value)) {
      return "A password has up to 256 letters, digits and signs, and no spaces.";
    }
    const access = await passwords.try(server);
    if (access.type === "problem") return access.text;
    if (access.type === "password") return wrongText(host);
    given = null;
    passwords.taken(server);
    return null;
  };
  const { open } = bindDialog("password-dialog", null, { submit, done: () => {} });
  dialog.addEventListener("close", () => resolve(given), { once: true });
  open(isWrong ? wrongText(host) : "");
  return await promise;
}

function wrongText(host: string): string {
  return `This is not the password of ${host}: whoever runs the server knows it.`;
}
