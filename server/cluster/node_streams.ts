import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import { joinParts, type Part, randomBytes } from "../../protocol/mod.ts";
import type { ByteStream } from "../link/byte_stream.ts";
import type { Engine } from "./engine.ts";
import { steadyClock } from "./clock.ts";
import { FieldReader, integer, RecordError, uint } from "./bytes.ts";
import { readText, text } from "./fields.ts";
import { isNodeName } from "./members.ts";
import { lookInterval, NodeStream } from "./node_stream.ts";

/** What a node asks for that opens a stream. */
export interface StreamRequest {
  readonly from: string;
  readonly partition: number;
  /** The owner has at least this epoch, as far as is known. */
  readonly epoch: number;
}

export interface NodeStreamsOptions {
  readonly engine: Pick<Engine, "connection" | "listen">;
  /** What subjects begin with. */
  readonly prefix: string;
  readonly node: string;
  /** Takes a stream that another node opens, or says why not. */
  readonly accept: (request: StreamRequest, stream: ByteStream) => string | null;
}

const version = 1;
const idLength = 12;
const mostStreams = 8_192;
/** Milliseconds in which a node accepts or refuses. */
const openTime = 1_000;

const types = { open: 1, accept: 2, refuse: 3, data: 4, read: 5, alive: 6, close: 7 } as const;

interface Opened {
  readonly peer: string;
  readonly stream: NodeStream;
  readonly answered: PromiseWithResolvers<void>;
}

/** Streams between the nodes of a cluster, over the messages of NATS that nobody keeps. */
export class NodeStreams implements AsyncDisposable {
  readonly #options: NodeStreamsOptions;
  readonly #connection: NatsConnection;
  readonly #streams = new Map<string, Opened>();
  readonly #subscription: Subscription;
  readonly #unlisten: () => void;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: NodeStreamsOptions) {
    this.#options = options;
    const { engine, node } = options;
    this.#connection = engine.connection;
    this.#subscription = this.#connection.subscribe(this.#subject(node), {
      callback: (error, { data }) => {
        if (error === null) this.#receive(data);
      },
    });
    // Some of what was sent meanwhile may be lost.
    this.#unlisten = engine.listen(() => this.#endAll(() => true, "the connection to NATS was lost"));
    this.#timer = setInterval(() => {
      for (const { stream } of this.#streams.values()) stream.look();
    }, lookInterval);
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Opens a stream to a node. Rejects when it refuses or does not answer. */
  async open(node: string, { partition, epoch }: Omit<StreamRequest, "from">): Promise<NodeStream> {
    const id = randomBytes(idLength);
    const opened = this.#add(id, node);
    this.#send(opened.peer, id, types.open, [
      uint(version, 1),
      ...text(this.#options.node),
      integer(partition),
      integer(epoch),
    ]);
    const timer = setTimeout(
      () => opened.stream.fail("the node does not answer", { tells: true }),
      openTime,
    );
    try {
      await Promise.race([
        opened.answered.promise,
        opened.stream.closed.then(() => opened.stream.read(empty)),
      ]);
      return opened.stream;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends all streams to a node that is gone. */
  drop(node: string): void {
    this.#endAll(({ peer }) => peer === node, "its node is gone");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#unlisten();
    for (const { stream } of [...this.#streams.values()]) stream.close();
    this.#subscription.unsubscribe();
    // So that the peers know it at once.
    const flushed = new AbortController();
    const flush = this.#connection.flush().catch(() => {}).finally(() => flushed.abort());
    await Promise.race([flush, steadyClock.wait(openTime, flushed.signal)]);
  }

  #subject(node: string): string {
    return `${this.#options.prefix}.${node}.stream`;
  }

  #endAll(which: (opened: Opened) => boolean, reason: string): void {
    for (const opened of [...this.#streams.values()]) {
      if (which(opened)) opened.stream.fail(reason, { tells: false });
    }
  }

  #add(id: Uint8Array<ArrayBuffer>, peer: string): Opened {
    const key = id.toHex();
    const stream = new NodeStream({
      send: (number, data) => this.#send(peer, id, types.data, [integer(number), data]),
      tellRead: (bytes) => this.#send(peer, id, types.read, [integer(bytes)]),
      tellAlive: (number, bytesRead) =>
        this.#send(peer, id, types.alive, [integer(number), integer(bytesRead)]),
      ended: (tells) => {
        this.#streams.delete(key);
        if (tells) this.#send(peer, id, types.close, []);
      },
    });
    const opened = { peer, stream, answered: Promise.withResolvers<void>() };
    opened.answered.promise.catch(() => {});
    this.#streams.set(key, opened);
    return opened;
  }

  #send(node: string, id: Uint8Array, type: number, parts: readonly Part[]): void {
    try {
      this.#connection.publish(this.#subject(node), joinParts([uint(type, 1), id, ...parts]));
    } catch {
      // The connection is closed: its streams end with it.
    }
  }

  #receive(data: Uint8Array): void {
    try {
      const reader = new FieldReader(data);
      const type = reader.uint(1, "a message's type");
      const id = reader.bytes(idLength, "a stream");
      if (type === types.open) return this.#accept(id.slice(), reader);
      const opened = this.#streams.get(id.toHex());
      if (opened !== undefined) this.#tell(opened, type, reader);
    } catch (error) {
      // Of another version, or of somebody else.
      if (!(error instanceof RecordError)) throw error;
    }
  }

  #tell({ stream, answered }: Opened, type: number, reader: FieldReader): void {
    switch (type) {
      case types.accept:
        stream.alive();
        return answered.resolve();
      case types.refuse:
        return stream.fail(readText(reader), { tells: false });
      case types.data:
        return stream.receive(reader.integer("a number"), reader.bytes(reader.left, "data"));
      case types.read:
        return stream.taken(reader.integer("bytes"));
      case types.alive:
        // Nodes of earlier versions say nothing more.
        if (reader.left === 0) return stream.alive();
        stream.alive(reader.integer("a number"));
        return stream.taken(reader.integer("bytes"));
      case types.close:
        return stream.fail("the peer has closed it", { tells: false });
    }
  }

  #accept(id: Uint8Array<ArrayBuffer>, reader: FieldReader): void {
    const theirs = reader.uint(1, "a version");
    const from = readText(reader);
    if (!isNodeName(from) || this.#streams.has(id.toHex())) return;
    const refuse = (why: string) => this.#send(from, id, types.refuse, text(why));
    if (theirs !== version) return refuse(`it speaks version ${version}`);
    if (this.#streams.size >= mostStreams) return refuse("it has too many streams");
    const [partition, epoch] = [reader.integer("a partition"), reader.integer("an epoch")];
    const { stream } = this.#add(id, from);
    const refusal = this.#options.accept({ from, partition, epoch }, stream);
    // Nothing is written before the other node has said something.
    if (refusal === null) return this.#send(from, id, types.accept, []);
    stream.fail(refusal, { tells: false });
    refuse(refusal);
  }
}

const empty = new Uint8Array(0);
