import type { Channel } from "../../protocol/mod.ts";
import { ReadAhead, tcpChannel } from "../../protocol/mod.ts";
import { acceptConnections, type Listener } from "./accept_loop.ts";

export interface ListenerEvents {
  accept(channel: Channel, address: string | undefined): void;
  log(message: string, error: unknown): void;
}

/** Connections that may have 64 KiB of what their peers have sent in memory: 16 MiB in all. */
const readAheadConnections = 256;

export function listenTcp(
  host: string,
  port: number,
  events: ListenerEvents,
  { reusePort = false }: { readonly reusePort?: boolean } = {},
): Listener {
  const readAhead = new ReadAhead(readAheadConnections);
  return acceptConnections({ host, port, reusePort }, {
    take: (connection) => events.accept(tcpChannel(connection, readAhead), connection.remoteAddr.hostname),
    failed: (error) => events.log("Cannot accept a connection", error),
  });
}
