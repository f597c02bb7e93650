// A minimal SMP 0.3 server in memory, as a process: `node server.mjs [options as JSON]`. It is independent of this
// project: written from the specification alone, on Node's built-ins, sharing no code with the rest of the repository.
// It knows no extensions, no SIZE and no QUOTA.
//
// Options: `key` (a name of tests/vectors/rsa.json), `blockSize`, `mute` (names of commands it never answers).
// It prints JSON lines: `listening` with port and key hash, then `connected`, `welcomed`, `command` and `disconnected`.

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import process from "node:process";
import { keyPair } from "./keys.mjs";
import {
  fromBase64,
  hashOf,
  KEY_SIZES,
  parseCommand,
  parseResponse,
  serverHandshake,
  signedText,
  splitTransmission,
  TcpLink,
  transmission,
  verifyText,
} from "./smp_peer.mjs";

const options = { key: "rsa2048", blockSize: 4096, mute: [], ...JSON.parse(process.argv[2] ?? "{}") };
const pair = keyPair(options.key);
const byRecipientId = new Map();
const bySenderId = new Map();

function print(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** Serves one connection until it ends. */
async function serve(link) {
  print({ event: "connected" });
  const connection = { blocks: null };
  try {
    const blocks = await serverHandshake(link, { pair, blockSize: options.blockSize, welcome: "0.3.1.0 " });
    if (blocks !== null) {
      print({ event: "welcomed", blockSize: blocks.blockSize });
      connection.blocks = blocks;
      await readAll(connection);
    }
  } catch {
    // The connection broke inside of a unit or a block: it is closed below.
  }
  for (const queue of byRecipientId.values()) {
    if (queue.subscriber === connection) unsubscribe(queue);
  }
  link.close();
  print({ event: "disconnected" });
}

async function readAll(connection) {
  while (true) {
    let content;
    try {
      content = await connection.blocks.receive();
    } catch {
      return respond(connection, "", "", "ERR BLOCK");
    }
    if (content === null) return;
    take(connection, content);
  }
}

function respond(connection, corrId, queueId, response) {
  connection.blocks.send(transmission(Buffer.alloc(0), corrId, queueId, response));
}

/** smp.md Transmission: the first failure decides the answer. */
function take(connection, content) {
  const parts = splitTransmission(content);
  if (parts === null) return respond(connection, "", "", "ERR BLOCK");
  const { corrId, queueId } = parts;
  const signature = fromBase64(parts.signature);
  const id = fromBase64(queueId);
  if (
    signature === null || id === null || (signature.length !== 0 && !KEY_SIZES.includes(signature.length))
  ) {
    return respond(connection, corrId, "", "ERR BLOCK");
  }
  const answer = (response) => respond(connection, corrId, queueId, response);
  const command = parseCommand(parts.rest);
  if (command === null) {
    return answer(parseResponse(parts.rest) === null ? "ERR CMD SYNTAX" : "ERR CMD PROHIBITED");
  }
  print({ event: "command", name: command.name });
  if (options.mute.includes(command.name)) return;
  const wrong = wrongCredentials(command.name, signature.length > 0, queueId !== "");
  if (wrong !== null) return answer(`ERR CMD ${wrong}`);
  const request = {
    connection,
    queueId,
    command,
    signature,
    text: signedText(corrId, queueId, command.text),
  };
  // A message pushed to this very connection comes after the answer.
  const { response, then } = execute(request);
  answer(response);
  then?.();
}

function wrongCredentials(name, signed, hasQueue) {
  switch (name) {
    case "NEW":
      return signed ? hasQueue ? "HAS_AUTH" : null : "NO_AUTH";
    case "SEND":
      return hasQueue ? null : "NO_QUEUE";
    case "PING":
      return signed || hasQueue ? "HAS_AUTH" : null;
    default:
      return signed && hasQueue ? null : "NO_AUTH";
  }
}

function execute(request) {
  switch (request.command.name) {
    case "PING":
      return { response: "PONG" };
    case "NEW":
      return create(request);
    case "SEND":
      return send(request);
    default: {
      const queue = byRecipientId.get(request.queueId);
      if (queue === undefined || !verifyText(queue.recipientKey, request.text, request.signature)) {
        return { response: "ERR AUTH" };
      }
      return RECIPIENT_COMMANDS[request.command.name](queue, request);
    }
  }
}

function create({ connection, command, signature, text }) {
  if (!verifyText(command.key, text, signature)) return { response: "ERR AUTH" };
  if (!hasAllowedSize(command.key)) return { response: "ERR CMD KEY_SIZE" };
  const queue = {
    recipientId: randomBytes(12).toString("base64"),
    senderId: randomBytes(12).toString("base64"),
    recipientKey: command.key,
    senderKey: null,
    suspended: false,
    messages: [],
    subscriber: connection,
    delivered: false,
  };
  byRecipientId.set(queue.recipientId, queue);
  bySenderId.set(queue.senderId, queue);
  return { response: `IDS ${queue.recipientId} ${queue.senderId}` };
}

function send({ queueId, command, signature, text }) {
  const queue = bySenderId.get(queueId);
  if (queue === undefined || queue.suspended) return { response: "ERR AUTH" };
  const allowed = queue.senderKey === null
    ? signature.length === 0
    : signature.length > 0 && verifyText(queue.senderKey, text, signature);
  if (!allowed) return { response: "ERR AUTH" };
  queue.messages.push({
    id: randomBytes(6).toString("base64"),
    timestamp: new Date().toISOString(),
    body: command.body.toString("latin1"),
  });
  return { response: "OK", then: () => pushTo(queue) };
}

function pushTo(queue) {
  if (queue.subscriber === null || queue.delivered) return;
  respond(queue.subscriber, "", queue.recipientId, deliver(queue));
}

/** The first waiting message, marked as delivered, else OK. */
function deliver(queue) {
  const [message] = queue.messages;
  queue.delivered = message !== undefined;
  if (message === undefined) return "OK";
  return `MSG ${message.id} ${message.timestamp} ${message.body.length} ${message.body} `;
}

function unsubscribe(queue) {
  queue.subscriber = null;
  queue.delivered = false;
}

function hasAllowedSize(key) {
  return KEY_SIZES.includes(key.asymmetricKeyDetails.modulusLength / 8);
}

const RECIPIENT_COMMANDS = {
  SUB(queue, { connection }) {
    if (queue.subscriber !== null && queue.subscriber !== connection) {
      respond(queue.subscriber, "", queue.recipientId, "END");
    }
    queue.subscriber = connection;
    return { response: deliver(queue) };
  },
  KEY(queue, { command }) {
    if (!hasAllowedSize(command.key)) return { response: "ERR CMD KEY_SIZE" };
    if (queue.senderKey !== null) return { response: "ERR AUTH" };
    queue.senderKey = command.key;
    return { response: "OK" };
  },
  ACK(queue, { connection }) {
    if (queue.subscriber !== connection || !queue.delivered) return { response: "ERR NO_MSG" };
    queue.messages.shift();
    return { response: deliver(queue) };
  },
  OFF(queue) {
    queue.suspended = true;
    return { response: "OK" };
  },
  DEL(queue) {
    byRecipientId.delete(queue.recipientId);
    bySenderId.delete(queue.senderId);
    return { response: "OK" };
  },
};

const server = createServer({ allowHalfOpen: false }, (socket) => serve(new TcpLink(socket)));
server.listen(0, "127.0.0.1", () => {
  print({ event: "listening", port: server.address().port, keyHash: hashOf(pair.spki) });
});
