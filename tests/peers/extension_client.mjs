// A client that uses the server extensions, as a process: `node extension_client.mjs <host> <port> <keyHash>
// <scenario>[,<scenario>…] [options as JSON]`. It is independent of this project: written from the specification alone,
// on Node's built-ins and @noble/post-quantum, sharing no code with the rest of the repository. What it prints and how
// it ends is told in client_kit.mjs; with `mlKem` every session begins with REKEY.

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import {
  check,
  Client,
  closeAll,
  connectedQueue,
  expectRefusedBlock,
  message,
  mlKem,
  options,
  recipientKey,
  run,
  senderKey,
  signatureFor,
  words,
} from "./client_kit.mjs";
import { rekeyContent, startRekey, X25519_SIZE } from "./rekey.mjs";
import { sendCommand, transmission } from "./smp_peer.mjs";

/** OPEN with the binding of the client's session. */
function openCommand(client) {
  return `OPEN ${client.session.blocks.binding.toString("base64")}`;
}

function expectExtensions(client, ...names) {
  for (const name of names) check(`${name} is listed`, client.extensions.includes(name), true);
}

/** A queue secured with the sender's key, and both connections. */
async function securedQueue() {
  const { recipient, sender, queue } = await connectedQueue();
  await recipient.ask("KEY", "OK", `KEY ${senderKey.text}`, queue.asRecipient);
  return { recipient, sender, queue, opened: { queueId: queue.rid } };
}

async function sendAll(sender, target, bodies) {
  for (const body of bodies) await sender.ask(`SEND ${body}`, "OK", sendCommand(body), target);
}

/** The next pushes are these messages; their IDs. */
async function pushedAll(client, rid, bodies) {
  const ids = [];
  for (const body of bodies) ids.push((await client.pushed(`the push of ${body}`, message(body), rid)).id);
  return ids;
}

function names(from, to) {
  return Array.from({ length: to - from + 1 }, (_, index) => `m${from + index}`);
}

/** A session whose blocks are read one by one, before any REKEY. */
async function rawSession() {
  const { session } = await Client.connect({ rekeyed: false });
  return session;
}

/** The answer to one content as the first one, and that the server then closes. */
async function expectEnd(name, expected, session, content, corrId) {
  const answer = session.requestContent(content, corrId);
  check(name, words(await answer), expected);
  const problem = await session.closed;
  if (problem !== null) throw problem;
  check(`nothing comes after ${name}`, session.unreadPushes, 0);
}

