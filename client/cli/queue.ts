import { counted } from "../../cli/counted.ts";
import { shownArgument, UsageError } from "../../cli/options.ts";
import {
  decodeBase64,
  encodePublicKeyText,
  formatAddress,
  generateKeyPair,
  ParseError,
  parsePublicKeyText,
} from "../../protocol/mod.ts";
import type { RecipientQueue } from "../queue.ts";
import { SmpClient } from "../smp_client.ts";
import { readArguments, readNumber, readServer, required } from "./arguments.ts";
import { readQueue, readSenderKey, writeQueue, writeSenderKey } from "./credentials.ts";
import { readable } from "./print.ts";
import type { Surroundings } from "./surroundings.ts";

type Command = (args: readonly string[], surroundings: Surroundings) => Promise<void>;

const commands: Readonly<Record<string, Command>> = {
  create,
  key,
  secure,
  send,
  receive,
  suspend,
  delete: remove,
};

/** `smp queue …`. Throws {@linkcode UsageError}. */
export async function queueCommand(args: readonly string[], surroundings: Surroundings): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || !Object.hasOwn(commands, name)) {
    const wrong = name === undefined
      ? "a command is missing after queue"
      : `there is no smp queue ${shownArgument(name)}`;
    throw new UsageError(`${wrong}: ${Object.keys(commands).join(", ")}`);
  }
  await commands[name]!(rest, surroundings);
}

/** `create ADDRESS --file FILE`: makes a queue and writes its credentials to a new file. */
async function create(args: readonly string[], { print, signal }: Surroundings): Promise<void> {
  const given = readArguments(args, { options: ["file"], names: ["ADDRESS"] });
  const { allowUnverified } = given;
  const { server, password } = readServer(given.positional[0]!, allowUnverified);
  const file = required(given, "file");
  const options = { allowUnverified, signal, ...(password !== undefined && { password }) };
  await using cleanup = new AsyncDisposableStack();
  let made: { readonly client: SmpClient; readonly queue: RecipientQueue } | undefined;
  try {
    await writeQueue(file, async () => {
      const client = cleanup.use(await SmpClient.connect(server, options));
      made = { client, queue: await client.createQueue() };
      return { server, queue: made.queue };
    });
  } catch (error) {
    // Nobody could ever use it.
    await made?.client.deleteQueue(made.queue).catch(() => {});
    throw error;
  }
  await print({ type: "created", server: formatAddress(server), senderId: made!.queue.senderId, file });
}

/** `key --file FILE`: makes a sender's key; the public half is for the recipient. */
async function key(args: readonly string[], { print }: Surroundings): Promise<void> {
  const given = readArguments(args, { options: ["file"], names: [] });
  const { publicKey, privateKey } = await generateKeyPair("sign");
  await writeSenderKey(required(given, "file"), privateKey);
  await print({ type: "key", publicKey: encodePublicKeyText(publicKey), file: required(given, "file") });
}

/** Connects to the server of the queue in `--file`, for a command with other arguments that `names` names. */
async function onQueue(
  args: readonly string[],
  { names, signal }: { readonly names: readonly string[]; readonly signal: AbortSignal },
  use: (client: SmpClient, queue: RecipientQueue) => Promise<void>,
): Promise<void> {
  const given = readArguments(args, { options: ["file"], names });
  const { server, queue } = await readQueue(required(given, "file"));
  await using client = await SmpClient.connect(server, { allowUnverified: given.allowUnverified, signal });
  await use(client, queue);
}

/** `secure KEY --file FILE`: lets nobody but the owner of a key send to the queue from now on. */
async function secure(args: readonly string[], { print, signal }: Surroundings): Promise<void> {
  const [text] = readArguments(args, { options: ["file"], names: ["KEY"] }).positional;
  const publicKey = readPublicKey(text!);
  await onQueue(args, { names: ["KEY"], signal }, (client, queue) => client.secureQueue(queue, publicKey));
  await print({ type: "secured" });
}

/** `send ADDRESS SENDER_ID [TEXT] [--key FILE]`: sends a text, or what comes from the standard input. */
async function send(args: readonly string[], { print, readInput, signal }: Surroundings): Promise<void> {
  const given = readArguments(args, { options: ["key"], names: ["ADDRESS", "SENDER_ID", "TEXT"], least: 2 });
  const [address, senderId, text] = given.positional as [string, string, string?];
  const { allowUnverified, options } = given;
  const { server } = readServer(address, allowUnverified);
  if (senderId === "" || decodeBase64(senderId) === null) {
    const shown = senderId === "" ? '""' : `"${shownArgument(senderId)}"`;
    throw new UsageError(`${shown} is not a sender ID, which smp queue create prints`);
  }
  const senderKey = options.key === undefined ? undefined : await readSenderKey(options.key);
  const body = text === undefined ? await readInput(signal) : new TextEncoder().encode(text);
  await using client = await SmpClient.connect(server, { allowUnverified, signal });
  await client.send({ senderId, ...(senderKey && { senderKey }) }, body);
  await print({ type: "sent", bytes: body.length });
}

/** `receive --file FILE [--count N] [--timeout S]`: prints messages, and acknowledges each when it is printed. */
async function receive(args: readonly string[], { print, signal }: Surroundings): Promise<void> {
  const given = readArguments(args, { options: ["file", "count", "timeout"], names: [] });
  const count = readNumber(given, "count", { fallback: Infinity, least: 1, most: 1_000_000_000 });
  const seconds = readNumber(given, "timeout", { fallback: 0, least: 1, most: 2_000_000 });
  const { server, queue } = await readQueue(required(given, "file"));
  const late = new AbortController();
  const timer = seconds > 0 ? setTimeout(() => late.abort(), seconds * 1000) : undefined;
  const stop = AbortSignal.any([signal, late.signal]);
  let [isSubscribed, received] = [false, 0];
  try {
    await using client = await SmpClient.connect(server, {
      allowUnverified: given.allowUnverified,
      signal: stop,
    });
    const events = client.events(queue);
    await client.subscribe(queue);
    isSubscribed = true;
    for await (const event of events) {
      if (event.type === "END") throw new Error("another connection has subscribed to the queue");
      const { messageId, timestamp, body } = event;
      await print({ type: "message", messageId, timestamp, ...readable(body) });
      await client.acknowledge(queue);
      if (++received >= count) break;
    }
  } catch (error) {
    // A message that was printed and not acknowledged comes again.
    if (!stop.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  if (!late.signal.aborted || received > 0) return;
  const reason = isSubscribed ? "" : ": the server has not answered";
  throw new Error(`no message came in ${counted(seconds, "second")}${reason}`);
}

/** `suspend --file FILE`: lets the queue take no more messages. */
async function suspend(args: readonly string[], { print, signal }: Surroundings): Promise<void> {
  await onQueue(args, { names: [], signal }, (client, queue) => client.suspendQueue(queue));
  await print({ type: "suspended" });
}

/** `delete --file FILE`: deletes the queue with its messages; the file stays. */
async function remove(args: readonly string[], { print, signal }: Surroundings): Promise<void> {
  await onQueue(args, { names: [], signal }, (client, queue) => client.deleteQueue(queue));
  await print({ type: "deleted" });
}

function readPublicKey(text: string) {
  try {
    return parsePublicKeyText(text);
  } catch (error) {
    if (error instanceof ParseError) throw new UsageError(error.message);
    throw error;
  }
}
