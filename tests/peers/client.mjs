// A 0.3 client as a process: `node client.mjs <host> <port> <keyHash> <scenario>[,<scenario>…] [options as JSON]`. It
// is independent of this project: written from the specification alone, on Node's built-ins, sharing no code with the
// rest of the repository. What it prints and how it ends is told in client_kit.mjs; more options are what single
// scenarios name.

import { Buffer } from "node:buffer";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import {
  check,
  Client,
  closeAll,
  connectedQueue,
  connectLink,
  expectRefusedBlock,
  FULL_SIZE,
  keyHash,
  message,
  options,
  recipientKey,
  run,
  senderKey,
  signatureFor,
  step,
  words,
} from "./client_kit.mjs";
import { keyPair } from "./keys.mjs";
import {
  clientHello,
  encryptTo,
  fromBase64,
  readServerHello,
  sendCommand,
  transmission,
} from "./smp_peer.mjs";

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

const scenarios = {
  async handshake() {
    const client = await Client.connect();
    await client.ask("PING", "PONG", "PING");
    await client.close();
  },

  /** A handshake that is not right is not answered. */
  async refusedHandshakes() {
    const keys = () => randomBytes(96);
    const changes = {
      "a block size that is none": (key) => encryptTo(key, clientHello(5000, keys())),
      "a block size that is too large": (key) => encryptTo(key, clientHello(131072, keys())),
      "another protocol": (key) => encryptTo(key, clientHello(4096, keys(), 1)),
      "a byte too few": (key) => encryptTo(key, clientHello(4096, keys()).subarray(1)),
      "a byte too many": (key) => encryptTo(key, Buffer.concat([clientHello(4096, keys()), Buffer.alloc(1)])),
      "nothing encrypted": (key) => encryptTo(key, Buffer.alloc(0)),
      "what nobody can decrypt": (key) => randomBytes(encryptTo(key, Buffer.alloc(0)).length).fill(0, 0, 1),
    };
    for (const [what, change] of Object.entries(changes)) {
      const link = await connectLink();
      const { serverKey } = await readServerHello(link, keyHash);
      link.write(change(serverKey));
      check(`the answer to ${what}`, await link.read(1), null);
      link.close();
    }
    await scenarios.handshake();
  },

  /** The whole life of a queue. */
  async life() {
    const { recipient, sender, queue } = await connectedQueue();
    const { rid, asRecipient, unsigned, asSender } = queue;
    await recipient.ask("SUB to one's own queue", "OK", "SUB", asRecipient);
    await sender.ask("unsigned SEND", "OK", sendCommand("hello"), unsigned);
    const first = await recipient.pushed("the push", "MSG hello", rid);
    check("the message ID has 6 bytes", fromBase64(first.id).length, 6);
    await recipient.ask("ACK", "OK", "ACK", asRecipient);
    await recipient.ask("ACK of nothing", "ERR NO_MSG", "ACK", asRecipient);
    await recipient.ask("KEY", "OK", `KEY ${senderKey.text}`, asRecipient);
    await recipient.ask("KEY again", "ERR AUTH", `KEY ${senderKey.text}`, asRecipient);
    await sender.ask("unsigned SEND to the secured queue", "ERR AUTH", sendCommand("no"), unsigned);
    await sender.ask("signed SEND", "OK", sendCommand("one"), asSender);
    await recipient.pushed("the first push", "MSG one", rid);
    await sender.ask("another signed SEND", "OK", sendCommand("two"), asSender);
    await recipient.expectQuiet();
    await recipient.ask("ACK with a message waiting", "MSG two", "ACK", asRecipient);
    await recipient.ask("the last ACK", "OK", "ACK", asRecipient);
    await recipient.ask("OFF", "OK", "OFF", asRecipient);
    await recipient.ask("OFF again", "OK", "OFF", asRecipient);
    await sender.ask("SEND to the suspended queue", "ERR AUTH", sendCommand("no"), asSender);
    await recipient.ask("DEL", "OK", "DEL", asRecipient);
    await recipient.ask("SUB to the deleted queue", "ERR AUTH", "SUB", asRecipient);
    await sender.ask("SEND to the deleted queue", "ERR AUTH", sendCommand("no"), asSender);
    await recipient.expectQuiet();
    await closeAll(recipient, sender);
  },

  /** SUB from another connection takes the queue over. */
  async takeover() {
    const { recipient, sender, queue } = await connectedQueue();
    const other = await Client.connect();
    const { rid, asRecipient, unsigned } = queue;
    await other.ask("SUB from another connection", "OK", "SUB", asRecipient);
    await recipient.pushed("the end", "END", rid);
    await sender.ask("SEND", "OK", sendCommand("for the other"), unsigned);
    await other.pushed("the push to the other", "MSG for the other", rid);
    await recipient.ask("ACK from the former one", "ERR NO_MSG", "ACK", asRecipient);
    await recipient.expectQuiet();
    await recipient.ask("SUB back", "MSG for the other", "SUB", asRecipient);
    await other.pushed("the other's end", "END", rid);
    await other.ask("ACK from the other", "ERR NO_MSG", "ACK", asRecipient);
    await recipient.ask("ACK", "OK", "ACK", asRecipient);
    await other.expectQuiet();
    await recipient.expectQuiet();
    await closeAll(recipient, other, sender);
  },

  /** A message that was not acknowledged is delivered again. */
  async redelivery() {
    const { recipient, sender, queue } = await connectedQueue();
    const { rid, asRecipient, unsigned } = queue;
    for (const body of ["one", "two"]) await sender.ask("SEND", "OK", sendCommand(body), unsigned);
    const pushed = await recipient.pushed("the push", "MSG one", rid);
    const again = await recipient.ask("SUB again", "MSG one", "SUB", asRecipient);
    check("the ID is the same on the same connection", again.id, pushed.id);
    await recipient.expectQuiet();
    await recipient.close();
    const next = await Client.connect();
    const last = await next.ask("SUB from the next connection", "MSG one", "SUB", asRecipient);
    check("the ID is the same on the next connection", last.id, pushed.id);
    check("the timestamp is the same", last.timestamp, pushed.timestamp);
    await next.ask("ACK", "MSG two", "ACK", asRecipient);
    await next.ask("ACK", "OK", "ACK", asRecipient);
    await next.ask("SUB with nothing waiting", "OK", "SUB", asRecipient);
    await closeAll(next, sender);
  },

  /** A suspended queue takes nothing, what waits in it can be read. */
  async suspended() {
    const { recipient, sender, queue } = await connectedQueue();
    const { rid, asRecipient, unsigned } = queue;
    for (const body of ["one", "two", "three"]) await sender.ask("SEND", "OK", sendCommand(body), unsigned);
    await recipient.pushed("the push", "MSG one", rid);
    await recipient.ask("OFF", "OK", "OFF", asRecipient);
    await sender.ask("SEND to the suspended queue", "ERR AUTH", sendCommand("no"), unsigned);
    await recipient.ask("ACK", "MSG two", "ACK", asRecipient);
    await recipient.close();
    const next = await Client.connect();
    await next.ask("SUB to the suspended queue", "MSG two", "SUB", asRecipient);
    await next.ask("ACK", "MSG three", "ACK", asRecipient);
    await next.ask("the last ACK", "OK", "ACK", asRecipient);
    await next.ask("OFF again", "OK", "OFF", asRecipient);
    await sender.ask("SEND to it still", "ERR AUTH", sendCommand("no"), unsigned);
    await closeAll(next, sender);
  },

  /** A deleted queue with its messages is gone for every command. */
  async deleted() {
    const { recipient, sender, queue } = await connectedQueue();
    const { rid, asRecipient, unsigned } = queue;
    await sender.ask("SEND", "OK", sendCommand("lost"), unsigned);
    await recipient.pushed("the push", "MSG lost", rid);
    await recipient.ask("DEL", "OK", "DEL", asRecipient);
    for (const command of ["SUB", `KEY ${senderKey.text}`, "ACK", "OFF", "DEL"]) {
      await recipient.ask(command.slice(0, 3), "ERR AUTH", command, asRecipient);
    }
    await sender.ask("SEND to the deleted queue", "ERR AUTH", sendCommand("no"), unsigned);
    await recipient.expectQuiet();
    await closeAll(recipient, sender);
  },

  /** Everything that is not the right signature is AUTH, and changes nothing. */
  async wrongSignatures() {
    const { recipient, sender, queue } = await connectedQueue();
    const { rid, sid, asRecipient, unsigned, asSender } = queue;
    const refuse = async (client, what, command, credentials) => {
      const name = command.slice(0, 4).trim();
      const signed = (change) => {
        const made = signatureFor(client, command, credentials);
        return { ...made, signature: change(made.signature) };
      };
      const answer = (how, made) =>
        client.askSigned(`${name} ${what}, ${how}`, "ERR AUTH", command, {
          ...made,
          queueId: credentials.queueId,
        });
      const flip = (at) => (signature) => {
        signature[at < 0 ? signature.length + at : at] ^= 1;
        return signature;
      };
      await answer("first byte changed", signed(flip(0)));
      await answer("last byte changed", signed(flip(-1)));
      await answer("all ones", signed((signature) => signature.fill(0xff)));
      await answer("all zeros", signed((signature) => signature.fill(0)));
      if (recipientKey !== senderKey) {
        const pair = credentials.pair === recipientKey ? senderKey : recipientKey;
        await answer("signed by the other party", signatureFor(client, command, { ...credentials, pair }));
      }
      const otherSize = ["rsa1024", "rsa2048", "rsa3072"].map(keyPair).find((pair) =>
        pair.size !== credentials.pair.size && pair !== recipientKey && pair !== senderKey
      );
      await answer(
        "signed by a key of another size",
        signatureFor(client, command, { ...credentials, pair: otherSize }),
      );
      const { signature } = signatureFor(client, command, credentials);
      await answer("signature of another corrId", { signature, corrId: client.session.nextCorrId() });
    };
    await refuse(sender, "to an unsecured queue", sendCommand("no"), asSender);
    await refuse(sender, "by nobody's key", `NEW ${recipientKey.text}`, { queueId: "", pair: recipientKey });
    await recipient.ask("KEY", "OK", `KEY ${senderKey.text}`, asRecipient);
    for (const command of ["SUB", `KEY ${senderKey.text}`, "ACK", "OFF", "DEL"]) {
      const name = command.slice(0, 3);
      await refuse(recipient, "as recipient", command, asRecipient);
      await recipient.ask(`${name} with the sender ID`, "ERR AUTH", command, {
        queueId: sid,
        pair: recipientKey,
      });
      const unknown = { queueId: randomBytes(12).toString("base64"), pair: recipientKey };
      await recipient.ask(`${name} to no queue`, "ERR AUTH", command, unknown);
    }
    await refuse(sender, "to a secured queue", sendCommand("no"), asSender);
    await sender.ask("SEND unsigned", "ERR AUTH", sendCommand("no"), unsigned);
    await sender.ask("SEND with the recipient ID", "ERR AUTH", sendCommand("no"), {
      queueId: rid,
      pair: senderKey,
    });
    await recipient.expectQuiet();
    await sender.ask("SEND", "OK", sendCommand("yes"), asSender);
    await recipient.pushed("the push", "MSG yes", rid);
    await recipient.ask("ACK", "OK", "ACK", asRecipient);
    await closeAll(recipient, sender);
  },

  /** A block that does not authenticate gets one ERR BLOCK, then the connection is closed. */
  async tampered() {
    const { recipient, sender, queue } = await connectedQueue();
    const flip = (at) => (block) => {
      block[at < 0 ? block.length + at : at] ^= 0x80;
      return block;
    };
    const changes = {
      "in the tag": flip(0),
      "in the first byte": flip(16),
      "in the last byte": flip(-1),
      "all zeros": (block) => block.fill(0),
    };
    for (const [where, change] of Object.entries(changes)) {
      const client = await Client.connect();
      await client.ask("PING", "PONG", "PING");
      const { blocks } = client.session;
      blocks.link.write(change(blocks.encrypt(transmission(Buffer.alloc(0), "1", "", "PING"))));
      await expectRefusedBlock(client, where);
    }
    const client = await Client.connect();
    const { blocks } = client.session;
    const block = blocks.encrypt(transmission(Buffer.alloc(0), "1", "", "PING"));
    const answer = client.session.answerTo("1");
    blocks.link.write(block);
    blocks.link.write(block);
    check("the first of two equal blocks", words(await answer), "PONG");
    await expectRefusedBlock(client, "the second of two equal blocks");
    await sender.ask("SEND after it all", "OK", sendCommand("well"), queue.unsigned);
    await recipient.pushed("the push", "MSG well", queue.rid);
    await closeAll(recipient, sender);
  },

  /** Many SENDs without waiting (`count`, to `queues` queues in turn): answered and delivered in their order. */
  async pipeline() {
    const { count, queues: queueCount } = options;
    const recipient = await Client.connect();
    const sender = await Client.connect();
    const queues = [];
    for (let index = 0; index < queueCount; index++) {
      const queue = await recipient.newQueue();
      await recipient.ask("KEY", "OK", `KEY ${senderKey.text}`, queue.asRecipient);
      queues.push({ ...queue, asked: [] });
    }
    const answers = [];
    for (let index = 0; index < count; index++) {
      const queue = queues[index % queueCount];
      const corrId = sender.session.nextCorrId();
      queue.asked.push(corrId);
      answers.push(
        sender.session.request(sendCommand(`message ${index}`), { ...queue.asSender, corrId }),
      );
    }
    check(
      "all are accepted",
      (await Promise.all(answers)).filter((answer) => answer.name === "OK").length,
      count,
    );
    for (const { asked } of queues) {
      const answered = sender.session.answered.filter((corrId) => asked.includes(corrId));
      check("the answers of one queue keep the order", answered.join(), asked.join());
    }
    const pushes = new Map();
    for (const _ of queues) {
      const push = await recipient.session.push();
      pushes.set(push.queueId, push);
    }
    for (const [offset, queue] of queues.entries()) {
      check("the push", words(pushes.get(queue.rid)), `MSG message ${offset}`);
      for (let index = offset + queueCount; index < count; index += queueCount) {
        await recipient.ask("ACK", `MSG message ${index}`, "ACK", queue.asRecipient);
      }
      await recipient.ask("the last ACK", "OK", "ACK", queue.asRecipient);
    }
    await closeAll(recipient, sender);
  },

  /** Bodies are bytes: every value, anything that looks like syntax, the empty and the full size. */
  async bodies() {
    const { recipient, sender, queue } = await connectedQueue();
    const { rid, asRecipient, unsigned } = queue;
    const bodies = [
      Buffer.alloc(0),
      ALL_BYTES,
      Buffer.from(ALL_BYTES).reverse(),
      ...["\0", "\n", "\r\n", "\xff", " ", "   ", "#", " # ", "5 hello ", "  END ", "OK  ####"].map((text) =>
        Buffer.from(text, "latin1")
      ),
      randomBytes(FULL_SIZE),
      Buffer.alloc(FULL_SIZE, " "),
      Buffer.alloc(FULL_SIZE, "#"),
      Buffer.alloc(FULL_SIZE),
    ];
    for (const body of bodies) {
      await sender.ask(`SEND of ${body.length} bytes`, "OK", sendCommand(body), unsigned);
      await recipient.pushed(`the push of ${body.length} bytes`, message(body), rid);
      await recipient.ask("ACK", "OK", "ACK", asRecipient);
    }
    await closeAll(recipient, sender);
  },

  /** A signed full-size body needs a larger block at the sender only (`senderBlockSize`); one byte more is SIZE. */
  async fullSize() {
    const recipient = await Client.connect();
    const sender = await Client.connect({ blockSize: options.senderBlockSize });
    const queue = await recipient.newQueue();
    await recipient.ask("KEY", "OK", `KEY ${senderKey.text}`, queue.asRecipient);
    const body = randomBytes(FULL_SIZE);
    await sender.ask("SEND of the full size", "OK", sendCommand(body), queue.asSender);
    await recipient.pushed("the push", message(body), queue.rid);
    // With any corrId the message no longer fits a block of 4096: it is pushed after the answer.
    await recipient.ask("SUB again", "OK", "SUB", queue.asRecipient);
    await recipient.pushed("the push again", message(body), queue.rid);
    const longer = Buffer.alloc(FULL_SIZE + 1, "x");
    await sender.ask("SEND of one byte more", "ERR SIZE", sendCommand(longer), queue.asSender);
    await recipient.ask("ACK", "OK", "ACK", queue.asRecipient);
    await closeAll(recipient, sender);
  },

  /** Sends `bodies` (latin1), signed, to the queue with the sender ID `senderId`. */
  async send() {
    const sender = await Client.connect();
    for (const body of options.bodies) {
      const command = sendCommand(Buffer.from(body, "latin1"));
      await sender.ask("SEND", "OK", command, { queueId: options.senderId, pair: senderKey });
    }
    await sender.close();
  },

  /** Makes a secured queue, prints its sender ID and waits for `bodies` (latin1), in their order. */
  async receive() {
    const recipient = await Client.connect();
    const { rid, sid, asRecipient } = await recipient.newQueue();
    await recipient.ask("KEY", "OK", `KEY ${senderKey.text}`, asRecipient);
    step("the queue is ready", { senderId: sid });
    let answer = { name: "OK" };
    for (const body of options.bodies) {
      if (answer.name === "OK") answer = await recipient.session.push();
      check("the queue", answer.queueId, rid);
      check("the message", words(answer), message(Buffer.from(body, "latin1")));
      answer = await recipient.session.request("ACK", asRecipient);
    }
    check("the last ACK", answer.name, "OK");
    await recipient.close();
  },

  /** The errors of transmissions and commands, in the order in which they are looked for. */
  async errors() {
    const { recipient, sender: client, queue } = await connectedQueue();
    const { rid, sid, asRecipient } = queue;
    const refuse = (name, expected, text, queueId) => {
      const corrId = client.session.nextCorrId();
      const content = Buffer.from(text.replace("$", corrId), "latin1");
      return client.askContent(name, expected, content, { corrId, queueId });
    };
    const signature = randomBytes(256).toString("base64");
    client.session.blocks.send(Buffer.from("no spaces"));
    await client.pushed("no three spaces", "ERR BLOCK", "");
    await refuse("a signature that is not base64", "ERR BLOCK", `!!!! $ ${rid} SUB `);
    await refuse(
      "a signature of no key size",
      "ERR BLOCK",
      `${randomBytes(192).toString("base64")} $ ${rid} SUB `,
    );
    await refuse("a queue ID that is not base64", "ERR BLOCK", `${signature} $ !!!! SUB `);
    await refuse("an unknown command", "ERR CMD SYNTAX", `${signature} $ ${rid} WHAT `, rid);
    await refuse("a command in lower case", "ERR CMD SYNTAX", `${signature} $ ${rid} sub `, rid);
    await refuse("a command without a space", "ERR CMD SYNTAX", `${signature} $ ${rid} SUB`, rid);
    await refuse("a key that is none", "ERR CMD SYNTAX", `${signature} $  NEW rsa:AAAA `);
    await refuse("a body without its space", "ERR CMD SYNTAX", ` $ ${sid} SEND 5 hello#`, sid);
    await refuse("a body shorter than said", "ERR CMD SYNTAX", ` $ ${sid} SEND 6 hello  `, sid);
    await refuse("a body longer than said", "ERR CMD SYNTAX", ` $ ${sid} SEND 4 hello  `, sid);
    for (const response of ["OK", "END", "PONG", "ERR AUTH", "IDS AAAA AAAA"]) {
      await refuse("a server's response", "ERR CMD PROHIBITED", `${signature} $ ${rid} ${response} `, rid);
    }
    await refuse("NEW unsigned", "ERR CMD NO_AUTH", ` $  NEW ${recipientKey.text} `);
    await refuse(
      "NEW with a queue",
      "ERR CMD HAS_AUTH",
      `${signature} $ ${rid} NEW ${recipientKey.text} `,
      rid,
    );
    await refuse("SEND without a queue", "ERR CMD NO_QUEUE", " $  SEND 5 hello  ");
    await refuse("PING with a queue", "ERR CMD HAS_AUTH", ` $ ${rid} PING `, rid);
    await refuse("PING signed", "ERR CMD HAS_AUTH", `${signature} $  PING `);
    for (const command of ["SUB", `KEY ${senderKey.text}`, "ACK", "OFF", "DEL"]) {
      await refuse("unsigned", "ERR CMD NO_AUTH", ` $ ${rid} ${command} `, rid);
      await refuse("without a queue", "ERR CMD NO_AUTH", `${signature} $  ${command} `);
    }
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 1536 });
    const wrongSize = `rsa:${publicKey.export({ format: "der", type: "spki" }).toString("base64")}`;
    await recipient.ask("KEY of a size not allowed", "ERR CMD KEY_SIZE", `KEY ${wrongSize}`, asRecipient);
    await client.expectQuiet();
    await recipient.ask("the queue is as before", "OK", "SUB", asRecipient);
    await closeAll(recipient, client);
  },

  /** A WebSocket message in several frames, with a control frame between them, is one message. */
  async fragments() {
    const client = await Client.connect();
    const { blocks } = client.session;
    for (const count of [2, 5, 16]) {
      const corrId = client.session.nextCorrId();
      const answer = client.session.answerTo(corrId);
      blocks.link.writeFragments(blocks.encrypt(transmission(Buffer.alloc(0), corrId, "", "PING")), count);
      check(`a block in ${count} frames`, words(await answer), "PONG");
    }
    await client.close();
  },

  /** A WebSocket text message is no block, not even one of the right length. */
  async text() {
    for (const size of [4, options.blockSize ?? 4096]) {
      const client = await Client.connect();
      client.session.blocks.link.writeText("x".repeat(size));
      await expectRefusedBlock(client, `a text of ${size}`);
    }
  },

  /** A WebSocket message of another length is a bad block: neither a part of one nor more than one. */
  async wrongLength() {
    const ping = (client) => client.session.blocks.encrypt(transmission(Buffer.alloc(0), "1", "", "PING"));
    const changes = {
      "an empty message": () => Buffer.alloc(0),
      "a byte less": (client) => ping(client).subarray(1),
      "a byte more": (client) => Buffer.concat([ping(client), Buffer.alloc(1)]),
      "two blocks in one": (client) => Buffer.concat([ping(client), ping(client)]),
    };
    for (const [what, change] of Object.entries(changes)) {
      const client = await Client.connect();
      client.session.blocks.link.write(change(client));
      await expectRefusedBlock(client, what);
    }
    const client = await Client.connect();
    const block = ping(client);
    client.session.blocks.link.write(block.subarray(0, 100));
    client.session.blocks.link.write(block.subarray(100));
    await expectRefusedBlock(client, "a block in two messages");
  },

  /** A WebSocket message of a million bytes need not be taken in: the connection ends, with or without ERR BLOCK. */
  async huge() {
    const client = await Client.connect();
    client.session.blocks.link.write(randomBytes(1_000_000));
    await client.session.closed;
    if (client.session.unreadPushes > 0) await client.pushed("the answer", "ERR BLOCK", "");
    check("nothing comes after it", client.session.unreadPushes, 0);
    await scenarios.handshake();
  },

  /** A WebSocket message longer than any block is a message of another length as well. */
  async tooLong() {
    for (const size of [65537, 65536 + 1024]) {
      const client = await Client.connect();
      client.session.blocks.link.write(randomBytes(size));
      await expectRefusedBlock(client, `a message of ${size}`);
    }
  },
};

await run(scenarios);
