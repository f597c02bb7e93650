import type { TcpConnection } from "./tcp_channel.ts";

/** Whoever is told of here is called after all that has ended in this turn of the event loop. */
const { setImmediate } = globalThis as unknown as { setImmediate(callback: () => void): void };

/**
 * Connects to `host:port` by Deno. Rejects when there is no connection, or `signal` aborts. `Deno.connect` never closes a
 * connection that is made in the turn of the event loop in which its signal aborts: so its own one aborts behind that.
 */
export async function connectDeno(host: string, port: number, signal?: AbortSignal): Promise<TcpConnection> {
  const giveUp = new AbortController();
  const abort = () => setImmediate(() => giveUp.abort());
  signal?.addEventListener("abort", abort);
  try {
    const connection = await Deno.connect({ hostname: host, port, signal: giveUp.signal });
    if (signal?.aborted) connection.close();
    signal?.throwIfAborted();
    return connection;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
