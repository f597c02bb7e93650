import { type Part, partsLength, putParts } from "../bytes.ts";
import { TransportError } from "../error.ts";
import type { AesKey } from "../crypto/runtime.ts";
import { release } from "../crypto/engine/release.ts";
import { importAesKey } from "../crypto/runtime.ts";
import { type Channel, closedError } from "./channel.ts";
import { sessionBinding } from "./session_binding.ts";

/** The block sizes that a server accepts, in bytes (transport.md Handshake, 5). */
export const blockSizes: readonly number[] = [4096, 8192, 16384, 32768, 65536];

/** The block size of a server unless it is told another, and of a queue's recipient until it used another. */
export const defaultBlockSize = 4096;

const tagLength = 16;
const padding = 0x23;
const counterEnd = 2 ** 32;

/**
 * Bytes of the blocks from which on a client writes with an array that it keeps, as there are few such connections, and a
 * server gives back what it has written with.
 */
const keptBlock = 65_536;

/** The most bytes of content that a block of `blockSize` bytes can carry (transport.md Blocks). */
export function contentLimit(blockSize: number): number {
  return blockSize - tagLength - 1;
}

/** The two keys of a connection from one end's side, and what is needed to use them (transport.md Handshake, 3). */
export interface SessionKeys {
  /** AES key of what this end sends, 32 bytes. */
  readonly sndKey: Uint8Array<ArrayBuffer>;
  /** Base IV of what this end sends, 16 bytes. */
  readonly sndBaseIv: Uint8Array<ArrayBuffer>;
  /** AES key of what this end receives, 32 bytes. */
  readonly rcvKey: Uint8Array<ArrayBuffer>;
  /** Base IV of what this end receives, 16 bytes. */
  readonly rcvBaseIv: Uint8Array<ArrayBuffer>;
}

/** Overwrites session keys that a channel was made with. */
export function wipeKeys({ sndKey, sndBaseIv, rcvKey, rcvBaseIv }: SessionKeys): void {
  for (const bytes of [sndKey, sndBaseIv, rcvKey, rcvBaseIv]) bytes.fill(0);
}

/** The same keys from the other end's side. */
export function swapKeys({ sndKey, sndBaseIv, rcvKey, rcvBaseIv }: SessionKeys): SessionKeys {
  return { sndKey: rcvKey, sndBaseIv: rcvBaseIv, rcvKey: sndKey, rcvBaseIv: sndBaseIv };
}

/** What a block carries: bytes, or parts that are put one after the other. */
export type BlockContent = Uint8Array | readonly Part[];

/** Encrypts or decrypts the blocks of one direction, each under its own nonce. */
export class BlockCipher {
  readonly #key: AesKey;
  readonly #baseIv: Uint8Array<ArrayBuffer>;
  readonly #nonce: Uint8Array<ArrayBuffer>;
  #counter: number;
  #isWiped = false;

  private constructor(key: AesKey, baseIv: Uint8Array<ArrayBuffer>, counter: number) {
    this.#key = key;
    this.#baseIv = baseIv.slice();
    this.#nonce = baseIv.slice();
    this.#counter = counter;
  }

  /** Makes a cipher from a key (32 bytes) and a base IV (16 bytes); `counter` is the number of the first block. */
  static async create(
    key: Uint8Array<ArrayBuffer>,
    baseIv: Uint8Array<ArrayBuffer>,
    counter = 0,
  ): Promise<BlockCipher> {
    return new BlockCipher(await importAesKey(key), baseIv, counter);
  }

  /** Makes `block` the next block, of `content` with padding. Throws `BLOCK` when it is too long, `COUNTER`. */
  async encrypt(content: BlockContent, block: Uint8Array<ArrayBuffer>): Promise<void> {
    const length = checkedLength(content, block.length);
    if (content instanceof Uint8Array) block.set(content, tagLength);
    else putParts(block, tagLength, content);
    block.fill(padding, tagLength + length);
    await this.#key.seal(this.#nextNonce(), block);
  }

