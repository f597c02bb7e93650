import { networkError } from "../../protocol/mod.ts";
import type { CertificateHolder } from "./certificate.ts";
import { TlsConnection } from "./tls_connection.ts";

const host = "127.0.0.1";
/** Milliseconds that a connection of this process may take from one end of the loopback to the other. */
const openTime = 10_000;
/** Connections that nobody of this process has made yet, as far as is known; none while it makes none. */
const mostUnknown = 256;

/** Both ends of a connection of this process with itself: what is written to `near` is TLS, what `far` gives is not. */
export interface TlsEnds {
  readonly near: Deno.TcpConn;
  readonly far: Deno.TlsConn;
}

/**
 * Does TLS for connections that were accepted without it. Deno has TLS only for what its own listener accepts, and that
 * listener keeps its certificate and lingers on peers that do not read; so this listens on loopback, for this process.
 */
export class TlsTerminator {
  readonly #certificate: CertificateHolder;
  readonly #ending = new AbortController();
  readonly #retired = new Set<InnerListener>();
  #inner: InnerListener;

  /** Throws `TransportError`. */
  constructor(certificate: CertificateHolder) {
    this.#certificate = certificate;
    this.#inner = new InnerListener(certificate);
    certificate.onChange(() => this.#renew(), this.#ending.signal);
  }

  wrap(connection: Deno.TcpConn): TlsConnection {
    return new TlsConnection(connection, () => this.#inner.open());
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await Promise.all([this.#inner, ...this.#retired].map((inner) => inner.close()));
  }

  /** What is on its way to the listener with the old certificate still comes through it. */
  #renew(): void {
    const old = this.#inner;
    this.#inner = new InnerListener(this.#certificate);
    this.#retired.add(old);
    void old.finish().then(() => this.#retired.delete(old));
  }
}

class InnerListener {
  readonly #listener: Deno.TlsListener;
  readonly #accepting: Promise<void>;
  /** By the port of their near end: those that have been accepted, and those that are waited for. */
  readonly #arrived = new Map<number, Deno.TlsConn>();
  readonly #awaited = new Map<number, (far: Deno.TlsConn) => void>();
  readonly #opening = new Set<Promise<TlsEnds>>();
  /** Near ends whose port is not known yet. */
  #connecting = 0;
  #isClosed = false;

  constructor({ current: { cert, key } }: CertificateHolder) {
    try {
      this.#listener = Deno.listenTls({ hostname: host, port: 0, cert, key });
    } catch (cause) {
      throw networkError(`listen on ${host} for TLS`, cause);
    }
    this.#accepting = this.#accept();
  }

  open(): Promise<TlsEnds> {
    const opening = this.#open();
    this.#opening.add(opening);
    opening.catch(() => {}).finally(() => this.#opening.delete(opening));
    return opening;
  }

  /** Closes it when nothing is on its way any more. */
  async finish(): Promise<void> {
    await Promise.allSettled(this.#opening);
    await this.close();
  }

  async close(): Promise<void> {
    if (!this.#isClosed) this.#listener.close();
    this.#isClosed = true;
    await this.#accepting;
    this.#dropUnknown();
    await Promise.allSettled(this.#opening);
  }

  async #open(): Promise<TlsEnds> {
    let near;
    this.#connecting++;
    try {
      near = await Deno.connect({ hostname: host, port: this.#listener.addr.port });
    } catch (error) {
      this.#connected();
      throw error;
    }
    const { port } = near.localAddr;
    const arrived = this.#arrived.get(port);
    this.#arrived.delete(port);
    this.#connected();
    near.setNoDelay(true);
    if (arrived !== undefined) return { near, far: arrived };
    const { promise, resolve, reject } = Promise.withResolvers<Deno.TlsConn>();
    const timer = setTimeout(() => reject(new Error("the loopback does not connect")), openTime);
    this.#awaited.set(port, resolve);
    try {
      return { near, far: await promise };
    } catch (error) {
      near.close();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#awaited.delete(port);
    }
  }

  /** When all know their ports, whoever else has arrived is a stranger. */
  #connected(): void {
    if (--this.#connecting === 0) this.#dropUnknown();
  }

  async #accept(): Promise<void> {
    while (!this.#isClosed) {
      let far;
      try {
        far = await this.#listener.accept();
      } catch {
        if (!this.#isClosed) await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      const { hostname, port } = far.remoteAddr;
      const take = this.#awaited.get(port);
      // Another address of loopback can have any port.
      if (hostname !== host) far.close();
      else if (take !== undefined) take(far);
      else if (this.#connecting > 0) this.#keep(port, far);
      else far.close();
    }
  }

  /** Who is on this machine can connect here too, but not with a port that this process has: nobody reads what they send. */
  #keep(port: number, far: Deno.TlsConn): void {
    this.#arrived.get(port)?.close();
    this.#arrived.set(port, far);
    if (this.#arrived.size <= mostUnknown) return;
    const [oldest, stranger] = this.#arrived.entries().next().value!;
    this.#arrived.delete(oldest);
    stranger.close();
  }

  #dropUnknown(): void {
    for (const far of this.#arrived.values()) far.close();
    this.#arrived.clear();
  }
}
