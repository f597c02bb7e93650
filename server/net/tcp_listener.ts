import type { Channel } from "../../protocol/mod.ts";
import { tcpChannel } from "../../protocol/mod.ts";
import { acceptConnections, type Listener } from "./accept_loop.ts";

export interface ListenerEvents {
  accept(channel: Channel, address: string | undefined): void;
  log(message: string, error: unknown): void;
}

export function listenTcp(host: string, port: number, events: ListenerEvents): Listener {
  return acceptConnections(host, port, {
    take: (connection) => events.accept(tcpChannel(connection), connection.remoteAddr.hostname),
    failed: (error) => events.log("Cannot accept a connection", error),
  });
}
