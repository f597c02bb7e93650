import { SmpClient } from "../../client/mod.ts";
import { type AgentMessage, encodeAgentMessage } from "../../agent/kinds/mod.ts";
import { encryptBody, type KeyPair, paddedBodyLength, type PrivateKey, type QueueInfo } from "../../mod.ts";
import { sha256 } from "../../protocol/mod.ts";
import { keysOf } from "./test_keys.ts";

/** The keys of all hostile agents. */
export const hostileKeys: readonly KeyPair<"sign">[] = await keysOf("hostileAgents", "sign");

const none = new Uint8Array(0);

/** How a message differs from a proper one. */
export interface Deviation {
  /** Signs the body. @default the key that HELLO carries */
  readonly signingKey?: PrivateKey<"sign">;
  /** Signs SEND; `null`: nothing does. @default the key of KEY, after KEY */
  readonly senderKey?: PrivateKey<"sign"> | null;
}

/** An agent that holds a valid invitation and says whatever it likes. */
export class HostileAgent implements AsyncDisposable {
  readonly #client: SmpClient;
  readonly #queue: QueueInfo;
  #isKeySent = false;
  #last = { id: 0, hash: none };

  private constructor(client: SmpClient, queue: QueueInfo) {
    this.#client = client;
    this.#queue = queue;
  }

  /** Connects to the server of an invitation. */
  static async connect(queue: QueueInfo): Promise<HostileAgent> {
    return new HostileAgent(await SmpClient.connect(queue.server), queue);
  }

  /** Sends any plaintext, encrypted and signed. */
  async plaintext(plaintext: Uint8Array<ArrayBuffer>, deviation: Deviation = {}): Promise<void> {
    const { encryptionKey } = this.#queue;
    const signingKey = deviation.signingKey ?? hostileKeys[1]!.privateKey;
    const paddedLength = paddedBodyLength(4096, encryptionKey.bits);
    await this.body(await encryptBody(plaintext, { encryptionKey, signingKey, paddedLength }), deviation);
  }

  /** Sends any body. */
  async body(body: Uint8Array, { senderKey }: Deviation = {}): Promise<void> {
    const key = senderKey === undefined && this.#isKeySent ? hostileKeys[0]!.privateKey : senderKey;
    const { senderId } = this.#queue;
    await this.#client.send(key ? { senderId, senderKey: key } : { senderId }, body);
  }

  /** Sends any message. */
  message(message: AgentMessage, deviation?: Deviation): Promise<void> {
    return this.plaintext(encodeAgentMessage(message), deviation);
  }

  /** The confirmation. */
  async key(): Promise<void> {
    await this.message({ type: "KEY", senderKey: hostileKeys[0]!.publicKey });
    this.#isKeySent = true;
  }

  /** HELLO, by a key that is its own; with another `at` it is another message. */
  hello(deviation?: Deviation, at = 1000): Promise<void> {
    const { publicKey } = hostileKeys[1]!;
    return this.message(
      { type: "HELLO", verificationKey: publicKey, noAck: false, ...unnumbered(at) },
      deviation,
    );
  }

  /** REPLY. */
  reply(queueInfo: QueueInfo, at = 2000): Promise<void> {
    return this.message({ type: "REPLY", queueInfo, ...unnumbered(at) });
  }

  /** A user message; the next one unless a number or hash is given. */
  async text(
    text: string,
    { id = this.#last.id + 1, previousHash = this.#last.hash, ...deviation }: Deviation & {
      readonly id?: number;
      readonly previousHash?: Uint8Array<ArrayBuffer>;
    } = {},
  ): Promise<void> {
    const body = new TextEncoder().encode(text);
    const plaintext = encodeAgentMessage({ type: "MSG", body, id, timestamp: new Date(3000), previousHash });
    await this.plaintext(plaintext, deviation);
    if (deviation.signingKey === undefined) this.#last = { id, hash: await sha256(plaintext) };
  }

  /** Closes its connection. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#client.close();
  }
}

function unnumbered(at: number) {
  return { id: 0, timestamp: new Date(at), previousHash: none };
}
