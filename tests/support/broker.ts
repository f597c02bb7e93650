import { generateKeyPairSync } from "node:crypto";
import { setImmediate } from "node:timers";
import {
  asciiText,
  bigintToBytes,
  type ClientCommand,
  type ClientTransmission,
  encodeBase64,
  encodeSigned,
  importPrivateKey,
  type KeyPair,
  makePublicKey,
  modulusLength,
  type PublicKey,
  randomBytes,
  type ServerResponse,
  type ServerTransmission,
  signPss,
  textBytes,
  verifyPss,
} from "../../protocol/mod.ts";
import { Authorizer, type Verify } from "../../server/guard/authorization.ts";
import { LocalBrokers, type SharedParts } from "../../server/broker/local_brokers.ts";
import { Router } from "../../server/broker/router.ts";
import { Metrics } from "../../server/observe/metrics.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../server/store/memory.ts";
import type { PartitionStores } from "../../server/store/store.ts";
import type { BrokerConnection } from "../../server/broker/subscriptions.ts";
import { cutStores, partitions } from "./partitions.ts";
import { keyOf } from "./test_keys.ts";
import { patience } from "./wait.ts";

/** A key that can sign. */
export interface Signer {
  readonly publicKey: PublicKey;
  sign(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** Makes a real RSA key of any size; 1024 bits are the fastest that queues take. */
export async function rsaSigner(bits = 1024): Promise<Signer> {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  const pkcs8 = new Uint8Array(privateKey.export({ type: "pkcs8", format: "der" }));
  return signerOf(await importPrivateKey(pkcs8, "sign"));
}

function signerOf({ publicKey, privateKey }: KeyPair<"sign">): Signer {
  return { publicKey, sign: (data) => signPss(privateKey, data) };
}

const markLength = 8;
let fakeKeys = 0n;

/** Makes a key without any RSA, for {@linkcode fakeVerify}: its signature is a mark that only it has. */
export function fakeSigner({ bits = 1024, exponent = 65537n } = {}): Signer {
  const publicKey = makePublicKey((1n << BigInt(bits - 1)) + 2n * ++fakeKeys + 1n, exponent);
  const signature = new Uint8Array(modulusLength(bits));
  signature.set(markOf(publicKey));
  return { publicKey, sign: () => Promise.resolve(signature) };
}

/** Verifies signatures of {@linkcode fakeSigner} at once. */
export const fakeVerify: Verify = (key, signature) => {
  const mark = markOf(key);
  return Promise.resolve(mark.every((byte, i) => signature[i] === byte));
};

function markOf(key: PublicKey): Uint8Array<ArrayBuffer> {
  return bigintToBytes(key.modulus & 0xffff_ffff_ffff_ffffn, markLength);
}

/** Real keys for the recipient and the sender of queues, and one that belongs to nobody. */
export const keys = {
  recipient: signerOf(await keyOf("recipient", "sign")),
  sender: signerOf(await keyOf("sender", "sign")),
  other: signerOf(await keyOf("other", "sign")),
};

/** A queue that a test has made. */
export interface TestQueue {
  readonly recipientId: string;
  readonly senderId: string;
  readonly recipient: Signer;
  readonly sender: Signer;
}

/** What is done around each operation of a store; it can wait before, wait after or not run it at all. */
export type Around = (operation: string, run: () => Promise<unknown>) => Promise<unknown>;

/** A store whose every operation goes through `around`. */
export function aroundStore<Store extends object>(store: Store, around: Around): Store {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      if (name === "records") return () => Reflect.apply(member, target, []);
      return (...args: unknown[]) =>
        around(String(name), () => Promise.resolve(Reflect.apply(member, target, args)));
    },
  });
}

/** Lets everything happen that waits for nothing but promises. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** How a command is sent when not as usual. */
export interface CommandOptions {
  /** @default the recipient's; none for SEND */
  readonly key?: Signer | null;
  /** @default the command's name in lower case */
  readonly corrId?: string;
  /** @default the recipient ID; the sender ID for SEND */
  readonly queueId?: string;
  /** @default what `key` signs */
  readonly signature?: Uint8Array<ArrayBuffer>;
}

