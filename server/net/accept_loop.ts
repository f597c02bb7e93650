import { setTimeout as pause } from "node:timers/promises";
import { formatAddress, networkError } from "../../protocol/mod.ts";

/** All addresses of the machine, and those of IPv4 alone. */
const everywhere = "::", everywhereIpv4 = "0.0.0.0";
/** Milliseconds to wait, for instance when files have run out. */
const acceptPause = 100;
/** What `accept` fails with when a connection was reset before, or the network has an error of that connection to tell. */
const connectionErrors: ReadonlySet<string> = new Set([
  "ECONNABORTED",
  "ECONNRESET",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EINTR",
  "ENETDOWN",
  "ENETUNREACH",
  "ENONET",
  "ENOPROTOOPT",
  "ENOTCONN",
  "EOPNOTSUPP",
  "EPERM",
  "EPIPE",
  "EPROTO",
  "ETIMEDOUT",
]);

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** Other processes may listen there, too. */
  readonly reusePort?: boolean;
}

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

export interface AcceptEvents<Connection extends Deno.Conn = Deno.TcpConn> {
  take(connection: Connection): void;
  failed(error: unknown): void;
}

export function acceptConnections(options: ListenOptions, events: AcceptEvents): Listener {
  const listeners = listenAll(options);
  const stop = new AbortController();
  const take = (connection: Deno.TcpConn) => {
    // The system finds out, in its own time, that a peer is gone without a word.
    connection.setKeepAlive(true);
    events.take(connection);
  };
  const accepting = listeners.map((listener) => acceptLoop(listener, { ...events, take }, stop.signal));
  return {
    port: listeners[0]!.addr.port,
    async close() {
      if (!stop.signal.aborted) { for (const listener of listeners) listener.close(); }
      stop.abort();
      await Promise.all(accepting);
    },
  };
}

/** What a system does with ports. */
export interface Ports {
  listen(options: Deno.TcpListenOptions): Deno.TcpListener;
  /** Whether sockets of IPv6 take no IPv4 (Windows, `bindv6only`); `false` where it may not be found out. */
  isIpv6Alone(): boolean;
}

const systemPorts: Ports = {
  listen: (options) => Deno.listen(options),
  isIpv6Alone() {
    // Asking a person would be worse than not to know.
    const { state } = Deno.permissions.querySync({ name: "net", host: "0.0.0.0:0" });
    if (state !== "granted") return false;
    try {
      using first = Deno.listen({ hostname: everywhere, port: 0 });
      using _second = Deno.listen({ hostname: everywhereIpv4, port: first.addr.port });
      return true;
    } catch {
      return false;
    }
  },
};

/**
 * The sockets of one port. `::` is all addresses: where the system has no IPv6 those of IPv4, and where a socket of IPv6
 * takes no IPv4 (Windows, `bindv6only`) there is another one for that. Throws `TransportError` where another program has
 * the port.
 */
export function listenAll(
  { host, port, reusePort = false }: ListenOptions,
  { listen, isIpv6Alone }: Ports = systemPorts,
): readonly Deno.TcpListener[] {
  const on = (hostname: string, port: number) => listen({ hostname, port, ...(reusePort && { reusePort }) });
  let first: Deno.TcpListener | null = null;
  try {
    first = on(host, port);
  } catch (cause) {
    if (host !== everywhere || !lacksIpv6(cause)) {
      throw networkError(`listen on ${formatAddress({ host, port })}`, cause);
    }
  }
  if (host !== everywhere) return [first!];
  try {
    const second = on(everywhereIpv4, first?.addr.port ?? port);
    return first === null ? [second] : [first, second];
  } catch (cause) {
    // The first one takes IPv4 as well: nobody else can have the port.
    if (first !== null && !isIpv6Alone()) return [first];
    first?.close();
    throw networkError(`listen on ${formatAddress({ host: everywhereIpv4, port })}`, cause);
  }
}

/** Also where it is switched off for all interfaces. */
function lacksIpv6(error: unknown): boolean {
  const { code = "" } = error as { readonly code?: string };
  return error instanceof Deno.errors.AddrNotAvailable || ["EAFNOSUPPORT", "EADDRNOTAVAIL"].includes(code);
}

/** No failure of one connection keeps the next one waiting. */
export async function acceptLoop<Connection extends Deno.Conn>(
  listener: { accept(): Promise<Connection> },
  events: AcceptEvents<Connection>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let connection;
    try {
      connection = await listener.accept();
    } catch (error) {
      if (signal.aborted) return;
      if (isOfOneConnection(error)) continue;
      events.failed(error);
      await pause(acceptPause, undefined, { signal }).catch(() => {});
      continue;
    }
    // Accepted in the moment in which the listener was closed.
    if (signal.aborted) return connection.close();
    try {
      events.take(connection);
    } catch {
      // The peer has reset the connection already.
      closeQuietly(connection);
    }
  }
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}

function isOfOneConnection(error: unknown): boolean {
  return connectionErrors.has((error as { readonly code?: string }).code ?? "");
}
