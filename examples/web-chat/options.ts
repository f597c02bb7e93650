import { parseArgs } from "@std/cli/parse-args";

/** How the chat is served. */
export interface ChatOptions {
  /** Address that page and SMP server listen on. */
  readonly host: string;
  /** Port of the page; 0 takes a free one. */
  readonly port: number;
  /** Port of the SMP server for browsers; 0 takes a free one. */
  readonly webSocketPort: number;
  /** Port of the SMP server for programs; 0 takes a free one. */
  readonly smpPort: number;
  /** Where browsers find the WebSocket port when a proxy stands before it; `null` without one. */
  readonly webSocketUrl: string | null;
  /** Folder of the server's key, queues and messages, and of the page's program. */
  readonly directory: string;
}

/** What the command line asks for. */
export type ChatCommand =
  | { readonly type: "serve"; readonly options: ChatOptions }
  | { readonly type: "help" }
  | { readonly type: "error"; readonly message: string };

/** What `--help` prints. */
export const helpText = `Serves a chat for browsers, with an SMP server of its own (docs/web-chat.md)

  --host HOST     address to listen on (127.0.0.1)
  --port N        port of the page, 0 for a free one (8080)
  --ws-port N     port of the SMP server for browsers, 0 for a free one (5280)
  --smp-port N    port of the SMP server for other programs (a free one)
  --ws-url URL    where browsers find the WebSocket port, when a proxy stands before it
  --dir DIR       folder of the server's key, queues and messages (data/web-chat)
  --help          print this
`;

const names = ["host", "port", "ws-port", "smp-port", "ws-url", "dir"] as const;

/** Reads the command line. Never throws: what is wrong is a value. */
export function parseOptions(args: string[]): ChatCommand {
  const unknown: string[] = [];
  const parsed = parseArgs(args, {
    boolean: ["help"],
    string: [...names],
    collect: [...names],
    unknown: (arg) => {
      unknown.push(arg);
      return false;
    },
  });
  if (unknown.length > 0) return wrong(`unknown option ${unknown[0]}`);
  if (parsed.help) return { type: "help" };
  const given = new Map<string, string>();
  for (const name of names) {
    const values = parsed[name] as string[];
    if (values.length > 1) return wrong(`--${name} is given more than once`);
    if (values[0] === "") return wrong(`--${name} needs a value`);
    if (values[0] !== undefined) given.set(name, values[0]);
  }
  const ports = { port: 8080, "ws-port": 5280, "smp-port": 0 };
  for (const name of ["port", "ws-port", "smp-port"] as const) {
    const text = given.get(name);
    if (text === undefined) continue;
    if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) {
      return wrong(`--${name} ${text} is not a port from 0 to 65535`);
    }
    ports[name] = Number(text);
  }
  const webSocketUrl = given.get("ws-url") ?? null;
  const isUrl = webSocketUrl === null || /^wss?:\/\/[\w.-]+(:\d+)?\/[\w/.-]*$/.test(webSocketUrl);
  if (!isUrl) return wrong(`--ws-url ${webSocketUrl} is not like wss://chat.example.org/smp`);
  const host = given.get("host") ?? "127.0.0.1";
  if (!/^[\w.-]+$/.test(host)) return wrong(`--host ${host} is not a name or an IPv4 address`);
  // It is an address to listen on, and none that a browser can connect to.
  if (host === "0.0.0.0" && webSocketUrl === null) return wrong(`--host ${host} needs --ws-url`);
  const options = {
    host,
    port: ports.port,
    webSocketPort: ports["ws-port"],
    smpPort: ports["smp-port"],
    webSocketUrl,
    directory: given.get("dir") ?? "data/web-chat",
  };
  return { type: "serve", options };
}

function wrong(message: string): ChatCommand {
  return { type: "error", message };
}
