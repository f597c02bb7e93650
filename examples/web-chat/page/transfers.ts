import {
  type Agent,
  type OutgoingStream,
  StreamError,
  type StreamOffer,
  type WritableFile,
} from "@simplexmq/smp/agent";
import { endText, fileNameOf } from "../../files.ts";
import { type FileEntry, type FileStore, keyOf } from "./file_store.ts";
import { incomingFile, keptFile } from "./incoming_file.ts";
import { pictureType } from "./picture.ts";

/** Milliseconds within which times are those of one moment; a clock may be set back by more. */
const moment = 1000;

/** Milliseconds between two looks at how far files are. */
const progressInterval = 200;

/** A file as it is now. */
export interface FileState extends FileEntry {
  /** How much of it the receiver has. */
  readonly bytes: number;
  /** Its content, when the page has all of it. */
  readonly content: Blob | null;
}

interface Live {
  readonly stream: OutgoingStream | StreamOffer;
  /** Aborts to let what is paused go on. */
  resuming: AbortController | null;
  isReceiving: boolean;
  /** How it has ended before its file was stored; `null`: it has not. */
  early: { readonly error: StreamError | null } | null;
  bytes: number;
}

/** The files of all conversations: what goes on with them, over restarts of the page. */
export class Transfers {
  readonly #agent: Agent;
  readonly #store: FileStore;
  readonly #changed: (file: FileState) => void;
  readonly #live = new Map<string, Live>();
  readonly #timer: ReturnType<typeof setInterval>;
  /** Of the file that was added last. */
  #lastTime = 0;

