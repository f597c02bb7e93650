// A minimal SMP peer: both sides of the handshake, encrypted blocks, transmissions. It is independent of this
// project: written from the specification alone, on Node's built-ins (node:crypto is OpenSSL), sharing no code with
// the rest of the repository, so that what it agrees on with the server and the client is the protocol.
//
// Text of transmissions is kept as latin1 strings: one character is one byte.

import { Buffer } from "node:buffer";
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import { connect } from "node:net";
import process from "node:process";

// Deno runs what is started as `node` itself when there is no Node: then nothing here would be OpenSSL's.
if (process.versions.deno !== undefined) {
  const error = "Node 20 is needed on PATH as `node`: Deno took its place";
  process.stdout.write(`${JSON.stringify({ failed: "start", error })}\n`);
  process.exit(1);
}

export const BLOCK_SIZES = [4096, 8192, 16384, 32768, 65536];
export const KEY_SIZES = [128, 256, 384, 512];
const PROTOCOL = 0;
const HANDSHAKE_PLAIN = 102;
const TAG = 16;
const PAD = 0x23;

/** The channel ended in the middle of a unit, or the connection failed. */
export class LinkError extends Error {}

/** The peer broke the protocol. */
export class ProtocolError extends Error {}

/** A TCP connection read in units of a known length. */
export class TcpLink {
  #socket;
  #chunks = [];
  #size = 0;
  #ended = false;
  #wake = () => {};