/** A broker in memory, what it has counted and logged, and connections to it without sockets. */
export class TestBroker {
  readonly brokers: LocalBrokers;
  readonly router: Router;
  readonly metrics = new Metrics();
  /** The messages of the errors that the broker has logged. */
  readonly logged: string[] = [];
  /** Names of queue IDs in what connections receive: the recipient ID of queue `q` is `q`, its sender ID `q.s`. */
  readonly names = new Map<string, string>([["", "-"]]);
  /** The IDs of messages that were delivered, by their bodies. */
  readonly messageIds = new Map<string, string>();
  /** Whether a connection got more answers than it has sent commands. */
  answeredTwice = false;
  /** What is done around each operation of the stores. */
  around: Around = (_operation, run) => run();
  #operations = 0;
  readonly #connections: TestConnection[] = [];

  constructor(parts: Partial<SharedParts & PartitionStores> = {}, count: number = partitions) {
    const counted: Around = async (operation, run) => {
      this.#operations++;
      try {
        return await this.around(operation, run);
      } finally {
        this.#operations--;
      }
    };
    const stores = cutStores({
      queues: aroundStore(parts.queues ?? new MemoryQueueStore(), counted),
      messages: aroundStore(parts.messages ?? new MemoryMessageStore(), counted),
    }, count);
    this.brokers = new LocalBrokers(stores, {
      metrics: this.metrics,
      log: (_message, error) => this.logged.push(error instanceof Error ? error.message : String(error)),
      authorizer: new Authorizer((key, signature, data) => verifyPss(key, signature, data)),
      ...parts,
    });
    this.router = new Router({ owners: this.brokers.all });
  }

  /** A new connection with blocks of `blockSize` bytes, of a client that limits per address count by or not. */
  connect(blockSize = 4096, client: string | null = null): TestConnection {
    const connection = new TestConnection(this, blockSize, client);
    this.#connections.push(connection);
    return connection;
  }

  /** Resolves when every command is answered and the broker does nothing any more. */
  async idle(): Promise<void> {
    const end = performance.now() + patience;
    do {
      if (performance.now() > end) throw new Error("the broker did not come to rest");
      await turn();
    } while (this.#operations > 0 || this.#connections.some(({ closed, waiting }) => !closed && waiting > 0));
    if (this.answeredTwice) throw new Error("the broker answered what nobody asked");
  }
}

/** A connection that writes down what the broker sends. */
export class TestConnection implements BrokerConnection {
  readonly blockSize: number;
  readonly client: string | null;
  readonly binding = randomBytes(32);
  isFull = false;
  closed = false;
  /** What was sent since {@linkcode take}. */
  received: ServerTransmission[] = [];
  /** How many commands are not answered yet. */
  waiting = 0;
  readonly #test: TestBroker;

  constructor(test: TestBroker, blockSize: number, client: string | null) {
    this.#test = test;
    this.blockSize = blockSize;
    this.client = client;
  }

  answer(transmission: ServerTransmission): void {
    if (this.closed) return;
    if (--this.waiting < 0) this.#test.answeredTwice = true;
    this.#receive(transmission);
  }

  notify(transmission: ServerTransmission): void {
    if (!this.closed) this.#receive(transmission);
  }

  #receive(transmission: ServerTransmission): void {
    const { response } = transmission;
    if (response.type === "MSG") this.#test.messageIds.set(asciiText(response.body), response.messageId);
    this.received.push(transmission);
  }

  /** Closes as a session does. */
  disconnect(): void {
    this.closed = true;
    this.waiting = 0;
    this.#test.router.disconnect(this);
  }

