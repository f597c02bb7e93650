import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  asciiText,
  decodePublicKey,
  encodeBase64,
  parseExtensions,
  textBytes,
} from "../../../protocol/mod.ts";
import { decodeExtensions, encodeExtensions } from "../../../agent/protocol/extensions.ts";
import { type AgentMessage, encodeAgentMessage, parseAgentMessage } from "../../../agent/kinds/mod.ts";
import { extensions } from "../../support/arbitraries.ts";
import { base64, rsaVector } from "../../support/vectors.ts";

const permissions = { read: true };
const rsa = `rsa:${rsaVector("rsa2048").spki}`;
const key = decodePublicKey(base64(rsaVector("rsa2048").spki));
const numbered = { id: 0, timestamp: new Date("2021-05-09T09:36:08.123Z"), previousHash: new Uint8Array(0) };
const hello = { type: "HELLO", verificationKey: key, noAck: false, ...numbered } as const;
const queueInfo = { server: { host: "h" }, senderId: "c2Vu", encryptionKey: key };
const reply = { type: "REPLY", queueInfo, ...numbered } as const;

function announcing(message: typeof hello | typeof reply, names: readonly string[]): AgentMessage {
  return { ...message, previousHash: encodeExtensions(names) };
}

function announcedBy(plaintext: Uint8Array): readonly string[] {
  const parsed = parseAgentMessage(plaintext);
  assert(parsed?.type === "HELLO" || parsed?.type === "REPLY");
  return decodeExtensions(parsed.previousHash);
}

Deno.test("announced extensions are read back", { permissions }, () => {
  fc.assert(fc.property(extensions, (names) => {
    assertEquals(decodeExtensions(encodeExtensions(names)), names);
    for (const message of [hello, reply]) {
      assertEquals(announcedBy(encodeAgentMessage(announcing(message, names))), names);
    }
  }));
});

// extensions.md Agent to agent
Deno.test("HELLO and REPLY carry extensions where 0.3 ignores base64, and nothing when there are none", {
  permissions,
}, () => {
  const head = "\n0 2021-05-09T09:36:08.123Z ";
  const names = ["session1", "other2"];
  const announced = encodeBase64(textBytes("ext=session1,other2"));
  const write = (message: AgentMessage) => asciiText(encodeAgentMessage(message));
  assertEquals(write(announcing(hello, names)), `${head}${announced}\nHELLO ${rsa}\n`);
  assertEquals(write(announcing(reply, names)), `${head}${announced}\nREPLY smp::h::c2Vu::${rsa}\n`);
  assertEquals(write(announcing(hello, [])), `${head}\nHELLO ${rsa}\n`);
});

Deno.test("any base64 in the place of the extensions is read, and announces nothing", { permissions }, () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 600, size: "max" }),
    fc.string({ unit: "binary-ascii" }).map((text) => textBytes(`ext=${text}`)),
  );
  fc.assert(fc.property(bytes, (bytes) => {
    for (const content of [`HELLO ${rsa}`, `REPLY smp::h::c2Vu::${rsa}`]) {
      const text = `\n0 2021-05-09T09:36:08.123Z ${encodeBase64(bytes)}\n${content}\n`;
      assertEquals(announcedBy(textBytes(text)), parseExtensions(asciiText(bytes)));
    }
  }));
  for (
    const wrong of [new Uint8Array(600), textBytes("ext=Session1"), textBytes(`ext=${"s1,".repeat(17)}s1`)]
  ) {
    assertEquals(decodeExtensions(wrong), []);
  }
  // But not without bound.
  const head = `\n0 2021-05-09T09:36:08.123Z ${encodeBase64(new Uint8Array(1000))}\n`;
  assertEquals(parseAgentMessage(textBytes(`${head}HELLO ${rsa}\n`)), null);
});
