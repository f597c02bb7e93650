import { setTimeout as pause } from "node:timers/promises";
import { networkError } from "../../protocol/mod.ts";

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

export interface AcceptEvents {
  take(connection: Deno.TcpConn): void;
  failed(error: unknown): void;
}

export function acceptConnections(options: ListenOptions, events: AcceptEvents): Listener {
  const listener = listen(options);
  const stop = new AbortController();
  const accepting = acceptLoop(listener, events, stop.signal);
  return {
    port: listener.addr.port,
    async close() {
      if (!stop.signal.aborted) listener.close();
      stop.abort();
      await accepting;
    },
  };
}

function listen({ host, port, reusePort = false }: ListenOptions): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: host, port, ...(reusePort && { reusePort }) });
  } catch (cause) {
    throw networkError(`listen on ${host}:${port}`, cause);
  }
}

/** No failure of one connection keeps the next one waiting. */
export async function acceptLoop(
  listener: Pick<Deno.TcpListener, "accept">,
  events: AcceptEvents,
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
      // The system finds out, in its own time, that a peer is gone without a word.
      connection.setKeepAlive(true);
      events.take(connection);
    } catch {
      // The peer has reset the connection already.
      closeQuietly(connection);
    }
  }
}

function closeQuietly(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}

function isOfOneConnection(error: unknown): boolean {
  return connectionErrors.has((error as { readonly code?: string }).code ?? "");
}
