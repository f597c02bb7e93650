// What any server of this protocol does, by Node's OpenSSL: microseconds as JSON. `node calibration.mjs`
import { Buffer } from "node:buffer";
import process from "node:process";
import { constants, createCipheriv, generateKeyPairSync, sign, verify } from "node:crypto";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
const data = Buffer.alloc(100);
const signature = sign("sha256", data, { key: privateKey, ...pss });
const [key, iv, block] = [Buffer.alloc(32), Buffer.alloc(16), Buffer.alloc(4080)];

function time(task) {
  const runs = 5000;
  for (let i = 0; i < runs; i++) task();
  const began = performance.now();
  for (let i = 0; i < runs; i++) task();
  return (performance.now() - began) / runs * 1000;
}

const verification = time(() => verify("sha256", data, { key: publicKey, ...pss }, signature));
const encryption = time(() => {
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.update(block);
  cipher.final();
});
process.stdout.write(JSON.stringify({ verification, encryption }));
