import type { Transport } from "@simplexmq/smp/client";
import {
  connectWebSocket,
  formatAddress,
  parseAddress,
  ParseError,
  parseServer,
  type ServerAddress,
  TransportError,
} from "@simplexmq/smp/protocol";
import type { PageConfig } from "../smp_server.ts";

/** Where the person's choice is stored. */
const key = "smp-web-chat servers";
/** Servers on which conversations are made; each has a connection. */
const mostServers = 16;
/** Characters of an address that a backup brings: more than a name of the DNS needs. */
const longestAddress = 512;
/** Milliseconds that one of several places where a server may be has to answer. */
const patience = 5_000;

/** The servers on which new conversations are made: the page's own, or those that the person has chosen. */
export function chosenServers({ server, anyServer }: PageConfig): readonly string[] {
  const stored = anyServer ? storedServers() : [];
  return stored.length === 0 ? [server] : stored;
}

/** Those that the person has chosen; none where the page's own is used. */
export function storedServers(): readonly string[] {
  return localStorage.getItem(key)?.split("\n") ?? [];
}

/** Stores which servers were chosen. */
export function storeServers(servers: readonly string[], { server }: PageConfig): void {
  // The page's own one may get another address.
  if (servers.length === 1 && servers[0] === server) localStorage.removeItem(key);
  else localStorage.setItem(key, servers.join("\n"));
}

/** Stores those of a backup that can be chosen here: with another one no agent would start. */
export function restoreServers(servers: readonly string[]): void {
  const usable = servers.filter((server) =>
    server.length <= longestAddress && parseAddress(server).keyHash !== undefined
  );
  if (usable.length > 0) localStorage.setItem(key, usable.slice(0, mostServers).join("\n"));
}

/** Forgets which were chosen. */
export function forgetServers(): void {
  localStorage.removeItem(key);
}

/** Addresses, and the passwords that stood before some. */
export interface GivenServers {
  readonly servers: readonly string[];
  /** By address. */
  readonly passwords: ReadonlyMap<string, string>;
}

/** The addresses in a text, one a line, or what is wrong with it, which has no password. */
export function serversIn(text: string): GivenServers | { readonly problem: string } {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const passwords = new Map<string, string>();
  const servers = new Set<string>();
  for (const line of lines) {
    try {
      const { server, password } = parseServer(line);
      const address = formatAddress(server);
      if (server.keyHash === undefined) {
        return wrong(line, "the key hash behind # is missing, by which the server is known");
      }
      servers.add(address);
      if (password !== undefined) passwords.set(address, password);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      return wrong(line, error.message.replace("Cannot parse server address: ", ""));
    }
  }
  if (servers.size === 0) return { problem: "Give at least one server." };
  if (servers.size > mostServers) return { problem: `There may be ${mostServers} servers.` };
  return { servers: [...servers], passwords };
}

function wrong(line: string, what: string): { readonly problem: string } {
  return { problem: `${line.slice(line.lastIndexOf("@") + 1).slice(0, 80)}: ${what}.` };
}

/**
 * Leads to the page's server, by whatever address others know it, and to others if the page may connect to them. An
 * address says nothing of WebSockets: its port is tried, then those of HTTPS. The server's key shows whether it is the one.
 */
export function transportTo({ server, webSocketUrl, anyServer }: PageConfig): Transport {
  const own = parseAddress(server).keyHash;
  const found = new Map<string, string>();
  return async (address, signal) => {
    if (address.keyHash === own) return await connectWebSocket(webSocketUrl, signal);
    if (!anyServer) {
      const message = `Cannot connect to ${address.host}: this page connects to its own server alone`;
      throw new TransportError("NETWORK", message);
    }
    const name = formatAddress(address);
    const urls = urlsOf(address, location.protocol === "https:");
    const known = found.get(name);
    // First where it was found before.
    if (known !== undefined) urls.unshift(...urls.splice(urls.indexOf(known), 1));
    let problem = new TransportError("NETWORK", `Cannot connect to ${address.host}: it is no host`);
    for (const url of urls) {
      try {
        const channel = await connectWebSocket(url, AbortSignal.any([signal, AbortSignal.timeout(patience)]));
        found.set(name, url);
        return channel;
      } catch (error) {
        signal.throwIfAborted();
        // It was too slow, or the browser does not allow it.
        problem = error instanceof TransportError
          ? error
          : new TransportError("NETWORK", `Cannot connect to ${url}: ${error}`, { cause: error });
      }
    }
    throw problem;
  };
}

/** Where a server's WebSockets may be; nowhere with what is no host. A page of `https` may open those over TLS alone. */
export function urlsOf({ host, port }: ServerAddress, isSecure: boolean): string[] {
  if (!/^([\w.-]+|\[[\da-f:.]+\])$/i.test(host)) return [];
  const plain = isSecure || port === undefined ? [] : [`ws://${host}:${port}/`];
  const secure = port === undefined || port === 443 ? [] : [`wss://${host}:${port}/`];
  return [...plain, ...secure, `wss://${host}/`];
}
