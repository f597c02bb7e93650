import { MemoryQueueStore, type ServerIdentity, SmpServer, type SmpServerOptions } from "../../server/mod.ts";
import {
  SmpClient,
  type SmpClientOptions,
  tcpTransport,
  type Transport,
  webSocketTransport,
} from "../../client/mod.ts";
import { memoryChannelPair, parseAddress, publicKeyHash } from "../../protocol/mod.ts";
import { startLinkedServer } from "./linked_server.ts";
import { cutStores, partitions, workers } from "./partitions.ts";
import { RawWebSocket } from "./raw_client.ts";
import { keyOf } from "./test_keys.ts";
import { certificate } from "./tls.ts";
import { patient } from "./wait.ts";

const keyPair = await keyOf("server", "decrypt");

/** One key for all servers of tests. */
export const identity: ServerIdentity = { keyPair, keyHash: await publicKeyHash(keyPair.publicKey) };

const kept = new WeakMap<SmpServer, MemoryQueueStore>();

/** The store of all queues of a server that keeps them in memory; `null` for others, and what has partitions. */
export function queuesOf(server: SmpServer): MemoryQueueStore | null {
  return kept.get(server) ?? null;
}

/** Starts a server on free loopback ports, with WebSockets, over TLS too. */
export async function startServer({ limits, ...given }: SmpServerOptions = {}): Promise<SmpServer> {
  // However long it takes on a machine that is busy.
  const options = { limits: { handshakeTimeout: 600_000, ...limits }, ...given };
  const tls = { ...certificate, port: 0 };
  const usual = { identity, host: "127.0.0.1", port: 0, webSocketPort: 0, tls };
  if (workers > 1 && options.partitions === undefined) {
    return await startLinkedServer({ ...usual, ...options });
  }
  const { queues = new MemoryQueueStore(), messages, ...others } = options;
  if (options.partitions !== undefined) return await SmpServer.start({ ...usual, ...options });
  if (partitions === 1) {
    const server = await SmpServer.start({ ...usual, ...options, queues });
    if (queues instanceof MemoryQueueStore) kept.set(server, queues);
    return server;
  }
  const stores = cutStores({ queues, ...(messages && { messages }) });
  return await SmpServer.start({ ...usual, ...others, partitions: stores });
}

/** The kinds of connection that every client test runs over. */
export const transportNames = ["memory", "tcp", "websocket"] as const;

/** One of the kinds of connection. */
export type TransportName = typeof transportNames[number];

/** Connects a client to a server over one kind of connection. */
export function connect(
  server: SmpServer,
  transport: TransportName | "tls" = "tcp",
  options: SmpClientOptions = {},
): Promise<SmpClient> {
  const { host, keyHash } = parseAddress(server.address);
  const port = transport === "websocket" ? server.webSocketPort! : server.port;
  return SmpClient.connect({ host, port, keyHash: keyHash! }, {
    transport: transportTo(server, transport),
    ...patient,
    ...options,
  });
}

/** The transport of one kind to a server of this program. */
export function transportTo(server: SmpServer, transport: TransportName | "tls"): Transport {
  // The platform's WebSocket trusts no certificate of a test.
  if (transport === "tls") return () => RawWebSocket.connectTls(server.tlsPort!);
  if (transport === "tcp") return tcpTransport;
  if (transport === "websocket") return webSocketTransport;
  return () => {
    const [clientEnd, serverEnd] = memoryChannelPair();
    server.handle(serverEnd);
    return Promise.resolve(clientEnd);
  };
}
