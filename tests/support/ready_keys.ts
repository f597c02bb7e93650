/**
 * Preloaded into the agents and clients that tests run as processes: they take keys that were made once. Making one of
 * 2048 bits costs as much as starting the program.
 *
 * @module
 */
import all from "../vectors/test_keys.json" with { type: "json" };

const { subtle } = crypto;
const generateKey = subtle.generateKey.bind(subtle);
let next = 0;

/** The next pair, as if it had just been made. */
async function ready(
  { name, hash }: RsaHashedKeyGenParams,
  uses: readonly KeyUsage[],
): Promise<CryptoKeyPair> {
  const pkcs8 = Uint8Array.fromBase64(all.agents[next++ % all.agents.length]!);
  const algorithm = { name, hash };
  const halfOf = (names: readonly KeyUsage[]) => uses.filter((use) => names.includes(use));
  const privateKey = await subtle.importKey("pkcs8", pkcs8, algorithm, true, halfOf(["sign", "decrypt"]));
  const { kty, n, e } = await subtle.exportKey("jwk", privateKey);
  const half = { kty, n, e } as JsonWebKey;
  const publicKey = await subtle.importKey("jwk", half, algorithm, true, halfOf(["verify", "encrypt"]));
  return { publicKey, privateKey };
}

subtle.generateKey = ((
  algorithm: RsaHashedKeyGenParams,
  extractable: boolean,
  uses: readonly KeyUsage[],
) =>
  algorithm.modulusLength === 2048
    ? ready(algorithm, uses)
    : generateKey(algorithm, extractable, uses)) as typeof subtle.generateKey;
