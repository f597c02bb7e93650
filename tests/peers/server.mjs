// A minimal SMP server in memory, as a process: `node server.mjs [options as JSON]`. It is independent of this
// project: written from the specification alone, on Node's built-ins, sharing no code with the rest of the repository.
// It knows no SIZE and no QUOTA, and of the extensions those it is started with.
//
// Options: `key` (a name of tests/vectors/rsa.json), `blockSize`, `mute` (names of commands it never answers),
// `extensions` (names that the welcome lists), `mlKem` (the URL of @noble/post-quantum's ml-kem.js, for rekey1).
// It prints JSON lines: `listening` with port and key hash, then `connected`, `welcomed`, `command` (with `signed`),
// `rekeyed` and `disconnected`.

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import process from "node:process";
import { keyPair } from "./keys.mjs";
import { answerRekey, loadMlKem, rekeyContent } from "./rekey.mjs";
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

const options = {
  key: "rsa2048",
  blockSize: 4096,
  mute: [],
  extensions: [],
  ...JSON.parse(process.argv[2] ?? "{}"),
};
const pair = keyPair(options.key);
const mlKem = options.mlKem === undefined ? null : await loadMlKem(options.mlKem);
const welcome = options.extensions.length === 0 ? "0.3.1.0 " : `0.3.1.0 ext=${options.extensions.join(",")} `;
/** The extension that a command is of. */
const EXTENSION_OF = { OPEN: "open1", SUBN: "window1", ACKM: "window1", REKEY: "rekey1" };
const byRecipientId = new Map();
const bySenderId = new Map();

