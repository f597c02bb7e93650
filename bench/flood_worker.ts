/** A flood from an address of its own, 127.0.0.2, on a thread of its own: told by one message what to do. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { makeSigner, signed, unsigned } from "../client/cli/load_queues.ts";
import {
  type BlockChannel,
  type Channel,
  clientHandshake,
  decodeServerTransmission,
  encodeBase64,
  encodeClientTransmission,
  parseAddress,
  type ServerResponse,
} from "../mod.ts";
import { randomBytes, textBytes } from "../protocol/mod.ts";

/** What floods do. */
export type FloodKind =
  | "wrong signatures"
  | "handshakes"
  | "silent connections"
  | "ACK of an opened queue"
  | "SUBN 128 of a full queue";

/** What a flood does, where, and over how many connections at a time. */
export interface Flood {
  readonly kind: FloodKind;
  readonly address: string;
  readonly connections: number;
}

const floodAddress = "127.0.0.2";
/** Of commands that are written at once. */
const batchLength = 16;
/** A body that nearly fills the block of its MSG. */
const largeBody = new Uint8Array(3_900);

async function open(address: string): Promise<Socket> {
  const { host, port } = parseAddress(address);
  const socket = connect({ host, port: port!, localAddress: floodAddress });
  // The server may close it at any time; whoever reads or writes notices.
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

function channelOf(socket: Socket): Channel {
  const closed = once(socket, "close");
  closed.catch(() => {});
  return {
    async read(size) {
      for (;;) {
        const bytes: Uint8Array | null = socket.read(size);
        if (bytes !== null) return bytes.length === size ? new Uint8Array(bytes) : null;
        if (socket.destroyed || socket.readableEnded) return null;
        await Promise.race([once(socket, "readable"), closed]);
      }
    },
    async write(units) {
      for (const unit of units) if (!socket.write(unit)) await once(socket, "drain");
    },
    end: () => Promise.resolve(void socket.end()),
    close: () => Promise.resolve(void socket.destroy()),
  };
}

async function sendWrongSignatures(address: string): Promise<void> {
  const socket = await open(address);
  const blocks = await clientHandshake(channelOf(socket));
  const command = textBytes(`1 ${encodeBase64(randomBytes(12))} SUB`);
  const batch = Array.from(
    { length: batchLength },
    () => encodeClientTransmission(randomBytes(256), command),
  );
  await repeat(socket, blocks, batch);
}

/** Writes without end; what is answered is read and dropped. */
async function repeat(socket: Socket, blocks: BlockChannel, batch: readonly Uint8Array[]): Promise<void> {
  socket.resume();
  for (;;) await blocks.write(batch);
}

/** Commands that need no signature (extensions.md open1), on a queue without messages or with all that it takes. */
async function sendUnsigned(
  address: string,
  command: Parameters<typeof unsigned>[2],
  isFull: boolean,
): Promise<void> {
  const socket = await open(address);
  const blocks = await clientHandshake(channelOf(socket));
  const signer = await makeSigner();
  const create = { type: "NEW", recipientKey: signer.publicKey } as const;
  const queue = await ask(blocks, await signed(signer, "1", "", create));
  if (queue.type !== "IDS") throw new Error(`NEW was answered ${queue.type}`);
  const { recipientId, senderId } = queue;
  const opening = { type: "OPEN", binding: encodeBase64(blocks.binding) } as const;
  const opened = await ask(blocks, await signed(signer, "1", recipientId, opening));
  if (opened.type !== "OK") throw new Error(`OPEN was answered ${opened.type}`);
  if (isFull) {
    const send = unsigned("1", senderId, { type: "SEND", body: largeBody });
    while ((await ask(blocks, send)).type === "OK");
  }
  await repeat(socket, blocks, Array<Uint8Array>(batchLength).fill(unsigned("1", recipientId, command)));
}

/** Gives a command, and waits for its answer. */
async function ask(blocks: BlockChannel, content: Uint8Array): Promise<ServerResponse> {
  await blocks.write([content]);
  for (;;) {
    const answer = await blocks.read();
    const decoded = answer && decodeServerTransmission(answer);
    if (!decoded?.ok) throw new Error("the server has closed, or answers what cannot be read");
    if (decoded.value.corrId.length > 0) return decoded.value.response;
  }
}

/** Each costs the server a private operation, and this side nothing. */
async function sendHandshakes(address: string): Promise<void> {
  for (;;) {
    try {
      const socket = await open(address);
      socket.write(randomBytes(256));
      socket.resume();
      await once(socket, "close");
    } catch {
      // Refused: once more.
    }
  }
}

async function sendNothing(address: string): Promise<void> {
  for (;;) {
    try {
      const socket = await open(address);
      socket.resume();
      await once(socket, "close");
    } catch {
      // Refused: once more.
    }
  }
}

const floods: Readonly<Record<FloodKind, (address: string) => Promise<void>>> = {
  "wrong signatures": sendWrongSignatures,
  handshakes: sendHandshakes,
  "silent connections": sendNothing,
  "ACK of an opened queue": (address) => sendUnsigned(address, { type: "ACK" }, false),
  "SUBN 128 of a full queue": (address) => sendUnsigned(address, { type: "SUBN", window: 128 }, true),
};

addEventListener("message", (event) => {
  const { kind, address, connections } = (event as globalThis.MessageEvent<Flood>).data;
  for (let i = 0; i < connections; i++) void floods[kind](address);
});
