import {
  asciiText,
  BlockCipher,
  type Channel,
  connectTcp,
  decodeBase64,
  decodePublicKey,
  decodeServerHeader,
  encodeBase64,
  encodeClientHandshake,
  encryptOaep,
  joinParts,
  randomBytes,
  type SessionKeys,
  startRekey,
  tcpChannel,
  textBytes,
} from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { dialTls } from "./tls.ts";
import { soon } from "./wait.ts";

/** The kinds of socket that a peer of a server can have. */
export const socketNames = ["tcp", "websocket", "tls"] as const;

/** One of the kinds of socket. */
export type SocketName = typeof socketNames[number];

/** Opens a connection that reads nothing unless it is told to. */
export async function openChannel(server: SmpServer, socket: SocketName): Promise<Channel> {
  if (socket === "tcp") return await connectTcp("127.0.0.1", server.port);
  return socket === "tls"
    ? await RawWebSocket.connectTls(server.tlsPort!)
    : await RawWebSocket.connect(server.webSocketPort!);
}

function viewOf({ buffer, byteOffset }: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(buffer, byteOffset);
}

/** Opcodes of WebSocket frames. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** A WebSocket that does only what it is told: the platform's reads ahead, answers and closes by itself. */
export class RawWebSocket implements Channel {
  readonly #bytes: Channel;

  private constructor(bytes: Channel) {
    this.#bytes = bytes;
  }

