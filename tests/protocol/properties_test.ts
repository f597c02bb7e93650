import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { asciiText, joinParts, textBytes } from "../../protocol/bytes.ts";
import { commandLength, commandParts } from "../../protocol/command.ts";
import {
  decodeBase64,
  decodeClientHandshake,
  decodeClientTransmission,
  decodePublicKey,
  decodeServerHeader,
  decodeServerTransmission,
  encodeBase64,
  encodeClientHandshake,
  encodeClientTransmission,
  encodePublicKeyText,
  encodeServerHeader,
  encodeServerTransmission,
  encodeSigned,
  formatAddress,
  formatQueueInfo,
  parseAddress,
  ParseError,
  parsePrivateKeyPem,
  parsePublicKeyText,
  parseQueueInfo,
  publicKeyOf,
  serverTransmissionLength,
  splitBody,
  TransportError,
} from "../../protocol/mod.ts";
import * as arbitrary from "../support/arbitraries.ts";
import { base64, vectors } from "../support/vectors.ts";
import { anyText } from "../support/any_text.ts";

const numRuns = 200;

function property(name: string, test: fc.IRawProperty<unknown>, runs = numRuns): void {
  Deno.test(name, { permissions: "none" }, () => fc.assert(test, { numRuns: runs }));
}

/** With all extensions on. */
const all = { has: () => true };

function encodeClient(
  { signature, corrId, queueId, command }: arbitrary.ClientParts,
): Uint8Array<ArrayBuffer> {
  return encodeClientTransmission(signature, encodeSigned(corrId, queueId, command));
}

/** Runs a parser; gives what it gives, or `null` when it throws the error that it may throw. */
function orError<T>(
  parse: () => T,
  errorClass: typeof ParseError | typeof TransportError = ParseError,
): T | null {
  try {
    return parse();
  } catch (error) {
    if (error instanceof errorClass) return null;
    throw error;
  }
}

/** Every beginning of an encoding: all short ones, and some of the long ones. */
function* beginnings<T extends Uint8Array | string>(whole: T): Iterable<T> {
  const step = Math.max(1, Math.floor(whole.length / 100));
  for (let length = 0; length < whole.length; length += length > whole.length - 20 ? 1 : step) {
    yield whole.slice(0, length) as T;
  }
  yield whole.slice(0, -1) as T;
}

property(
  "A client transmission is read back, whatever follows it",
  fc.property(arbitrary.extendedTransmission, arbitrary.bytes, (parts, rest) => {
    const signed = encodeSigned(parts.corrId, parts.queueId, parts.command);
    const decoded = decodeClientTransmission(new Uint8Array([...encodeClient(parts), ...rest]), all);
    assertEquals(decoded, { ok: true, value: { ...parts, signed } });
  }),
);

property(
  "A server transmission is read back, whatever follows it",
  fc.property(arbitrary.serverTransmission, arbitrary.bytes, (value, rest) => {
    const content = encodeServerTransmission(value);
    assertEquals(serverTransmissionLength(value), content.length);
    assertEquals(decodeServerTransmission(new Uint8Array([...content, ...rest])), { ok: true, value });
  }),
);

property(
  "The length of a command is that of its encoding",
  fc.property(
    arbitrary.extendedTransmission,
    arbitrary.serverTransmission,
    fc.integer({ min: 0, max: 70_000 }),
    ({ command }, { response }, size) => {
      const body = new Uint8Array(size);
      const sized = [command, response].map((one) => "body" in one ? { ...one, body } : one);
      for (const one of [command, response, ...sized]) {
        assertEquals(commandLength(one), joinParts(commandParts(one)).length);
      }
    },
  ),
);

property(
  "A transmission that is cut off is refused",
  fc.property(arbitrary.extendedTransmission, arbitrary.serverTransmission, (client, server) => {
    for (const content of beginnings(encodeClient(client))) {
      assert(!decodeClientTransmission(content, all).ok);
    }
    for (const content of beginnings(encodeServerTransmission(server))) {
      assert(!decodeServerTransmission(content).ok);
    }
  }),
  60,
);

const contents = fc.oneof(
  arbitrary.bytes,
  arbitrary.mutated(arbitrary.extendedTransmission.map(encodeClient)),
  arbitrary.mutated(arbitrary.serverTransmission.map(encodeServerTransmission)),
);

