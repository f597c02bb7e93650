import { assert, assertEquals, assertThrows } from "@std/assert";
import { derTag, encodeDer, encodePositiveInteger, rsaAlgorithm } from "../../protocol/crypto/der.ts";
import {
  decodePublicKey,
  encodeBase64,
  encodePublicKeyText,
  isKeySize,
  makePublicKey,
  modulusLength,
  ParseError,
  parsePublicKeyText,
  publicKeyHash,
} from "../../protocol/mod.ts";
import { base64, rsaVector, vectors } from "../support/vectors.ts";

const key = parsePublicKeyText(rsaVector("rsa1024").text);

/** SubjectPublicKeyInfo from its pieces; each may be replaced by a wrong one. */
function spki(pieces: {
  readonly modulus?: Uint8Array;
  readonly exponent?: Uint8Array;
  readonly algorithm?: Uint8Array;
  readonly unusedBits?: number;
  readonly afterExponent?: Uint8Array;
  readonly afterKey?: Uint8Array;
  readonly afterBits?: Uint8Array;
}): Uint8Array {
  const none = new Uint8Array(0);
  const { modulus = integer(key.modulus), exponent = integer(65537n), algorithm = rsaAlgorithm } = pieces;
  const rsaKey = encodeDer(derTag.sequence, modulus, exponent, pieces.afterExponent ?? none);
  const unused = Uint8Array.of(pieces.unusedBits ?? 0);
  const bits = encodeDer(derTag.bitString, unused, rsaKey, pieces.afterKey ?? none);
  return encodeDer(derTag.sequence, algorithm, bits, pieces.afterBits ?? none);
}

function integer(number: bigint): Uint8Array {
  const hex = number.toString(16);
  return encodePositiveInteger(hexBytes(hex.length % 2 === 0 ? hex : `0${hex}`));
}

function hexBytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

// transport.md RSA keys, Address
for (const { name, bits, spki, text, hash } of vectors.rsa) {
  Deno.test(`The public key ${name} is read, written and hashed`, { permissions: "none" }, async () => {
    const key = decodePublicKey(base64(spki));
    assertEquals([key.bits, modulusLength(key.bits), isKeySize(key.bits)], [bits, bits / 8, true]);
    assertEquals(encodePublicKeyText(key), text);
    assertEquals(parsePublicKeyText(text), key);
    assertEquals(key.der, base64(spki));
    assertEquals(await publicKeyHash(key), hash);
    assertEquals(makePublicKey(key.modulus, key.exponent), key);
  });
}

Deno.test("A public key built from its parts is the one it was taken from", { permissions: "none" }, () => {
  assertEquals(key.exponent, 65537n);
  assertEquals(decodePublicKey(spki({})), key);
});

// transport.md RSA keys: any odd exponent from 3 to 1024 bits, for every size
Deno.test("A key of any size and odd exponent of up to 1024 bits decodes", { permissions: "none" }, () => {
  const sizes = [3, 8, 9, 255, 256, 257, 512, 1023, 1024, 1025, 1536, 2047, 2048, 3072, 4096, 4097, 8192];
  for (const bits of sizes) {
    const modulus = (1n << BigInt(bits - 1)) + 1n;
    const near = [modulus - 2n, modulus, modulus + 2n].filter((exponent) => exponent > 2n && bits < 1025);
    for (const exponent of [3n, 65537n, ...near, 2n ** 1023n + 1n, 2n ** 1024n - 1n]) {
      const key = decodePublicKey(spki({ modulus: integer(modulus), exponent: integer(exponent) }));
      assertEquals([key.modulus, key.exponent, key.bits], [modulus, exponent, bits]);
      assertEquals(isKeySize(key.bits), [1024, 2048, 3072, 4096].includes(bits));
      assertEquals(makePublicKey(modulus, exponent), key);
    }
  }
});

