import { formatAddress } from "@simplexmq/smp/protocol";
import {
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

/** Milliseconds for which messages wait for their recipient. */
const messageLifetime = 21 * 86_400_000;

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

/** An SMP server for browsers with its key, queues and messages in files; nothing accepted is lost in a crash. */
export class ChatServer implements AsyncDisposable {
  /** What pages need to know. */
  readonly config: PageConfig;
  readonly #server: SmpServer;
  readonly #stores: FileStores;

  private constructor(config: PageConfig, server: SmpServer, stores: FileStores) {
    this.config = config;
    this.#server = server;
    this.#stores = stores;
  }

  /** Starts it. Throws what reading the files and listening throw. */
  static async start(options: ChatOptions, log: (message: string) => void): Promise<ChatServer> {
    const { host, smpPort: port, webSocketPort, directory } = options;
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    const identity = await readIdentity(`${directory}/server_key`);
    const metrics = new Metrics();
    const stores = await openFileStores({ directory, messageLifetime, metrics, log });
    try {
      const server = await SmpServer.start({
        identity,
        host,
        port,
        webSocketPort,
        metrics,
        log,
        limits: { messageLifetime },
        trustForwardedFor: options.webSocketUrl !== null,
        queues: stores.queues,
        messages: stores.messages,
        replayGuard: stores.replayGuard,
      });
      return new ChatServer(pageConfig(options, server), server, stores);
    } catch (error) {
      await stores[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Its address for programs that use TCP, on this machine. */
  get address(): string {
    // That is an address to listen on, and none that a program can connect to everywhere.
    return this.#server.address.replace(/^0\.0\.0\.0:/, "localhost:");
  }

  /** The port for browsers, or for the proxy before it. */
  get webSocketPort(): number {
    return this.#server.webSocketPort!;
  }

  /** Stops the server and saves what there is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop();
    await this.#stores[Symbol.asyncDispose]();
  }
}

function pageConfig(
  { host, webSocketUrl, sessions, anyServer }: ChatOptions,
  { webSocketPort, keyHash }: SmpServer,
): PageConfig {
  const url = webSocketUrl ?? `ws://${host}:${webSocketPort}/`;
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
