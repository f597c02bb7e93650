import {
  type BlockChannel,
  blockSizes,
  type Channel,
  clientHandshake,
  formatAddress,
  type ServerAddress,
  TransportError,
} from "../protocol/mod.ts";
import type { ForwardSecrecy, SmpClientOptions } from "./options.ts";
import { prepareRekey, rekey } from "./rekey.ts";
import { openChannel, tcpTransport } from "./transport.ts";

/** A connection to a server that is ready for commands. */
export interface Session {
  readonly blocks: BlockChannel;
  /** What the server lists. */
  readonly extensions: readonly string[];
  /** That of its welcome. */
  readonly protocolVersion: string;
  /** Whether its keys are of REKEY. */
  readonly isForwardSecret: boolean;
}

/** A connection whose server has said what it can. */
type Greeted = Omit<Session, "isForwardSecret">;

/** How a connection is made. */
interface Way {
  readonly server: ServerAddress;
  readonly options: SmpClientOptions;
  readonly signal: AbortSignal;
}

const largestBlock = Math.max(...blockSizes);

/** Milliseconds after which a handshake may have come too late: servers wait for it 5 s, or as long as they are told. */
const lateHandshake = 1_000;

/** Connects, does the handshake and what is to be done before the first command; closes what it cannot use. */
export async function openSession(
  server: ServerAddress,
  options: SmpClientOptions,
  signal: AbortSignal,
): Promise<Session> {
  const way = { server, options, signal };
  const { blockSize, forwardSecrecy = "preferred" } = options;
  const greeted = blockSize === "large" ? await connectLarge(way) : await connect(way, blockSize);
  return await step(greeted.blocks, signal, () => secure(greeted, forwardSecrecy));
}

/**
 * A program that was held up, as on a machine that is too busy or was asleep, finds that the server waits for its
 * handshake no more: it connects once more, as nothing was asked of the server yet.
 */
async function connect(way: Way, blockSize: number | undefined): Promise<Greeted> {
  const channel = await open(way);
  const opened = performance.now();
  try {
    return await meet(channel, way, blockSize);
  } catch (error) {
    if (!isEnded(error) || performance.now() - opened < lateHandshake) throw error;
  }
  return await meet(await open(way), way, blockSize);
}

/** Whether the server has ended the connection. */
function isEnded(error: unknown): boolean {
  return error instanceof TransportError && (error.code === "TERMINATED" || error.code === "NETWORK");
}

function open({ server, options, signal }: Way): Promise<Channel> {
  return openChannel(options.transport ?? tcpTransport, server, signal);
}

/** extensions.md blocks1: a client learns it on one connection, and uses it for later ones to the same server. */
async function connectLarge(way: Way): Promise<Greeted> {
  return await connectKnown(way) ?? await connectLearning(way);
}

/** `null`: the server is not known to take large blocks, or does not any more. */
async function connectKnown(way: Way): Promise<Greeted | null> {
  const { server, options: { knownServers } } = way;
  const address = formatAddress(server);
  const known = server.keyHash === undefined ? undefined : knownServers?.get(address);
  if (!known?.includes("blocks1")) return null;
  const channel = await open(way);
  try {
    return await meet(channel, way, largestBlock);
  } catch (error) {
    // Whatever it was, it is learned anew.
    knownServers?.set(address, known.filter((name) => name !== "blocks1"));
    if (isEnded(error)) return null;
    throw error;
  }
}

async function connectLearning(way: Way): Promise<Greeted> {
  const greeted = await connect(way, undefined);
  const { blocks, extensions } = greeted;
  if (!extensions.includes("blocks1") || blocks.blockSize === largestBlock) return greeted;
  await blocks.close();
  return await connect(way, largestBlock);
}

/** Does the handshake, and remembers what the server lists. */
async function meet(
  channel: Channel,
  { server, options: { knownServers }, signal }: Way,
  blockSize: number | undefined,
): Promise<Greeted> {
  const greeted = await step(channel, signal, () => greet(channel, server, blockSize));
  if (server.keyHash !== undefined) knownServers?.set(formatAddress(server), greeted.extensions);
  return greeted;
}

/** Takes a step on a connection, which is closed when the step fails or the signal aborts. */
async function step<T>(
  connection: Pick<Channel, "close">,
  signal: AbortSignal,
  take: () => Promise<T>,
): Promise<T> {
  const close = () => void connection.close();
  signal.addEventListener("abort", close);
  try {
    signal.throwIfAborted();
    const result = await take();
    signal.throwIfAborted();
    return result;
  } catch (error) {
    await connection.close();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
}

async function greet(
  channel: Channel,
  { keyHash }: ServerAddress,
  blockSize: number | undefined,
): Promise<Greeted> {
  let extensions: readonly string[] = [];
  let protocolVersion = "";
  const blocks = await clientHandshake(channel, {
    ...(keyHash !== undefined && { keyHash }),
    ...(blockSize !== undefined && { blockSize }),
    welcomed: (listed, version) => {
      extensions = listed;
      protocolVersion = version;
    },
  });
  return { blocks, extensions, protocolVersion };
}

/** Nobody in between can take the server's list away: it is encrypted, and only the owner of the server's key can be the sender. */
async function secure(greeted: Greeted, mode: ForwardSecrecy): Promise<Session> {
  if (mode === "off") return { ...greeted, isForwardSecret: false };
  const { blocks, extensions } = greeted;
  const request = extensions.includes("rekey1") ? await prepareRekey() : null;
  if (request !== null) await rekey(blocks, request);
  else if (mode === "required") throw noForwardSecrecy(extensions);
  return { ...greeted, isForwardSecret: request !== null };
}

function noForwardSecrecy(extensions: readonly string[]): TransportError {
  const reason = extensions.includes("rekey1")
    ? "this platform has no X25519; use a newer one"
    : "the server does not list rekey1; its operator must update it or switch that on";
  return new TransportError(
    "FORWARD_SECRECY",
    `Cannot connect with forward secrecy: ${reason}, or let the option forwardSecrecy be "preferred"`,
  );
}