Deno.test("A public key that cannot be is refused", { permissions: "none" }, () => {
  const n = key.modulus;
  const extra = Uint8Array.of(5, 0);
  const whole = spki({});
  const cases: Record<string, readonly Uint8Array[]> = {
    "the modulus must be odd and at least 3": [1n, 2n, n - 1n, 2n ** 1024n].map((modulus) =>
      spki({ modulus: integer(modulus) })
    ),
    "the exponent must be odd and at least 3": [1n, 2n, 4n, 65536n, n - 1n, 2n ** 1024n - 2n].map((e) =>
      spki({ exponent: integer(e) })
    ),
    "the exponent has more than 1024 bits": [2n ** 1024n + 1n, n * n, 2n ** 16_000n + 1n].flatMap((e) => [
      spki({ exponent: integer(e) }),
      spki({ exponent: integer(e), modulus: integer(2n ** 4095n + 1n) }),
    ]),
    "a positive INTEGER is expected": [
      spki({ exponent: Uint8Array.of(2, 0) }),
      spki({ exponent: Uint8Array.of(2, 1, 0x81) }),
      spki({ exponent: Uint8Array.of(2, 3, 0xff, 0, 1) }),
      spki({ modulus: encodeDer(2, integer(n).subarray(4)) }),
    ],
    "a positive INTEGER in its shortest form is expected": [
      spki({ exponent: Uint8Array.of(2, 1, 0) }),
      spki({ exponent: Uint8Array.of(2, 4, 0, 1, 0, 1) }),
      spki({ modulus: encodeDer(2, new Uint8Array(1), integer(n).subarray(3)) }),
    ],
    "a length in its shortest form is expected": [
      spki({ exponent: Uint8Array.of(2, 0x81, 3, 1, 0, 1) }),
      spki({ exponent: Uint8Array.of(2, 0x82, 0, 3, 1, 0, 1) }),
      Uint8Array.of(0x30, 0x82, 0, whole.length - 3, ...whole.subarray(3)),
    ],
    "bytes too many": [
      Uint8Array.of(...whole, 0),
      spki({ afterExponent: extra }),
      spki({ afterKey: extra }),
      spki({ afterBits: extra }),
    ],
    "the algorithm rsaEncryption is expected": [
      // id-RSASSA-PSS, id-ecPublicKey, rsaEncryption without NULL, with other parameters, no algorithm
      spki({ algorithm: hexBytes("300d06092a864886f70d01010a0500") }),
      spki({ algorithm: hexBytes("301306072a8648ce3d020106082a8648ce3d030107") }),
      spki({ algorithm: hexBytes("300b06092a864886f70d010101") }),
      spki({ algorithm: hexBytes("300d06092a864886f70d0101010400") }),
      spki({ algorithm: new Uint8Array(0) }),
    ],
    "a BIT STRING of whole bytes is expected": [spki({ unusedBits: 1 }), spki({ unusedBits: 8 })],
    "it ends too early": [new Uint8Array(0), Uint8Array.of(0x30)],
    "is expected, not": [hexBytes("0500"), encodeDer(0x31, whole), integer(5n)],
    "are announced": [whole.subarray(0, -1), whole.subarray(0, 3)],
  };
  for (const [message, ders] of Object.entries(cases)) {
    for (const der of ders) {
      const error = assertThrows(() => decodePublicKey(der), ParseError, message);
      assertEquals(error.code, "PUBLIC_KEY");
      assert(error.message.startsWith("Cannot parse public key: "));
      assertThrows(() => parsePublicKeyText(`rsa:${encodeBase64(der)}`), ParseError, message);
    }
  }
});

Deno.test("No key is made from numbers that make none", { permissions: "none" }, () => {
  const pairs: [modulus: bigint, exponent: bigint][] = [[0n, 3n], [251n, 0n], [250n, 3n], [251n, 4n], [
    251n,
    1n,
  ]];
  pairs.push([251n, 2n ** 1024n + 1n], [1n, 1n], [-5n, 3n], [251n, -3n], [-251n, -3n]);
  for (const [modulus, exponent] of pairs) {
    assertThrows(() => makePublicKey(modulus, exponent), ParseError, "Cannot ");
  }
});

Deno.test("The text of a public key is rsa: and base64", { permissions: "none" }, () => {
  const { text } = rsaVector("rsa1024");
  for (const wrong of ["", "rsa", text.slice(4), text.slice(1), ` ${text}`, `RSA:${text.slice(4)}`]) {
    assertThrows(() => parsePublicKeyText(wrong), ParseError, 'it must start with "rsa:"');
  }
  for (
    const wrong of [`${text} `, `${text}\n`, `${text}=`, text.slice(0, -1), `rsa: ${text.slice(4)}`, "rsa:*"]
  ) {
    assertThrows(() => parsePublicKeyText(wrong), ParseError, 'what follows "rsa:" is not base64');
  }
  for (const wrong of ["rsa:", "rsa:AAAA", text.slice(0, -4), text.slice(0, -8)]) {
    assertThrows(() => parsePublicKeyText(wrong), ParseError, "Cannot parse public key: ");
  }
});

Deno.test("A public key keeps its own copy of its encoding", { permissions: "none" }, () => {
  const der = key.der.slice();
  const decoded = decodePublicKey(der);
  der.fill(0);
  assertEquals(decoded, key);
});
