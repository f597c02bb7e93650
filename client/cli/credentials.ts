import {
  decodeBase64,
  encodeBase64,
  exportPrivateKey,
  formatAddress,
  importPrivateKey,
  parseAddress,
  ParseError,
  type PrivateKey,
  type ServerAddress,
} from "../../protocol/mod.ts";
import type { RecipientQueue } from "../queue.ts";

/** A queue and the server that has it. */
export interface StoredQueue {
  readonly server: ServerAddress;
  readonly queue: RecipientQueue;
}

/** Writes a new file for its owner alone. Throws when there is one already. */
async function writeSecret(path: string, value: Readonly<Record<string, string>>): Promise<void> {
  await Deno.writeTextFile(path, `${JSON.stringify(value, null, 2)}\n`, { createNew: true, mode: 0o600 });
}

/** Reads the texts of a file. Throws an `Error` that names the file and what is missing. */
async function readTexts<Name extends string>(
  path: string,
  names: readonly Name[],
): Promise<Record<Name, string>> {
  let value: unknown;
  try {
    value = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new Error(`Cannot read ${path}: it is not JSON`, { cause });
    throw cause;
  }
  const texts = value as Readonly<Partial<Record<Name, unknown>>> | null;
  for (const name of names) {
    if (typeof texts?.[name] !== "string") throw new Error(`Cannot read ${path}: it has no ${name}`);
  }
  return texts as Record<Name, string>;
}

async function keyText(key: PrivateKey<"sign">): Promise<string> {
  return encodeBase64(await exportPrivateKey(key));
}

async function readKey(path: string, text: string): Promise<PrivateKey<"sign">> {
  const pkcs8 = decodeBase64(text);
  if (pkcs8 === null) throw new Error(`Cannot read ${path}: its key is not base64`);
  try {
    return (await importPrivateKey(pkcs8, "sign")).privateKey;
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new Error(`Cannot read ${path}: ${cause.message}`, { cause });
  }
}

/** Writes what a queue's recipient needs to a new file. */
export async function writeQueue(path: string, { server, queue }: StoredQueue): Promise<void> {
  const { recipientId, senderId, recipientKey } = queue;
  await writeSecret(path, {
    server: formatAddress(server),
    recipientId,
    senderId,
    recipientKey: await keyText(recipientKey),
  });
}

/** Reads a file of {@linkcode writeQueue}. Throws an `Error` that says what is wrong with it. */
export async function readQueue(path: string): Promise<StoredQueue> {
  const texts = await readTexts(path, ["server", "recipientId", "senderId", "recipientKey"]);
  const { server, recipientId, senderId } = texts;
  try {
    const recipientKey = await readKey(path, texts.recipientKey);
    return { server: parseAddress(server), queue: { recipientId, senderId, recipientKey } };
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new Error(`Cannot read ${path}: ${cause.message}`, { cause });
  }
}

/** Writes a sender's key to a new file. */
export async function writeSenderKey(path: string, key: PrivateKey<"sign">): Promise<void> {
  await writeSecret(path, { senderKey: await keyText(key) });
}

/** Reads a file of {@linkcode writeSenderKey}. Throws an `Error` that says what is wrong with it. */
export async function readSenderKey(path: string): Promise<PrivateKey<"sign">> {
  return await readKey(path, (await readTexts(path, ["senderKey"])).senderKey);
}
