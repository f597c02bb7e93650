import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  blockSizes,
  type BodyHeader,
  decodeBodyHeader,
  decodePublicKey,
  decryptBody,
  encryptBody,
  type EncryptedBody,
  encryptOaep,
  importPrivateKey,
  modulusLength,
  openBody,
  paddedBodyLength,
  ParseError,
  splitBody,
  verifyBody,
} from "../../protocol/mod.ts";
import { textBytes } from "../../protocol/bytes.ts";
import { openOaep } from "../support/rsa_private.ts";
import { base64, rsaVector, vectors } from "../support/vectors.ts";

const bigExponent = 2n ** 33n;

/** Decrypts a body with a key of `rsa.json`, also with one that WebCrypto does not take. */
async function decrypt(body: EncryptedBody, keyName: string): Promise<Uint8Array | null> {
  const { pkcs8, spki } = rsaVector(keyName);
  if (decodePublicKey(base64(spki)).exponent >= bigExponent) {
    const { plaintext } = await openOaep(base64(pkcs8), body.encryptedHeader);
    return await openBody(body, decodeBodyHeader(plaintext)!);
  }
  return await decryptBody(body, (await importPrivateKey(base64(pkcs8), "decrypt")).privateKey);
}

// agent.md E2E encryption of an SMP message body
for (const vector of vectors.e2e) {
  const { encryptionKey, signingKey, paddedSize, plaintext, plaintextSha256 } = vector;
  const name = `to ${encryptionKey}, signed by ${signingKey}`;
  const verificationKey = decodePublicKey(base64(rsaVector(signingKey).spki));
  const lengths = {
    signature: modulusLength(verificationKey.bits),
    header: modulusLength(rsaVector(encryptionKey).bits),
  };
  const bytes = base64(vector.body);
  const body = splitBody(bytes, lengths);

  Deno.test(`The body ${name} is split, verified and decrypted`, { permissions: "none" }, async () => {
    assertEquals(body.signature, bytes.subarray(0, lengths.signature));
    assertEquals(body.signed, bytes.subarray(lengths.signature));
    assertEquals(body.encryptedHeader.length, lengths.header);
    assertEquals(body.ciphertext.length, paddedSize);
    assertEquals(new Uint8Array([...body.encryptedHeader, ...body.ciphertext]), body.signed);
    assert(await verifyBody(body, verificationKey));
    assertEquals(await decrypt(body, encryptionKey), textBytes(plaintext));
    const hash = await crypto.subtle.digest("SHA-256", textBytes(plaintext));
    assertEquals(new Uint8Array(hash), base64(plaintextSha256));
  });

  Deno.test(`The body ${name} is refused with any part changed`, { permissions: "none" }, async () => {
    for (const at of [0, lengths.signature - 1, lengths.signature, bytes.length - 1]) {
      assert(!await verifyBody(splitBody(changed(bytes, at), lengths), verificationKey), `byte ${at}`);
    }
    const ciphertextStart = lengths.signature + lengths.header;
    for (const at of [ciphertextStart, bytes.length - 1]) {
      assertEquals(await decrypt(splitBody(changed(bytes, at), lengths), encryptionKey), null, `byte ${at}`);
    }
    assertEquals(await decrypt(splitBody(bytes.slice(0, -1), lengths), encryptionKey), null, "one byte less");
    assertEquals(
      await decrypt(splitBody(new Uint8Array([...bytes, 0]), lengths), encryptionKey),
      null,
      "one more",
    );
    const otherKey = decodePublicKey(base64(rsaVector("rsa1024").spki));
    assert(!await verifyBody(body, otherKey), "another key");
  });

  Deno.test(`The body ${name} is refused with another tag, nonce or key in its header`, {
    permissions: "none",
  }, async () => {
    const header = (await openOaep(base64(rsaVector(encryptionKey).pkcs8), body.encryptedHeader)).plaintext;
    assertEquals(header.length, 68);
    for (const at of [0, 31, 32, 47, 48, 63]) {
      assertEquals(await openBody(body, decodeBodyHeader(changed(header, at))!), null, `byte ${at}`);
    }
  });

  Deno.test(`The body ${name} cannot have more plaintext than it has`, { permissions: "none" }, async () => {
    const { plaintext } = await openOaep(base64(rsaVector(encryptionKey).pkcs8), body.encryptedHeader);
    const header = decodeBodyHeader(plaintext)!;
    assertEquals(header.plaintextLength, textBytes(vector.plaintext).length);
    for (const plaintextLength of [paddedSize + 1, 2 ** 31, 2 ** 32 - 1]) {
      assertEquals(await openBody(body, { ...header, plaintextLength }), null);
    }
    const padded = textBytes(vector.plaintext.padEnd(paddedSize, "#"));
    assertEquals(await openBody(body, { ...header, plaintextLength: paddedSize }), padded);
  });
}

