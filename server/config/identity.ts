import {
  encodePrivateKeyPem,
  exportPrivateKey,
  generateKeyPair,
  importPrivateKey,
  type KeyPair,
  parsePrivateKeyPem,
  publicKeyHash,
} from "../../protocol/mod.ts";

/** What makes a server the one that its address names: the transport key and its hash. */
export interface ServerIdentity {
  /** The transport key. */
  readonly keyPair: KeyPair<"decrypt">;
  /** Base64 of SHA-256 over the public key's DER. */
  readonly keyHash: string;
}

/** Makes a new identity with a 2048-bit key. */
export async function generateIdentity(): Promise<ServerIdentity> {
  return await identityOf(await generateKeyPair("decrypt"));
}

/** The text of a `server_key` file: PEM, PKCS#1 (smp.md Server files). */
export async function formatIdentity(identity: ServerIdentity): Promise<string> {
  return encodePrivateKeyPem(await exportPrivateKey(identity.keyPair.privateKey));
}

/** Reads the text of a `server_key` file. Throws `ParseError` (`PRIVATE_KEY`) that says what is wrong. */
export async function parseIdentity(pem: string): Promise<ServerIdentity> {
  return await identityOf(await importPrivateKey(parsePrivateKeyPem(pem), "decrypt"));
}

async function identityOf(keyPair: KeyPair<"decrypt">): Promise<ServerIdentity> {
  return { keyPair, keyHash: await publicKeyHash(keyPair.publicKey) };
}
