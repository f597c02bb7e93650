/** A TCP proxy on a loopback port that can fall silent, as a cable that is pulled out does. */
export class CutProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #running: Promise<void>;
  readonly #tasks = new Set<Promise<void>>();
  #isClosed = false;
  #cut: PromiseWithResolvers<void> | null = null;
  #isRefusing = false;

  /** `port`: where it connects to, on loopback; `accepted` is told the number of each connection, from 1. */
  constructor(port: number, accepted: (number: number) => void = () => {}) {
    this.#running = this.#accept(port, accepted);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Nothing goes through any more; connections stay open. New ones are accepted; `isRefusing`: and closed at once. */
  cut(isRefusing = false): void {
    this.#cut ??= Promise.withResolvers();
    this.#isRefusing = isRefusing;
  }

  /** What was on its way when it was cut arrives now. */
  mend(): void {
    this.#cut?.resolve();
    this.#cut = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listener.close();
    for (const connection of this.#open) close(connection);
    this.mend();
    await this.#running;
    await Promise.all(this.#tasks);
  }

  async #accept(port: number, accepted: (number: number) => void): Promise<void> {
    let count = 0;
    for await (const client of this.#listener) {
      accepted(++count);
      const task: Promise<void> = this.#join(client, port).finally(() => this.#tasks.delete(task));
      this.#tasks.add(task);
    }
  }

  async #join(client: Deno.Conn, port: number): Promise<void> {
    this.#open.add(client);
    let server: Deno.Conn | null = null;
    try {
      if (this.#cut !== null && this.#isRefusing) return;
      await this.#cut?.promise;
      if (this.#isClosed) return;
      server = await Deno.connect({ hostname: "127.0.0.1", port });
      this.#open.add(server);
      if (this.#isClosed) return;
      const ends = [[client, server], [server, client]] as const;
      await Promise.race(ends.map(([from, to]) => this.#pass(from, to)));
    } catch {
      // The server is gone.
    } finally {
      for (const connection of [client, server]) {
        if (connection === null) continue;
        this.#open.delete(connection);
        close(connection);
      }
    }
  }

  async #pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(1 << 16);
    try {
      for (;;) {
        const length = await from.read(buffer);
        // Its end is not heard of either.
        await this.#cut?.promise;
        if (length === null) return;
        for (let at = 0; at < length;) at += await to.write(buffer.subarray(at, length));
      }
    } catch {
      // It was closed.
    }
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}
