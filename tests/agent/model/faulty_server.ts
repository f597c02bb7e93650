import {
  type Channel,
  type ClientTransmission,
  decodeClientTransmission,
  encodeServerTransmission,
  memoryChannelPair,
  type ServerAddress,
  type ServerExtension,
  serverHandshake,
  type ServerResponse,
  type ServerTransmission,
  TransportError,
  verifyPss,
} from "../../../protocol/mod.ts";
import type { Transport } from "../../../client/mod.ts";
import { Broker } from "../../../server/broker/broker.ts";
import type { BrokerConnection } from "../../../server/broker/subscriptions.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { identity } from "../../support/server.ts";

/**
 * What becomes of a command: the connection is cut before or after it is executed, its answer does not come, it is
 * answered `INTERNAL` without or in spite of being executed, or a message is delivered once more after it.
 */
export type CommandFault =
  | "none"
  | "cut before"
  | "cut after"
  | "unanswered"
  | "refused"
  | "answered INTERNAL"
  | "delivered again";

/** Who is connected to a server. */
export interface Peer {
  /** Says what becomes of a command. */
  fault(command: ClientTransmission): CommandFault | Promise<CommandFault>;
  /** The server has forgotten a message because this peer has acknowledged it. */
  acknowledged(messageId: string): void;
}

/** A real broker in memory; what is between it and its peers goes wrong when it is told to. */
export class FaultyServer {
  readonly address: ServerAddress;
  readonly queues: MemoryQueueStore = new MemoryQueueStore();
  readonly messages: MemoryMessageStore = new MemoryMessageStore();
  /** The SENDs that were taken, by sender ID. */
  readonly sends = new Map<string, ClientTransmission[]>();
  readonly #broker: Broker;
  readonly #extensions: readonly ServerExtension[];
  readonly #connections = new Map<Connection, Peer | null>();
  #isUp = true;

