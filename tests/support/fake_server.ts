import { SmpClient, type SmpClientOptions, type Transport } from "../../client/mod.ts";
import { tcpTransport, webSocketTransport } from "../../client/mod.ts";
import {
  answerRekey,
  asciiText,
  BlockChannel,
  type Channel,
  type ClientTransmission,
  decodeClientHandshake,
  decodeClientTransmission,
  decryptOaep,
  defaultBlockSize as blockSize,
  encodeServerHeader,
  encodeServerTransmission,
  memoryChannelPair,
  type ServerAddress,
  serverHandshake,
  type ServerResponse,
  textBytes,
  TransportError,
} from "../../protocol/mod.ts";
import type { Listener } from "../../server/net/accept_loop.ts";
import { listenTcp } from "../../server/net/tcp_listener.ts";
import { defaultLimits } from "../../server/config/limits.ts";
import { listenWebSocket, type WebSocketEvents } from "../../server/net/websocket_listener.ts";
import { identity, type TransportName } from "./server.ts";
import { patient, soon } from "./wait.ts";

const host = "127.0.0.1";

/** A server whose every step is taken by the test. */
export class FakeServer implements AsyncDisposable {
  /** What a client connects to. */
  readonly address: ServerAddress;
  /** What a client connects with. */
  readonly transport: Transport;
  /** What it lists in its welcomes. */
  readonly extensions: readonly string[];
  readonly #listener: Listener | null;
  readonly #incoming: Incoming;
  readonly #clients: SmpClient[] = [];

  private constructor({ incoming, listener, transport, extensions }: FakeServerParts) {
    this.#incoming = incoming;
    this.#listener = listener;
    this.extensions = extensions;
    this.address = { host, port: listener?.port ?? 1, keyHash: identity.keyHash };
    this.transport = transport;
  }

  /** Starts a server for one kind of connection, which lists extensions or none. */
  static async start(
    transport: TransportName = "memory",
    extensions: readonly string[] = [],
  ): Promise<FakeServer> {
    const incoming = new Incoming();
    const events = { accept: (channel: Channel) => incoming.add(channel), log: () => {} };
    if (transport === "tcp") {
      const listener = listenTcp(host, 0, events);
      return new FakeServer({ incoming, listener, transport: tcpTransport, extensions });
    }
    if (transport === "websocket") {
      const listener = await listenWebSocket(host, 0, lettingIn(events.accept), {
        limits: () => defaultLimits,
        trustForwardedFor: false,
      });
      return new FakeServer({ incoming, listener, transport: webSocketTransport, extensions });
    }
    const inMemory = () => {
      const [clientEnd, serverEnd] = memoryChannelPair();
      incoming.add(serverEnd);
      return Promise.resolve(clientEnd);
    };
    return new FakeServer({ incoming, listener: null, transport: inMemory, extensions });
  }