  /** Goes on with what was on its way; `changed` is told of each file that is new or another one. */
  constructor(agent: Agent, store: FileStore, changed: (file: FileState) => void) {
    this.#agent = agent;
    this.#store = store;
    this.#changed = changed;
    for (const stream of agent.streams()) void this.#goOn(stream);
    const conversations = new Set(agent.connections().map(({ id }) => id));
    for (const entry of store.all()) {
      // The page was left while its conversation was deleted.
      if (!conversations.has(entry.conversation)) {
        void store.remove(entry.key);
        continue;
      }
      const isOpen = entry.status === "offered" || entry.status === "going";
      if (isOpen && !this.#live.has(entry.key)) void this.#missed(entry);
      // The page may have been left before it was done.
      if (!isOpen) void this.#tidy(entry.key);
    }
    this.#timer = setInterval(() => this.#look(), progressInterval);
    addEventListener("beforeunload", this.#leaving);
  }

  /** What agents need to send on after a restart, by the stream's ID. */
  static blobs(store: FileStore): Map<string, Blob> {
    const sending = store.all().filter(({ direction, status }) =>
      direction === "sending" && status !== "done"
    );
    return new Map(sending.map(({ key, id }) => [id, store.content(key)]));
  }

  /** Does nothing any more; what goes on is the agent's. */
  close(): void {
    clearInterval(this.#timer);
    removeEventListener("beforeunload", this.#leaving);
    this.#store.close();
  }

  /** The files of a conversation, the oldest first. */
  of(conversation: string): FileState[] {
    return this.#store.all().filter((entry) => entry.conversation === conversation)
      .toSorted((a, b) => a.at - b.at).map((entry) => this.#stateOf(entry));
  }

  /** Somebody offers a file; a stream that was offered before is known. */
  async offered(stream: StreamOffer): Promise<void> {
    await this.#goOn(stream);
  }

  /** Offers a file. Throws what the agent throws. */
  async send(name: string, file: File): Promise<void> {
    const type = /^[ -~]{0,127}$/.test(file.type) ? file.type : "";
    const stream = await this.#agent.sendFile(name, file, {
      name: fileNameOf(file.name),
      type: type || "application/octet-stream",
    });
    await this.#add(stream, { conversation: this.#agent.connection(name).id, content: file });
  }

  /** Accepts a file, to be kept by the page. */
  accept(key: string): void {
    void this.#receive(key, null);
  }

  /** Accepts a file, to be written where the person has chosen. */
  acceptAs(key: string, place: FileSystemFileHandle): void {
    void this.#receive(key, place);
  }

  /** Stops for a while. */
  pause(key: string): void {
    const live = this.#live.get(key);
    if (live === undefined) return;
    live.resuming ??= new AbortController();
    if (live.stream.direction === "sending") live.stream.pause();
    void this.#change(key, { isPaused: true });
  }

  /** Goes on. */
  resume(key: string): void {
    const live = this.#live.get(key);
    if (live === undefined) return;
    live.resuming?.abort();
    live.resuming = null;
    if (live.stream.direction === "sending") live.stream.resume();
    void this.#change(key, { isPaused: false });
  }

  /** Refuses a file that nobody has accepted, or ends one that is on its way. */
  async cancel(key: string): Promise<void> {
    const live = this.#live.get(key);
    if (live === undefined) return;
    live.resuming?.abort();
    const { stream } = live;
    if (stream.direction === "receiving" && stream.status === "offered") await stream.refuse();
    else await stream.cancel();
  }

  /** Removes a file that is not on its way. */
  async remove(key: string): Promise<void> {
    if (!this.#live.has(key)) await this.#store.remove(key);
  }

  /** Removes all files of a conversation. */
  async forget(conversation: string): Promise<void> {
    const gone = this.#store.all().filter((entry) => entry.conversation === conversation);
    for (const { key } of gone) this.#live.delete(key);
    await Promise.all(gone.map(({ key }) => this.#store.remove(key)));
  }

  /** There is a passphrase now, which does not encrypt them: nothing of them is stored any more. */
  async stopLasting(): Promise<void> {
    await this.#store.stopLasting();
  }

  /** Browsers ask the person to stay when something is lost. */
  readonly #leaving = (event: BeforeUnloadEvent): void => {
    const isLost = [...this.#live].some(([key, { stream, isReceiving }]) => {
      const isElsewhere = this.#store.get(key)?.isElsewhere ?? false;
      return (isReceiving || stream.direction === "sending") && (isElsewhere || !this.#store.lasts(key));
    });
    if (isLost) event.preventDefault();
  };

  /** A stream of the agent, that is new or from before a restart. */
  async #goOn(stream: OutgoingStream | StreamOffer): Promise<void> {
    const { connection, direction, id } = stream;
    const conversation = this.#agent.connections().find((info) => info.connection === connection)?.id;
    // It was deleted meanwhile.
    if (conversation === undefined) return;
    const known = this.#store.get(keyOf({ conversation, direction, id }));
    if (known === undefined) return await this.#add(stream, { conversation, content: null });
    if (this.#live.has(known.key)) return;
    const isOffered = stream.direction === "receiving" && stream.status === "offered";
    const hasCome = isOffered && known.status === "going" && this.#hasCome(known);
    if (hasCome) await this.#missed(known);
    // Its sender chooses the ID: what has come stays, whatever is offered by the same one.
    if (hasCome || direction === "receiving" && (known.status === "done" || known.status === "ended")) {
      return await stream.cancel().catch(() => {});
    }
    // Nobody has accepted this one. One that was accepted may be offered still: its page was left before that was stored.
    if (isOffered && !isOfferOf(stream, known)) {
      await this.#store.remove(known.key);
      return await this.#add(stream, { conversation, content: null });
    }
    const live = this.#begin(known.key, stream);
    if (known.isPaused) {
      live.resuming = new AbortController();
      if (stream.direction === "sending") stream.pause();
    }
    if (stream.direction === "sending") {
      await this.#change(known.key, { status: stream.status === "offered" ? "offered" : "going" });
    } else if (known.isElsewhere) {
      // What was written is gone with the page.
      await this.#change(known.key, {
        status: "offered",
        isElsewhere: false,
        isPaused: false,
        note: "what was written is gone with the page",
      });
      live.resuming = null;
    } else if (known.status === "going") await this.#receive(known.key, null);
  }

  async #add(
    stream: OutgoingStream | StreamOffer,
    { conversation, content }: { readonly conversation: string; readonly content: Blob | null },
  ): Promise<void> {
    const { id, direction, size, offeredAt } = stream;
    const key = keyOf({ conversation, direction, id });
    if (this.#live.has(key)) return;
    // Before anything is waited for: it may end at any time.
    const live = this.#begin(key, stream);
    const entry: FileEntry = {
      key,
      id,
      conversation,
      direction,
      name: fileNameOf(stream.name),
      type: stream.type,
      size,
      at: this.#nextTime(offeredAt.getTime()),
      after: 0,
      status: "offered",
      isPaused: false,
      note: "",
      isElsewhere: false,
    };
    const [last] = await this.#agent.messages(stream.connection, { limit: 1 }).catch(() => []);
    if (!this.#live.has(key)) return;
    await this.#put({ ...entry, after: last?.id ?? 0 });
    if (content !== null) {
      await this.#store.append(key, content);
      await this.#change(key, {});
    }
    if (live.early !== null) await this.#end(key, live.early.error);
    // It has ended while that was stored.
    else if (!this.#live.has(key)) await this.#tidy(key);
  }

  /** A later time for each of those that were offered in one moment: files are in the order of their times. */
  #nextTime(time: number): number {
    const isSameMoment = time <= this.#lastTime && this.#lastTime - time < moment;
    return this.#lastTime = isSameMoment ? this.#lastTime + 1 : time;
  }

  #begin(key: string, stream: OutgoingStream | StreamOffer): Live {
    const live: Live = { stream, resuming: null, isReceiving: false, early: null, bytes: 0 };
    this.#live.set(key, live);
    stream.ended.then(
      () => this.#end(key, null),
      (error) => this.#end(key, error instanceof StreamError ? error : null),
    );
    return live;
  }

  async #receive(key: string, place: FileSystemFileHandle | null): Promise<void> {
    const live = this.#live.get(key), entry = this.#store.get(key);
    if (live === undefined || entry === undefined || live.stream.direction !== "receiving") return;
    const { stream } = live;
    if (live.isReceiving) return;
    live.isReceiving = true;
    await this.#change(key, {
      status: "going",
      isElsewhere: place !== null,
      ...(place !== null && { note: `saved as ${place.name}` }),
    });
    try {
      const kept = place === null ? this.#store.content(key) : new Blob();
      const target = incomingFile(await this.#targetOf(entry, place), () => live.resuming?.signal ?? null);
      await this.#agent.receiveFile(stream, target, { kept });
    } catch (error) {
      const isFull = error instanceof StreamError && error.code === "NO_ROOM";
      // The agent says why it has ended; else it can still be accepted.
      if (error instanceof StreamError && !isFull || !this.#live.has(key)) return;
      live.isReceiving = false;
      // What has come would only be in the way, of messages, too.
      if (isFull) await this.#store.clear(key);
      const note = isFull ? "there is no room for it here: accept it again when there is" : String(error);
      await this.#change(key, { status: "offered", isElsewhere: false, note });
    }
  }

  async #targetOf({ key, size }: FileEntry, place: FileSystemFileHandle | null): Promise<WritableFile> {
    if (place !== null) return await place.createWritable();
    return keptFile(this.#store, { key, size });
  }

  /** A stream has ended; with `CLOSED` it may go on after a restart. */
  async #end(key: string, error: StreamError | null): Promise<void> {
    const live = this.#live.get(key), entry = this.#store.get(key);
    if (live === undefined) return;
    if (entry === undefined) return void (live.early = { error });
    this.#live.delete(key);
    if (error?.code === "CLOSED") return;
    // What is paused holds a write.
    live.resuming?.abort();
    const note = error === null ? entry.note : endText(error, entry.direction);
    const status = error === null ? "done" : "ended";
    if (error !== null && entry.direction === "receiving" && entry.status === "offered") {
      // Else somebody could fill the store with offers that they take back.
      this.#changed({ ...this.#stateOf(entry), status, note });
      return await this.#store.remove(key);
    }
    await this.#change(key, { status, isPaused: false, note });
    await this.#tidy(key);
  }

  /** Removes the content that nobody has a use for, of a file that is not on its way. */
  async #tidy(key: string): Promise<void> {
    const entry = this.#store.get(key);
    if (entry === undefined || !this.#store.hasContent(key)) return;
    // The sender's page shows a picture, and has no other file to save.
    const isShown = entry.status === "done" &&
      (entry.direction === "receiving" || await pictureType(this.#store.content(key)) !== null);
    if (!isShown) await this.#store.clear(key);
  }

  /** What was on its way when the page was left, and is not any more. */
  async #missed(entry: FileEntry): Promise<void> {
    const { key } = entry;
    if (this.#hasCome(entry)) {
      return await this.#change(key, { status: "done", isPaused: false });
    }
    const note = "ended while this page was closed";
    await this.#change(key, { status: "ended", isPaused: false, note });
    await this.#tidy(key);
  }

  /** Whether all of a file that this side receives is there, and right. */
  #hasCome({ key, direction, size, isWhole = false }: FileEntry): boolean {
    // Of one that has no bytes something is there, too, when it was received. As many bytes may be wrong ones.
    const isThere = this.#store.hasContent(key) && this.#store.content(key).size === size;
    return direction === "receiving" && isWhole && isThere;
  }

  /** Tells how far files are. */
  #look(): void {
    for (const [key, live] of this.#live) {
      const { stream: { progress: { bytes }, status } } = live;
      const entry = this.#store.get(key);
      if (entry === undefined) continue;
      const isAccepted = status === "accepted" && entry.status === "offered" && entry.direction === "sending";
      if (isAccepted) void this.#change(key, { status: "going" });
      else if (bytes !== live.bytes) this.#changed(this.#stateOf(entry));
      live.bytes = bytes;
    }
  }

  async #change(key: string, change: Partial<FileEntry>): Promise<void> {
    const entry = this.#store.get(key);
    if (entry !== undefined) await this.#put({ ...entry, ...change });
  }

  async #put(entry: FileEntry): Promise<void> {
    await this.#store.put(entry);
    // It may be another one by now, or be gone.
    const now = this.#store.get(entry.key);
    if (now !== undefined) this.#changed(this.#stateOf(now));
  }

  #stateOf(entry: FileEntry): FileState {
    const { key, status, direction, size } = entry;
    const taken = this.#live.get(key)?.stream.progress.bytes ?? (status === "done" ? size ?? 0 : 0);
    // Before it goes on after a restart.
    const kept = direction === "receiving" ? this.#store.content(key).size : 0;
    const bytes = Math.max(taken, kept);
    const isWhole = this.#store.hasContent(key) && (direction === "sending" || status === "done");
    return { ...entry, bytes, content: isWhole ? this.#store.content(key) : null };
  }
}

/** Whether a file that is offered is as an entry says. */
function isOfferOf({ name, type, size }: StreamOffer, entry: FileEntry): boolean {
  return entry.name === fileNameOf(name) && entry.type === type && entry.size === size;
}
