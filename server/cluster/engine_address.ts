/** Where NATS servers are. */
export interface EngineAddress {
  readonly isEncrypted: boolean;
  readonly servers: readonly ServerAddress[];
}

export interface ServerAddress {
  /** Without brackets. */
  readonly hostname: string;
  readonly port: number;
}

const defaultPort = 4222;
const mostServers = 16;

/**
 * Parses `nats://host:port[,…]`, or `tls://…` for connections that are encrypted. Throws `RangeError` that says what is
 * wrong.
 */
export function parseEngineAddress(text: string): EngineAddress {
  const cannot = (why: string) => new RangeError(`Cannot parse the address of NATS servers: ${why}`);
  const [, scheme, rest] = /^([a-z]+):\/\/(.*)$/.exec(text.trim()) ?? [];
  if (scheme === undefined) throw cannot("it is nats://host:port[,…], or tls://host:port[,…]");
  if (scheme !== "nats" && scheme !== "tls") throw cannot(`${scheme}:// is neither nats:// nor tls://`);
  const parts = rest!.split(",").map((part) => part.trim());
  if (parts.length > mostServers) throw cannot(`more than ${mostServers} servers`);
  const servers = parts.map((part) => {
    const own = /^([a-z]+):\/\/(.*)$/.exec(part);
    if (own !== null && own[1] !== scheme) throw cannot(`${scheme}:// and ${own[1]}:// are mixed`);
    const server = own?.[2] ?? part;
    if (server.includes("@")) throw cannot("credentials do not belong into it, as it is logged");
    const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/.exec(server) ??
      [];
    const hostname = bracketed ?? plain;
    if (hostname === undefined) throw cannot(`${JSON.stringify(server.slice(0, 100))} is not host:port`);
    const number = port === undefined ? defaultPort : Number(port);
    if (number < 1 || number > 65_535) throw cannot(`${port} is not a port`);
    return { hostname, port: number };
  });
  return { isEncrypted: scheme === "tls", servers };
}

/** As it is connected to, and logged. */
export function formatServer({ hostname, port }: ServerAddress): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** Whether what goes there stays on this machine. */
export function isLoopback({ hostname }: ServerAddress): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname);
}