const scenarios = {
  /** OPEN by recipient and sender, the life of a queue without signatures, and what stays as it was. */
  async open() {
    const { recipient, sender, queue, opened } = await securedQueue();
    const { rid, sid, asRecipient, asSender, unsigned } = queue;
    expectExtensions(recipient, "open1");
    for (const command of ["SUB", "ACK", "OFF", "DEL", `KEY ${senderKey.text}`]) {
      await recipient.ask(`unsigned ${command.slice(0, 3)} before OPEN`, "ERR CMD NO_AUTH", command, opened);
    }
    await sender.ask("unsigned SEND before OPEN", "ERR AUTH", sendCommand("no"), unsigned);
    await recipient.ask("OPEN by the recipient", "OK", openCommand(recipient), asRecipient);
    await sender.ask("OPEN by the sender", "OK", openCommand(sender), asSender);
    await recipient.ask("OPEN again", "OK", openCommand(recipient), asRecipient);
    await recipient.ask("unsigned SUB", "OK", "SUB", opened);
    await sender.ask("unsigned SEND", "OK", sendCommand("one"), unsigned);
    await recipient.pushed("the push", "MSG one", rid);
    await sender.ask("signed SEND", "OK", sendCommand("two"), asSender);
    await recipient.ask("unsigned ACK", "MSG two", "ACK", opened);
    await recipient.ask("signed ACK", "OK", "ACK", asRecipient);
    await recipient.ask("unsigned ACK of nothing", "ERR NO_MSG", "ACK", opened);
    await recipient.ask("unsigned KEY again", "ERR AUTH", `KEY ${senderKey.text}`, opened);
    // A signature that is present is verified and decides alone.
    const otherText = { queueId: rid, pair: senderKey };
    await recipient.ask("SUB with another key", "ERR AUTH", "SUB", otherText);
    await sender.ask("SEND with another key", "ERR AUTH", sendCommand("no"), {
      queueId: sid,
      pair: recipientKey,
    });
    const { signature } = signatureFor(recipient, "SUB", asRecipient);
    await recipient.askSigned("SUB with the signature of another corrId", "ERR AUTH", "SUB", {
      queueId: rid,
      signature,
    });
    await recipient.ask("unsigned OFF", "OK", "OFF", opened);
    await sender.ask("unsigned SEND to the suspended queue", "ERR AUTH", sendCommand("no"), unsigned);
    await recipient.ask("unsigned DEL", "OK", "DEL", opened);
    await sender.ask("unsigned SEND to the deleted queue", "ERR AUTH", sendCommand("no"), unsigned);
    await recipient.ask("signed SUB to the deleted queue", "ERR AUTH", "SUB", asRecipient);
    await recipient.expectQuiet();
    await closeAll(recipient, sender);
  },

  /** OPEN that is not right is AUTH, and opens nothing. */
  async refusedOpen() {
    const { recipient, sender, queue, opened } = await securedQueue();
    const { rid, sid, asRecipient, asSender } = queue;
    const open = openCommand(recipient);
    const other = openCommand(sender);
    const refuse = (what, command, target) => recipient.ask(`OPEN ${what}`, "ERR AUTH", command, target);
    await refuse("with another session's binding", other, asRecipient);
    await refuse("with a short binding", `OPEN ${Buffer.alloc(31).toString("base64")}`, asRecipient);
    await refuse("with a binding of zeros", `OPEN ${Buffer.alloc(32).toString("base64")}`, asRecipient);
    await refuse("with another key", open, { queueId: rid, pair: senderKey });
    await refuse("by the sender with the recipient's key", open, { queueId: sid, pair: recipientKey });
    await refuse("of no queue", open, { queueId: randomBytes(12).toString("base64"), pair: recipientKey });
    const unsecured = await recipient.newQueue();
    await refuse("of an unsecured queue", open, { ...unsecured.asSender });
    await recipient.ask("OPEN unsigned", "ERR CMD NO_AUTH", open, opened);
    await recipient.ask("OPEN without a queue", "ERR CMD NO_AUTH", open, { pair: recipientKey });
    await recipient.ask("SUB unsigned after all this", "ERR CMD NO_AUTH", "SUB", opened);
    await recipient.ask("SEND unsigned after all this", "ERR AUTH", sendCommand("no"), { queueId: sid });
    // What one ID was opened for is not the other's.
    await recipient.ask("OPEN", "OK", open, asRecipient);
    await recipient.ask("SEND unsigned by the recipient", "ERR AUTH", sendCommand("no"), { queueId: sid });
    await sender.ask("OPEN", "OK", other, asSender);
    // The specification leaves open which of the two it is: the sender's key has no right to SUB.
    const refused = words(await sender.session.request("SUB", { queueId: sid }));
    check("SUB unsigned by the sender", /^ERR (AUTH|CMD NO_AUTH)$/.test(refused), true);
    await sender.ask("SUB unsigned on another connection", "ERR CMD NO_AUTH", "SUB", opened);
    await closeAll(recipient, sender);
  },

  /** A recorded OPEN, block for block the same command and signature, is worth nothing on the next session. */
  async replayedOpen() {
    const { recipient, sender, queue, opened } = await securedQueue();
    const command = openCommand(recipient);
    const { corrId, queueId, signature } = signatureFor(recipient, command, queue.asRecipient);
    await recipient.askSigned("OPEN", "OK", command, { corrId, queueId, signature });
    await recipient.close();
    const next = await Client.connect();
    await next.askSigned("the same OPEN on the next session", "ERR AUTH", command, {
      corrId,
      queueId,
      signature,
    });
    await next.ask("SUB unsigned", "ERR CMD NO_AUTH", "SUB", opened);
    await closeAll(next, sender);
  },

  /** SUBN and ACKM: up to n unacknowledged, in order, acknowledged one by one or many at once. */
  async window() {
    const { recipient, sender, queue } = await securedQueue();
    const { rid, asRecipient, asSender } = queue;
    expectExtensions(recipient, "window1");
    await recipient.ask("SUBN of an empty queue", "OK", "SUBN 3", asRecipient);
    await sendAll(sender, asSender, names(1, 5));
    const [first, second, third] = await pushedAll(recipient, rid, names(1, 3));
    await recipient.expectQuiet();
    await recipient.ask("ACKM of the second", "OK", `ACKM ${second}`, asRecipient);
    const [fourth, fifth] = await pushedAll(recipient, rid, names(4, 5));
    for (const [what, id] of [["the first, again", first], ["the second, again", second]]) {
      await recipient.ask(`ACKM of ${what}`, "ERR NO_MSG", `ACKM ${id}`, asRecipient);
    }
    const unknown = randomBytes(6).toString("base64");
    await recipient.ask("ACKM of no message", "ERR NO_MSG", `ACKM ${unknown}`, asRecipient);
    await recipient.ask("plain ACK", "OK", "ACK", asRecipient);
    await recipient.ask("ACKM of what ACK acknowledged", "ERR NO_MSG", `ACKM ${third}`, asRecipient);
    await recipient.ask("ACKM of the fourth", "OK", `ACKM ${fourth}`, asRecipient);
    await recipient.ask("ACKM of the fifth", "OK", `ACKM ${fifth}`, asRecipient);
    await recipient.ask("ACK of nothing", "ERR NO_MSG", "ACK", asRecipient);
    await recipient.ask("SUBN of the empty queue", "OK", "SUBN 3", asRecipient);
    await recipient.expectQuiet();
    await closeAll(recipient, sender);
  },

  /** The answer to SUBN is the first waiting message, the others are pushed; repeated, all come again in order. */
  async windowRedelivery() {
    const { recipient, sender, queue } = await securedQueue();
    const { rid, asRecipient, asSender } = queue;
    await recipient.close();
    await sendAll(sender, asSender, names(1, 6));
    const next = await Client.connect();
    const ids = [(await next.ask("SUBN", "MSG m1", "SUBN 4", asRecipient)).id];
    ids.push(...await pushedAll(next, rid, names(2, 4)));
    await next.expectQuiet();
    const again = [(await next.ask("SUBN again", "MSG m1", "SUBN 4", asRecipient)).id];
    again.push(...await pushedAll(next, rid, names(2, 4)));
    check("the IDs are the same", again.join(), ids.join());
    await next.ask("ACKM of the first two", "OK", `ACKM ${ids[1]}`, asRecipient);
    await pushedAll(next, rid, names(5, 6));
    const last = await Client.connect();
    const third = await last.ask("SUBN elsewhere", "MSG m3", "SUBN 128", asRecipient);
    check("the ID is the same elsewhere", third.id, ids[2]);
    await pushedAll(last, rid, names(4, 6));
    await next.pushed("the end", "END", rid);
    await next.ask("ACKM from the former one", "ERR NO_MSG", `ACKM ${ids[2]}`, asRecipient);
    await next.expectQuiet();
    // An ordinary subscription in the place of the windowed one: one message at a time, from the oldest.
    const plain = await last.ask("SUB", "MSG m3", "SUB", asRecipient);
    await last.expectQuiet();
    await last.ask("ACKM in the ordinary one", "OK", `ACKM ${plain.id}`, asRecipient);
    await last.pushed("the push after it", "MSG m4", rid);
    await last.ask("ACK in the ordinary one", "MSG m5", "ACK", asRecipient);
    await last.ask("SUBN 1", "MSG m5", "SUBN 1", asRecipient);
    await last.expectQuiet();
    await last.ask("plain ACK in a window of 1", "OK", "ACK", asRecipient);
    await last.pushed("the push after it", "MSG m6", rid);
    await last.ask("plain ACK of the last", "OK", "ACK", asRecipient);
    await last.expectQuiet();
    await closeAll(next, last, sender);
  },

  /** The largest window, filled; the commands unsigned where `opened`. */
  async fullWindow() {
    const { recipient, sender, queue, opened } = await securedQueue();
    await recipient.ask("OPEN", "OK", openCommand(recipient), queue.asRecipient);
    await sender.ask("OPEN", "OK", openCommand(sender), queue.asSender);
    await recipient.ask("SUBN 128", "OK", "SUBN 128", opened);
    const bodies = names(1, 150);
    const answers = bodies.map((body) => sender.session.request(sendCommand(body), queue.unsigned));
    const accepted = (await Promise.all(answers)).filter((answer) => answer.name === "OK").length;
    check("all are accepted", accepted, bodies.length);
    const ids = await pushedAll(recipient, queue.rid, bodies.slice(0, 128));
    await recipient.expectQuiet();
    await recipient.ask("ACKM of all", "OK", `ACKM ${ids[127]}`, opened);
    const rest = await pushedAll(recipient, queue.rid, bodies.slice(128));
    await recipient.ask("ACKM of the rest", "OK", `ACKM ${rest.at(-1)}`, opened);
    await recipient.ask("SUB with nothing waiting", "OK", "SUB", opened);
    await closeAll(recipient, sender);
  },

  /** Bounds and syntax. */
  async syntax() {
    const { recipient, sender, queue } = await securedQueue();
    const { rid, asRecipient } = queue;
    for (
      const text of [
        "SUBN 0",
        "SUBN 129",
        "SUBN 1000000000000",
        "SUBN -1",
        "SUBN x",
        "SUBN",
        "ACKM",
        "ACKM !!!!",
      ]
    ) {
      await recipient.ask(text, "ERR CMD SYNTAX", text, asRecipient);
    }
    await recipient.ask("SUBN without a queue", "ERR CMD NO_AUTH", "SUBN 2", { pair: recipientKey });
    await recipient.ask("SUBN unsigned", "ERR CMD NO_AUTH", "SUBN 2", { queueId: rid });
    await recipient.ask("ACKM unsigned", "ERR CMD NO_AUTH", "ACKM AAAA", { queueId: rid });
    await recipient.ask("SUBN with another key", "ERR AUTH", "SUBN 2", { queueId: rid, pair: senderKey });
    await recipient.ask("ACKM by the sender", "ERR AUTH", "ACKM AAAA", {
      queueId: queue.sid,
      pair: recipientKey,
    });
    await closeAll(recipient, sender);
  },

  /** A session has new keys after REKEY: its binding is another one, and the old one opens nothing. */
  async rekey() {
    const client = await Client.connect({ rekeyed: false });
    expectExtensions(client, "rekey1");
    const { blocks } = client.session;
    const old = blocks.binding;
    const exchange = startRekey(mlKem);
    const answer = await client.askContent("REKEY", "REKEY", rekeyContent("1", exchange.request), {
      corrId: "1",
    });
    blocks.rekey(exchange.finish(old, answer.payload));
    check("the binding is another one", blocks.binding.equals(old), false);
    await client.ask("PING", "PONG", "PING");
    const queue = await client.newQueue();
    const oldOpen = `OPEN ${old.toString("base64")}`;
    await client.ask("OPEN with the old binding", "ERR AUTH", oldOpen, queue.asRecipient);
    await client.ask("OPEN with the new binding", "OK", openCommand(client), queue.asRecipient);
    await client.ask("SUB unsigned", "OK", "SUB", { queueId: queue.rid });
    await expectEnd(
      "a second REKEY",
      "ERR CMD PROHIBITED",
      client.session,
      rekeyContent("2", startRekey(mlKem).request),
      "2",
    );
  },

  /** What was encrypted with the old keys is worth nothing after REKEY. */
  async oldKeys() {
    const client = await Client.connect({ rekeyed: false });
    const { blocks } = client.session;
    const exchange = startRekey(mlKem);
    const answer = await client.askContent("REKEY", "REKEY", rekeyContent("1", exchange.request), {
      corrId: "1",
    });
    const stale = blocks.encrypt(transmission(Buffer.alloc(0), "2", "", "PING"));
    blocks.rekey(exchange.finish(blocks.binding, answer.payload));
    blocks.link.write(stale);
    await expectRefusedBlock(client, "encrypted with the old key");
  },

  /** REKEY that is not the first command, or that is wrong, gets one ERR and the end. */
  async refusedRekey() {
    const { request } = startRekey(mlKem);
    const zeroPoint = Buffer.from(request).fill(0, 0, X25519_SIZE);
    const notReduced = Buffer.from(request).fill(0xff, X25519_SIZE, X25519_SIZE + 3);
    const payloads = {
      "a byte too few": request.subarray(1),
      "a byte too many": Buffer.concat([request, Buffer.alloc(1)]),
      "an X25519 key alone": request.subarray(0, X25519_SIZE),
      "an X25519 key of zeros": zeroPoint,
      "an encapsulation key that is none": notReduced,
    };
    for (const [what, payload] of Object.entries(payloads)) {
      const session = await rawSession();
      await expectEnd(
        `the answer to REKEY with ${what}`,
        "ERR CMD SYNTAX",
        session,
        rekeyContent("1", payload),
        "1",
      );
    }
    const late = await rawSession();
    check("PING first", words(await late.request("PING")), "PONG");
    await expectEnd("REKEY after PING", "ERR CMD PROHIBITED", late, rekeyContent("9", request), "9");
    const client = await Client.connect();
    await client.ask("PING", "PONG", "PING");
    await client.close();
  },

  /** What a server that lists nothing says to each of the commands. */
  async unlisted() {
    const { recipient, sender, queue } = await securedQueue();
    check("nothing is listed", recipient.extensions.length, 0);
    const { rid, asRecipient } = queue;
    for (const command of [openCommand(recipient), "SUBN 2", "ACKM AAAA"]) {
      await recipient.ask(command.slice(0, 4), "ERR CMD SYNTAX", command, asRecipient);
      await recipient.ask(`unsigned ${command.slice(0, 4)}`, "ERR CMD SYNTAX", command, { queueId: rid });
    }
    const payload = Buffer.alloc(1216, 1);
    await recipient.askContent("REKEY", "ERR CMD SYNTAX", rekeyContent("77", payload), { corrId: "77" });
    await recipient.ask("SUB as ever", "OK", "SUB", asRecipient);
    const first = await Client.connect();
    await first.askContent("REKEY first", "ERR CMD SYNTAX", rekeyContent("1", payload), { corrId: "1" });
    await first.ask("PING after it", "PONG", "PING");
    await closeAll(recipient, sender, first);
  },

  /** blocks1: the size that the client asks for (`blockSize`) is used, and a message of that size goes through. */
  async blocks() {
    const { recipient, sender, queue, opened } = await securedQueue();
    expectExtensions(recipient, "blocks1");
    const { blockSize } = recipient.session.blocks;
    check("the block size", blockSize, options.blockSize);
    await recipient.ask("OPEN", "OK", openCommand(recipient), queue.asRecipient);
    await sender.ask("OPEN", "OK", openCommand(sender), queue.asSender);
    await recipient.ask("SUBN", "OK", "SUBN 8", opened);
    const bodies = Array.from({ length: 8 }, () => randomBytes(blockSize - 200));
    for (const body of bodies) {
      const answer = await sender.session.request(sendCommand(body), queue.unsigned);
      check("a large SEND", words(answer), "OK");
    }
    for (const body of bodies) {
      const push = await recipient.session.push();
      check("a large message", push.name === "MSG" && push.body.equals(body), true);
    }
    await closeAll(recipient, sender);
  },
};

await run(scenarios);
