import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DerReader, derTag, encodeDer, rsaAlgorithm } from "../../protocol/crypto/der.ts";
import {
  decodePublicKey,
  decryptOaep,
  encodePrivateKeyPem,
  encryptOaep,
  exportPrivateKey,
  generateKeyPair,
  importPrivateKey,
  type KeyPair,
  type KeyUsage,
  ParseError,
  parsePrivateKeyPem,
  publicKeyOf,
  signPss,
  verifyPss,
} from "../../protocol/mod.ts";
import { base64, rsaVector, vectors } from "../support/vectors.ts";

const data = Uint8Array.of(1, 2, 3);
const { pkcs8: pkcs8Text, pkcs1Pem } = rsaVector("rsa1024");
const pkcs8 = base64(pkcs8Text);
const bigExponent = 2n ** 33n;

/** Checks that the two halves of a pair belong together. */
async function assertPair({ publicKey, privateKey }: KeyPair, bits: number): Promise<void> {
  assertEquals([publicKey.bits, privateKey.modulusLength], [bits, bits / 8]);
  if (isFor(privateKey, "sign")) {
    assert(await verifyPss(publicKey, await signPss(privateKey, data), data));
  } else if (isFor(privateKey, "decrypt")) {
    assertEquals(await decryptOaep(privateKey, await encryptOaep(publicKey, data)), data);
  }
}

function isFor<Usage extends KeyUsage>(
  key: KeyPair["privateKey"],
  usage: Usage,
): key is KeyPair<Usage>["privateKey"] {
  return key.usage === usage;
}

function pem(label: string, der: string): string {
  return `-----BEGIN ${label}-----\n${der.replace(/.{64}/g, "$&\n")}\n-----END ${label}-----\n`;
}

// transport.md RSA keys: we generate with exponent 65537; private = PKCS#8 in our own stores
for (const usage of ["sign", "decrypt"] as const) {
  for (const bits of [1024, 2048] as const) {
    Deno.test(
      `A new ${bits}-bit key to ${usage} is exported and imported`,
      { permissions: "none" },
      async () => {
        const pair = await generateKeyPair(usage, bits);
        assertEquals(pair.publicKey.exponent, 65537n);
        await assertPair(pair, bits);
        const exported = await exportPrivateKey(pair.privateKey);
        assertEquals(publicKeyOf(exported), pair.publicKey);
        const imported = await importPrivateKey(exported, usage);
        assertEquals([imported.publicKey, imported.privateKey.usage], [pair.publicKey, usage]);
        await assertPair({ publicKey: pair.publicKey, privateKey: imported.privateKey }, bits);
        assertEquals(parsePrivateKeyPem(encodePrivateKeyPem(exported)), exported);
      },
    );
  }
}

Deno.test("A new key has 2048 bits unless asked otherwise", { permissions: "none" }, async () => {
  assertEquals((await generateKeyPair("sign")).publicKey.bits, 2048);
});

for (const { name, bits, spki, pkcs8, pkcs1Pem } of vectors.rsa) {
  const publicKey = decodePublicKey(base64(spki));

  // transport.md RSA keys: server_key = PEM, PKCS#1, PKCS#8 PEM also accepted
  Deno.test(`The private key ${name} is written and read as PEM`, { permissions: "none" }, () => {
    assertEquals(encodePrivateKeyPem(base64(pkcs8)), pkcs1Pem);
    const texts = [pkcs1Pem, pem("PRIVATE KEY", pkcs8), pem("PRIVATE KEY", pkcs8).replaceAll("\n", "\r\n")];
    texts.push(pkcs1Pem.replaceAll("\n", "\r\n"), `\n  ${pkcs1Pem}\n\n`, pkcs1Pem.trim());
    for (const text of texts) assertEquals(parsePrivateKeyPem(text), base64(pkcs8), text.slice(0, 40));
    assertEquals(publicKeyOf(base64(pkcs8)), publicKey);
  });

  for (const usage of ["sign", "decrypt"] as const) {
    if (publicKey.exponent < bigExponent) {
      Deno.test(`The private key ${name} can ${usage}`, { permissions: "none" }, async () => {
        const pair = await importPrivateKey(base64(pkcs8), usage);
        assertEquals(pair.publicKey, publicKey);
        await assertPair(pair, bits);
        assertEquals(await exportPrivateKey(pair.privateKey), base64(pkcs8));
      });
    } else {
      Deno.test(
        `The private key ${name} is refused to ${usage} with a reason`,
        { permissions: "none" },
        async () => {
          const reason = "Cannot use private key: its exponent is larger than WebCrypto takes";
          const error = await assertRejects(() => importPrivateKey(base64(pkcs8), usage), ParseError, reason);
          assertEquals(error.code, "PRIVATE_KEY");
        },
      );
    }
  }
}

