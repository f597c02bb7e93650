// What the clients of this folder share: their connections, whose every answer is checked, and how they report. Part
// of an SMP implementation that is independent of this project: written from the specification alone, on Node's
// built-ins, sharing no code with the rest of the repository.
//
// A client is a process: `node <client>.mjs <host> <port> <keyHash> <scenario>[,<scenario>…] [options as JSON]`. It
// prints one JSON line per step, and exits with 0, or with 1 after a line with `failed`. Without arguments it takes them
// as lines of its input, each a JSON array of such arguments, one after the other, and exits when its input ends.
// Options: `blockSize` (asked for instead of echoing the server's), `webSocket`, `recipientKey`, `senderKey` (names of
// tests/vectors/rsa.json), `mlKem` (the URL of @noble/post-quantum's ml-kem.js: every connection begins with REKEY).

import { Buffer } from "node:buffer";
import process from "node:process";
import { createInterface } from "node:readline";
import { keyPair } from "./keys.mjs";
import { loadMlKem, rekey } from "./rekey.mjs";
import { clientHandshake, fromBase64, Session, signedText, signText, TcpLink } from "./smp_peer.mjs";
import { WebSocketLink } from "./websocket.mjs";

let host, portText, scenarioText;
export let keyHash, options, recipientKey, senderKey, mlKem;
/** The longest body whose MSG, pushed without a corrId, fits a block of 4096. */
export const FULL_SIZE = 4015;
let steps = 0;
/** What may be open still. */
const links = new Set();

async function take([givenHost, givenPort, givenKeyHash, scenarios, optionsText = "{}"]) {
  [host, portText, keyHash, scenarioText, steps] = [givenHost, givenPort, givenKeyHash, scenarios, 0];
  options = { recipientKey: "rsa2048", senderKey: "rsa2048", ...JSON.parse(optionsText) };
  recipientKey = keyPair(options.recipientKey);
  senderKey = keyPair(options.senderKey);
  mlKem = options.mlKem === undefined ? null : await loadMlKem(options.mlKem);
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

export function step(name, details = {}) {
  steps += 1;
  print({ step: name, ...details });
}

/** An answer in words: its name, and for a message its body as latin1. */
export function words(answer) {
  return answer.name === "MSG" ? message(answer.body) : answer.name;
}

export function message(body) {
  return `MSG ${Buffer.from(body).toString("latin1")}`;
}

export function check(name, actual, expected) {
  if (actual !== expected) {
    throw new Error(
      `${name}: ${JSON.stringify(actual).slice(0, 200)} instead of ${JSON.stringify(expected).slice(0, 200)}`,
    );
  }
  step(name, { got: String(actual).slice(0, 60) });
}

export async function connectLink() {
  const link = await (options.webSocket ? WebSocketLink : TcpLink).connect(host, Number(portText));
  links.add(link);
  return link;
}

/** A connection whose answers are checked. */
export class Client {
  constructor(session, extensions) {
    this.session = session;
    /** The names that the welcome lists. */
    this.extensions = extensions;
  }

  /** `rekeyed`: whether the session gets new keys first; by default wherever ML-KEM is at hand. */
  static async connect({ blockSize = options.blockSize, rekeyed = mlKem !== null } = {}) {
    const link = await connectLink();
    try {
      const { blocks, ...details } = await clientHandshake(link, { keyHash, blockSize });
      step("handshake", { ...details, blockSize: blocks.blockSize });
      const [, names] = /^ext=([^ ]*) $/.exec(details.extra) ?? [];
      const extensions = names === undefined ? [] : names.split(",");
      if (rekeyed) {
        await rekey(blocks, mlKem);
        step("rekey");
      }
      return new Client(new Session(blocks), extensions);
    } catch (error) {
      link.destroy();
      throw error;
    }
  }

  /** Sends a command; its answer must read as `expected` and carry the command's queue ID. */
  ask(name, expected, command, { queueId = "", pair } = {}) {
    return this.#checked(name, expected, queueId, this.session.request(command, { queueId, pair }));
  }

  /** As `ask`, with a signature of one's own making. */
  askSigned(name, expected, command, { queueId = "", signature, corrId }) {
    return this.#checked(
      name,
      expected,
      queueId,
      this.session.requestSigned(command, signature, { queueId, corrId }),
    );
  }

  /** As `ask`, with any content; `queueId` is the one the answer must carry. */
  askContent(name, expected, content, { corrId, queueId = "" }) {
    return this.#checked(name, expected, queueId, this.session.requestContent(content, corrId));
  }

  pushed(name, expected, queueId) {
    return this.#checked(name, expected, queueId, this.session.push());
  }

  /** Makes a queue and resolves to its IDs. */
  async newQueue() {
    const answer = await this.ask("NEW", "IDS", `NEW ${recipientKey.text}`, { pair: recipientKey });
    const { recipientId, senderId } = answer;
    check("the recipient ID has 12 bytes", fromBase64(recipientId).length, 12);
    check("the sender ID has 12 bytes", fromBase64(senderId).length, 12);
    check("the IDs differ", recipientId !== senderId, true);
    return {
      rid: recipientId,
      sid: senderId,
      asRecipient: { queueId: recipientId, pair: recipientKey },
      unsigned: { queueId: senderId },
      asSender: { queueId: senderId, pair: senderKey },
    };
  }

  /** Nothing more was pushed before the answer to a PING. */
  async expectQuiet() {
    await this.ask("PING", "PONG", "PING");
    check("nothing was pushed", this.session.unreadPushes, 0);
  }

  async close() {
    await this.session.close();
    step("closed");
  }

  async #checked(name, expected, queueId, answering) {
    const answer = await answering;
    check(name, words(answer), expected);
    if (answer.queueId !== queueId) throw new Error(`${name}: queue ID ${answer.queueId}, not ${queueId}`);
    return answer;
  }
}

