/** A flood from an address of its own, 127.0.0.2, on a thread of its own: told by one message what to do. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  type Channel,
  clientHandshake,
  encodeBase64,
  encodeClientTransmission,
  parseAddress,
} from "../mod.ts";
import { randomBytes, textBytes } from "../protocol/mod.ts";

/** What floods do. */
export type FloodKind = "wrong signatures" | "handshakes" | "silent connections";

/** What a flood does, where, and over how many connections at a time. */
export interface Flood {
  readonly kind: FloodKind;
  readonly address: string;
  readonly connections: number;
}

const floodAddress = "127.0.0.2";

async function open(address: string): Promise<Socket> {
  const { host, port } = parseAddress(address);
  const socket = connect({ host, port: port!, localAddress: floodAddress });
  // The server may close it at any time; whoever reads or writes notices.
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

function channelOf(socket: Socket): Channel {
  return {
    async read(size) {
      for (;;) {
        const bytes: Uint8Array | null = socket.read(size);
        if (bytes !== null) return bytes.length === size ? new Uint8Array(bytes) : null;
        if (socket.destroyed || socket.readableEnded) return null;
        await Promise.race([once(socket, "readable"), once(socket, "close")]);
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
  const batch = Array.from({ length: 16 }, () => encodeClientTransmission(randomBytes(256), command));
  socket.resume();
  for (;;) await blocks.write(batch);
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
};

addEventListener("message", (event) => {
  const { kind, address, connections } = (event as globalThis.MessageEvent<Flood>).data;
  for (let i = 0; i < connections; i++) void floods[kind](address);
});
