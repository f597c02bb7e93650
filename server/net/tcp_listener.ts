import { setTimeout as pause } from "node:timers/promises";
import { type Channel, networkError } from "../../protocol/transport/channel.ts";
import { tcpChannel } from "../../protocol/transport/tcp_channel.ts";

/** Milliseconds to wait after the system could not give a connection, for instance because files ran out. */
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

/** What accepts connections for a server. */
export interface Listener {
  /** The port it listens on. */
  readonly port: number;
  /** Stops accepting; connections go on. */
  close(): Promise<void>;
}

/** What a listener does with connections and failures. */
export interface ListenerEvents {
  /** Takes a connection; `address` is the client's IP address, if it is known. */
  accept(channel: Channel, address: string | undefined): void;
  log(message: string, error: unknown): void;
}

/** Accepts TCP connections on `host:port`; port 0 takes a free one. Throws `TransportError` (`NETWORK`). */
export function listenTcp(host: string, port: number, events: ListenerEvents): Listener {
  const listener = listen(host, port);
  const stop = new AbortController();
  const accepting = acceptLoop(listener, events, stop.signal);
  return {
    port: listener.addr.port,
    async close() {
      stop.abort();
      listener.close();
      await accepting;
    },
  };
}

function listen(host: string, port: number): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: host, port });
  } catch (cause) {
    throw networkError(`listen on ${host}:${port}`, cause);
  }
}

/** Hands on what `listener` accepts until `signal` aborts; no failure of one connection keeps the next one waiting. */
export async function acceptLoop(
  listener: Pick<Deno.TcpListener, "accept">,
  events: ListenerEvents,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let connection;
    try {
      connection = await listener.accept();
    } catch (error) {
      if (signal.aborted) return;
      if (isOfOneConnection(error)) continue;
      events.log("Cannot accept a connection", error);
      await pause(acceptPause, undefined, { signal }).catch(() => {});
      continue;
    }
    takeOver(connection, events);
  }
}

function takeOver(connection: Deno.TcpConn, events: ListenerEvents): void {
  try {
    // The system finds out, in its own time, that a peer is gone without a word.
    connection.setKeepAlive(true);
    events.accept(tcpChannel(connection), connection.remoteAddr.hostname);
  } catch {
    // The peer has reset the connection already.
    connection.close();
  }
}

/** Whether `accept` has failed because of the connection that came, not for want of files or memory. */
function isOfOneConnection(error: unknown): boolean {
  return connectionErrors.has((error as { readonly code?: string }).code ?? "");
}
