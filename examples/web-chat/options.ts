import { readOptions, UsageError } from "../command_line.ts";

/** How the chat is served. */
export interface ChatOptions {
  /** Address that page and SMP server listen on. */
  readonly host: string;
  /** Whether page and WebSockets are on one port, over TLS with a certificate made here. */
  readonly tls: boolean;
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
  /** Whether pages announce sessions to the other side. */
  readonly sessions: boolean;
  /** Whether pages connect to other servers than this one. */
  readonly anyServer: boolean;
}

/** What the command line asks for. */
export type ChatCommand =
  | { readonly type: "serve"; readonly options: ChatOptions }
  | { readonly type: "help" }
  | { readonly type: "error"; readonly message: string };

/** What `--help` prints. */
export const helpText = `Serves a chat for browsers, with an SMP server of its own (docs/web-chat.md)

  --tls           for phones and computers in the same network: https and wss on one port, with a certificate that
                  is made at the first start; all addresses and port 8443 unless --host and --port say otherwise
  --host HOST     address to listen on (127.0.0.1)
  --port N        port of the page, 0 for a free one (8080)
  --ws-port N     port of the SMP server for browsers, 0 for a free one (5280)
  --smp-port N    port of the SMP server for other programs (a free one)
  --ws-url URL    where browsers find the WebSocket port, when a proxy stands before it
  --dir DIR       folder of the server's key, queues and messages (data/web-chat)
  --no-sessions   pages announce no sessions: new conversations stay as in SMP 0.3, without forward secrecy
  --one-server    pages connect to this server alone: invitations on others, and people there, cannot be used
  --help          print this
`;

/** Reads the command line. Never throws: what is wrong is a value. */
export function parseOptions(args: readonly string[]): ChatCommand {
  try {
    return read(args);
  } catch (error) {
    if (error instanceof UsageError) return { type: "error", message: error.message };
    throw error;
  }
}

function read(args: readonly string[]): ChatCommand {
  const given = readOptions(args, {
    values: ["host", "port", "ws-port", "smp-port", "ws-url", "dir"],
    flags: ["tls", "no-sessions", "one-server", "help"],
  });
  if (given.has("help")) return { type: "help" };
  const tls = given.has("tls");
  const host = given.one("host") ?? (tls ? "0.0.0.0" : "127.0.0.1");
  const webSocketUrl = given.one("ws-url") ?? null;
  const directory = given.one("dir") ?? "data/web-chat";
  const port = (option: "port" | "ws-port" | "smp-port", fallback: number) => {
    const text = given.one(option) ?? String(fallback);
    if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
    throw new UsageError(`--${option} ${text} is not a number from 0 to 65535`);
  };
  const ports = {
    port: port("port", tls ? 8443 : 8080),
    webSocketPort: port("ws-port", 5280),
    smpPort: port("smp-port", 0),
  };
  const isUrl = webSocketUrl === null || /^wss?:\/\/[\w.-]+(:\d+)?\/[\w/.-]*$/.test(webSocketUrl);
  if (!isUrl) throw new UsageError(`--ws-url ${webSocketUrl} is not like wss://chat.example.org/smp`);
  if (!/^[\w.-]+$/.test(host)) throw new UsageError(`--host ${host} is not a name or an IPv4 address`);
  for (const other of ["ws-port", "ws-url"] as const) {
    if (tls && given.one(other) !== undefined) {
      throw new UsageError(`--${other} and --tls exclude each other`);
    }
  }
  // It is an address to listen on, and none that a browser can connect to.
  if (host === "0.0.0.0" && webSocketUrl === null && !tls) {
    throw new UsageError(`--host ${host} needs --ws-url or --tls`);
  }
  return {
    type: "serve",
    options: {
      host,
      tls,
      ...ports,
      webSocketUrl,
      directory,
      sessions: !given.has("no-sessions"),
      anyServer: !given.has("one-server"),
    },
  };
}
