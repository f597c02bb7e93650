import type { Agent } from "../agent.ts";
import { StreamError, type StreamErrorCode } from "../stream/error.ts";
import type { StreamOffer, WritableOutgoingStream } from "../stream/types.ts";
import { DataReader } from "./data_reader.ts";
import type { RequestId } from "./json.ts";
import { largestData, type StreamCommand, StreamRefusal, type StreamResponse } from "./stream_command.ts";

/** Streams of a session at a time. */
const mostStreams = 64;

/** Streams that have ended, of which a session is told why they are not there. */
const mostEnded = 64;

/** `SDATA` of a session that wait to be written. */
const mostWaiting = 8;

/** What the other side is told when a session ends before its streams. */
const gone = "The program that had the stream has gone";

/** What the streams of a session need of it. */
export interface StreamSession {
  /** Says something; resolves when it is written, rejects when it is not. */
  say(id: RequestId | null, alias: string, response: StreamResponse, about?: string): Promise<void>;
  /** Whether a stream has been joined by a session; says so of one. */
  isJoined(offer: StreamOffer): boolean;
  joined(offer: StreamOffer): void;
  /** Waits until a client is to be told that there is no room. */
  wait(signal: AbortSignal): Promise<void>;
  /** Whether all that was said is written: else the system tells itself that the client has gone. */
  isWritten(): boolean;
  /** Aborts when the session has ended. */
  readonly signal: AbortSignal;
}

interface Entry {
  readonly alias: string;
  readonly stream: WritableOutgoingStream | StreamOffer;
  /** For one that is sent, from when it is accepted. */
  writer: WritableStreamDefaultWriter<Uint8Array> | null;
  /** Of the next data that is put, and bytes that were. */
  next: number;
  written: number;
  /** Whether all is put, and whether it was cancelled. */
  isWritten: boolean;
  isCancelled: boolean;
  /** Of each `SCLOSE`, which its end answers. */
  readonly closing: RequestId[];
}

/** The streams that one client sends and receives. */
export class SessionStreams {
  readonly #agent: Agent;
  readonly #session: StreamSession;
  readonly #entries = new Map<string, Entry>();
  /** Why the last streams have ended. */
  readonly #ended = new Map<string, StreamErrorCode | null>();
  readonly #told = new WeakSet<StreamOffer>();
  #waiting = 0;
  readonly #turns: (() => void)[] = [];
  #isOver = false;

  /** It has none yet. */
  constructor(agent: Agent, session: StreamSession) {
    this.#agent = agent;
    this.#session = session;
  }

  /** Does what a command says. Throws {@linkcode StreamRefusal} and `AgentError`. */
  async execute(id: RequestId, alias: string, command: StreamCommand): Promise<void> {
    switch (command.type) {
      case "SNEW":
        return await this.#offer(id, alias, command);
      case "SJOIN":
        return await this.#join(id, alias, { ...command, number: 1 });
      case "SRESUME":
        return await this.#join(id, alias, command);
      case "SPUT":
        return await this.#put(alias, command);
      case "SCLOSE":
        return await this.#close(id, alias, command);
      default:
        return command satisfies never;
    }
  }

