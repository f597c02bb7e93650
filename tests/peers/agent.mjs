// A 0.3 agent as a process: `node agent.mjs <role> <server> <invitation> [options as JSON]`, role `initiator` or `joiner`,
// server as `host port keyHash`. It is independent of this project: written from the specification alone, on Node's
// built-ins, sharing no code with the rest of the repository.
//
// It connects, sends three messages and wants three, checks what it gets itself, prints one JSON line per step, and
// exits with 0, or with 1 after a line with `failed`. Options: `key`, the name in tests/vectors/rsa.json of the pair that
// it uses for everything; `signer`, the pair that signs instead; `noReply`.

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
} from "node:crypto";
import process from "node:process";
import { keyPair } from "./keys.mjs";
import { clientHandshake, sendCommand, Session, signText, TcpLink, verifyText } from "./smp_peer.mjs";

const [role, server, invitation, optionsText = "{}"] = process.argv.slice(2);
const options = { key: "rsa2048", noReply: false, ...JSON.parse(optionsText) };
const pair = keyPair(options.key);
const signer = keyPair(options.signer ?? options.key);
const [host, port, keyHash] = server.split(" ");

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function check(what, actual, expected) {
  if (actual !== expected) throw new Error(`${what}: ${actual} instead of ${expected}`);
}

async function open(address) {
  const { blocks } = await clientHandshake(await TcpLink.connect(address.host, address.port), {
    keyHash: address.keyHash,
  });
  return new Session(blocks);
}

const own = await open({ host, port: Number(port), keyHash });