property(
  "Whatever a client sends is refused or has one meaning",
  fc.property(contents, (content) => {
    const decoded = decodeClientTransmission(content, all);
    if (!decoded.ok) return assert(asciiText(content).includes(asciiText(decoded.corrId)));
    const { value } = decoded;
    const encoded = encodeClient(value);
    assertEquals(value.signed, encodeSigned(value.corrId, value.queueId, value.command));
    assertEquals(decodeClientTransmission(encoded, all), decoded);
    // A REKEY or PASS of nothing may have had anything in its place, as it has no signature.
    if (value.command.type === "REKEY" && value.command.payload.length === 0) return;
    if (value.command.type === "PASS" && value.command.proof.length === 0) return;
    // The only things that may be written in two ways are the size of a body and a window.
    const canonical = asciiText(content).replace(/( SEND | SUBN )0+(?=\d)/, "$1");
    assert(asciiText(content).startsWith(asciiText(encoded)) || canonical.startsWith(asciiText(encoded)));
  }),
  4000,
);

property(
  "Whatever a server sends is refused or has one meaning",
  fc.property(contents, (content) => {
    const decoded = decodeServerTransmission(content);
    if (!decoded.ok) return assert(asciiText(content).includes(asciiText(decoded.corrId)));
    assertEquals(decodeServerTransmission(encodeServerTransmission(decoded.value)), decoded);
  }),
  4000,
);

property(
  "Base64 is read back, and of any text only what it would write is taken",
  fc.property(
    arbitrary.bytes,
    arbitrary.mutated(arbitrary.bytes.map((bytes) => textBytes(encodeBase64(bytes)))),
    (bytes, text) => {
      assertEquals(decodeBase64(encodeBase64(bytes)), bytes);
      const decoded = decodeBase64(text);
      if (decoded !== null) assertEquals(encodeBase64(decoded), asciiText(text));
      for (const start of beginnings(encodeBase64(bytes))) {
        const decoded = decodeBase64(start);
        assertEquals(decoded !== null, start.length % 4 === 0);
        if (decoded !== null) assertEquals(decoded, bytes.subarray(0, start.length / 4 * 3));
      }
    },
  ),
);

property(
  "A public key is read back from DER and text, and not from a part of them",
  fc.property(arbitrary.publicKey, (key) => {
    assertEquals(decodePublicKey(key.der), key);
    assertEquals(parsePublicKeyText(encodePublicKeyText(key)), key);
    for (const start of beginnings(key.der)) assertEquals(orError(() => decodePublicKey(start)), null);
    for (const start of beginnings(encodePublicKeyText(key))) {
      assertEquals(orError(() => parsePublicKeyText(start)), null);
    }
  }),
  60,
);

property(
  "Any other DER is refused or has one meaning",
  fc.property(
    fc.oneof(arbitrary.bytes, arbitrary.mutated(arbitrary.publicKey.map(({ der }) => der))),
    (der) => {
      const key = orError(() => decodePublicKey(der));
      if (key !== null) assertEquals(key.der, der);
    },
  ),
  3000,
);

property(
  "An address is read back",
  fc.property(arbitrary.address, (address) => {
    assertEquals(parseAddress(formatAddress(address)), address);
    for (const start of beginnings(formatAddress(address))) {
      const parsed = orError(() => parseAddress(start));
      if (parsed !== null) assertEquals(formatAddress(parsed), start);
    }
  }),
);

property(
  "A queue info is read back, and not from a part of it",
  fc.property(arbitrary.queueInfo, (info) => {
    assertEquals(parseQueueInfo(formatQueueInfo(info)), info);
    for (const start of beginnings(formatQueueInfo(info))) {
      assertEquals(orError(() => parseQueueInfo(start)), null);
    }
  }),
  60,
);

const shortText = anyText({ maxLength: 200 });
const mutatedText = (texts: fc.Arbitrary<string>) =>
  arbitrary.mutated(texts.map(textBytes)).map((text) => asciiText(text));

property(
  "Of any text an address is refused or has one meaning",
  fc.property(fc.oneof(shortText, mutatedText(arbitrary.address.map(formatAddress))), (text) => {
    const address = orError(() => parseAddress(text));
    if (address !== null) assertEquals(parseAddress(formatAddress(address)), address);
  }),
  3000,
);

property(
  "Of any text a queue info is refused or has one meaning",
  fc.property(fc.oneof(shortText, mutatedText(arbitrary.queueInfo.map(formatQueueInfo))), (text) => {
    const info = orError(() => parseQueueInfo(text));
    if (info !== null) assertEquals(parseQueueInfo(formatQueueInfo(info)), info);
  }),
  2000,
);

