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
import { osReason } from "../../cli/os_error.ts";
import type { RecipientQueue } from "../queue.ts";

/** A queue and the server that has it. */
export interface StoredQueue {
  readonly server: ServerAddress;
  readonly queue: RecipientQueue;
}

/**
 * Writes what `make` gives to a new file, for its owner alone; leaves none when anything fails. Throws an `Error` that
 * says so when there is a file already.
 */
async function writeSecret(
  path: string,
  make: () => Promise<Readonly<Record<string, string>>>,
): Promise<void> {
  using file = await openNew(path);
  try {
    const bytes = new TextEncoder().encode(`${JSON.stringify(await make(), null, 2)}\n`);
    try {
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.sync();
    } catch (cause) {
      throw new Error(`Cannot write ${path}: ${reasonOf(cause)}`, { cause });
    }
  } catch (error) {
    await Deno.remove(path);
    throw error;
  }
}

async function openNew(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  } catch (cause) {
    const what = cause instanceof Deno.errors.AlreadyExists
      ? "it is there already and may hold a key; choose another name, or remove it if it is of no use"
      : reasonOf(cause);
    throw new Error(`Cannot write ${path}: ${what}`, { cause });
  }
}

/** Why a file cannot be had. */
function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file or folder";
  if (error instanceof Deno.errors.NotCapable) {
    return "this program may not use it; deno task smp has the files below the folder where it is called";
  }
  return osReason(error);
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
    const what = cause instanceof SyntaxError ? "it is not JSON" : reasonOf(cause);
    throw new Error(`Cannot read ${path}: ${what}`, { cause });
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

/** Makes a queue, and writes what its recipient needs to a new file; makes none when there is one already. */
export async function writeQueue(path: string, make: () => Promise<StoredQueue>): Promise<void> {
  await writeSecret(path, async () => {
    const { server, queue: { recipientId, senderId, recipientKey } } = await make();
    return {
      server: formatAddress(server),
      recipientId,
      senderId,
      recipientKey: await keyText(recipientKey),
    };
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
  await writeSecret(path, async () => ({ senderKey: await keyText(key) }));
}

/** Reads a file of {@linkcode writeSenderKey}. Throws an `Error` that says what is wrong with it. */
export async function readSenderKey(path: string): Promise<PrivateKey<"sign">> {
  return await readKey(path, (await readTexts(path, ["senderKey"])).senderKey);
}
