import {
  type Channel,
  connectTcp,
  connectWebSocket,
  defaultPort,
  deferred,
  formatAddress,
  type ServerAddress,
} from "../protocol/mod.ts";

/** Opens a channel to a server; `signal` gives up. */
export type Transport = (address: ServerAddress, signal: AbortSignal) => Promise<Channel>;

/** TCP, port 5223 unless the address names one (Deno only). */
export function tcpTransport(
  { host, port = defaultPort }: ServerAddress,
  signal: AbortSignal,
): Promise<Channel> {
  return connectTcp(host, port, signal);
}

/** WebSocket, port 80 unless the address names one; works in browsers too. */
export function webSocketTransport(
  { host, port = 80 }: ServerAddress,
  signal: AbortSignal,
): Promise<Channel> {
  return connectWebSocket(`ws://${formatAddress({ host, port })}/`, signal);
}

/** WebSocket over TLS, port 443 unless the address names one; works in browsers too. */
export function secureWebSocketTransport(
  { host, port = 443 }: ServerAddress,
  signal: AbortSignal,
): Promise<Channel> {
  return connectWebSocket(`wss://${formatAddress({ host, port })}/`, signal);
}

/** Milliseconds that a transport has to end after its signal has aborted. */
const abortPatience = 1000;

/** The channel of a transport; one that does not hear the signal is given up, and its channel closed when it comes. */
export async function openChannel(
  transport: Transport,
  server: ServerAddress,
  signal: AbortSignal,
): Promise<Channel> {
  const opening = transport(server, signal);
  const givenUp = deferred<never>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const abort = () => {
    timer = setTimeout(() => {
      opening.then((channel) => channel.close(), () => {});
      givenUp.reject(signal.reason);
    }, abortPatience);
  };
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([opening, givenUp.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
