import type { TlsEnds } from "./tls_terminator.ts";

/** Bytes of what is read at a time, by connections that have had little and by those that have had much. */
const bufferSizes = { first: 4_096, then: 16_384 };
/** Milliseconds in which a peer has to take what was written before the end. */
const lingerTime = 1_000;

/** An accepted connection as its peer means it: with TLS on it, and read and written without. */
export class TlsConnection {
  readonly remoteAddr: Deno.NetAddr;
  readonly #outer: Deno.TcpConn;
  readonly #open: () => Promise<TlsEnds>;
  #opening: Promise<TlsEnds> | null = null;
  #pumping: Promise<void> = Promise.resolve();
  #down: Promise<void> = Promise.resolve();
  #isBroken = false;

  /** Opens the ends when something is read or written: who is refused gets none. */
  constructor(outer: Deno.TcpConn, open: () => Promise<TlsEnds>) {
    this.#outer = outer;
    this.remoteAddr = outer.remoteAddr;
    outer.setNoDelay(true);
    this.#open = open;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    return await (await this.#ends()).far.read(buffer);
  }

  async write(bytes: Uint8Array): Promise<number> {
    return await (await this.#ends()).far.write(bytes);
  }

  async closeWrite(): Promise<void> {
    await (await this.#ends()).far.closeWrite();
  }

  /** Resolves when nothing is left of it; the peer still gets what was written, if it takes it soon. */
  async close(): Promise<void> {
    if (this.#opening === null) return this.#break();
    const timer = setTimeout(() => this.#break(), lingerTime);
    const ends = await this.#opening.catch(() => null);
    if (ends !== null) {
      close(ends.far);
      await this.#down;
    }
    this.#break(ends);
    clearTimeout(timer);
    await this.#pumping;
  }

  #ends(): Promise<TlsEnds> {
    if (this.#opening !== null) return this.#opening;
    if (this.#isBroken) return Promise.reject(new Deno.errors.BadResource("It is closed"));
    const opening = this.#opening = this.#open();
    this.#pumping = opening.then((ends) => this.#pump(ends), () => this.#break());
    return opening;
  }

  async #pump(ends: TlsEnds): Promise<void> {
    const { near } = ends;
    this.#down = copy(near, this.#outer).catch(() => this.#break(ends));
    const up = copy(this.#outer, near).catch(() => this.#break(ends));
    await Promise.all([this.#down, up]);
  }

  /** At once: what is under way is lost. */
  #break(ends: TlsEnds | null = null): void {
    if (!this.#isBroken) close(this.#outer);
    this.#isBroken = true;
    if (ends !== null) close(ends.near);
  }
}

/** Until the end, which it passes on. Nothing is read before what was read last is written. */
async function copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  let buffer = new Uint8Array(bufferSizes.first);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) break;
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
    if (count === buffer.length && count < bufferSizes.then) buffer = new Uint8Array(bufferSizes.then);
  }
  await to.closeWrite();
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}
