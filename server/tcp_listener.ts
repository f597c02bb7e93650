import { delay } from "@std/async/delay";
import { type Channel, networkError } from "../protocol/transport/channel.ts";
import { tcpChannel } from "../protocol/transport/tcp_channel.ts";

/** Milliseconds to wait after the system could not give a connection, for instance because files ran out. */
const acceptPause = 100;

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

async function acceptLoop(
  listener: Deno.TcpListener,
  events: ListenerEvents,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const connection = await listener.accept();
      // The system finds out, in its own time, that a peer is gone without a word.
      connection.setKeepAlive(true);
      events.accept(tcpChannel(connection), connection.remoteAddr.hostname);
    } catch (error) {
      if (signal.aborted) return;
      events.log("Cannot accept a connection", error);
      await delay(acceptPause, { signal }).catch(() => {});
    }
  }
}