  /** Connects to a loopback port and upgrades. */
  static async connect(port: number): Promise<RawWebSocket> {
    return await RawWebSocket.#upgraded(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** The same over TLS. */
  static async connectTls(port: number): Promise<RawWebSocket> {
    const connection = await dialTls(port);
    return await RawWebSocket.#upgraded({
      read: (buffer) => connection.read(buffer),
      write: (bytes) => connection.write(bytes),
      closeWrite: () => connection.closeWrite(),
      close: () => connection.close(),
      setNoDelay() {},
    });
  }

  static async #upgraded(connection: Parameters<typeof tcpChannel>[0]): Promise<RawWebSocket> {
    const bytes = tcpChannel(connection);
    try {
      await bytes.write([textBytes(upgradeRequest("/"))]);
      let response = "";
      while (!response.endsWith("\r\n\r\n")) {
        const byte = await soon(bytes.read(1));
        if (byte === null) throw new Error(`the server closed instead of upgrading: ${response}`);
        response += asciiText(byte);
      }
      if (!response.startsWith("HTTP/1.1 101 ")) throw new Error(`the server does not upgrade: ${response}`);
    } catch (error) {
      await bytes.close();
      throw error;
    }
    return new RawWebSocket(bytes);
  }

  async read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const head = await this.#bytes.read(2);
    if (head === null || (head[0]! & 15) === opcodes.close) return null;
    let length = head[1]! & 127;
    if (length === 126) length = viewOf((await this.#bytes.read(2))!).getUint16(0);
    else if (length === 127) length = viewOf((await this.#bytes.read(8))!).getUint32(4);
    if (length !== size) throw new Error(`a message of ${length} bytes came instead of ${size}`);
    return await this.#bytes.read(size);
  }

  write(units: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    return this.#bytes.write(units.map((unit) => frame(opcodes.binary, unit)));
  }

  /** Writes one frame of any kind. */
  async writeFrame(opcode: number, payload: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#bytes.write([frame(opcode, payload)]);
  }

  /** Writes bytes that are frames or not. */
  async writeBytes(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#bytes.write([bytes]);
  }

  /** Reads a short frame of any kind. */
  async skipFrame(): Promise<void> {
    const head = await this.#bytes.read(2);
    const length = head === null ? 0 : head[1]! & 127;
    if (length > 0) await this.#bytes.read(length);
  }

  end(): Promise<void> {
    return this.#bytes.end();
  }

  close(): Promise<void> {
    return this.#bytes.close();
  }
}

/** The text of a request to upgrade to a WebSocket. */
export function upgradeRequest(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
}

/** One frame, the final one unless it is told. Its masking key is zero, which masks nothing. */
export function frame(
  opcode: number,
  payload: Uint8Array<ArrayBuffer>,
  isFinal = true,
): Uint8Array<ArrayBuffer> {
  const length = payload.length;
  const short = length < 126, medium = length < 65536;
  const head = new Uint8Array(short ? 6 : medium ? 8 : 14);
  head[0] = (isFinal ? 0x80 : 0) | opcode;
  head[1] = 0x80 | (short ? length : medium ? 126 : 127);
  if (!short) {
    const view = new DataView(head.buffer);
    if (medium) view.setUint16(2, length);
    else view.setUint32(6, length);
  }
  return joinParts([head, payload]);
}

/** A client whose handshake is done by hand, so that its blocks can be changed before they are sent. */
export class RawClient implements AsyncDisposable {
  /** Where the blocks go. */
  readonly channel: Channel;
  /** The text of the welcome block without padding. */
  welcome = "";
  readonly #blockSize: number;
  readonly #serverKey: Uint8Array<ArrayBuffer>;
  #keys: SessionKeys;
  #snd: BlockCipher;
  #rcv: BlockCipher;

  private constructor(channel: Channel, blockSize: number, session: RawSession) {
    this.channel = channel;
    this.#blockSize = blockSize;
    this.#serverKey = session.serverKey;
    this.#keys = session.keys;
    this.#snd = session.snd;
    this.#rcv = session.rcv;
  }

  /** Connects and does the handshake, the welcome included. */
  static async connect(
    server: SmpServer,
    socket: SocketName = "tcp",
    blockSize = 4096,
  ): Promise<RawClient> {
    return await RawClient.handshake(await openChannel(server, socket), blockSize);
  }

  /** Does the handshake on an open channel. */
  static async handshake(channel: Channel, blockSize = 4096): Promise<RawClient> {
    const key = await readServerKey(channel);
    const keys: SessionKeys = {
      sndKey: randomBytes(32),
      sndBaseIv: randomBytes(16),
      rcvKey: randomBytes(32),
      rcvBaseIv: randomBytes(16),
    };
    await channel.write([
      await encryptOaep(decodePublicKey(key), encodeClientHandshake({ blockSize, keys })),
    ]);
    const client = new RawClient(channel, blockSize, { serverKey: key, keys, ...await ciphersOf(keys) });
    const welcome = await client.receive();
    if (welcome === null) throw new Error("the server closed instead of the welcome");
    client.welcome = welcome;
    return client;
  }

  /** Base64 of what names the session (extensions.md Server extensions). */
  async binding(): Promise<string> {
    const { sndKey, sndBaseIv, rcvKey, rcvBaseIv } = this.#keys;
    return encodeBase64(
      new Uint8Array(
        await crypto.subtle.digest(
          "SHA-256",
          await this.#bound(
            [sndKey, sndBaseIv, rcvKey, rcvBaseIv],
          ),
        ),
      ),
    );
  }

  /** Does REKEY; the ciphers of before are given back. */
  async rekey(): Promise<{ readonly snd: BlockCipher; readonly rcv: BlockCipher }> {
    const request = await startRekey();
    await this.send(` k  REKEY ${encodeBase64(request.payload)} `);
    const answer = /^ k {2}REKEY (\S+) $/.exec(await this.receive() ?? "");
    const keys = answer &&
      await request.finish(decodeBase64(answer[1]!)!, decodeBase64(await this.binding())!);
    if (!keys) throw new Error("REKEY was refused");
    return await this.use(keys);
  }

  /** Goes on with other keys. */
  async use(keys: SessionKeys): Promise<{ readonly snd: BlockCipher; readonly rcv: BlockCipher }> {
    const former = { snd: this.#snd, rcv: this.#rcv };
    this.#keys = keys;
    ({ snd: this.#snd, rcv: this.#rcv } = await ciphersOf(keys));
    return former;
  }

  async #bound(keys: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", this.#serverKey));
    return joinParts(["smp-session-binding", hash, ...keys]);
  }

  /** Makes the next block without sending it. */
  async seal(content: string | Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const block = new Uint8Array(this.#blockSize);
    await this.#snd.encrypt(typeof content === "string" ? textBytes(content) : content, block);
    return block;
  }

  /** Makes and sends the next blocks. */
  async send(...contents: readonly (string | Uint8Array)[]): Promise<void> {
    const blocks = [];
    for (const content of contents) blocks.push(await this.seal(content));
    await this.channel.write(blocks);
  }

  /** The next block's text without padding; `null` at the end. */
  async receive(): Promise<string | null> {
    const block = await soon(this.channel.read(this.#blockSize));
    return block && asciiText(unpadded(await this.#rcv.decrypt(block)));
  }

  /** Closes the connection. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.channel.close();
  }
}

/** The padding of a large block takes a millisecond in a text. */
function unpadded(bytes: Uint8Array): Uint8Array {
  const padding = "#".charCodeAt(0);
  let end = bytes.length;
  while (bytes[end - 1] === padding) end--;
  return bytes.subarray(0, end);
}

interface RawSession {
  readonly serverKey: Uint8Array<ArrayBuffer>;
  readonly keys: SessionKeys;
  readonly snd: BlockCipher;
  readonly rcv: BlockCipher;
}

async function ciphersOf(
  keys: SessionKeys,
): Promise<{ readonly snd: BlockCipher; readonly rcv: BlockCipher }> {
  return {
    snd: await BlockCipher.create(keys.sndKey, keys.sndBaseIv),
    rcv: await BlockCipher.create(keys.rcvKey, keys.rcvBaseIv),
  };
}

/** Reads the server's header and the key that follows it. */
export async function readServerKey(channel: Channel): Promise<Uint8Array<ArrayBuffer>> {
  const header = await soon(channel.read(8));
  if (header === null) throw new Error("the server closed instead of the header");
  const key = await soon(channel.read(decodeServerHeader(header).keyLength));
  if (key === null) throw new Error("the server closed instead of the key");
  return key.slice();
}
