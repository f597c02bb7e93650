import {
  type BlockContent,
  type ClientCommand,
  clientTransmissionParts,
  contentLimit,
  encodeBase64,
  encodeSigned,
  type Part,
  partsLength,
  type PrivateKey,
  randomBytes,
  type ServerResponse,
  signPss,
  textBytes,
  TransportError,
  type TransportErrorCode,
  unsignedTransmissionParts,
} from "../protocol/mod.ts";

/** A command to send. */
export interface CommandToSend {
  /** Base64, empty for none. */
  readonly queueId: string;
  readonly command: ClientCommand;
  /** Signs the command, if given. */
  readonly key?: PrivateKey<"sign"> | undefined;
  /** Whether what it carries stays as it is until it is answered, and may be written from where it is. */
  readonly isLent?: boolean | undefined;
  /** Is called with the answer before anything that the server sends later is looked at. */
  readonly answered?: (response: ServerResponse) => void;
  /** Is called before it is written: until then it has no effect, whatever becomes of it. */
  readonly written?: () => void;
}

/** A command on its way. */
export interface Request extends CommandToSend {
  /** Its place in the order of the calls. */
  readonly place: number;
  corrId: string;
  /** Left out although there is a key (extensions.md open1). */
  isUnsigned: boolean;
  content: Promise<BlockContent>;
  /** Was written once, without a signature, and not executed. */
  isGivenAgain: boolean;
  readonly settled: PromiseWithResolvers<ServerResponse>;
  /** When it is given up, in milliseconds as `performance` tells them. */
  readonly deadline: number;
  timer?: ReturnType<typeof setTimeout>;
}

const corrIdLength = 12;

/** A corrId that no other command has. */
export function newCorrId(): string {
  return encodeBase64(randomBytes(corrIdLength));
}

/** What a command's block carries. Throws `RangeError` when it would not fit one with its signature. */
export async function encodeCommand(
  { corrId, queueId, command, key, isUnsigned, isLent }: Pick<
    Request,
    "corrId" | "queueId" | "command" | "key" | "isUnsigned" | "isLent"
  >,
  blockSize: number,
): Promise<BlockContent> {
  const content = key && !isUnsigned
    ? await signedContent(key, encodeSigned(textBytes(corrId), queueId, command))
    : isLent
    ? unsignedTransmissionParts(corrId, queueId, command)
    : clientTransmissionParts(new Uint8Array(0), encodeSigned(textBytes(corrId), queueId, command));
  // Whether a body can be sent must not depend on what was sent before.
  const leftOut = key && isUnsigned ? Math.ceil(key.modulusLength / 3) * 4 : 0;
  const excess = partsLength(content) + leftOut - contentLimit(blockSize);
  if (excess > 0) {
    throw new RangeError(
      `Cannot send the command: it is ${excess} ${
        excess === 1 ? "byte" : "bytes"
      } too long for the server's blocks`,
    );
  }
  return content;
}

async function signedContent(
  key: PrivateKey<"sign">,
  signed: Uint8Array<ArrayBuffer>,
): Promise<Part[]> {
  return clientTransmissionParts(await signPss(key, signed), signed);
}

/** The error of a command that was given up. */
export function requestError(
  code: TransportErrorCode,
  reason: string,
  isSent: boolean,
  options?: ErrorOptions,
): TransportError {
  const outcome = isSent ? "whether it was executed is unknown" : "it was not sent";
  const message = `Cannot execute the command: ${outcome} (${reason})`;
  return new TransportError(code, message, { ...options, neverSent: !isSent });
}

/** The error of a command whose answer is not one. */
export function answerError(code: "RESPONSE" | "UNEXPECTED", what: string): TransportError {
  return new TransportError(code, `Cannot use the server's answer: ${what}`);
}
