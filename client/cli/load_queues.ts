import {
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  type PublicKey,
  signPss,
  textBytes,
} from "../../protocol/mod.ts";
import { Line, type LineOptions } from "./line.ts";

type Command = Parameters<typeof encodeSigned>[2];

const noSignature = new Uint8Array(0);

/** Whose keys all queues have. */
export interface Signer {
  readonly publicKey: PublicKey;
  sign(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** Makes a key, which all queues may share. */
export async function makeSigner(): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair("sign");
  return { publicKey, sign: (data) => signPss(privateKey, data) };
}

/** Makes the content of a block. */
export async function signed(
  signer: Signer,
  corrId: string,
  queueId: string,
  command: Command,
): Promise<Uint8Array> {
  const text = encodeSigned(textBytes(corrId), queueId, command);
  return encodeClientTransmission(await signer.sign(text), text);
}

/** The same without a signature, for queues that the connection has opened (extensions.md open1). */
export function unsigned(corrId: string, queueId: string, command: Command): Uint8Array {
  return encodeClientTransmission(noSignature, encodeSigned(textBytes(corrId), queueId, command));
}

/** The IDs of a queue. */
export interface Queue {
  readonly recipientId: string;
  readonly senderId: string;
}

/** Makes queues that are secured, over one connection; `queues` has all that the server has told of, however it ends. */
export async function makeQueues(
  line: Line,
  count: number,
  { queues, signer, signal }: {
    readonly queues: Queue[];
    readonly signer: Signer;
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const finished = Promise.withResolvers<void>();
  let [asked, secured] = [0, 0];
  const look = () => {
    if (secured === count || (signal?.aborted && queues.length === asked)) finished.resolve();
  };
  line.onTransmission = async ({ response }) => {
    if (response.type === "IDS") {
      queues.push(response);
      const key = { type: "KEY", senderKey: signer.publicKey } as const;
      line.write(await signed(signer, "", response.recipientId, key));
    } else secured++;
    look();
  };
  signal?.addEventListener("abort", look);
  const create = { type: "NEW", recipientKey: signer.publicKey } as const;
  while (asked < count) {
    const content = await signed(signer, "", "", create);
    if (signal?.aborted || line.hasEnded) break;
    asked++;
    line.write(content);
  }
  await finished.promise;
  signal?.throwIfAborted();
}

/** Deletes queues as far as the server still takes commands. */
export async function deleteQueues(
  address: string,
  queues: readonly Queue[],
  { signer, lineOptions }: { readonly signer: Signer; readonly lineOptions: LineOptions },
): Promise<void> {
  try {
    const line = await Line.open(address, lineOptions);
    const finished = Promise.withResolvers<void>();
    let deleted = 0;
    line.onTransmission = () => void (++deleted === queues.length && finished.resolve());
    for (const { recipientId } of queues) line.write(await signed(signer, "", recipientId, { type: "DEL" }));
    await Promise.race([finished.promise, line.failed]);
    await line.close();
  } catch {
    // The server is gone, and what happened before was told.
  }
}
