// A minimal WebSocket client (RFC 6455, no extensions) over node:net. Like the other peers it is independent of this
// project: written from the specification alone, on Node's built-ins, sharing no code with the rest of the repository.
//
// It is a link as TcpLink is, but a unit is one message: reading takes a whole binary message and refuses one of another
// length than the one asked for.

import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";
import { LinkError, ProtocolError, TcpLink } from "./smp_peer.mjs";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** A WebSocket connection read in binary messages of a known length. */
export class WebSocketLink {
  #stream;
  #closing = false;
  /** The code of the server's close frame; null before it or without a code. */
  closeCode = null;

  constructor(stream) {
    this.#stream = stream;
  }

  static async connect(host, port) {
    const socket = await new Promise((resolve, reject) => {
      const opening = connect({ host, port });
      opening.once("error", reject);
      opening.once("connect", () => {
        opening.off("error", reject);
        resolve(opening);
      });
    });
    const stream = new TcpLink(socket);
    const key = randomBytes(16).toString("base64");
    stream.write(
      `GET / HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    let response = "";
    while (!response.endsWith("\r\n\r\n")) {
      const byte = await stream.read(1);
      if (byte === null) throw new LinkError(`the server closed instead of upgrading: ${response}`);
      response += byte.toString("latin1");
    }
    const accept = createHash("sha1").update(key + GUID).digest("base64");
    const lines = response.split("\r\n");
    const headers = new Map(
      lines.slice(1).filter((line) => line !== "").map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    if (
      !/^HTTP\/1\.1 101 /.test(lines[0]) || headers.get("sec-websocket-accept") !== accept ||
      headers.get("upgrade")?.toLowerCase() !== "websocket" || headers.has("sec-websocket-extensions")
    ) {
      stream.destroy();
      throw new ProtocolError(`the server does not upgrade: ${response}`);
    }
    return new WebSocketLink(stream);
  }

  /** The next binary message, which must be of `size` bytes; null when the server closed. */
  async read(size) {
    const parts = [];
    while (true) {
      const frame = await this.#readFrame();
      if (frame === null) return null;
      switch (frame.opcode) {
        case PING:
          this.#writeFrame(PONG, frame.payload, true);
          continue;
        case PONG:
          continue;
        case CLOSE:
          if (frame.payload.length >= 2) this.closeCode = frame.payload.readUInt16BE(0);
          if (!this.#closing) this.#writeFrame(CLOSE, frame.payload.subarray(0, 2), true);
          this.#closing = true;
          this.#stream.close();
          return null;
        case BINARY:
        case CONTINUATION:
          if ((frame.opcode === BINARY) !== (parts.length === 0)) {
            throw new ProtocolError("a server's message is continued out of turn");
          }
          parts.push(frame.payload);
          break;
        default:
          throw new ProtocolError(`the server sent a frame of type ${frame.opcode}`);
      }
      if (!frame.last) continue;
      const message = Buffer.concat(parts);
      if (message.length !== size) {
        throw new ProtocolError(`a message has ${message.length} bytes instead of ${size}`);
      }
      return message;
    }
  }

  /** Sends one binary message in one frame. */
  write(bytes) {
    this.#writeFrame(BINARY, bytes, true);
  }

  /** Sends one binary message in `count` frames, with a ping after the first of them. */
  writeFragments(bytes, count) {
    const size = Math.ceil(bytes.length / count);
    for (let index = 0; index < count; index++) {
      if (index === 1) this.#writeFrame(PING, Buffer.from("between"), true);
      const part = bytes.subarray(index * size, (index + 1) * size);
      this.#writeFrame(index === 0 ? BINARY : CONTINUATION, part, index === count - 1);
    }
  }

  /** Sends one text message. */
  writeText(text) {
    this.#writeFrame(TEXT, Buffer.from(text), true);
  }

  /** Starts the closing handshake; reading goes on until the server's close. */
  close() {
    if (this.#closing) return;
    this.#closing = true;
    this.#writeFrame(CLOSE, Buffer.from([0x03, 0xe8]), true);
  }

  /** Closes at once. */
  destroy() {
    this.#stream.destroy();
  }

  async #readFrame() {
    const head = await this.#stream.read(2);
    if (head === null) return null;
    if ((head[0] & 0x70) !== 0) throw new ProtocolError("a server's frame has reserved bits");
    if ((head[1] & 0x80) !== 0) throw new ProtocolError("a server's frame is masked");
    let size = head[1] & 0x7f;
    if (size === 126) size = (await this.#readAll(2)).readUInt16BE(0);
    else if (size === 127) size = Number((await this.#readAll(8)).readBigUInt64BE(0));
    const payload = size === 0 ? Buffer.alloc(0) : await this.#readAll(size);
    return { last: (head[0] & 0x80) !== 0, opcode: head[0] & 0x0f, payload };
  }

  async #readAll(size) {
    const bytes = await this.#stream.read(size);
    if (bytes === null) throw new LinkError("the connection ended inside of a frame");
    return bytes;
  }

  #writeFrame(opcode, payload, last) {
    const mask = randomBytes(4);
    const masked = Buffer.from(payload);
    for (let index = 0; index < masked.length; index++) masked[index] ^= mask[index & 3];
    let head;
    if (payload.length < 126) {
      head = Buffer.from([0, 0x80 | payload.length]);
    } else if (payload.length < 65536) {
      head = Buffer.from([0, 0x80 | 126, 0, 0]);
      head.writeUInt16BE(payload.length, 2);
    } else {
      head = Buffer.alloc(10);
      head[1] = 0x80 | 127;
      head.writeBigUInt64BE(BigInt(payload.length), 2);
    }
    head[0] = (last ? 0x80 : 0) | opcode;
    this.#stream.write(Buffer.concat([head, mask, masked]));
  }
}