const privateKey = fc.constantFrom(...vectors.rsa);

property(
  "Of any text or bytes a private key is refused with a ParseError or taken",
  fc.property(
    shortText,
    mutatedText(privateKey.map(({ pkcs1Pem }) => pkcs1Pem)),
    arbitrary.mutated(privateKey.map(({ pkcs8 }) => base64(pkcs8))),
    arbitrary.bytes,
    (text, pem, pkcs8, bytes) => {
      assertEquals(orError(() => parsePrivateKeyPem(text)), null);
      for (const parse of [() => parsePrivateKeyPem(pem), () => publicKeyOf(pkcs8)]) orError<unknown>(parse);
      assertEquals(orError(() => publicKeyOf(bytes)), null);
    },
  ),
);

property(
  "A PEM that is cut off is refused",
  fc.property(privateKey, ({ pkcs1Pem }) => {
    for (const start of beginnings(pkcs1Pem.trim())) {
      assertEquals(orError(() => parsePrivateKeyPem(start)), null);
    }
  }),
  vectors.rsa.length,
);

property(
  "A handshake is read back, and not from a part of it",
  fc.property(arbitrary.handshake, (handshake) => {
    const encoded = encodeClientHandshake(handshake);
    assertEquals(encoded.length, 102);
    assertEquals(decodeClientHandshake(encoded), handshake);
    for (const start of beginnings(encoded)) assertEquals(decodeClientHandshake(start), null);
  }),
);

property(
  "A server header is read back, and any other bytes are refused or have one meaning",
  fc.property(
    fc.record({
      blockSize: fc.integer({ min: 4096, max: 65536 }),
      keyLength: fc.integer({ min: 1, max: 2048 }),
    }),
    fc.uint8Array({ minLength: 0, maxLength: 9 }),
    (header, bytes) => {
      const encoded = encodeServerHeader(header);
      assertEquals(decodeServerHeader(encoded), header);
      for (const start of beginnings(encoded)) {
        assertEquals(orError(() => decodeServerHeader(start), TransportError), null);
      }
      const decoded = orError(() => decodeServerHeader(bytes), TransportError);
      if (decoded !== null) assertEquals(encodeServerHeader(decoded), bytes);
    },
  ),
);

property(
  "An encrypted body is split without loss or refused",
  fc.property(arbitrary.bytes, fc.nat({ max: 60 }), fc.nat({ max: 60 }), (bytes, signature, header) => {
    const body = orError(() => splitBody(bytes, { signature, header }));
    if (body === null) return assert(bytes.length <= signature + header);
    assertEquals([body.signature.length, body.encryptedHeader.length], [signature, header]);
    assertEquals(new Uint8Array([...body.signature, ...body.encryptedHeader, ...body.ciphertext]), bytes);
    assertEquals(new Uint8Array([...body.signature, ...body.signed]), bytes);
  }),
);

// style.md Codecs: linear time. A parser that is not would not come to the end of these.
Deno.test("Texts of 64 KiB and more are parsed to the end", { permissions: "none" }, () => {
  for (
    const text of [
      " ",
      "0",
      "A",
      "=",
      ":",
      "::",
      "#",
      "rsa:",
      "smp::",
      "-----",
      "-----BEGIN ",
      "\n",
      "A\n",
      "é",
    ]
  ) {
    const long = text.repeat(Math.ceil(2 ** 18 / text.length));
    const begin = "-----BEGIN RSA PRIVATE KEY-----\n";
    for (const prefix of ["", "h:", "h#", "rsa:", "smp::h::", "smp::h::AAAA::rsa:", begin, "-----BEGIN "]) {
      const parsers = [parseAddress, parseQueueInfo, parsePublicKeyText, parsePrivateKeyPem];
      const results = parsers.map((parse) => orError<unknown>(() => parse(prefix + long)));
      assertEquals(results.slice(1), [null, null, null]);
      if (results[0] !== null) assertEquals(results[0], { host: prefix + long });
    }
    const der = textBytes(long);
    assertEquals(orError(() => decodePublicKey(der)), null);
    assertEquals(
      decodeBase64(long)?.length ?? null,
      text === "A" ? long.length / 4 * 3 : text === "0" ? 196608 : null,
    );
  }
  const pem = `-----BEGIN PRIVATE KEY-----\n${"AAAA\n".repeat(2 ** 16)}-----END PRIVATE KEY-----`;
  assertEquals(orError(() => parsePrivateKeyPem(pem)), null);
});
