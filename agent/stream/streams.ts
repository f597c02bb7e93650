import {
  randomBytes,
  readStreamHead,
  type StreamContent,
  streamIdLength,
  streamKeyLength,
  streamReasons,
} from "../../protocol/mod.ts";
import { Pause } from "../backoff.ts";
import type { AgentEvent } from "../events.ts";
import { unknownConnection } from "../protocol/error.ts";
import type { AgentContext } from "../runtime/context.ts";
import type { Interpreter } from "../runtime/interpreter.ts";
import type { Connection, StreamFile, StreamRecord } from "../store/store.ts";
import { reasonOf, StreamError } from "./error.ts";
import { bytesOfHex, hexOf } from "./hex.ts";
import { Incoming } from "./incoming.ts";
import { KindsKnown } from "./kinds_known.ts";
import type { StreamLinks } from "./links.ts";
import { Outgoing } from "./outgoing.ts";
import type { StreamPorts } from "./ports.ts";
import { FileSource } from "./file_source.ts";
import { BlobSource, type StreamSource } from "./source.ts";
import { hasRoom, knowsStreams, streamOf, streamsOf, withoutStream, withStream } from "./step.ts";

/** Milliseconds between two looks for offers that have expired, at most. */
const longestInspection = 60_000;

/** Milliseconds for which queues are deleted when the agent is closed; what is left is done after the next start. */
const closingTime = 2_000;

/** What is offered. */
export interface Offered extends Pick<StreamRecord, "name" | "mediaType" | "size" | "sha256"> {
  readonly file: StreamFile | null;
  readonly source: StreamSource;
}

/** Who is told of offers. */
export interface StreamsPorts {
  /** There is an offer that nobody has accepted. */
  offered(event: Extract<AgentEvent, { readonly type: "stream offered" }>): void;
  /** It has ended. */
  withdrawn(connection: string, id: string): void;
}

