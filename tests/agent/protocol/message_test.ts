import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  decodePublicKey,
  decryptBody,
  encodeBase64,
  importPrivateKey,
  splitBody,
  verifyBody,
} from "../../../mod.ts";
import { asciiText, sha256, textBytes } from "../../../protocol/mod.ts";
import { type AgentMessage, encodeAgentMessage, parseAgentMessage } from "../../../agent/kinds/mod.ts";
import { base64, rsaVector, vectors } from "../../support/vectors.ts";

const permissions = { read: true };
const key = decodePublicKey(base64(rsaVector("rsa2048").spki));
const bigKey = decodePublicKey(base64(rsaVector("rsa2048BigExponent").spki));
const timestamp = new Date("2021-05-09T09:36:08.123Z");
const none = new Uint8Array(0);
const hash = new Uint8Array(32).fill(7);

function text(message: AgentMessage): string {
  return asciiText(encodeAgentMessage(message));
}

Deno.test("the plaintext of OpenSSL's messages is read and written as it is", { permissions }, async () => {
  let opened = 0;
  for (const { encryptionKey, signingKey, plaintext, plaintextSha256, body } of vectors.e2e) {
    const bytes = textBytes(plaintext);
    assertEquals(encodeBase64(await sha256(bytes)), plaintextSha256);
    const message = parseAgentMessage(bytes);
    assert(message?.type === "MSG");
    assertEquals([message.id, message.timestamp, asciiText(message.body)], [1, timestamp, "hello"]);
    assertEquals(encodeAgentMessage(message), bytes);
    // Deno cannot use a private key with a large exponent.
    if (encryptionKey !== "rsa2048") continue;
    const pair = await importPrivateKey(base64(rsaVector(encryptionKey).pkcs8), "decrypt");
    const parts = splitBody(base64(body), { signature: 256, header: 256 });
    assertEquals(await decryptBody(parts, pair.privateKey), bytes);
    assert(await verifyBody(parts, decodePublicKey(base64(rsaVector(signingKey).spki))));
    opened++;
  }
  assertEquals(opened, 1);
});

Deno.test("each message is written as agent.md says", { permissions }, () => {
  const rsa = `rsa:${rsaVector("rsa2048").spki}`;
  const numbered = { id: 0, timestamp, previousHash: none };
  const queueInfo = { server: { host: "h", port: 1 }, senderId: "c2Vu", encryptionKey: key };
  assertEquals(text({ type: "KEY", senderKey: key }), `KEY ${rsa}\n\n\n`);
  assertEquals(
    text({ type: "HELLO", verificationKey: key, noAck: false, ...numbered }),
    `\n0 2021-05-09T09:36:08.123Z \nHELLO ${rsa}\n`,
  );
  assertEquals(
    text({ type: "HELLO", verificationKey: key, noAck: true, ...numbered }),
    `\n0 2021-05-09T09:36:08.123Z \nHELLO ${rsa} NO_ACK\n`,
  );
  assertEquals(
    text({ type: "REPLY", queueInfo, ...numbered }),
    `\n0 2021-05-09T09:36:08.123Z \nREPLY smp::h:1::c2Vu::${rsa}\n`,
  );
  assertEquals(
    text({ type: "MSG", body: textBytes("a\nb"), id: 7, timestamp, previousHash: hash }),
    `\n7 2021-05-09T09:36:08.123Z ${encodeBase64(hash)}\nMSG 3\na\nb\n\n`,
  );
});

Deno.test("what is written is read back", { permissions }, () => {
  const time = fc.date({ min: new Date(0), max: new Date("9999-12-31"), noInvalidDate: true });
  const head = fc.record({
    id: fc.nat(),
    timestamp: time,
    previousHash: fc.constantFrom(none, hash),
  });
  const server = { host: "example.org", keyHash: encodeBase64(hash) };
  const message = fc.oneof(
    fc.constantFrom<AgentMessage>({ type: "KEY", senderKey: key }, { type: "KEY", senderKey: bigKey }),
    fc.record({ head, verificationKey: fc.constantFrom(key, bigKey), noAck: fc.boolean() })
      .map(({ head, ...hello }): AgentMessage => ({ type: "HELLO", ...head, ...hello })),
    fc.record({ head, encryptionKey: fc.constantFrom(key, bigKey) })
      .map(({ head, encryptionKey }): AgentMessage => ({
        type: "REPLY",
        ...head,
        queueInfo: { server, senderId: "c2Vu", encryptionKey },
      })),
    fc.record({ head, body: fc.uint8Array({ maxLength: 3000 }) })
      .map(({ head, body }): AgentMessage => ({ type: "MSG", ...head, body })),
  );
  fc.assert(fc.property(message, (message) => {
    const parsed = parseAgentMessage(encodeAgentMessage(message));
    assertEquals(parsed && encodeAgentMessage(parsed), encodeAgentMessage(message));
    assertEquals(parsed?.type, message.type);
  }));
});

Deno.test("anything else is no message, and nothing throws", { permissions }, () => {
  const rsa = `rsa:${rsaVector("rsa2048").spki}`;
  const head = "\n1 2021-05-09T09:36:08.123Z \n";
  const wrong = [
    "",
    "\n",
    "KEY",
    `KEY ${rsa}`,
    `KEY ${rsa}\n\n`,
    `KEY ${rsa}\n\n\n\n`,
    "KEY rsa:AAAA\n\n\n",
    "KEY x\n\n\n",
    head,
    `${head}MSG 1\na\n`,
    `${head}MSG 1\nab\n\n`,
    `${head}MSG 2\na\n\n`,
    `${head}MSG -1\n\n\n`,
    `${head}MSG 9999999\na\n\n`,
    `${head}MSG 1\na\n\n\n`,
    `${head}HELLO ${rsa}`,
    `${head}HELLO ${rsa} ACK\n`,
    `${head}HELLO ${rsa}\n\n`,
    `${head}HELLO x\n`,
    `${head}REPLY smp::h::a\n`,
    `${head}BOGUS\n`,
    `\n-1 2021-05-09T09:36:08.123Z \nMSG 1\na\n\n`,
    `\n1 yesterday \nMSG 1\na\n\n`,
    `\n1 2021-05-09T09:36:08.123Z\nMSG 1\na\n\n`,
    `\n1 2021-05-09T09:36:08.123Z !\nMSG 1\na\n\n`,
    `\n99999999999999999 2021-05-09T09:36:08.123Z \nMSG 1\na\n\n`,
    `\n${"1".repeat(300)}`,
  ];
  for (const plaintext of wrong) assertEquals(parseAgentMessage(textBytes(plaintext)), null, plaintext);
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseAgentMessage(bytes)));
  const good = encodeAgentMessage({
    type: "MSG",
    body: textBytes("hello"),
    id: 1,
    timestamp,
    previousHash: hash,
  });
  fc.assert(fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
    const mutated = good.slice();
    mutated[at] = byte;
    const parsed = parseAgentMessage(mutated);
    if (parsed !== null) assertEquals(parsed.type, "MSG");
  }));
});
