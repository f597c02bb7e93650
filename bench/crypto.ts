/** What the crypto of one block or command costs, and what the alternatives would. */
import {
  BlockCipher,
  cryptoEngine,
  decodeBase64,
  decryptOaep,
  encryptOaep,
  importPrivateKey,
  makePublicKey,
  parsePublicKeyText,
  preferOpenSsl,
  signPss,
  verifyPss,
} from "../protocol/mod.ts";
import rsa from "../tests/vectors/rsa.json" with { type: "json" };
import { microseconds, printTable, record } from "./table.ts";

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return decodeBase64(base64)!;
}

/** Prints what crypto costs on the runtime's own functions, then on OpenSSL if there is one. */
export async function benchCrypto(): Promise<void> {
  const engine = cryptoEngine();
  await benchRsa(engine);
  await benchExponents(engine);
  await benchBlocks(engine);
  const other = preferOpenSsl();
  if (other === engine) return;
  await benchRsa(other);
  await benchExponents(other);
  await benchBlocks(other);
}

async function benchRsa(engine: string): Promise<void> {
  const rows: string[][] = [];
  for (const vector of rsa.keys) {
    const key = parsePublicKeyText(vector.text);
    const [message, signature] = [bytes(vector.pss.message), bytes(vector.pss.valid)];
    const plaintext = bytes(vector.oaep.plaintext);
    const verify = await microseconds(() => verifyPss(key, signature, message));
    record(`rsa, ${engine}: ${vector.name}`, { verify });
    rows.push([
      vector.name,
      verify.toFixed(0),
      await webCryptoVerify(key.der, signature, message),
      (await microseconds(() => encryptOaep(key, plaintext))).toFixed(0),
      ...await privateOperations(vector),
    ]);
  }
  const columns = [
    "key",
    "verify",
    "in WebCrypto",
    "encrypt",
    "sign",
    "decrypt",
  ];
  printTable(`RSA on ${engine}, µs an operation; signing and decrypting always in WebCrypto`, columns, rows);
}

/** Moduli of no known factors take as long as others. */
async function benchExponents(engine: string): Promise<void> {
  const lengths = [17, 33, 64, 1024];
  const message = new Uint8Array(100);
  const rows: string[][] = [];
  for (const bits of [1024, 2048, 3072, 4096]) {
    const row = [`${bits} bits`];
    for (const length of lengths) {
      const exponent = length === 17 ? 65537n : 2n ** BigInt(length) - 1n;
      const key = makePublicKey(2n ** BigInt(bits) * 3n / 4n + 1n, exponent);
      const signature = new Uint8Array(bits / 8).fill(1);
      row.push((await microseconds(() => verifyPss(key, signature, message))).toFixed(0));
    }
    rows.push(row);
  }
  const columns = ["modulus", "65537", ...lengths.slice(1).map((length) => `${length} bits`)];
  printTable(`Verification on ${engine} by the exponent, µs`, columns, rows);
}

async function webCryptoVerify(
  der: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  message: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const algorithm = { name: "RSA-PSS", saltLength: 32 };
  try {
    const key = await crypto.subtle.importKey("spki", der, { ...algorithm, hash: "SHA-256" }, false, [
      "verify",
    ]);
    if (!await crypto.subtle.verify(algorithm, key, signature, message)) return "fails";
    return (await microseconds(() => crypto.subtle.verify(algorithm, key, signature, message))).toFixed(0);
  } catch {
    return "fails";
  }
}

async function privateOperations(vector: typeof rsa.keys[number]): Promise<string[]> {
  try {
    const signing = await importPrivateKey(bytes(vector.pkcs8), "sign");
    const decryption = await importPrivateKey(bytes(vector.pkcs8), "decrypt");
    const [message, ciphertext] = [bytes(vector.pss.message), bytes(vector.oaep.ciphertext)];
    return [
      (await microseconds(() => signPss(signing.privateKey, message))).toFixed(0),
      (await microseconds(() => decryptOaep(decryption.privateKey, ciphertext))).toFixed(0),
    ];
  } catch {
    return ["fails", "fails"];
  }
}

async function benchBlocks(engine: string): Promise<void> {
  const rows: string[][] = [];
  for (const blockSize of [4096, 16384, 65536]) {
    const [key, iv, content] = [new Uint8Array(32), new Uint8Array(16), new Uint8Array(2000)];
    const cipher = await BlockCipher.create(key, iv);
    const algorithm = { name: "AES-GCM", iv };
    const webKey = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
    const padded = new Uint8Array(blockSize - 16), block = new Uint8Array(blockSize);
    rows.push([
      `${blockSize} bytes`,
      (await microseconds(() => cipher.encrypt(content, block))).toFixed(1),
      (await microseconds(() => crypto.subtle.encrypt(algorithm, webKey, padded))).toFixed(1),
    ]);
  }
  printTable(`Encryption of a block on ${engine}, µs`, ["block", "ours", "WebCrypto alone"], rows);
}
