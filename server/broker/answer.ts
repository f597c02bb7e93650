import { contentLimit, type ServerTransmission, serverTransmissionLength } from "../../protocol/mod.ts";

const noCorrId = new Uint8Array(0);

/** An answer as it can be sent, and what to push after it. */
export interface FittedAnswer {
  readonly answer: ServerTransmission;
  readonly push: ServerTransmission | null;
}

/**
 * Makes an answer fit a block although its corrId, which the client chose, is too long: a message is pushed after an
 * `OK` instead of being the answer, and what is still too long becomes `ERR BLOCK` without corrId.
 */
export function fitAnswer(answer: ServerTransmission, blockSize: number): FittedAnswer {
  if (fits(answer, blockSize)) return { answer, push: null };
  const ok: ServerTransmission = { ...answer, response: { type: "OK" } };
  if (answer.response.type === "MSG" && fits(ok, blockSize)) {
    return { answer: ok, push: { ...answer, corrId: noCorrId } };
  }
  return { answer: { corrId: noCorrId, queueId: "", response: { type: "ERR", error: "BLOCK" } }, push: null };
}

export function fits(transmission: ServerTransmission, blockSize: number): boolean {
  return serverTransmissionLength(transmission) <= contentLimit(blockSize);
}