function print(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** Serves one connection until it ends. */
async function serve(link) {
  print({ event: "connected" });
  // `opened`: the IDs that commands need no signature for, with the key they were opened with
  const connection = { blocks: null, opened: new Map(), commands: 0, isOver: false };
  try {
    const blocks = await serverHandshake(link, { pair, blockSize: options.blockSize, welcome });
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
  while (!connection.isOver) {
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
  const command = parseListed(parts.rest);
  const isFirst = connection.commands === 0;
  connection.commands += 1;
  if (/^REKEY /.test(parts.rest) && options.extensions.includes("rekey1")) {
    return takeRekey({
      connection,
      corrId,
      answer,
      command,
      isFirst,
      bare: parts.signature + queueId === "",
    });
  }
  if (command === null) {
    const response = parseResponse(parts.rest)?.name ?? "REKEY";
    return answer(response === "REKEY" ? "ERR CMD SYNTAX" : "ERR CMD PROHIBITED");
  }
  const signed = signature.length > 0;
  print({ event: "command", name: command.name, signed });
  if (options.mute.includes(command.name)) return;
  const isOpened = connection.opened.has(queueId);
  const wrong = wrongCredentials(command.name, signed || isOpened, queueId !== "");
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

/** A client's command; one of an extension that is not listed does not parse. */
function parseListed(rest) {
  const command = parseCommand(rest);
  const extension = EXTENSION_OF[command?.name];
  return extension === undefined || options.extensions.includes(extension) ? command : null;
}

/** extensions.md rekey1: the first command of a session, or the last. */
function takeRekey({ connection, corrId, answer, command, isFirst, bare }) {
  print({ event: "command", name: "REKEY", signed: false });
  const { blocks } = connection;
  const exchange = command === null || !bare || !isFirst
    ? null
    : answerRekey(mlKem, blocks.binding, command.bytes);
  if (exchange === null) {
    connection.isOver = true;
    return answer(isFirst ? "ERR CMD SYNTAX" : "ERR CMD PROHIBITED");
  }
  blocks.send(rekeyContent(corrId, exchange.answer));
  blocks.rekey(exchange.keys);
  print({ event: "rekeyed" });
}

/** Whether a command on an ID may be done with this key: by its signature, or without one where it was opened. */
function isAuthorized({ connection, queueId, text, signature }, key) {
  return signature.length === 0 ? connection.opened.get(queueId) === key : verifyText(key, text, signature);
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
    case "OPEN":
      return open(request);
    default: {
      const queue = byRecipientId.get(request.queueId);
      if (queue === undefined || !isAuthorized(request, queue.recipientKey)) {
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
    // how many of the first messages are delivered and unacknowledged, and how many may be
    delivered: 0,
    window: 1,
    windowed: false,
  };
  byRecipientId.set(queue.recipientId, queue);
  bySenderId.set(queue.senderId, queue);
  return { response: `IDS ${queue.recipientId} ${queue.senderId}` };
}

/** extensions.md open1: what a signature with the right key and the right binding allows from now on. */
function open(request) {
  const { connection, queueId, command, signature } = request;
  const key = byRecipientId.get(queueId)?.recipientKey ?? bySenderId.get(queueId)?.senderKey ?? null;
  if (key === null || signature.length === 0 || !verifyText(key, request.text, signature)) {
    return { response: "ERR AUTH" };
  }
  if (!command.bytes.equals(connection.blocks.binding)) return { response: "ERR AUTH" };
  connection.opened.set(queueId, key);
  return { response: "OK" };
}

function send(request) {
  const { queueId, command, signature } = request;
  const queue = bySenderId.get(queueId);
  if (queue === undefined || queue.suspended) return { response: "ERR AUTH" };
  const allowed = queue.senderKey === null ? signature.length === 0 : isAuthorized(request, queue.senderKey);
  if (!allowed) return { response: "ERR AUTH" };
  queue.messages.push({
    id: randomBytes(6).toString("base64"),
    timestamp: new Date().toISOString(),
    body: command.body.toString("latin1"),
  });
  return { response: "OK", then: () => pushTo(queue) };
}

/** Pushes what may be delivered now. */
function pushTo(queue) {
  while (queue.subscriber !== null && queue.delivered < queue.window) {
    const response = deliver(queue);
    if (response === "OK") return;
    respond(queue.subscriber, "", queue.recipientId, response);
  }
}

/** The first message that is not delivered yet, which it is from now on; OK when there is none. */
function deliver(queue) {
  const message = queue.messages[queue.delivered];
  if (message === undefined) return "OK";
  queue.delivered += 1;
  return `MSG ${message.id} ${message.timestamp} ${message.body.length} ${message.body} `;
}

function subscribe(queue, connection, window) {
  if (queue.subscriber !== null && queue.subscriber !== connection) {
    respond(queue.subscriber, "", queue.recipientId, "END");
  }
  Object.assign(queue, {
    subscriber: connection,
    delivered: 0,
    window: window ?? 1,
    windowed: window !== null,
  });
  return { response: deliver(queue), then: () => pushTo(queue) };
}

function unsubscribe(queue) {
  Object.assign(queue, { subscriber: null, delivered: 0, window: 1, windowed: false });
}

function hasAllowedSize(key) {
  return KEY_SIZES.includes(key.asymmetricKeyDetails.modulusLength / 8);
}

const RECIPIENT_COMMANDS = {
  SUB: (queue, { connection }) => subscribe(queue, connection, null),
  SUBN: (queue, { connection, command }) => subscribe(queue, connection, command.window),
  KEY(queue, { command }) {
    if (!hasAllowedSize(command.key)) return { response: "ERR CMD KEY_SIZE" };
    if (queue.senderKey !== null) return { response: "ERR AUTH" };
    queue.senderKey = command.key;
    return { response: "OK" };
  },
  ACK(queue, { connection }) {
    if (queue.subscriber !== connection || queue.delivered === 0) return { response: "ERR NO_MSG" };
    queue.messages.shift();
    queue.delivered -= 1;
    return queue.windowed ? { response: "OK", then: () => pushTo(queue) } : { response: deliver(queue) };
  },
  ACKM(queue, { connection, command }) {
    const id = command.bytes.toString("base64");
    const index = queue.messages.findIndex((message) => message.id === id);
    if (queue.subscriber !== connection || index < 0 || index >= queue.delivered) {
      return { response: "ERR NO_MSG" };
    }
    queue.messages.splice(0, index + 1);
    queue.delivered -= index + 1;
    return { response: "OK", then: () => pushTo(queue) };
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