Deno.test("A PEM that is broken is refused", { permissions: "none" }, () => {
  const [begin, ...rest] = pkcs1Pem.split("\n");
  const notOne = [
    "",
    "hello",
    pkcs8Text,
    begin!,
    rest.join("\n"),
    pkcs1Pem + pkcs1Pem,
    `${pkcs1Pem}x`,
    `x${pkcs1Pem}`,
  ];
  notOne.push(
    pkcs1Pem.replace("-----END RSA", "-----END DSA"),
    pkcs1Pem.replace("-----END RSA ", "-----END "),
  );
  notOne.push(
    pkcs1Pem.replace("-----\n", "-----"),
    pkcs1Pem.slice(0, -2),
    pkcs1Pem.replace("A", "*"),
    `${begin}\n`,
  );
  notOne.push(pkcs1Pem.replace("\n", "\nProc-Type: 4,ENCRYPTED\n"), pkcs1Pem.replaceAll("-----", "----"));
  const cases: Record<string, string[]> = {
    "it is not one PEM block": notOne,
    "what is between the PEM lines is not base64": [
      pem("RSA PRIVATE KEY", "A"),
      pem("PRIVATE KEY", `${pkcs8Text}=`),
      pem("PRIVATE KEY", pkcs8Text.slice(1)),
    ],
    '"EC PRIVATE KEY" is not supported': [pem("EC PRIVATE KEY", pkcs8Text)],
    '"ENCRYPTED PRIVATE KEY" is not supported': [pem("ENCRYPTED PRIVATE KEY", pkcs8Text)],
    '"PUBLIC KEY" is not supported': [pem("PUBLIC KEY", rsaVector("rsa1024").spki)],
    "Cannot parse private key: ": [
      pem("PRIVATE KEY", ""),
      pem("PRIVATE KEY", pkcs8Text.slice(0, -4)),
      pem("PRIVATE KEY", `${pkcs8Text}AAAA`),
      pem("PRIVATE KEY", rsaVector("rsa1024").spki),
      pem("PRIVATE KEY", pkcs1Pem.replace(/-----.*/g, "").replace(/\s/g, "")),
    ],
  };
  for (const [message, texts] of Object.entries(cases)) {
    for (const text of texts) {
      const error = assertThrows(() => parsePrivateKeyPem(text), ParseError, message);
      assertEquals(error.code, "PRIVATE_KEY");
    }
  }
});

Deno.test(
  "A PEM of what is no key is refused at the latest when it is imported",
  { permissions: "none" },
  async () => {
    const der = pkcs1Pem.replace(/-----.*/g, "").replace(/\s/g, "");
    for (
      const wrong of ["", "AAAA", der.slice(0, 40), der.slice(0, -4), pkcs8Text, rsaVector("rsa1024").spki]
    ) {
      await assertRejects(
        async () => await importPrivateKey(parsePrivateKeyPem(pem("RSA PRIVATE KEY", wrong)), "sign"),
        ParseError,
        "private key: ",
      );
    }
  },
);

Deno.test("What is not PKCS#8 of an RSA key is refused", { permissions: "none" }, async () => {
  const otherVersion = pkcs8.slice(), otherAlgorithm = pkcs8.slice(), otherKey = pkcs8.slice();
  otherVersion[6] = 1;
  otherAlgorithm[17] = 10;
  otherKey[pkcs8.length - 608 + 4 + 2] = 1;
  const cases = { otherVersion, otherAlgorithm, otherKey, longer: Uint8Array.of(...pkcs8, 0) };
  const shorter = [0, 1, 10, 25, 30, 100, 607].map((length) => pkcs8.slice(0, length));
  for (const [what, der] of [...Object.entries(cases), ...shorter.entries()]) {
    assertEquals(assertThrows(() => publicKeyOf(der), ParseError, "Cannot ").code, "PRIVATE_KEY", `${what}`);
    await assertRejects(() => importPrivateKey(der, "decrypt"), ParseError, "Cannot parse private key: ");
  }
  for (const der of [new Uint8Array(0), pkcs8.slice(1)]) {
    assertThrows(() => encodePrivateKeyPem(der), ParseError);
  }
});

Deno.test(
  "A private key whose numbers do not belong together is refused",
  { permissions: "none" },
  async () => {
    const info = new DerReader(pkcs8).enter(derTag.sequence);
    info.content(derTag.integer);
    info.content(derTag.sequence);
    const key = new DerReader(info.content(derTag.octetString)).enter(derTag.sequence);
    const numbers = Array.from({ length: 9 }, () => encodeDer(derTag.integer, key.content(derTag.integer)));
    const withNumbers = (numbers: Uint8Array[]) => {
      const pkcs1 = encodeDer(derTag.octetString, encodeDer(derTag.sequence, ...numbers));
      return encodeDer(derTag.sequence, Uint8Array.of(2, 1, 0), rsaAlgorithm, pkcs1);
    };
    assertEquals(withNumbers(numbers), pkcs8);
    const wrong: Record<string, Uint8Array<ArrayBuffer>> = {};
    for (const count of [2, 3, 4, 8]) wrong[`${count} numbers`] = withNumbers(numbers.slice(0, count));
    for (const [name, at] of Object.entries({ modulus: 1, exponent: 2, privateExponent: 3, prime: 4 })) {
      wrong[`another ${name}`] = withNumbers(numbers.with(at, Uint8Array.of(2, 1, 7)));
    }
    for (const usage of ["sign", "decrypt"] as const) {
      for (const [what, der] of Object.entries(wrong)) {
        const outcome = await importPrivateKey(der, usage).then(() => "it is taken", (error) => error);
        assert(outcome instanceof ParseError, `${what}, to ${usage}: ${outcome}`);
      }
    }
  },
);

Deno.test("A private key is for one use", { permissions: "none" }, async () => {
  const { privateKey } = await importPrivateKey(pkcs8, "sign");
  assertEquals([privateKey.cryptoKey.algorithm.name, privateKey.cryptoKey.usages], ["RSA-PSS", ["sign"]]);
  const other = await importPrivateKey(pkcs8, "decrypt");
  const { algorithm, usages } = other.privateKey.cryptoKey;
  assertEquals([algorithm.name, usages], ["RSA-OAEP", ["decrypt"]]);
});
