import { SmpClient, type SmpClientOptions } from "../../client/mod.ts";
import { formatAddress, GiveWay, type ServerAddress } from "../../protocol/mod.ts";

/** Milliseconds after which a connection that no stream uses is closed. */
const idleTime = 5_000;

/** A connection that a stream uses. */
export interface StreamLink {
  /** It may be gone by now. */
  readonly client: SmpClient;
  /** It is not used any more. */
  release(): void;
}

interface Link {
  readonly client: Promise<SmpClient>;
  readonly connecting: AbortController;
  isConnected: boolean;
  users: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/**
 * Connections for streams alone, one to each server, with the largest blocks that it takes: what streams carry waits for
 * no message, and no message for it.
 */
export class StreamLinks implements AsyncDisposable {
  /** Milliseconds in which what is sent should be answered: with more on its way it might be given up. */
  readonly answerTime: number;
  /** Who sends gives way to messages by it. */
  readonly way: GiveWay = new GiveWay();
  readonly #options: SmpClientOptions;
  readonly #links = new Map<string, Link>();
  readonly #closing = new Set<Promise<void>>();
  readonly #abort = new AbortController();

  /** Connects to nothing yet. */
  constructor(options: Omit<SmpClientOptions, "signal" | "blockSize">) {
    this.answerTime = (options.commandTimeout ?? 15_000) / 8;
    const knownServers = options.knownServers ?? new Map<string, readonly string[]>();
    this.#options = { ...options, knownServers, blockSize: "large" };
  }

  /**
   * A connection to a server. Throws what `SmpClient.connect` throws; when the signal aborts, connecting goes on for
   * other users alone.
   */
  async use(server: ServerAddress, signal?: AbortSignal): Promise<StreamLink> {
    this.#abort.signal.throwIfAborted();
    signal?.throwIfAborted();
    const name = formatAddress(server);
    const link = this.#links.get(name) ?? this.#connect(name, server);
    link.users++;
    clearTimeout(link.timer);
    let isUsed = true;
    const release = () => {
      if (!isUsed) return;
      isUsed = false;
      if (--link.users > 0 || this.#links.get(name) !== link) return;
      if (link.isConnected) this.#closeLater(name, link);
      else {
        link.connecting.abort(signal?.reason);
        this.#close(name, link);
      }
    };
    signal?.addEventListener("abort", release);
    try {
      return { client: await link.client, release };
    } catch (error) {
      release();
      throw error;
    } finally {
      signal?.removeEventListener("abort", release);
    }
  }

  /** Closes all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new DOMException("The agent was closed", "AbortError"));
    for (const [name, link] of this.#links) this.#close(name, link);
    await Promise.all(this.#closing);
    await this.way[Symbol.asyncDispose]();
  }

  #connect(name: string, server: ServerAddress): Link {
    const connecting = new AbortController();
    const signal = AbortSignal.any([this.#abort.signal, connecting.signal]);
    const client = SmpClient.connect(server, { ...this.#options, signal });
    const link: Link = { client, connecting, isConnected: false, users: 0, timer: undefined };
    this.#links.set(name, link);
    const forget = () => {
      clearTimeout(link.timer);
      if (this.#links.get(name) === link) this.#links.delete(name);
    };
    client.then(({ closed }) => {
      link.isConnected = true;
      void closed.then(forget);
    }, forget);
    return link;
  }

  #closeLater(name: string, link: Link): void {
    clearTimeout(link.timer);
    if (!this.#abort.signal.aborted) link.timer = setTimeout(() => this.#close(name, link), idleTime);
  }

  #close(name: string, link: Link): void {
    clearTimeout(link.timer);
    if (this.#links.get(name) === link) this.#links.delete(name);
    const closing = link.client.then((client) => client.close(), () => {})
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