  /** The server's end of the next connection, on which nothing was written yet. */
  accept(): Promise<Channel> {
    return soon(this.#incoming.next());
  }

  /** Connects so often and no more: what a busy machine holds up in its handshake comes once more. */
  atMost(count: number): Transport {
    return (address, signal) =>
      count-- > 0
        ? this.transport(address, signal)
        : Promise.reject(new TransportError("TERMINATED", "there are no more connections"));
  }

  /** Begins to connect a client. */
  async connect(options: SmpClientOptions = {}): Promise<SmpClient> {
    const client = await SmpClient.connect(this.address, {
      transport: this.transport,
      ...patient,
      ...options,
    });
    this.#clients.push(client);
    return client;
  }

  /** The server's side of the next connection after the handshake, and after REKEY if that is listed and wanted. */
  async greet({ forwardSecrecy }: SmpClientOptions = {}): Promise<FakePeer> {
    const peer = await FakePeer.handshake(await this.accept(), this.extensions);
    if (this.extensions.includes("rekey1") && forwardSecrecy !== "off") await peer.rekey();
    return peer;
  }

  /** Connects a client and gives both sides. */
  async serve(options: SmpClientOptions = {}): Promise<{ client: SmpClient; peer: FakePeer }> {
    const connecting = this.connect(options);
    const peer = await this.greet(options);
    return { client: await soon(connecting), peer };
  }

  /** Closes everything, and waits for what a client that is gone already still signs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#incoming.all.map((channel) => channel.close()));
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#listener?.close();
  }
}

interface FakeServerParts {
  readonly incoming: Incoming;
  readonly listener: Listener | null;
  readonly transport: Transport;
  readonly extensions: readonly string[];
}

/** The connections that have come, and a test that waits for one. */
class Incoming {
  readonly all: Channel[] = [];
  #taken = 0;
  #wake = () => {};

  add(channel: Channel): void {
    this.all.push(channel);
    this.#wake();
  }

  async next(): Promise<Channel> {
    while (this.all.length === this.#taken) await new Promise<void>((resolve) => this.#wake = resolve);
    return this.all[this.#taken++]!;
  }
}

/** The server's side of a connection after the handshake. */
export class FakePeer {
  /** The bytes of the connection. */
  readonly channel: Channel;
  /** The blocks of the connection. */
  readonly blocks: BlockChannel;
  readonly #extensions: readonly string[];

  private constructor(channel: Channel, blocks: BlockChannel, extensions: readonly string[] = []) {
    this.channel = channel;
    this.blocks = blocks;
    this.#extensions = extensions;
  }

  /** Does the server's part of the handshake. */
  static async handshake(channel: Channel, extensions: readonly string[] = []): Promise<FakePeer> {
    const blocks = await soon(serverHandshake(channel, { ...identity.keyPair, extensions }));
    return new FakePeer(channel, blocks, extensions);
  }

  /** Does the server's part of REKEY, which must come next. */
  async rekey(): Promise<void> {
    const command = await this.take();
    if (command.command.type !== "REKEY") throw new Error(`${command.command.type} came before REKEY`);
    const { payload, keys } = (await answerRekey(command.command.payload, this.blocks.binding))!;
    await this.answer(command, { type: "REKEY", payload });
    await this.blocks.rekey(keys);
  }

  /** Does the server's part of the handshake with any welcome. */
  static async welcome(channel: Channel, text: string): Promise<FakePeer> {
    const { publicKey, privateKey } = identity.keyPair;
    await channel.write([encodeServerHeader({ blockSize, keyLength: publicKey.der.length }), publicKey.der]);
    const encrypted = await soon(channel.read(privateKey.modulusLength));
    const { sndKey, sndBaseIv, rcvKey, rcvBaseIv } =
      decodeClientHandshake((await decryptOaep(privateKey, encrypted!))!)!.keys;
    const keys = { sndKey: rcvKey, sndBaseIv: rcvBaseIv, rcvKey: sndKey, rcvBaseIv: sndBaseIv };
    const blocks = await BlockChannel.create(channel, blockSize, keys);
    await blocks.write([textBytes(text)]);
    return new FakePeer(channel, blocks);
  }

  /** The next command, which must come. */
  async take(): Promise<ClientTransmission> {
    const command = await soon(this.takeLater());
    if (command === null) throw new Error("the client has closed the connection");
    return command;
  }

  /** The next command, however long it takes; `null` when the client has closed the connection. */
  async takeLater(): Promise<ClientTransmission | null> {
    const content = await this.blocks.read();
    if (content === null) return null;
    const decoded = decodeClientTransmission(content, {
      has: (extension) => this.#extensions.includes(extension),
      isOpened: () => this.#extensions.includes("open1"),
    });
    if (!decoded.ok) throw new Error(`the client has sent what is ${decoded.error}`);
    return decoded.value;
  }

  /** The next `count` commands. */
  async takeAll(count: number): Promise<ClientTransmission[]> {
    const commands = [];
    while (commands.length < count) commands.push(await this.take());
    return commands;
  }

  /** Answers a command; names its queue unless told another. */
  answer(
    { corrId, queueId }: ClientTransmission,
    response: ServerResponse,
    answerQueueId = queueId,
  ): Promise<void> {
    return this.blocks.write([encodeServerTransmission({ corrId, queueId: answerQueueId, response })]);
  }

  /** Sends what was not asked for. */
  push(queueId: string, response: ServerResponse): Promise<void> {
    return this.blocks.write([
      encodeServerTransmission({ corrId: new Uint8Array(0), queueId, response }),
    ]);
  }

  /** Sends any content. */
  send(content: string): Promise<void> {
    return this.blocks.write([textBytes(content)]);
  }
}

/** The corrId of a command as text. */
export function corrIdOf(command: ClientTransmission): string {
  return asciiText(command.corrId);
}

/** The error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return await soon(promise.then(() => "it did not reject", (error) => error));
}

/** Lets everything happen that needs nothing but its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** A queue's IDs that no server has made. */
export const queueIds = ["cXVldWVB", "cXVldWVC", "cXVldWVD"] as const;

/** Lets all WebSocket connections in and hands them to `accept`. */
export function lettingIn(accept: (channel: Channel) => void): WebSocketEvents {
  const admitted = { client: null, address: null, spoke() {}, established() {}, left() {} };
  return { accept, admit: () => admitted, serve: accept, log: () => {} };
}