/** The streams of all connections that have not ended. */
export class Streams implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  readonly #links: StreamLinks;
  readonly #told: StreamsPorts;
  readonly #lifetime: number;
  readonly #blobs: ReadonlyMap<string, Blob>;
  /** By connection, direction and ID. */
  readonly #live = new Map<string, Outgoing | Incoming>();
  readonly #stopping = new Set<Promise<void>>();
  readonly #known = new KindsKnown();
  #timer: ReturnType<typeof setInterval> | undefined;
  #isClosed = false;

  /**
   * Does nothing yet; `lifetime`: milliseconds after which an offer that nobody has accepted ends; `blobs`: what was sent
   * before a restart, by the stream's ID.
   */
  constructor(
    context: AgentContext,
    interpreter: Interpreter,
    { links, told, lifetime, blobs }: {
      readonly links: StreamLinks;
      readonly told: StreamsPorts;
      readonly lifetime: number;
      readonly blobs: ReadonlyMap<string, Blob>;
    },
  ) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#links = links;
    this.#told = told;
    this.#lifetime = lifetime;
    this.#blobs = blobs;
  }

  /** Goes on with what is stored. */
  begin(): void {
    for (const connection of this.#context.connections.all()) {
      for (const record of streamsOf(connection)) {
        const source = this.#stored(record);
        if (record.direction === "receiving") this.#receive(connection, record, record.at);
        else if (source !== null) {
          const stream = this.#send(connection, record, { source, since: record.at });
          if (record.status === "accepted") stream.ask();
        } else {
          const lost = new StreamError("LOST", "What was sent is not there any more after a restart");
          this.#track(this.#end(connection.record.id, record, { error: lost, total: 0 }).catch(() => {}));
        }
      }
    }
    const interval = Math.min(longestInspection, Math.ceil(this.#lifetime / 4));
    this.#timer = setInterval(() => this.#inspect(), interval);
  }

  /**
   * Throws what {@linkcode Streams.offer} would throw for a connection as it is now; waits in the moment in which a session
   * has begun and the other side has not said what it knows.
   */
  async check(alias: string): Promise<void> {
    const { connections, upgradeTimeout } = this.#context;
    const { record: { id } } = connections.get(alias);
    await this.#known.wait(connections.get(alias), upgradeTimeout);
    check(connections.find(id) ?? connections.get(alias));
  }

  /** A step was made of a connection that has a session. */
  stepped(connection: Connection): void {
    this.#known.changed(connection);
  }

  /** Offers a stream. Throws {@linkcode StreamError}, `AgentError` for a connection that is not there, and what the store throws. */
  async offer(alias: string, { source, ...what }: Offered): Promise<Outgoing> {
    const { record: { id } } = this.#context.connections.get(alias);
    await this.check(alias);
    const streamId = randomBytes(streamIdLength);
    const record: StreamRecord = {
      id: hexOf(streamId),
      direction: "sending",
      status: "offered",
      key: randomBytes(streamKeyLength),
      ...what,
      at: this.#context.now(),
    };
    const { key, name, mediaType, size, sha256 } = record;
    const made: Outgoing[] = [];
    await this.#interpreter.do(id, (connection) => {
      // Nothing would end it any more.
      if (this.#isClosed) throw new StreamError("CLOSED", "The agent was closed");
      check(connection);
      // Before the answer can come.
      made[0] ??= this.#send(connection, record, { source, since: this.#context.deadlines.after(0) });
      return {
        type: "streams",
        streams: streamsOf(withStream(connection, record)),
        contents: [{ kind: "stream offer", streamId, key, name, mediaType, size, sha256 }],
      };
    }).catch((error) => {
      for (const stream of made) this.#forget(id, stream);
      throw error;
    });
    const [stream] = made;
    if (stream === undefined) throw unknownConnection(alias);
    return stream;
  }

  /** A frame of a stream has come, and what it changes is stored. */
  frame(connection: string, content: StreamContent): void {
    if (this.#isClosed) return;
    const id = hexOf(content.streamId);
    switch (content.kind) {
      case "stream offer": {
        const at = this.#context.connections.find(connection);
        const record = at && streamOf(at, "receiving", id);
        if (at !== undefined && record !== undefined) {
          this.#receive(at, record, this.#context.deadlines.after(0));
        }
        return;
      }
      case "stream accept":
        return this.#outgoing(connection, id)?.start(content);
      case "stream resume":
        if (content.routes.length > 0) return this.#outgoing(connection, id)?.start(content);
        return this.#incoming(connection, id)?.asked();
      case "stream run":
        return this.#incoming(connection, id)?.announced(content);
      case "stream refuse":
        return this.#closed(connection, this.#outgoing(connection, id), { ...content, total: 0 });
      case "stream close": {
        const isOwn = content.from === "receiver";
        const stream = isOwn ? this.#outgoing(connection, id) : this.#incoming(connection, id);
        return this.#closed(connection, stream, content);
      }
      default:
        return content satisfies never;
    }
  }

  /**
   * A packet of streams has come on a connection's own route: credit, which comes late where its run has ended. `false`:
   * it is none, or forged.
   */
  async packet(connection: string, content: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const head = readStreamHead(content);
    if (head?.type !== "credit") return false;
    const run = hexOf(head.run);
    for (const stream of this.#of(connection)) {
      if (stream instanceof Outgoing && stream.runId === run) {
        return await stream.credit(content, head.number);
      }
    }
    return true;
  }

  /** All that have not ended, of one connection or all, oldest first. */
  list(connection?: string): (Outgoing | Incoming)[] {
    const all = connection === undefined ? [...this.#live.values()] : this.#of(connection);
    return all.toSorted((a, b) => a.offeredAt.getTime() - b.offeredAt.getTime());
  }

  /** A connection is deleted, or its session has ended. */
  stop(connection: string): void {
    this.#known.end(new StreamError("CLOSED", "The connection has ended"), connection);
    for (const stream of this.#of(connection)) {
      this.#forget(connection, stream);
      this.#track(stream.settle(new StreamError("CLOSED", "The connection has ended")));
    }
  }

  /** Stops; what is stored goes on after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    const closed = new StreamError("CLOSED", "The agent was closed");
    this.#known.end(closed);
    const settled = Promise.all([
      ...[...this.#live.values()].map((stream) => stream.settle(closed)),
      ...this.#stopping,
    ]);
    // Who waits for a server that does not answer is not waited for.
    const pause = new Pause();
    await Promise.race([settled, pause.wait(closingTime)]);
    pause.end();
    await this.#links[Symbol.asyncDispose]();
    await settled;
  }

  /** What a stream is read from after a restart; `null` when that is gone. */
  #stored({ id, file, size }: StreamRecord): StreamSource | null {
    if (file !== null) return new FileSource(file);
    const blob = this.#blobs.get(id);
    return blob !== undefined && blob.size === size ? new BlobSource(blob) : null;
  }

  #send(
    connection: Connection,
    record: StreamRecord,
    { source, since }: { readonly source: StreamSource; readonly since: number },
  ): Outgoing {
    const { id, alias } = connection.record;
    const stream = new Outgoing(alias, record, this.#portsOf(id, record, since), source);
    this.#live.set(nameOf(id, record), stream);
    return stream;
  }

  #receive(connection: Connection, record: StreamRecord, since: number): void {
    const { id, alias } = connection.record;
    const stream = new Incoming(alias, record, this.#portsOf(id, record, since));
    this.#live.set(nameOf(id, record), stream);
    if (record.status === "offered") {
      this.#told.offered({ type: "stream offered", connection: alias, offer: stream });
    }
  }

  #portsOf(id: string, record: StreamRecord, since: number): StreamPorts {
    const { connections } = this.#context;
    const stored = () => {
      const connection = connections.find(id);
      return connection && storedAs(connection, record);
    };
    const tell = async (contents: readonly StreamContent[], change: Partial<StreamRecord>) => {
      await this.#interpreter.do(id, (connection) => {
        const found = storedAs(connection, record);
        if (found === undefined) return null;
        const changed = withStream(connection, { ...found, ...change });
        return { type: "streams", streams: streamsOf(changed), contents };
      });
    };
    return {
      context: this.#context,
      links: this.#links,
      since,
      connection: () => connections.find(id),
      record: stored,
      tell: (content) => tell([content], {}),
      accept: (content) => tell([content], { status: "accepted" }),
      keep: (part) => tell([], { part }),
      end: async (error) => {
        const stream = this.#live.get(nameOf(id, record));
        const isOwn = stream?.isOf(record) ?? false;
        await this.#end(id, record, { error, total: isOwn ? stream!.total : 0 });
        if (stream === undefined || !isOwn) return;
        this.#forget(id, stream);
        this.#track(stream.settle(error));
      },
    };
  }

  /** Ends a stream here, and tells the other side. */
  async #end(
    id: string,
    record: StreamRecord,
    { error, total }: { readonly error: StreamError | null; readonly total: number },
  ): Promise<void> {
    const reason = error === null ? streamReasons.end : reasonOf(error);
    const text = error?.code === "CANCELLED" || error?.code === "REFUSED" ? short(error.message) : "";
    const streamId = bytesOfHex(record.id);
    const { direction } = record;
    const from = direction === "sending" ? "sender" : "receiver";
    await this.#interpreter.do(id, (connection) => {
      const found = storedAs(connection, record);
      if (found === undefined) return null;
      const isRefused = direction === "receiving" && found.status === "offered";
      return {
        type: "streams",
        streams: streamsOf(withoutStream(connection, found)),
        contents: [
          isRefused
            ? { kind: "stream refuse", streamId, reason, text }
            : { kind: "stream close", streamId, from, reason, total, text },
        ],
      };
    });
  }

  #closed(
    connection: string,
    stream: Outgoing | Incoming | undefined,
    content: { readonly reason: number; readonly total: number; readonly text: string },
  ): void {
    if (stream === undefined) return;
    this.#forget(connection, stream);
    this.#track(stream.closed(content));
  }

  #forget(connection: string, stream: Outgoing | Incoming): void {
    const name = nameOf(connection, stream);
    if (this.#live.get(name) !== stream) return;
    this.#live.delete(name);
    this.#told.withdrawn(stream.connection, stream.id);
  }

  #inspect(): void {
    const { deadlines } = this.#context;
    for (const stream of this.#live.values()) {
      const { idleSince } = stream;
      // Nothing ends because a clock was set.
      if (idleSince === null || !deadlines.isOver(idleSince + this.#lifetime, this.#lifetime)) continue;
      this.#track(stream.expire().catch(() => {}));
    }
  }

  #of(connection: string): (Outgoing | Incoming)[] {
    const start = `${connection} `;
    return [...this.#live].filter(([name]) => name.startsWith(start)).map(([, stream]) => stream);
  }

  #outgoing(connection: string, id: string): Outgoing | undefined {
    const stream = this.#live.get(nameOf(connection, { direction: "sending", id }));
    return stream instanceof Outgoing ? stream : undefined;
  }

  #incoming(connection: string, id: string): Incoming | undefined {
    const stream = this.#live.get(nameOf(connection, { direction: "receiving", id }));
    return stream instanceof Incoming ? stream : undefined;
  }

  #track(work: Promise<void>): void {
    const done = work.finally(() => this.#stopping.delete(done));
    this.#stopping.add(done);
  }
}

/**
 * What is stored of a stream now: not another one, to which its sender has given the same ID, or even the same key. Each
 * offer has an array of its own for that, which all that is stored of it later has, too.
 */
function storedAs(connection: Connection, { direction, id, key }: StreamRecord): StreamRecord | undefined {
  const found = streamOf(connection, direction, id);
  return found?.key === key ? found : undefined;
}

function check(connection: Connection): void {
  const { alias } = connection.record;
  if (!knowsStreams(connection)) {
    throw new StreamError(
      "UNSUPPORTED",
      `The other side of "${alias}" knows no streams, or there is no session`,
    );
  }
  if (!hasRoom(connection, "sending")) {
    throw new StreamError("TOO_MANY", `Too many streams of "${alias}" are offered or open`);
  }
}

function nameOf(connection: string, { direction, id }: Pick<StreamRecord, "direction" | "id">): string {
  return `${connection} ${direction} ${id}`;
}

/** The start of a text that can be told. */
function short(text: string): string {
  return [...text].slice(0, 60).join("");
}
