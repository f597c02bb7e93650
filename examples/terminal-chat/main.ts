/**
 * A chat in the terminal, like the original's prototype: `deno task terminal-chat --server ADDRESS`.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Agent, AgentError } from "@simplexmq/smp/agent";
import { SqliteStore } from "@simplexmq/smp/agent/sqlite";
import { execute, showEvent } from "./chat.ts";
import { Files } from "./files.ts";
import { parseInput } from "./input.ts";
import { type ChatOptions, checkServer, helpText, parseOptions } from "./options.ts";
import { shownArgument } from "../command_line.ts";
import { type Kind, Screen } from "./screen.ts";
import { tellUnreachable } from "./servers.ts";

async function chat(options: ChatOptions): Promise<void> {
  const { allowUnverified, database, passphraseFile, sessions, routes } = options;
  const servers = await Promise.all(options.servers.map((server) => readServer(server, allowUnverified)));
  const passphrase = passphraseFile === undefined ? undefined : await firstLine(passphraseFile);
  const folder = database.slice(0, Math.max(0, database.lastIndexOf("/")));
  // When it cannot be made, opening the database says why.
  if (folder !== "") await Deno.mkdir(folder, { recursive: true, mode: 0o700 }).catch(() => {});
  const store = await SqliteStore.open(database, passphrase === undefined ? {} : { passphrase });
  await using agent = await Agent.start({
    servers,
    store,
    client: { allowUnverified },
    extensions: sessions ? ["session1"] : [],
    routes,
  });
  using screen = new Screen();
  const show = (text: string, kind?: Kind) => screen.show(text, kind);
  const files = new Files(agent, {
    folder: options.files,
    show,
    status: (text) => screen.status(text),
  });
  const codes = new Map<string, string>();
  const events = showAll(agent, show, files);
  const ending = new AbortController();
  const probed = tellUnreachable({ ...options, servers }, show, ending.signal);
  const subscribed = subscribe(agent, show);
  for await (const line of screen.input()) {
    try {
      if (!await execute(agent, parseInput(line), { show, files, codes })) break;
    } catch (error) {
      show(error instanceof Error ? error.message : String(error), "warning");
    }
  }
  ending.abort();
  await agent.close();
  await Promise.all([events, probed, subscribed, files.stopped()]);
}

async function showAll(
  agent: Agent,
  show: (text: string, kind?: Kind) => void,
  files: Files,
): Promise<void> {
  for await (const event of agent.events()) {
    if (event.type === "stream offered") files.offered(event.offer);
    else showEvent(event, show);
  }
}

/** Receives from all connections. What is not possible now is told by events, also when it is later. */
async function subscribe(agent: Agent, show: (text: string, kind?: Kind) => void): Promise<void> {
  try {
    const reached = await agent.subscribeAll();
    if (reached.length > 0) show(`talking to ${reached.join(", ")}`, "notice");
    else show("/help shows what there is", "notice");
  } catch (error) {
    // The chat was ended meanwhile.
    if (!(error instanceof AgentError && error.code === "INTERNAL")) throw error;
  }
}

async function readServer(argument: string, allowUnverified: boolean): Promise<string> {
  if (!argument.startsWith("@")) return argument;
  const path = argument.slice(1);
  const server = (await firstLine(path).catch((cause) => {
    // A password may begin with "@".
    throw path.includes("@")
      ? new Error(`cannot read the server in ${shownArgument(path)}`, { cause })
      : cause;
  })).trim();
  checkServer(server, allowUnverified);
  return server;
}

async function firstLine(path: string): Promise<string> {
  using file = await Deno.open(path);
  // However much there is, as of a device.
  const bytes = new Uint8Array(4096);
  let length = 0;
  for (let read: number | null = 0; read !== null && length < bytes.length; length += read ?? 0) {
    read = await file.read(bytes.subarray(length));
    if (bytes.subarray(0, length).includes(0x0a)) break;
  }
  const [line = "", ...more] = new TextDecoder().decode(bytes.subarray(0, length)).split(/\r?\n/, 2);
  if (more.length === 0 && length === bytes.length) throw new Error(`the first line of ${path} is too long`);
  if (line === "") throw new Error(`${path} has nothing in its first line`);
  return line;
}

const command = parseOptions(Deno.args);
switch (command.type) {
  case "help":
    console.log(helpText);
    break;
  case "error":
    console.error(`${command.message}; --help lists what there is`);
    Deno.exitCode = 2;
    break;
  case "chat":
    try {
      await chat(command.options);
    } catch (error) {
      console.error(error instanceof Error ? error.message : String(error));
      Deno.exitCode = 1;
    }
    break;
  default:
    command satisfies never;
}
