import {
  type BlockChannel,
  decodeServerTransmission,
  encodeBase64,
  encodeClientTransmission,
  encodeSigned,
  equalBytes,
  randomBytes,
  type RekeyRequest,
  SmpError,
  startRekey,
  terminatedError,
  textBytes,
  TransportError,
  type TransportErrorCode,
} from "../protocol/mod.ts";

const corrIdLength = 12;

/** Makes keys for REKEY; `null` where the platform has no X25519, as browsers of 2024. */
export async function prepareRekey(): Promise<RekeyRequest | null> {
  try {
    return await startRekey();
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") return null;
    throw error;
  }
}

/**
 * Gives a session new keys, before any other command (extensions.md rekey1). Throws {@linkcode TransportError} whatever
 * keeps it from that: `UNEXPECTED` when the server refuses what it lists, `RESPONSE`, `TERMINATED`, `NETWORK`, `CLOSED`.
 */
export async function rekey(blocks: BlockChannel, request: RekeyRequest): Promise<void> {
  const corrId = textBytes(encodeBase64(randomBytes(corrIdLength)));
  const command = encodeSigned(corrId, "", { type: "REKEY", payload: request.payload });
  await blocks.write([encodeClientTransmission(new Uint8Array(0), command)]);
  const content = await blocks.read();
  if (content === null) throw terminatedError(0, blocks.blockSize);
  const answer = decodeServerTransmission(content);
  if (!answer.ok) throw rekeyError("RESPONSE", `its answer cannot be read (${answer.error})`);
  const { response } = answer.value;
  if (!equalBytes(answer.value.corrId, corrId)) {
    throw rekeyError("UNEXPECTED", `it sent ${response.type} before the answer`);
  }
  if (response.type === "ERR") {
    throw rekeyError("UNEXPECTED", `it answered ${response.error}`, { cause: new SmpError(response.error) });
  }
  if (response.type !== "REKEY") throw rekeyError("UNEXPECTED", `it answered ${response.type}`);
  const keys = await request.finish(response.payload, blocks.binding);
  if (keys === null) throw rekeyError("RESPONSE", "its keys are not valid");
  await blocks.rekey(keys);
}

function rekeyError(code: TransportErrorCode, what: string, options?: ErrorOptions): TransportError {
  return new TransportError(code, `Cannot renew the keys, though the server lists rekey1: ${what}`, options);
}
