import {
  decodePublicKey,
  decryptBody,
  encryptBody,
  type EncryptedBody,
  modulusLength,
  paddedBodyLength,
  ParseError,
  type PublicKey,
  sha256,
  splitBody,
  verifyBody,
} from "../../protocol/mod.ts";
import type { LoadedKeys } from "../key_pool.ts";
import { type AgentMessage, parseAgentMessage } from "../kinds/mod.ts";
import { AgentError } from "../protocol/error.ts";
import type { ReceivingRoute, SendingKeys } from "../store/store.ts";
import type { AgentContext } from "./context.ts";

/** Greater ones, which some agents draw at random, take many times as long. */
const usualExponent = 65537n;

/** The block size of 0.3 servers, for which bodies are padded. */
const blockSize = 4096;

/** Encrypts and signs a plaintext for a queue: the body of SEND. */
export async function sealFor(
  keys: LoadedKeys,
  { encryptionKey, signingKey }: SendingKeys,
  plaintext: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  return await encryptBody(plaintext, {
    encryptionKey: decodePublicKey(encryptionKey),
    signingKey: await keys.signing(signingKey),
    paddedLength: paddedLength(encryptionKey),
  });
}

/** Bytes of the longest plaintext that a queue takes. */
export function longestPlaintext({ encryptionKey }: SendingKeys): number {
  return paddedLength(encryptionKey) - 1;
}

function paddedLength(encryptionKey: Uint8Array<ArrayBuffer>): number {
  return paddedBodyLength(blockSize, decodePublicKey(encryptionKey).bits);
}

/** A message that was decrypted, and the SHA-256 of its plaintext. */
export interface Opened {
  readonly message: AgentMessage;
  readonly hash: Uint8Array<ArrayBuffer>;
}

/** Decrypts and verifies what a server has delivered (agent.md E2E encryption); an error when it is not authentic. */
export async function open(
  { keys, slowLane }: Pick<AgentContext, "keys" | "slowLane">,
  { status, keys: { decryptionKey, verificationKey } }: ReceivingRoute,
  bytes: Uint8Array,
): Promise<Opened | AgentError> {
  const isSigned = (body: EncryptedBody, key: PublicKey) =>
    key.exponent > usualExponent ? slowLane.run(() => verifyBody(body, key)) : verifyBody(body, key);
  const key = await keys.decrypting(decryptionKey);
  const verifier = verificationKey && decodePublicKey(verificationKey);
  // Before HELLO nothing says how long the sender's signatures are; most are as long as our own.
  const own = key.modulusLength;
  const lengths = verifier
    ? [modulusLength(verifier.bits)]
    : [own, ...[128, 256, 384, 512].filter((length) => length !== own)];
  for (const signature of lengths) {
    const body = split(bytes, signature, own);
    const plaintext = body && await decryptBody(body, key);
    if (body === null || plaintext === null) continue;
    if (verifier && !await isSigned(body, verifier)) {
      return new AgentError("AGENT A_SIGNATURE", "A message is not signed by the other agent");
    }
    const message = parseAgentMessage(plaintext);
    if (message === null) {
      return new AgentError("AGENT A_MESSAGE", "A message of the other agent cannot be parsed");
    }
    // HELLO brings the key that it is signed with; one that comes later is refused because of the state.
    const carried = message.type === "HELLO" && status === "secured" ? message.verificationKey : null;
    if (carried !== null && !await isSigned(body, carried)) {
      return new AgentError("AGENT A_SIGNATURE", "The other agent's HELLO is not signed with its own key");
    }
    return { message, hash: await sha256(plaintext) };
  }
  return new AgentError("AGENT A_ENCRYPTION", "A message of the other agent cannot be decrypted");
}

function split(bytes: Uint8Array, signature: number, header: number): EncryptedBody | null {
  try {
    return splitBody(bytes, { signature, header });
  } catch (error) {
    if (error instanceof ParseError) return null;
    throw error;
  }
}