Deno.test("A body header has 68 bytes, its length big-endian", { permissions: "none" }, () => {
  const bytes = Uint8Array.from({ length: 70 }, (_, i) => i + 1);
  assertEquals(decodeBodyHeader(bytes.subarray(1, 69)), {
    aesKey: bytes.slice(1, 33),
    nonce: bytes.slice(33, 49),
    authTag: bytes.slice(49, 65),
    plaintextLength: 0x42434445,
  });
  for (const length of [0, 67, 69]) assertEquals(decodeBodyHeader(bytes.slice(0, length)), null);
});

// agent.md E2E encryption: 4096-byte block, 2048-bit keys: 3072
Deno.test("The length of a padded body leaves room for the three parts", { permissions: "none" }, () => {
  assertEquals(paddedBodyLength(4096, 2048), 3072);
  assertEquals(blockSizes.map((size) => paddedBodyLength(size, 1024)), [3456, 7552, 15744, 32128, 64896]);
  assertEquals(paddedBodyLength(4096, 4096), 2304);
});

const recipient = await importPrivateKey(base64(rsaVector("rsa2048").pkcs8), "decrypt");
const sender = await importPrivateKey(base64(rsaVector("rsa1024").pkcs8), "sign");
const keys = { encryptionKey: recipient.publicKey, signingKey: sender.privateKey, paddedLength: 3072 };
const lengths = { signature: 128, header: 256 };

Deno.test("A body that was encrypted is decrypted, up to the longest", { permissions: "none" }, async () => {
  const stranger = await importPrivateKey(base64(rsaVector("rsa4096").pkcs8), "decrypt");
  for (const length of [0, 1, 100, 3071]) {
    const plaintext = new Uint8Array(length).fill(0x23);
    const bytes = await encryptBody(plaintext, keys);
    assertEquals(bytes.length, 128 + 256 + 3072);
    const body = splitBody(bytes, lengths);
    assert(await verifyBody(body, sender.publicKey));
    assertEquals(await decryptBody(body, recipient.privateKey), plaintext);
    assertEquals(await decryptBody(body, stranger.privateKey), null);
  }
  for (const length of [3072, 3073]) {
    const tooLong = () => encryptBody(new Uint8Array(length), keys);
    await assertRejects(tooLong, RangeError, `plaintext has ${length} bytes, most is 3071`);
  }
});

Deno.test("A body is padded with #", { permissions: "none" }, async () => {
  const body = splitBody(await encryptBody(textBytes("hello"), { ...keys, paddedLength: 16 }), lengths);
  const header = await openHeader(body);
  assertEquals(await openBody(body, { ...header, plaintextLength: 16 }), textBytes("hello###########"));
});

Deno.test("A body is encrypted to a key with a big exponent", { permissions: "none" }, async () => {
  const encryptionKey = decodePublicKey(base64(rsaVector("rsa2048BigExponent").spki));
  const body = splitBody(await encryptBody(textBytes("hello"), { ...keys, encryptionKey }), lengths);
  assertEquals(await decrypt(body, "rsa2048BigExponent"), textBytes("hello"));
});

Deno.test("A 1024-bit key is too short for the header of a body", { permissions: "none" }, async () => {
  const encrypting = encryptBody(textBytes("hello"), { ...keys, encryptionKey: sender.publicKey });
  await assertRejects(() => encrypting, RangeError, "plaintext has 68 bytes, a 1024-bit key takes 62");
});

Deno.test("Two bodies of a plaintext share neither key nor nonce", { permissions: "none" }, async () => {
  const bodies = await Promise.all([
    encryptBody(textBytes("hello"), keys),
    encryptBody(textBytes("hello"), keys),
  ]);
  const [one, two] = await Promise.all(bodies.map((bytes) => openHeader(splitBody(bytes, lengths))));
  for (const part of ["aesKey", "nonce", "authTag"] as const) {
    assert(one![part].toHex() !== two![part].toHex(), part);
  }
});

Deno.test("A header that is not one is refused", { permissions: "none" }, async () => {
  const garbage = [new Uint8Array(256), new Uint8Array(256).fill(0xff), new Uint8Array(256).with(255, 2)];
  for (const length of [0, 67, 69]) {
    garbage.push(await encryptOaep(recipient.publicKey, new Uint8Array(length)));
  }
  for (const header of garbage) {
    const body = splitBody(new Uint8Array([...new Uint8Array(128), ...header, 1]), lengths);
    assertEquals(await decryptBody(body, recipient.privateKey), null);
  }
});

Deno.test("A body without ciphertext is refused", { permissions: "none" }, () => {
  for (const length of [0, 1, 128, 383, 384]) {
    const error = assertThrows(
      () => splitBody(new Uint8Array(length), lengths),
      ParseError,
      `it has ${length} bytes`,
    );
    assertEquals(error.code, "E2E_BODY");
  }
  assertEquals(splitBody(new Uint8Array(385), lengths).ciphertext.length, 1);
});

async function openHeader(body: EncryptedBody): Promise<BodyHeader> {
  const { plaintext } = await openOaep(base64(rsaVector("rsa2048").pkcs8), body.encryptedHeader);
  return decodeBodyHeader(plaintext)!;
}

function changed(bytes: Uint8Array, at: number): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
}