/** A queue with a recipient's and a sender's connection. */
export async function connectedQueue() {
  const recipient = await Client.connect();
  const sender = await Client.connect();
  return { recipient, sender, queue: await recipient.newQueue() };
}

export async function closeAll(...clients) {
  for (const client of clients) await client.close();
}

/** The signature a command needs, and the corrId it is bound to. */
export function signatureFor(client, command, { queueId = "", pair }) {
  const corrId = client.session.nextCorrId();
  return { corrId, queueId, signature: signText(pair.privateKey, signedText(corrId, queueId, command)) };
}

export async function expectRefusedBlock(client, what) {
  await client.pushed(`the answer to the block, ${what}`, "ERR BLOCK", "");
  const problem = await client.session.closed;
  if (problem !== null) throw problem;
  check("nothing comes after it", client.session.unreadPushes, 0);
}

function reported(error) {
  const line = error === undefined
    ? { done: scenarioText, steps }
    : { failed: scenarioText, error: error.message };
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, resolve));
}

/** Runs the scenarios that were asked for, one after the other; whether all were content. */
async function runAsked(scenarios, args) {
  const watchdog = setTimeout(async () => {
    await reported(new Error("no end within 80 s"));
    process.exit(1);
  }, 80_000);
  let error;
  try {
    await take(args);
    for (const name of scenarioText.split(",")) {
      step("scenario", { name });
      const scenario = scenarios[name];
      if (scenario === undefined) throw new Error(`no scenario is named ${name}`);
      await scenario();
    }
  } catch (caught) {
    error = caught;
  }
  clearTimeout(watchdog);
  for (const link of links) link.destroy();
  links.clear();
  await reported(error);
  return error === undefined;
}

/** Runs what the command line asks for, or the input, and ends the process. */
export async function run(scenarios) {
  const args = process.argv.slice(2);
  if (args.length > 0) process.exit(await runAsked(scenarios, args) ? 0 : 1);
  for await (const line of createInterface(process.stdin)) await runAsked(scenarios, JSON.parse(line));
}
