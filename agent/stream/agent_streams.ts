import type {
  OutgoingStream,
  ReceivedFile,
  ReceiveFileOptions,
  SendFileOptions,
  StreamDescription,
  StreamOffer,
  WritableFile,
  WritableOutgoingStream,
} from "./types.ts";

/** What agents do with streams (streams.md). Commands reject with `AgentError` and `StreamError`. */
export interface AgentStreams {
  /**
   * Offers a stream to the other side of a connection that has a session; resolves when that is stored. It can be written
   * when it is accepted. It cannot go on after a restart: then it ends, with `LOST` for the other side.
   */
  offerStream(alias: string, description?: StreamDescription): Promise<WritableOutgoingStream>;
  /**
   * Offers a file, by its path or as a `Blob`: reads all of it once for its SHA-256, then resolves when the offer is stored.
   * It is sent when it is accepted, and one of a path goes on by itself after a restart, a `Blob` when
   * `AgentOptions.blobs` has it. A file that has changed meanwhile, in size or time, ends it with `CHANGED`.
   */
  sendFile(alias: string, source: string | Blob, options?: SendFileOptions): Promise<OutgoingStream>;
  /**
   * Accepts an offer and writes it to a path or a writable file; resolves when all is there and has the right SHA-256. With
   * a path it is written to a temporary file in the same folder, `.<id>.part`, which gets its name at the end, never in
   * place of another file, and goes when the stream ends otherwise. What `signal`, a full disk (`NO_ROOM`) or the end of the
   * agent has stopped goes on when it is called again with that path, after a restart with the offer of
   * {@linkcode AgentStreams.streams}; nobody does for as long as an offer waits, and it ends with `EXPIRED`.
   */
  receiveFile(
    offer: StreamOffer,
    target: string | WritableFile,
    options?: ReceiveFileOptions,
  ): Promise<ReceivedFile>;
  /** The streams that have not ended, of one connection or all, oldest first. */
  streams(alias?: string): (OutgoingStream | StreamOffer)[];
}
