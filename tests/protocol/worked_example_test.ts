import { assert, assertEquals } from "@std/assert";
import {
  decodeBase64,
  encodeBase64,
  encodeClientTransmission,
  encodeServerTransmission,
  encodeSigned,
  joinParts,
  latin1Bytes,
  type ServerResponse,
  sha256,
} from "../../protocol/mod.ts";
import { parseCommand } from "../../protocol/command.ts";
import { decapsulate, encapsulate, generateKemKeyPair } from "../../protocol/crypto/ml_kem.ts";
import { x25519 } from "../../protocol/crypto/x25519.ts";
import { newKeys } from "../../protocol/transport/rekey.ts";
import { sessionBinding } from "../../protocol/transport/session_binding.ts";

// The values of docs/protocol.md were made by Node and @noble/post-quantum, not by the code that is tested.

const page = await Deno.readTextFile(new URL("../../docs/protocol.md", import.meta.url));
const [, example = ""] = page.split("\n## An example in bytes\n");
const values = new Map(
  [...example.matchAll(/^(\S.*?) += ([0-9a-f]{2,})(?: × (\d+))?$/gm)].map((
    [, name, hex, times],
  ) => [name!, Uint8Array.fromHex(hex!.repeat(Number(times ?? 1)))]),
);

function value(name: string): Uint8Array<ArrayBuffer> {
  const found = values.get(name);
  assert(found !== undefined, `the example has no ${name}`);
  return found;
}

function keysNamed(prefix: string) {
  return {
    sndKey: value(`${prefix}snd_key`),
    sndBaseIv: value(`${prefix}snd_base_iv`),
    rcvKey: value(`${prefix}rcv_key`),
    rcvBaseIv: value(`${prefix}rcv_base_iv`),
  };
}

/** RFC 8410: what PKCS#8 has before the 32 bytes of a private key. */
const pkcs8 = Uint8Array.fromHex("302e020100300506032b656e04220420");

function importX25519(privateKey: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey("pkcs8", joinParts([pkcs8, privateKey]), "X25519", false, ["deriveBits"]);
}

async function makePayloads() {
  const { encapsulationKey, decapsulationKey } = await generateKemKeyPair(
    joinParts([value("ML-KEM d"), value("ML-KEM z")]),
  );
  const encapsulated = await encapsulate(encapsulationKey, value("ML-KEM m"));
  assert(encapsulated !== null);
  return {
    encapsulationKey,
    decapsulationKey,
    ...encapsulated,
    request: joinParts([value("client X25519 public"), encapsulationKey]),
    answer: joinParts([value("server X25519 public"), encapsulated.ciphertext]),
  };
}

Deno.test("the bindings of the documented example are what the code computes", async () => {
  const server = value("SHA-256(server key)");
  assertEquals(await sessionBinding(server, keysNamed("")), value("binding"));
  assertEquals(await sessionBinding(server, keysNamed("new ")), value("new binding"));
});

Deno.test("the secrets of the documented example are what the code computes on both sides", async () => {
  const made = await makePayloads();
  assertEquals([made.request.length, made.answer.length], [1216, 1120]);
  assertEquals(await sha256(made.encapsulationKey), value("SHA-256(ML-KEM key)"));
  assertEquals(await sha256(made.ciphertext), value("SHA-256(ciphertext)"));
  assertEquals(await sha256(made.request), value("SHA-256(request)"));
  assertEquals(await sha256(made.answer), value("SHA-256(answer)"));
  assertEquals(made.secret, value("ML-KEM secret"));
  assertEquals(await decapsulate(made.ciphertext, made.decapsulationKey), value("ML-KEM secret"));
  for (const [own, other] of [["client", "server"], ["server", "client"]]) {
    const key = await importX25519(value(`${own} X25519 private`));
    assertEquals(await x25519(key, value(`${other} X25519 public`)), value("X25519 secret"));
  }
});

Deno.test("the new keys of the documented example are what REKEY derives", async () => {
  const { request, answer } = await makePayloads();
  const bound = [value("binding"), request, answer];
  assertEquals(await sha256(joinParts(bound)), value("salt"));
  // It overwrites them.
  const secrets = [value("ML-KEM secret").slice(), value("X25519 secret").slice()] as const;
  assertEquals(await newKeys(...secrets, bound), keysNamed("new "));
});

Deno.test("the transmissions of the documented example are what the code encodes", async () => {
  const { request, answer } = await makePayloads();
  const signature = new Uint8Array(256);
  const shown = [...example.matchAll(/^(client|server) {2}(\S+)$/gm)];
  assertEquals(shown.length, 8);
  for (const [, side, line] of shown) {
    // What is left out of REKEY follows from what is shown of it.
    const payload = `${encodeBase64(side === "client" ? request : answer)} …`;
    const text = line!.replaceAll("␣", " ").replace("<signature>", encodeBase64(signature))
      .replace(/(?<=REKEY )(.*)…/, (_, start) => payload.startsWith(start) ? payload : "");
    assert(text.endsWith(" …"), line);
    const content = latin1Bytes(text.slice(0, -1));
    const [given, corrId, queueId] = text.split(" ") as [string, string, string];
    const start = `${given} ${corrId} ${queueId} `.length;
    const parsed = parseCommand(content, start);
    assert(parsed !== null, line);
    assertEquals(parsed.end, content.length, line);
    const id = latin1Bytes(corrId);
    const response = parsed.command as ServerResponse;
    const encoded = side === "server"
      ? encodeServerTransmission({ corrId: id, queueId, response })
      : encodeClientTransmission(decodeBase64(given)!, encodeSigned(id, queueId, parsed.command as never));
    assertEquals(encoded, content, line);
  }
  const opened = shown.find(([, , line]) => line!.includes("OPEN"))![2]!.split("␣");
  assertEquals(decodeBase64(opened[4]!), value("new binding"));
});
