import type { Channel } from "../../protocol/mod.ts";
import { tcpChannel } from "../../protocol/mod.ts";
import { acceptConnections, type Listener } from "./accept_loop.ts";

export interface ListenerEvents {
  /** Takes a connection; `address` is the client's IP address, if it is known. */
  accept(channel: Channel, address: string | undefined): void;
  log(message: string, error: unknown): void;
}

/** Accepts TCP connections on `host:port`; port 0 takes a free one. Throws `TransportError` (`NETWORK`). */
export function listenTcp(host: string, port: number, events: ListenerEvents): Listener {
  return acceptConnections(host, port, {
    take: (connection) => events.accept(tcpChannel(connection), connection.remoteAddr.hostname),
    failed: (error) => events.log("Cannot accept a connection", error),
  });
}
