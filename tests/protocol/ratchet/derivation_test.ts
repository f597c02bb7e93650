import { assert, assertEquals } from "@std/assert";
import {
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
} from "node:crypto";
import { independentMlKem } from "../../support/independent_ml_kem.ts";
import { newSides } from "../../support/ratchet.ts";

const permissions = "none";
const headerLength = 2337;

/** The secret of two X25519 keys as OpenSSL's interface has it. */
function agree(privateRaw: Uint8Array, publicRaw: Uint8Array): Uint8Array {
  const der = (start: string, raw: Uint8Array) => Buffer.concat([Buffer.from(start, "hex"), raw]);
  return diffieHellman({
    privateKey: createPrivateKey({
      key: der("302e020100300506032b656e04220420", privateRaw),
      format: "der",
      type: "pkcs8",
    }),
    publicKey: createPublicKey({
      key: der("302a300506032b656e032100", publicRaw),
      format: "der",
      type: "spki",
    }),
  });
}

Deno.test(
  "Messages of a chain are opened with node:crypto and another ML-KEM, from the specification alone",
  {
    permissions,
  },
  async () => {
    const { joiner, initiator } = await newSides();
    const { turn, rootKey, transcript } = initiator.state;
    assert(turn.side === "other");
    const { dhPrivate, kemPrivate } = turn.pair;
    const messages = [await joiner.send("number 0"), await joiner.send("number 1")];

    const [first] = messages as [Uint8Array];
    const dh = first.subarray(25, 57), ciphertext = first.slice(headerLength - 1088, headerLength);
    const ikm = Buffer.concat([agree(dhPrivate, dh), independentMlKem.decapsulate(ciphertext, kemPrivate)]);
    const derived = new Uint8Array(hkdfSync("sha256", ikm, rootKey, "smp-session-root", 64));
    assertEquals(joiner.state.rootKey, derived.slice(0, 32));
    let chainKey: Uint8Array = derived.subarray(32);
    const hmac = (byte: number) => createHmac("sha256", chainKey).update(Uint8Array.of(byte)).digest();

    for (const [i, message] of messages.entries()) {
      const header = message.subarray(0, headerLength), salt = header.subarray(9, 25);
      const secrets = new Uint8Array(hkdfSync("sha256", hmac(1), salt, "smp-session-message", 44));
      const decipher = createDecipheriv("aes-256-gcm", secrets.subarray(0, 32), secrets.subarray(32));
      decipher.setAAD(Buffer.concat([transcript, header]));
      decipher.setAuthTag(message.subarray(-16));
      const plaintext = decipher.update(message.subarray(headerLength, -16));
      decipher.final();
      assertEquals(plaintext.toString(), `number ${i}`);
      assertEquals(header.subarray(1, 9), transcript.subarray(0, 8));
      chainKey = hmac(2);
    }
  },
);
