import { formatAddress } from "@simplexmq/smp/protocol";
import {
  type Certificate,
  type FileStores,
  formatIdentity,
  generateIdentity,
  Metrics,
  openFileStores,
  parseIdentity,
  type ServerIdentity,
  SmpServer,
} from "@simplexmq/smp/server";
import type { ChatOptions } from "./options.ts";
import { answerTo, type PageFiles } from "./page_files.ts";

/** Milliseconds for which messages wait for their recipient. */
const messageLifetime = 21 * 86_400_000;

/** Milliseconds in which a slow network has to carry the page's program. */
const pageTime = 30_000;

/** What a page needs to know of the server. */
export interface PageConfig {
  /** Address with key hash, as it stands in invitations. */
  readonly server: string;
  /** Where browsers connect to. */
  readonly webSocketUrl: string;
  /** Whether the page announces sessions to the other side. */
  readonly sessions: boolean;
  /** Whether the page connects to other servers than its own. */
  readonly anyServer: boolean;
}

/** What the server needs besides its options. */
export interface ChatServerOptions {
  /** Where browsers find it. */
  readonly publicHost: string;
  /** For TLS; `null` without it. */
  readonly certificate: Certificate | null;
  readonly log: (message: string) => void;
}

/** An SMP server for browsers with its key, queues and messages in files; nothing accepted is lost in a crash. */
export class ChatServer implements AsyncDisposable {
  /** What pages need to know. */
  readonly config: PageConfig;
  /** Serves a page on the ports for browsers. */
  readonly show: (page: PageFiles) => void;
  readonly #server: SmpServer;
  readonly #stores: FileStores;

  private constructor({ config, server, stores, show }: {
    readonly config: PageConfig;
    readonly server: SmpServer;
    readonly stores: FileStores;
    readonly show: (page: PageFiles) => void;
  }) {
    this.config = config;
    this.show = show;
    this.#server = server;
    this.#stores = stores;
  }

  /**
   * Starts it; with a certificate WebSockets are on the port of the page, over TLS, and `publicHost` is where browsers
   * find it. Throws what reading the files and listening throw.
   */
  static async start(
    options: ChatOptions,
    { publicHost, certificate, log }: ChatServerOptions,
  ): Promise<ChatServer> {
    const { host, smpPort: port, directory } = options;
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    const identity = await readIdentity(`${directory}/server_key`);
    const metrics = new Metrics();
    const stores = await openFileStores({ directory, metrics, log });
    try {
      let page: PageFiles | null = null;
      const ports = certificate === null
        ? { webSocketPort: options.webSocketPort, pagePort: options.port }
        : { tls: { port: options.port, ...certificate } };
      const server = await SmpServer.start({
        identity,
        host,
        port,
        ...ports,
        pages: (request) => page === null ? null : answerTo(request, page),
        metrics,
        log,
        limits: { messageLifetime, handshakeTimeout: pageTime },
        trustForwardedFor: options.webSocketUrl !== null,
        queues: stores.queues,
        messages: stores.messages,
        replayGuard: stores.replayGuard,
      });
      const config = pageConfig(options, server, publicHost);
      return new ChatServer({ config, server, stores, show: (files) => page = files });
    } catch (error) {
      await stores[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Its address for programs that use TCP, on this machine. */
  get address(): string {
    return this.#server.address;
  }

  /** The port for browsers, or for the proxy before it. */
  get webSocketPort(): number {
    return this.#server.tlsPort ?? this.#server.webSocketPort!;
  }

  /** The port of the page. */
  get pagePort(): number {
    return this.#server.tlsPort ?? this.#server.pagePort!;
  }

  /** Stops the server and saves what there is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    await this.#stores[Symbol.asyncDispose]();
  }
}

function pageConfig(
  { webSocketUrl, sessions, anyServer }: ChatOptions,
  { webSocketPort, tlsPort, keyHash }: SmpServer,
  host: string,
): PageConfig {
  const own = tlsPort === undefined ? `ws://${host}:${webSocketPort}/` : `wss://${host}:${tlsPort}/`;
  const url = webSocketUrl ?? own;
  const { hostname, port, protocol } = new URL(url);
  const defaultPort = protocol === "wss:" ? 443 : 80;
  return {
    server: formatAddress({ host: hostname, port: Number(port || defaultPort), keyHash }),
    webSocketUrl: url,
    sessions,
    anyServer,
  };
}

async function readIdentity(path: string): Promise<ServerIdentity> {
  try {
    return await parseIdentity(await Deno.readTextFile(path));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const identity = await generateIdentity();
  await Deno.writeTextFile(path, await formatIdentity(identity), { mode: 0o600, createNew: true });
  return identity;
}