  /** Tells of a stream that waits to be joined; `about`: its connection, of which `isOwn` says whether it is the session's. */
  offered(
    offer: StreamOffer,
    { about, isOwn }: { readonly about: string; readonly isOwn: () => boolean },
  ): void {
    const { connection: alias, id: stream } = offer;
    const key = keyOf(alias, stream);
    if (this.#entries.has(key) || this.#session.isJoined(offer)) return;
    this.#session.say(null, alias, described(offer), about).catch(() => {});
    if (this.#told.has(offer)) return;
    this.#told.add(offer);
    const ended = (error: StreamErrorCode | null, text: string) => {
      if (this.#entries.has(key) || this.#session.isJoined(offer) || !isOwn() || this.#isOver) return;
      this.#remember(key, error);
      this.#session.say(null, alias, { type: "SCLOSED", stream, error, text }, about).catch(() => {});
    };
    whenEnded(offer, ended);
  }

  /** The client has gone: what it has not done with is cancelled, or left to the agent's next start. */
  end({ isStopping }: { readonly isStopping: boolean }): void {
    this.#isOver = true;
    for (const turn of this.#turns.splice(0)) turn();
    if (isStopping) return;
    for (const { stream, isWritten } of this.#entries.values()) {
      if (!isWritten) void stream.cancel(gone).catch(() => {});
    }
  }

  async #offer(
    id: RequestId,
    alias: string,
    { size, name, mediaType }: Extract<StreamCommand, { readonly type: "SNEW" }>,
  ): Promise<void> {
    this.#checkRoom();
    const what = { name, type: mediaType, ...(size !== null && { size }) };
    const stream = await this.#agent.offerStream(alias, what).catch((error) => {
      if (error instanceof StreamError) {
        throw new StreamRefusal("STREAM REFUSED", error.message, { cause: error });
      }
      throw error;
    });
    if (this.#isOver) return void stream.cancel(gone).catch(() => {});
    const said = this.#session.say(id, alias, described(stream));
    const entry = this.#add(alias, stream);
    stream.accepted.then((writable) => {
      entry.writer = writable.getWriter();
      entry.writer.closed.catch(() => {});
      return this.#session.say(null, alias, { type: "SREADY", stream: stream.id, most: largestData });
    }).catch(() => {});
    await said;
  }

  async #join(
    id: RequestId,
    alias: string,
    { stream, number }: { readonly stream: string; readonly number: number },
  ): Promise<void> {
    const offer = this.#find(alias, stream);
    if (offer === undefined) throw this.#missing(keyOf(alias, stream));
    this.#checkRoom();
    if (this.#entries.has(keyOf(alias, stream)) || this.#session.isJoined(offer)) {
      throw new StreamRefusal("STREAM REFUSED", "The stream is joined already");
    }
    const from = (number - 1) * largestData;
    if (from > 0 && (offer.size === null || from > offer.size)) {
      throw new StreamRefusal("STREAM ORDER", "There is no such place in the stream to go on from");
    }
    const data = new DataReader(offer.accept({ from }), offer.size === null ? null : offer.size - from);
    this.#session.joined(offer);
    const said = this.#session.say(id, alias, { type: "SREADY", stream, most: largestData });
    this.#add(alias, offer);
    void this.#pump(offer, data, number).catch(() => {
      // Its end is told by itself, or the client has gone.
    });
    await said;
  }

  async #put(
    alias: string,
    { stream, number, body }: Extract<StreamCommand, { readonly type: "SPUT" }>,
  ): Promise<void> {
    const key = keyOf(alias, stream);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.stream.direction !== "sending") throw this.#missing(key);
    if (entry.isWritten) throw new StreamRefusal("STREAM CLOSED", "The stream is closed");
    const { writer, next, stream: { size } } = entry;
    if (writer === null) throw new StreamRefusal("STREAM ORDER", "The stream is not accepted yet");
    if (number !== next) throw new StreamRefusal("STREAM ORDER", `The next data has the number ${next}`);
    if (body.length > largestData) throw tooLarge(`SPUT has more than ${largestData} bytes`);
    if (size !== null && entry.written + body.length > size) throw tooLarge(`The stream has ${size} bytes`);
    entry.next++;
    entry.written += body.length;
    // Nothing more is read of the client until there is room.
    const written = writer.write(body).catch(() => {
      throw this.#missing(key, "STREAM CLOSED");
    });
    written.catch(() => {});
    await this.#room(written, { alias, stream });
  }

  /**
   * Waits for what is written. A client that has gone meanwhile is not seen by reading, as nothing is read: its system
   * refuses what it is told. Rejects then, and when the session ends. One that leaves its `SDATA` unread is told nothing
   * that it would have to read in time.
   */
  async #room(
    written: Promise<void>,
    { alias, stream }: { readonly alias: string; readonly stream: string },
  ): Promise<void> {
    const { signal } = this.#session;
    const done = new AbortController();
    const over = AbortSignal.any([signal, done.signal]);
    try {
      for (let isWritten = false; !isWritten;) {
        const waited = this.#session.wait(over).then(() => false);
        isWritten = await Promise.race([written.then(() => true), waited]);
        signal.throwIfAborted();
        if (isWritten || !this.#session.isWritten()) continue;
        await Promise.race([this.#session.say(null, alias, { type: "SWAIT", stream }), written]);
      }
    } finally {
      done.abort();
    }
  }

  async #close(
    id: RequestId,
    alias: string,
    { stream, text }: Extract<StreamCommand, { readonly type: "SCLOSE" }>,
  ): Promise<void> {
    const key = keyOf(alias, stream);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const offer = this.#find(alias, stream);
      if (offer === undefined || this.#session.isJoined(offer)) throw this.#missing(key);
      entry = this.#add(alias, offer);
    }
    const isEnd = text === null && entry.writer !== null;
    if (entry.isCancelled || isEnd && entry.isWritten) {
      throw new StreamRefusal("STREAM CLOSED", "The stream is closed");
    }
    entry.closing.push(id);
    if (isEnd) {
      entry.isWritten = true;
      // Not waited for: it ends when the other side has all.
      entry.writer?.close().catch(() => {});
      return;
    }
    entry.isCancelled = true;
    const { stream: closed } = entry;
    if (closed.direction === "receiving" && closed.status === "offered") await closed.refuse(text ?? "");
    else await closed.cancel(text ?? "");
  }

  /** Says what comes, as fast as the client takes it. */
  async #pump(
    { connection: alias, id: stream }: StreamOffer,
    data: DataReader,
    number: number,
  ): Promise<void> {
    for (let at = number, body; (body = await data.next()) !== null; at++) {
      await this.#turn();
      try {
        await this.#session.say(null, alias, { type: "SDATA", stream, number: at, at: new Date(), body });
      } finally {
        this.#waiting--;
        this.#turns.shift()?.();
      }
    }
  }

  async #turn(): Promise<void> {
    while (this.#waiting >= mostWaiting && !this.#isOver) {
      await new Promise<void>((resolve) => this.#turns.push(resolve));
    }
    this.#waiting++;
  }

  #add(alias: string, stream: WritableOutgoingStream | StreamOffer): Entry {
    const key = keyOf(alias, stream.id);
    const entry: Entry = {
      alias,
      stream,
      writer: null,
      next: 1,
      written: 0,
      isWritten: false,
      isCancelled: false,
      closing: [],
    };
    this.#entries.set(key, entry);
    whenEnded(stream, (error, text) => {
      this.#entries.delete(key);
      this.#remember(key, error);
      const said = { type: "SCLOSED", stream: stream.id, error, text } as const;
      const asked = entry.closing.length > 0 ? entry.closing : [null];
      for (const id of asked) this.#session.say(id, alias, said).catch(() => {});
    });
    return entry;
  }

  #checkRoom(): void {
    if (this.#entries.size < mostStreams) return;
    throw new StreamRefusal("STREAM REFUSED", `A session has at most ${mostStreams} streams at a time`);
  }

  #find(alias: string, id: string): StreamOffer | undefined {
    return this.#agent.streams(alias).find((stream): stream is StreamOffer =>
      stream.direction === "receiving" && stream.id === id
    );
  }

  #missing(key: string, otherwise: StreamRefusal["code"] = "STREAM UNKNOWN"): StreamRefusal {
    const error = this.#ended.get(key);
    if (error === "REFUSED") {
      return new StreamRefusal("STREAM REFUSED", "The other side does not want the stream");
    }
    const code = error === undefined ? otherwise : "STREAM CLOSED";
    return new StreamRefusal(
      code,
      code === "STREAM CLOSED" ? "The stream has ended" : "There is no such stream",
    );
  }

  #remember(key: string, error: StreamErrorCode | null): void {
    this.#ended.set(key, error);
    if (this.#ended.size <= mostEnded) return;
    const [oldest] = this.#ended.keys();
    this.#ended.delete(oldest!);
  }
}

function keyOf(alias: string, stream: string): string {
  return `${stream} ${alias}`;
}

function described(stream: WritableOutgoingStream | StreamOffer): StreamResponse {
  const { id, size, name, type: mediaType } = stream;
  return { type: "STREAM", stream: id, size, name, mediaType };
}

function tooLarge(message: string): StreamRefusal {
  return new StreamRefusal("STREAM SIZE", message);
}

function whenEnded(
  stream: WritableOutgoingStream | StreamOffer,
  tell: (error: StreamErrorCode | null, text: string) => void,
): void {
  stream.ended.then(() => tell(null, ""), (error) => {
    if (error instanceof StreamError) tell(error.code, error.told ?? "");
    else tell("FAILED", "");
  });
}
