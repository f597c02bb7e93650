import { SmpClient } from "../../client/mod.ts";
import { LoadedKeys } from "../../agent/key_pool.ts";
import { type Connection, MemoryStore } from "../../agent/mod.ts";
import {
  encodeFrame,
  type Frame,
  type FrameContent,
  messageHash,
  type PrivateKey,
  ratchetEncrypt,
  type RatchetState,
  sealPacket,
  splitMessage,
} from "../../protocol/mod.ts";
import { connectAgents, TestAgent } from "./agent.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What a user message of a session is made of. */
export interface Message {
  readonly text: string;
  /** @default the next one */
  readonly userNumber?: number;
  /** @default that of the message before */
  readonly previousHash?: Bytes;
}

/** The other side of a session, which was an agent and says whatever it likes from now on. */
export class HostileSession implements AsyncDisposable {
  readonly #client: SmpClient;
  readonly #connection: Connection;
  readonly #senderKey: PrivateKey<"sign">;
  #ratchet: RatchetState;
  /** The reliable number of its next frame. */
  next: number;
  #last: { readonly number: number; readonly hash: Bytes };

  private constructor(client: SmpClient, connection: Connection, senderKey: PrivateKey<"sign">) {
    this.#client = client;
    this.#connection = connection;
    this.#senderKey = senderKey;
    const { session, record } = connection;
    this.#ratchet = session!.ratchet!;
    this.next = session!.lastNumber + 1;
    const { id, hash } = record.lastSent;
    this.#last = { number: id, hash: id === 0 ? new Uint8Array(32) : hash.slice() };
  }

  /** Connects to an agent that announces sessions, which calls it "hostile"; `sent`: it sends as many messages before. */
  static async connect(victim: TestAgent, server: string): Promise<HostileSession> {
    const store = new MemoryStore();
    {
      await using agent = await TestAgent.start(server, { store, extensions: ["session1"] });
      await connectAgents(victim, agent, ["hostile", "victim"]);
      // The first routes are replaced.
      for (const direction of ["sending", "receiving"]) {
        await agent.next("route", (event) => event.direction === direction);
        await victim.next("route", (event) => event.direction === direction);
      }
    }
    const [connection] = await store.connections();
    const { keys } = connection!.outbound[0]!;
    const client = await SmpClient.connect(keys.server);
    return new HostileSession(client, connection!, await new LoadedKeys().signing(keys.senderKey));
  }

  /** What it knows of the session. */
  get connection(): Connection {
    return this.#connection;
  }

  /** The next frame with a content. */
  frame(content: FrameContent, number = content.kind === "receipt" ? 0 : this.next++): Bytes {
    return encodeFrame({ ...content, number, time: 1000 } as Frame);
  }

  /** The frame of a user message. */
  async message({ text, ...given }: Message, number?: number): Promise<Bytes> {
    const userNumber = given.userNumber ?? this.#last.number + 1;
    const previousHash = given.previousHash ?? this.#last.hash;
    const body = new TextEncoder().encode(text);
    const hash = await messageHash({ userNumber, previousHash, time: 1000, body });
    this.#last = { number: userNumber, hash };
    return this.frame({ kind: "message", userNumber, previousHash, body }, number);
  }

  /** A message of the ratchet. */
  async encrypt(...frames: readonly Bytes[]): Promise<Bytes> {
    const plaintext = new Uint8Array(await new Blob([...frames]).arrayBuffer());
    const encrypted = await ratchetEncrypt(this.#ratchet, plaintext);
    if (!encrypted.ok) throw new Error(encrypted.code);
    this.#ratchet = encrypted.state;
    return encrypted.message;
  }

  /** The packets of a message of the ratchet. */
  split(message: Bytes): Promise<readonly Bytes[]> {
    return splitMessage(message, this.#connection.outbound[0]!.keys.blockSize);
  }

  /** Sends frames in one message. */
  async send(...frames: readonly Bytes[]): Promise<void> {
    for (const packet of await this.split(await this.encrypt(...frames))) await this.packet(packet);
  }

  /** Sends a packet. */
  async packet(packet: Bytes): Promise<void> {
    await this.body(await sealPacket(packet, this.#connection.outbound[0]!.keys));
  }

  /** Sends any body. */
  async body(body: Bytes): Promise<void> {
    const { senderId } = this.#connection.outbound[0]!.keys;
    await this.#client.send({ senderId, senderKey: this.#senderKey }, body);
  }

  /** Closes its connection. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#client.close();
  }
}
