import { contentLimit, type ServerTransmission, serverTransmissionLength } from "../../protocol/mod.ts";

const noCorrId = new Uint8Array(0);

export interface FittedAnswer {
  readonly answer: ServerTransmission;
  readonly push: ServerTransmission | null;
}

/** A corrId is the client's choice and may be too long: what does not fit becomes `ERR BLOCK` without it. */
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