  /** Starts a server with a name, which lists window1 or nothing. */
  constructor(host: string, extensions: readonly (ServerExtension & "window1")[] = []) {
    this.address = { host, keyHash: identity.keyHash };
    this.#extensions = extensions;
    this.#broker = new Broker({
      queues: this.queues,
      messages: this.messages,
      metrics: new Metrics(),
      authorizer: new Authorizer((key, signature, data) => verifyPss(key, signature, data)),
    });
  }

  /** Whether it can be reached. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Can be reached from now on, or not; then all connections are cut. */
  set isUp(isUp: boolean) {
    this.#isUp = isUp;
    if (!isUp) { for (const connection of [...this.#connections.keys()]) connection.cut(); }
  }

  /** Cuts the connections of a peer. */
  cut(peer: Peer): void {
    for (const [connection, of] of [...this.#connections]) if (of === peer) connection.cut();
  }

  /** The recipient IDs of all queues. */
  recipientIds(): string[] {
    return [...this.queues.records()].map(({ recipientId }) => recipientId);
  }

  /** Connects a peer. */
  connect(peer: Peer): Channel {
    const [clientEnd, serverEnd] = memoryChannelPair();
    const connection = new Connection(serverEnd, {
      broker: this.#broker,
      peer,
      sends: this.sends,
      extensions: this.#extensions,
    });
    this.#connections.set(connection, peer);
    void connection.serve().finally(() => this.#connections.delete(connection));
    return clientEnd;
  }

  /** Executes a command of nobody, as a server that lies or an attacker can. */
  async inject(transmission: ClientTransmission): Promise<void> {
    const answered = Promise.withResolvers<void>();
    await this.#broker.submit({
      blockSize: 4096,
      client: null,
      closed: false,
      binding: new Uint8Array(32),
      isFull: false,
      answer: () => answered.resolve(),
      notify: () => {},
    }, transmission);
    await answered.promise;
  }

  /** Resolves when nothing is being executed. */
  idle(): Promise<void> {
    return this.#broker.idle();
  }
}

/** How a peer reaches servers. */
export function transportOf(servers: readonly FaultyServer[], peer: Peer, isDead: () => boolean): Transport {
  return async ({ host }) => {
    await Promise.resolve();
    const server = servers.find(({ address }) => address.host === host);
    if (server?.isUp === true && !isDead()) return server.connect(peer);
    throw new TransportError("NETWORK", "Cannot connect: nobody is there");
  };
}

interface ConnectionParts {
  readonly broker: Broker;
  readonly peer: Peer;
  readonly sends: Map<string, ClientTransmission[]>;
  readonly extensions: readonly ServerExtension[];
}

class Connection implements BrokerConnection {
  readonly blockSize = 4096;
  readonly client = null;
  readonly binding = new Uint8Array(32);
  readonly isFull = false;
  closed = false;
  readonly #channel: Channel;
  readonly #broker: Broker;
  readonly #peer: Peer;
  readonly #sends: Map<string, ClientTransmission[]>;
  readonly #extensions: readonly ServerExtension[];
  readonly #waiting = new Map<
    string,
    { readonly fault: CommandFault; readonly command: ClientTransmission }
  >();
  /** The message of each queue that was delivered last. */
  readonly #delivered = new Map<string, ServerTransmission>();
  #write: (transmission: ServerTransmission) => void = () => {};

  constructor(channel: Channel, { broker, peer, sends, extensions }: ConnectionParts) {
    this.#channel = channel;
    this.#broker = broker;
    this.#peer = peer;
    this.#sends = sends;
    this.#extensions = extensions;
  }

  async serve(): Promise<void> {
    try {
      const extensions = this.#extensions;
      const blocks = await serverHandshake(this.#channel, { ...identity.keyPair, extensions });
      let writing = Promise.resolve();
      this.#write = (transmission) => {
        writing = writing.then(() => blocks.write([encodeServerTransmission(transmission)]))
          .catch(() => this.cut());
      };
      for (let content; !this.closed && (content = await blocks.read()) !== null;) {
        const decoded = decodeClientTransmission(content, {
          has: (name) => name !== "pass1" && extensions.includes(name),
        });
        if (!decoded.ok) break;
        await this.#execute(decoded.value);
      }
    } catch {
      // The connection was cut.
    }
    this.cut();
  }

  cut(): void {
    if (this.closed) return;
    this.closed = true;
    this.#broker.disconnect(this);
    void this.#channel.close();
  }

  answer(transmission: ServerTransmission): void {
    const corrId = transmission.corrId.join();
    const { fault, command } = this.#waiting.get(corrId)!;
    this.#waiting.delete(corrId);
    const { response } = transmission;
    this.#watch(command, response);
    if (response.type === "MSG") this.#delivered.set(transmission.queueId, transmission);
    if (this.closed) return;
    switch (fault) {
      case "cut after":
        return this.cut();
      case "unanswered":
        return;
      case "answered INTERNAL":
        return this.#write({ ...transmission, response: { type: "ERR", error: "INTERNAL" } });
      default:
        this.#write(transmission);
    }
    const last = this.#delivered.get(command.queueId);
    if (fault === "delivered again" && last !== undefined) {
      this.#write({ ...last, corrId: new Uint8Array(0) });
    }
  }

  notify(transmission: ServerTransmission): void {
    if (this.closed) return;
    if (transmission.response.type === "MSG") this.#delivered.set(transmission.queueId, transmission);
    this.#write(transmission);
  }

  async #execute(command: ClientTransmission): Promise<void> {
    const fault = await this.#peer.fault(command);
    if (this.closed) return;
    if (fault === "cut before") return this.cut();
    if (fault === "refused") {
      const { corrId, queueId } = command;
      return this.#write({ corrId, queueId, response: { type: "ERR", error: "INTERNAL" } });
    }
    this.#waiting.set(command.corrId.join(), { fault, command });
    await this.#broker.submit(this, command);
  }

  #watch(command: ClientTransmission, response: ServerResponse): void {
    if (response.type === "ERR") return;
    if (command.command.type === "SEND") {
      const sends = this.#sends.get(command.queueId) ?? [];
      this.#sends.set(command.queueId, [...sends, command]);
    }
    if (command.command.type === "ACKM") this.#peer.acknowledged(command.command.messageId);
    const delivered = this.#delivered.get(command.queueId)?.response;
    if (command.command.type === "ACK" && delivered?.type === "MSG") {
      this.#peer.acknowledged(delivered.messageId);
    }
  }
}