  /**
   * What was sent since the last call, one text for each: corrId or `-`, the queue's name, the response with bodies as
   * text and without message IDs and times.
   */
  take(): string[] {
    const taken = this.received;
    this.received = [];
    return taken.map((transmission) => this.#text(transmission));
  }

  /**
   * Submits a command of a queue (`"SUB"`, `"KEY"`, `"SEND hello"`, `"OPEN"`, `"SUBN 3"`, `"ACKM hello"` for the message of
   * that body); resolves when it has its place in the order.
   */
  async submit(
    queue: TestQueue,
    command: string | ClientCommand,
    options: CommandOptions = {},
  ): Promise<void> {
    const parsed = typeof command === "string" ? this.#commandOf(command) : command;
    await this.submitTransmission(await transmissionTo(queue, parsed, options));
  }

  #commandOf(text: string): string | ClientCommand {
    const [type, word = ""] = text.split(" ");
    if (type === "OPEN") return { type, binding: encodeBase64(this.binding) };
    if (type === "ACKM") {
      return { type, messageId: this.#test.messageIds.get(word) ?? encodeBase64(randomBytes(6)) };
    }
    return text;
  }

  /** Submits a transmission. */
  submitTransmission(transmission: ClientTransmission): Promise<void> {
    this.waiting++;
    return this.#test.router.submit(this, transmission);
  }

  /** Submits a command and gives what the connection has been sent when the broker rests. */
  async ask(
    queue: TestQueue,
    command: string | ClientCommand,
    options: CommandOptions = {},
  ): Promise<string[]> {
    await this.submit(queue, command, options);
    await this.#test.idle();
    return this.take();
  }

  /** Makes a queue; this connection is subscribed to it. */
  async create(name = "q", { recipient = keys.recipient, sender = keys.sender } = {}): Promise<TestQueue> {
    const command = { type: "NEW", recipientKey: recipient.publicKey } as const;
    await this.submitTransmission(await sign("", command, { key: recipient, corrId: "new" }));
    await this.#test.idle();
    const response = this.received.pop()?.response;
    if (response?.type !== "IDS") throw new Error(`NEW was answered with ${response?.type}`);
    const { recipientId, senderId } = response;
    this.#test.names.set(recipientId, name).set(senderId, `${name}.s`);
    return { recipientId, senderId, recipient, sender };
  }

  #text({ corrId, queueId, response }: ServerTransmission): string {
    const name = this.#test.names.get(queueId) ?? queueId;
    return `${asciiText(corrId) || "-"} ${name} ${responseText(response)}`;
  }
}

/** The transmission of a command of a queue. */
export function transmissionTo(
  queue: TestQueue,
  command: string | ClientCommand,
  options: CommandOptions = {},
): Promise<ClientTransmission> {
  const parsed = typeof command === "string" ? commandOf(queue, command) : command;
  const usual = parsed.type === "SEND"
    ? { queueId: queue.senderId, key: null }
    : { queueId: queue.recipientId, key: queue.recipient };
  const { queueId, ...rest } = { ...usual, ...options };
  return sign(queueId, parsed, rest);
}

/** A signed transmission. */
export async function sign(
  queueId: string,
  command: ClientCommand,
  options: CommandOptions = {},
): Promise<ClientTransmission> {
  const corrId = textBytes(options.corrId ?? command.type.toLowerCase());
  const signed = encodeSigned(corrId, queueId, command);
  const signature = options.signature ?? await options.key?.sign(signed) ?? new Uint8Array(0);
  return { signature, signed, corrId, queueId, command };
}

function commandOf(queue: TestQueue, text: string): ClientCommand {
  const [type, body = ""] = text.split(/ (.*)/s);
  switch (type) {
    case "SUB":
    case "ACK":
    case "OFF":
    case "DEL":
      return { type };
    case "KEY":
      return { type, senderKey: queue.sender.publicKey };
    case "SUBN":
      return { type, window: Number(body) };
    case "SEND":
      return { type, body: textBytes(body) };
    default:
      throw new Error(`there is no command ${text}`);
  }
}

function responseText(response: ServerResponse): string {
  switch (response.type) {
    case "MSG":
      return `MSG ${asciiText(response.body)}`;
    case "ERR":
      return `ERR ${response.error}`;
    default:
      return response.type;
  }
}