  constructor(socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => {
      this.#chunks.push(chunk);
      this.#size += chunk.length;
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("end", end);
    socket.on("error", end);
    socket.on("close", end);
  }

  static connect(host, port) {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new TcpLink(socket));
      });
    });
  }

  /** The next `size` bytes; null when the connection ended before the first of them. */
  async read(size) {
    while (this.#size < size) {
      if (this.#ended) {
        if (this.#size === 0) return null;
        throw new LinkError(`the connection ended after ${this.#size} of ${size} bytes`);
      }
      await new Promise((resolve) => this.#wake = resolve);
    }
    const bytes = Buffer.concat(this.#chunks);
    this.#size -= size;
    this.#chunks = this.#size === 0 ? [] : [bytes.subarray(size)];
    return bytes.subarray(0, size);
  }

  write(bytes) {
    this.#socket.write(bytes);
  }

  /** Sends what is left and closes. */
  close() {
    this.#socket.end();
  }

  /** Closes at once. */
  destroy() {
    this.#socket.destroy();
  }
}

/** base64 of SHA-256 over a public key's SPKI DER. */
export function hashOf(spki) {
  return createHash("sha256").update(spki).digest("base64");
}

/** RSA-PSS, SHA-256, MGF1-SHA-256, salt of 32 bytes. */
export function signText(privateKey, text) {
  return sign("sha256", Buffer.from(text, "latin1"), {
    key: privateKey,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: 32,
  });
}

export function verifyText(publicKey, text, signature) {
  return verify("sha256", Buffer.from(text, "latin1"), {
    key: publicKey,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: 32,
  }, signature);
}

/** A link after the handshake: blocks in both directions, each with its own key, base IV and counter. */
export class Blocks {
  #link;
  #spki;
  #isServer;
  #send;
  #receive;

  /** `keys` are the client's 96 bytes, of which it sends with the first half; `spki` is the server's key as sent. */
  constructor(link, blockSize, { keys, spki, isServer = false }) {
    this.#link = link;
    this.blockSize = blockSize;
    this.#spki = spki;
    this.#isServer = isServer;
    this.rekey(keys);
  }

  /** Both directions begin anew, with other keys and at block 0. */
  rekey(keys) {
    this.binding = bindingOf(this.#spki, keys);
    this.#send = { ...directionAt(keys, this.#isServer ? 48 : 0), counter: 0 };
    this.#receive = { ...directionAt(keys, this.#isServer ? 0 : 48), counter: 0 };
  }

  get link() {
    return this.#link;
  }

  /** Pads and encrypts `content` into the next block of this direction, without sending it. */
  encrypt(content) {
    const size = this.blockSize - TAG;
    if (content.length >= size) throw new RangeError(`${content.length} bytes do not fit a block`);
    const plain = Buffer.alloc(size, PAD);
    content.copy(plain);
    const cipher = createCipheriv("aes-256-gcm", this.#send.key, nonce(this.#send));
    const encrypted = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([cipher.getAuthTag(), encrypted]);
  }

  send(content) {
    this.#link.write(this.encrypt(content));
  }

  /** The next block's content with its padding; null when the connection ended between two blocks. */
  async receive() {
    const block = await this.#link.read(this.blockSize);
    if (block === null) return null;
    const decipher = createDecipheriv("aes-256-gcm", this.#receive.key, nonce(this.#receive));
    decipher.setAuthTag(block.subarray(0, TAG));
    try {
      return Buffer.concat([decipher.update(block.subarray(TAG)), decipher.final()]);
    } catch {
      throw new ProtocolError("a block does not authenticate");
    }
  }
}

function nonce(direction) {
  const iv = Buffer.from(direction.iv);
  iv.writeUInt32BE((iv.readUInt32BE(0) ^ direction.counter) >>> 0, 0);
  direction.counter += 1;
  return iv;
}

/** extensions.md Server extensions: what both ends of this session know, and nobody else. */
export function bindingOf(spki, keys) {
  const keyHash = createHash("sha256").update(spki).digest();
  return createHash("sha256").update("smp-session-binding").update(keyHash).update(keys).digest();
}

/** Reads what a server says first: its block size and its key, whose hash must be the one known. */
export async function readServerHello(link, keyHash) {
  const header = await readUnit(link, 8);
  const serverBlockSize = header.readUInt32BE(0);
  if (serverBlockSize < 4096 || serverBlockSize > 65536) {
    throw new ProtocolError(`HEADER: block size ${serverBlockSize}`);
  }
  if (header.readUInt16BE(4) !== PROTOCOL) throw new ProtocolError("HEADER: protocol");
  const spki = await readUnit(link, header.readUInt16BE(6));
  if (hashOf(spki) !== keyHash) throw new ProtocolError("BAD_HASH");
  return { serverBlockSize, spki, serverKey: createPublicKey({ key: spki, format: "der", type: "spki" }) };
}

/** The plain 102 bytes of a client's handshake. */
export function clientHello(blockSize, keys, protocol = PROTOCOL) {
  const plain = Buffer.alloc(HANDSHAKE_PLAIN);
  plain.writeUInt32BE(blockSize, 0);
  plain.writeUInt16BE(protocol, 4);
  keys.copy(plain, 6);
  return plain;
}

/** RSA-OAEP, SHA-256, MGF1-SHA-256, empty label. */
export function encryptTo(serverKey, plain) {
  return publicEncrypt(
    { key: serverKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" },
    plain,
  );
}

/** The client's side of the handshake. `blockSize`: what to ask for; without it the server's size is echoed (0.3). */
export async function clientHandshake(link, { keyHash, blockSize }) {
  const { serverBlockSize, spki, serverKey } = await readServerHello(link, keyHash);
  const size = blockSize ?? serverBlockSize;
  const keys = randomBytes(96);
  link.write(encryptTo(serverKey, clientHello(size, keys)));
  const blocks = new Blocks(link, size, { keys, spki });
  const welcome = await blocks.receive();
  if (welcome === null) throw new LinkError("the server closed instead of welcoming");
  const text = welcome.toString("latin1");
  const [, version, rest] = /^(\d+\.\d+\.\d+\.\d+) ([^]*)$/.exec(text) ?? [];
  if (version === undefined) throw new ProtocolError("the welcome has no version");
  const [major, minor] = version.split(".").map(Number);
  if (major > 0 || minor > 3) throw new ProtocolError(`MAJOR_VERSION: ${version}`);
  return { blocks, serverBlockSize, version, extra: rest.replace(/#+$/, "") };
}

/** The server's side of the handshake; null when the client's part is wrong, which is not answered. */
export async function serverHandshake(link, { pair, blockSize, welcome }) {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(blockSize, 0);
  header.writeUInt16BE(PROTOCOL, 4);
  header.writeUInt16BE(pair.spki.length, 6);
  link.write(header);
  link.write(pair.spki);
  const encrypted = await link.read(pair.size);
  if (encrypted === null) return null;
  let plain;
  try {
    plain = privateDecrypt(
      { key: pair.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" },
      encrypted,
    );
  } catch {
    return null;
  }
  if (plain.length !== HANDSHAKE_PLAIN || plain.readUInt16BE(4) !== PROTOCOL) return null;
  const clientBlockSize = plain.readUInt32BE(0);
  if (!BLOCK_SIZES.includes(clientBlockSize)) return null;
  const keys = plain.subarray(6);
  const blocks = new Blocks(link, clientBlockSize, { keys, spki: pair.spki, isServer: true });
  blocks.send(Buffer.from(welcome, "latin1"));
  return blocks;
}

function directionAt(keys, offset) {
  return {
    key: Buffer.from(keys.subarray(offset, offset + 32)),
    iv: Buffer.from(keys.subarray(offset + 32, offset + 48)),
  };
}

async function readUnit(link, size) {
  const bytes = await link.read(size);
  if (bytes === null) throw new LinkError("the connection ended in the handshake");
  return bytes;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The bytes of strict, padded base64; null when the text is not that. */
export function fromBase64(text) {
  return BASE64.test(text) ? Buffer.from(text, "base64") : null;
}

/** Splits a block's content at its first three spaces; null when it does not have them. */
export function splitTransmission(content) {
  const match = /^([^ ]*) ([^ ]*) ([^ ]*) ([^]*)$/.exec(content.toString("latin1"));
  if (match === null) return null;
  return { signature: match[1], corrId: match[2], queueId: match[3], rest: match[4] };
}

/** The text a signature covers. */
export function signedText(corrId, queueId, command) {
  return `${corrId} ${queueId} ${command}`;
}

/** The content of a block: `signature` is bytes or empty, `command` is canonical and without the last space. */
export function transmission(signature, corrId, queueId, command) {
  const start = signature.length === 0 ? "" : signature.toString("base64");
  return Buffer.from(`${start} ${signedText(corrId, queueId, command)} `, "latin1");
}

/** `SEND` with its body, which ends with a space of its own. */
export function sendCommand(body) {
  const bytes = Buffer.from(body);
  return `SEND ${bytes.length} ${bytes.toString("latin1")} `;
}

/** A client command at the start of `rest`, which a space must follow; null when there is none. */
export function parseCommand(rest) {
  const plain = /^(SUB|ACK|OFF|DEL|PING) /.exec(rest);
  if (plain !== null) return { name: plain[1], text: plain[1] };
  // extensions.md Server extensions: a server that does not list the command's takes it for one that does not parse
  const windowed = /^SUBN ([1-9]\d{0,2}) /.exec(rest);
  if (windowed !== null) {
    const window = Number(windowed[1]);
    return window > 128 ? null : { name: "SUBN", text: `SUBN ${window}`, window };
  }
  const encoded = /^(OPEN|ACKM|REKEY) ([A-Za-z0-9+/=]+) /.exec(rest);
  if (encoded !== null) {
    const bytes = fromBase64(encoded[2]);
    return bytes === null ? null : { name: encoded[1], text: `${encoded[1]} ${encoded[2]}`, bytes };
  }
  const keyed = /^(NEW|KEY) rsa:([A-Za-z0-9+/=]+) /.exec(rest);
  if (keyed !== null) {
    const spki = fromBase64(keyed[2]);
    if (spki === null) return null;
    try {
      const key = createPublicKey({ key: spki, format: "der", type: "spki" });
      if (key.asymmetricKeyType !== "rsa") return null;
      return { name: keyed[1], text: `${keyed[1]} rsa:${keyed[2]}`, key };
    } catch {
      return null;
    }
  }
  const sized = parseSized(rest, /^SEND (\d+) /);
  if (sized === null) return null;
  return { name: "SEND", text: `SEND ${sized.body.length} ${sized.text} `, body: sized.body };
}

/** A server response at the start of `rest`, which a space must follow, and what comes after it; null for none. */
export function parseResponse(rest) {
  const plain =
    /^(END|OK|PONG|ERR (?:BLOCK|CMD (?:SYNTAX|PROHIBITED|KEY_SIZE|NO_AUTH|HAS_AUTH|NO_QUEUE)|AUTH|NO_MSG|QUOTA|SIZE|INTERNAL)) /
      .exec(rest);
  if (plain !== null) return { name: plain[1], padding: rest.slice(plain[0].length) };
  const rekey = /^REKEY ([A-Za-z0-9+/=]+) /.exec(rest);
  if (rekey !== null) {
    const payload = fromBase64(rekey[1]);
    return payload === null ? null : { name: "REKEY", payload, padding: rest.slice(rekey[0].length) };
  }
  const ids = /^IDS ([A-Za-z0-9+/=]+) ([A-Za-z0-9+/=]+) /.exec(rest);
  if (ids !== null) {
    if (fromBase64(ids[1]) === null || fromBase64(ids[2]) === null) return null;
    return {
      name: "IDS",
      recipientId: ids[1],
      senderId: ids[2],
      padding: rest.slice(ids[0].length),
    };
  }
  const sized = parseSized(
    rest,
    /^MSG ([A-Za-z0-9+/=]+) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d+) /,
  );
  if (sized === null || fromBase64(sized.match[1]) === null) return null;
  return {
    name: "MSG",
    id: sized.match[1],
    timestamp: sized.match[2],
    body: sized.body,
    padding: sized.padding,
  };
}

/** What `head` matches, its last group being the size of the body that follows, then the body's and the last space. */
function parseSized(rest, head) {
  const match = head.exec(rest);
  if (match === null) return null;
  const start = match[0].length;
  const end = start + Number(match[match.length - 1]);
  if (rest.slice(end, end + 2) !== "  ") return null;
  const text = rest.slice(start, end);
  return { match, text, body: Buffer.from(text, "latin1"), padding: rest.slice(end + 2) };
}

/** A client's session: answers are matched by corrId, everything without one is a push. */
export class Session {
  #blocks;
  #corrId = 0;
  #pending = new Map();
  #pushes = [];
  #wantPush = null;
  #failure = null;
  /** The corrIds of the answers in the order of their arrival. */
  answered = [];

  constructor(blocks) {
    this.#blocks = blocks;
    /** Resolves to null when the server closed between two blocks, else to what went wrong. */
    this.closed = this.#readAll();
  }

  get blocks() {
    return this.#blocks;
  }

  get unreadPushes() {
    return this.#pushes.length;
  }

  nextCorrId() {
    this.#corrId += 1;
    return String(this.#corrId);
  }

  /** Sends a command, signed with `pair` when given, and resolves to its answer. */
  request(command, { queueId = "", pair, corrId = this.nextCorrId() } = {}) {
    const signature = pair === undefined
      ? Buffer.alloc(0)
      : signText(pair.privateKey, signedText(corrId, queueId, command));
    return this.requestSigned(command, signature, { queueId, corrId });
  }

  /** Sends a command with the signature given, right or wrong, and resolves to its answer. */
  requestSigned(command, signature, { queueId = "", corrId = this.nextCorrId() } = {}) {
    return this.requestContent(transmission(signature, corrId, queueId, command), corrId);
  }

  /** Sends any content and resolves to the answer with this corrId. */
  requestContent(content, corrId) {
    const answer = this.answerTo(corrId);
    if (this.#failure === null) this.#blocks.send(content);
    return answer;
  }

  /** The answer to what is sent with this corrId in some other way. */
  answerTo(corrId) {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      this.#pending.set(corrId, { resolve, reject });
    });
  }

  /** The next transmission with an empty corrId. */
  push() {
    if (this.#pushes.length > 0) return Promise.resolve(this.#pushes.shift());
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => this.#wantPush = { resolve, reject });
  }

  /** Closes and waits until the server has closed as well. */
  async close() {
    this.#blocks.link.close();
    await this.closed;
  }

  async #readAll() {
    let problem = null;
    try {
      for (let content; (content = await this.#blocks.receive()) !== null;) this.#take(content);
    } catch (error) {
      problem = error;
      this.#blocks.link.destroy();
    }
    this.#failure = problem ?? new LinkError("the server closed the connection");
    for (const { reject } of this.#pending.values()) reject(this.#failure);
    this.#pending.clear();
    this.#wantPush?.reject(this.#failure);
    return problem;
  }

  #take(content) {
    const parts = splitTransmission(content);
    if (parts === null) throw new ProtocolError("a transmission has no three spaces");
    if (parts.signature !== "") throw new ProtocolError("a server's transmission is signed");
    if (fromBase64(parts.queueId) === null) throw new ProtocolError("a queue ID is not base64");
    const { padding, ...response } = parseResponse(parts.rest) ?? {};
    if (response.name === undefined) throw new ProtocolError(`cannot parse ${parts.rest.slice(0, 40)}`);
    if (!/^#+$/.test(padding)) throw new ProtocolError("the padding is not of #");
    const mayMissQueue = response.name === "IDS" || response.name.startsWith("ERR ");
    if (
      ["PONG", "REKEY"].includes(response.name) ? parts.queueId !== "" : parts.queueId === "" && !mayMissQueue
    ) {
      throw new ProtocolError(`${response.name} with queue ID "${parts.queueId}"`);
    }
    const answer = { ...response, queueId: parts.queueId };
    if (parts.corrId === "") return this.#takePush(answer);
    const waiting = this.#pending.get(parts.corrId);
    if (waiting === undefined) throw new ProtocolError(`an answer to nothing: ${parts.corrId}`);
    this.#pending.delete(parts.corrId);
    this.answered.push(parts.corrId);
    waiting.resolve(answer);
  }

  #takePush(answer) {
    if (this.#wantPush === null) {
      this.#pushes.push(answer);
    } else {
      this.#wantPush.resolve(answer);
      this.#wantPush = null;
    }
  }
}