/** Encrypts a plaintext to a key and signs it (E2E encryption of an SMP message body). */
function seal(plaintext, encryptionKey) {
  // An agent takes all its keys to be of its own size.
  const size = pair.size;
  const padded = Buffer.alloc(4096 - 3 * size - 256, "#");
  check("the plaintext fits", plaintext.length < padded.length, true);
  Buffer.from(plaintext, "latin1").copy(padded);
  const [key, iv] = [randomBytes(32), randomBytes(16)];
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  const encrypted = Buffer.concat([cipher.update(padded), cipher.final()]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(plaintext.length);
  const header = publicEncrypt(
    { key: encryptionKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" },
    Buffer.concat([key, iv, cipher.getAuthTag(), length]),
  );
  const signed = Buffer.concat([header, encrypted]);
  return Buffer.concat([signText(signer.privateKey, signed.toString("latin1")), signed]);
}

/** Takes a body apart; the signature is as long as `verificationKey`, or as our own key before there is one. */
function openBody(body, verificationKey, signatureLength) {
  const signed = body.subarray(signatureLength);
  if (verificationKey !== null) {
    const isRight = verifyText(verificationKey, signed.toString("latin1"), body.subarray(0, signatureLength));
    check("the signature", isRight, true);
  }
  const header = privateDecrypt(
    { key: pair.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" },
    signed.subarray(0, pair.size),
  );
  check("the header's length", header.length, 68);
  const decipher = createDecipheriv("aes-256-gcm", header.subarray(0, 32), header.subarray(32, 48));
  decipher.setAuthTag(header.subarray(48, 64));
  const padded = Buffer.concat([decipher.update(signed.subarray(pair.size)), decipher.final()]);
  check("the padded length", padded.length, 4096 - 3 * pair.size - 256);
  return padded.subarray(0, header.readUInt32BE(64)).toString("latin1");
}

const publicKeyOf = (text) =>
  createPublicKey({ key: Buffer.from(text.slice(4), "base64"), format: "der", type: "spki" });

/** A queue of ours, from its making to its third message. */
class ReceivingQueue {
  #verificationKey = null;
  #previous = { id: 0, hash: "" };
  #first = null;

  static async make() {
    const queue = new ReceivingQueue();
    const answer = await own.request(`NEW ${signer.text}`, { pair: signer });
    check("NEW", answer.name, "IDS");
    Object.assign(queue, { recipientId: answer.recipientId, senderId: answer.senderId });
    return queue;
  }

  get info() {
    return `smp::${host}:${port}#${keyHash}::${this.senderId}::${pair.text}`;
  }

  /** The next plaintext; the one before is acknowledged by this. */
  async #next(signatureLength) {
    const message = this.#first ?? await own.push();
    this.#first = null;
    check("a push", message.name, "MSG");
    const text = openBody(message.body, this.#verificationKey, signatureLength);
    return text;
  }

  async #acknowledge() {
    const answer = await own.request("ACK", { queueId: this.recipientId, pair: signer });
    if (answer.name === "MSG") this.#first = answer;
    else check("ACK", answer.name, "OK");
  }

  /** KEY, then HELLO. The other agent's keys have 2048 bits. */
  async greeted() {
    const [, senderKey] = /^KEY (rsa:\S+)\n\n\n$/.exec(await this.#next(256)) ?? [];
    check("a confirmation", senderKey !== undefined, true);
    const answer = await own.request(`KEY ${senderKey}`, { queueId: this.recipientId, pair: signer });
    check("KEY", answer.name, "OK");
    await this.#acknowledge();
    const [, key] = /^\n0 \S+ \nHELLO (rsa:\S+)\n$/.exec(await this.#next(256)) ?? [];
    check("a HELLO", key !== undefined, true);
    this.#verificationKey = publicKeyOf(key);
    await this.#acknowledge();
  }

  async reply() {
    const [, info] = /^\n0 \S+ \nREPLY (\S+)\n$/.exec(await this.#next(256)) ?? [];
    check("a REPLY", info !== undefined, true);
    await this.#acknowledge();
    return info;
  }

  async message() {
    const text = await this.#next(256);
    const [, id, hash, size, body] = /^\n(\d+) \S+ (\S*)\nMSG (\d+)\n([^]*)\n\n$/.exec(text) ?? [];
    check("a MSG", id !== undefined, true);
    check("its number", Number(id), this.#previous.id + 1);
    check("the hash of the one before", hash, this.#previous.hash);
    check("its size", Number(size), body.length);
    this.#previous = { id: Number(id), hash: createHash("sha256").update(text, "latin1").digest("base64") };
    await this.#acknowledge();
    return body;
  }
}

/** A queue of the other agent. */
class SendingQueue {
  #session;
  #senderId;
  #encryptionKey;
  #previous = { id: 0, hash: "" };

  static async join(info) {
    const [, address, senderId, key] = info.split("::");
    const [, host, port, keyHash] = /^([^:]+):(\d+)#(\S+)$/.exec(address);
    const queue = new SendingQueue();
    queue.#session = await open({ host, port: Number(port), keyHash });
    queue.#senderId = senderId;
    queue.#encryptionKey = publicKeyOf(key);
    await queue.#send(`KEY ${signer.text}\n\n\n`, false);
    await queue.#retry(`\n0 ${new Date().toISOString()} \nHELLO ${signer.text}\n`);
    return queue;
  }

  async #send(plaintext, isSigned = true) {
    const command = sendCommand(seal(plaintext, this.#encryptionKey));
    const signing = isSigned ? { pair: signer } : {};
    const { name } = await this.#session.request(command, { queueId: this.#senderId, ...signing });
    return name;
  }

  /** 8 tries from 100 ms growing by half, as the reference does. */
  async #retry(plaintext) {
    for (let tries = 0, delay = 100; tries < 8; tries++, delay *= 1.5) {
      const answer = await this.#send(plaintext);
      if (answer === "OK") return;
      check("HELLO", answer, "ERR AUTH");
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
    throw new Error("the other agent does not secure its queue");
  }

  async reply(info) {
    check("REPLY", await this.#send(`\n0 ${new Date().toISOString()} \nREPLY ${info}\n`), "OK");
  }

  async message(body) {
    const { id, hash } = this.#previous;
    const text = `\n${id + 1} ${new Date().toISOString()} ${hash}\nMSG ${body.length}\n${body}\n\n`;
    check("SEND", await this.#send(text), "OK");
    this.#previous = { id: id + 1, hash: createHash("sha256").update(text, "latin1").digest("base64") };
  }

  close() {
    return this.#session.close();
  }
}

async function connect() {
  if (role === "initiator") {
    const receiving = await ReceivingQueue.make();
    print({ invitation: receiving.info });
    await receiving.greeted();
    return { receiving, sending: options.noReply ? null : await SendingQueue.join(await receiving.reply()) };
  }
  const sending = await SendingQueue.join(invitation);
  if (options.noReply) return { receiving: null, sending };
  const receiving = await ReceivingQueue.make();
  await sending.reply(receiving.info);
  await receiving.greeted();
  return { receiving, sending };
}

try {
  const { receiving, sending } = await connect();
  print({ connected: true });
  for (let i = 1; sending !== null && i <= 3; i++) await sending.message(`from the peer ${i}`);
  for (let i = 1; receiving !== null && i <= 3; i++) print({ received: await receiving.message() });
  print({ done: true });
  await sending?.close();
  await own.close();
} catch (error) {
  print({ failed: role, error: String(error) });
  process.exit(1);
}