  /** Decrypts the next block; the content still has its padding. Throws `AES_DECRYPT` when it is not authentic, `COUNTER`. */
  async decrypt(block: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    return padded(await this.#key.open(this.#nextNonce(), block));
  }

  /** As {@linkcode decrypt}; the content may be where the block was, which is lost in any case. */
  async decryptInPlace(block: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    return padded(await this.#key.openInPlace(this.#nextNonce(), block));
  }

  /** Overwrites the key as far as the runtime lets it; `encrypt` and `decrypt` throw `CLOSED` from now on. */
  wipe(): void {
    this.#isWiped = true;
    this.#key.wipe();
    this.#baseIv.fill(0);
    this.#nonce.fill(0);
  }

  /** transport.md Blocks: the base IV with its first 4 bytes XORed with the block counter; valid until the next call. */
  #nextNonce(): Uint8Array<ArrayBuffer> {
    if (this.#isWiped) throw closedError();
    const counter = this.#counter;
    if (counter >= counterEnd) {
      throw new TransportError(
        "COUNTER",
        "Cannot use the connection: its block counter is used up, connect again",
      );
    }
    for (let i = 0; i < 4; i++) this.#nonce[i] = this.#baseIv[i]! ^ (counter >>> (24 - 8 * i));
    this.#counter++;
    return this.#nonce;
  }
}

/** A connection to a peer after the handshake: encrypted blocks of one size, both ways (transport.md Blocks). */
export class BlockChannel {
  /** Bytes of a block. */
  readonly blockSize: number;
  readonly #channel: Channel;
  readonly #end: SessionEnd | null;
  #binding: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #snd: BlockCipher;
  #rcv: BlockCipher;
  #isClosed = false;
  /** What was written with, and nothing reads any more. */
  #free: Uint8Array<ArrayBuffer> | null = null;

  /** Takes over `channel`, whose next unit in either direction is a block. */
  constructor(
    channel: Channel,
    blockSize: number,
    { snd, rcv }: BlockCiphers,
    end: SessionEnd | null = null,
  ) {
    this.blockSize = blockSize;
    this.#channel = channel;
    this.#end = end;
    this.#snd = snd;
    this.#rcv = rcv;
  }

  /** Makes the channel that begins with block 0 in both directions; it has a binding if `end` is given. */
  static async create(
    channel: Channel,
    blockSize: number,
    keys: SessionKeys,
    end: SessionEnd | null = null,
  ): Promise<BlockChannel> {
    const blocks = new BlockChannel(channel, blockSize, await ciphersOf(keys), end);
    await blocks.#bind(keys);
    return blocks;
  }

  /** What names the session to its two ends, 32 bytes (extensions.md Server extensions). */
  get binding(): Uint8Array<ArrayBuffer> {
    return this.#binding;
  }

  /**
   * Goes on with new keys, from block 0 in both directions; overwrites those that are given and the old ones. Nothing may
   * be read or written meanwhile.
   */
  async rekey(keys: SessionKeys): Promise<void> {
    const { snd, rcv } = await ciphersOf(keys);
    await this.#bind(keys);
    wipeKeys(keys);
    this.#wipe();
    this.#snd = snd;
    this.#rcv = rcv;
    if (this.#isClosed) this.#wipe();
  }

  /** Reads a block; gives its content with the padding, or `null` when the peer has ended the connection. */
  async read(): Promise<Uint8Array<ArrayBuffer> | null> {
    const block = await this.#channel.read(this.blockSize);
    return block && await this.#rcv.decrypt(block);
  }

  /** As {@linkcode read}; the content is valid until the next call. */
  async readLent(): Promise<Uint8Array<ArrayBuffer> | null> {
    const block = await this.#channel.read(this.blockSize);
    return block && await this.#rcv.decryptInPlace(block);
  }

  /** Whether the next block has come already, as far as that is known. */
  get isReady(): boolean {
    return this.#channel.isReady?.(this.blockSize) ?? false;
  }

  /** Writes one block for each of `contents`, in order; none when one is too long (`BLOCK`). */
  async write(contents: readonly BlockContent[]): Promise<void> {
    for (const content of contents) checkedLength(content, this.blockSize);
    const length = contents.length * this.blockSize;
    const free = this.#free;
    this.#free = null;
    const bytes = free !== null && free.length >= length ? free : new Uint8Array(length);
    const blocks: Uint8Array<ArrayBuffer>[] = [];
    for (const [i, content] of contents.entries()) {
      const block = bytes.subarray(i * this.blockSize, (i + 1) * this.blockSize);
      await this.#snd.encrypt(content, block);
      blocks.push(block);
    }
    await this.#channel.write(blocks);
    // After a failure the system may still read it.
    if (this.blockSize < keptBlock || this.#channel.releasesWritten !== true) return;
    if (this.#end?.isClient === true) this.#free = bytes;
    else release(bytes);
  }

  /** See `Channel.end`. */
  end(): Promise<void> {
    return this.#channel.end();
  }

  /** See `Channel.close`. Overwrites the session keys too. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#wipe();
    return this.#channel.close();
  }

  /** Reads and drops whatever the peer still sends, until it ends the connection or an error does. */
  async drain(): Promise<void> {
    try {
      while (await this.#channel.read(this.blockSize) !== null);
    } catch {
      // However it ended: nothing of it is wanted.
    }
  }

  async #bind(keys: SessionKeys): Promise<void> {
    if (this.#end === null) return;
    const { serverKey, isClient } = this.#end;
    this.#binding = await sessionBinding(serverKey, isClient ? keys : swapKeys(keys));
  }

  #wipe(): void {
    this.#snd.wipe();
    this.#rcv.wipe();
  }
}

/** What was decrypted. */
function padded(content: Uint8Array<ArrayBuffer> | null): Uint8Array<ArrayBuffer> {
  if (content !== null) return content;
  throw new TransportError("AES_DECRYPT", "Cannot read: the block is not authentic");
}

/** Which end of a session a channel is. */
export interface SessionEnd {
  /** SHA-256 over the server's key, 32 bytes. */
  readonly serverKey: Uint8Array<ArrayBuffer>;
  /** Whether this is the client's end. */
  readonly isClient: boolean;
}

/** The ciphers of both directions. */
export interface BlockCiphers {
  /** What this end sends. */
  readonly snd: BlockCipher;
  /** What this end receives. */
  readonly rcv: BlockCipher;
}

async function ciphersOf(keys: SessionKeys): Promise<BlockCiphers> {
  return {
    snd: await BlockCipher.create(keys.sndKey, keys.sndBaseIv),
    rcv: await BlockCipher.create(keys.rcvKey, keys.rcvBaseIv),
  };
}

function checkedLength(content: BlockContent, blockSize: number): number {
  const length = content instanceof Uint8Array ? content.length : partsLength(content);
  const most = contentLimit(blockSize);
  if (length <= most) return length;
  throw new TransportError("BLOCK", `Cannot send: content has ${length} bytes, a block takes ${most}`);
}
