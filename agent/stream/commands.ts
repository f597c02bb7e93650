import type { AgentContext } from "../runtime/context.ts";
import type { AgentStreams } from "./agent_streams.ts";
import { Incoming } from "./incoming.ts";
import { receiveFile } from "./receive_file.ts";
import { checkOffered, defaultType, offeredFile, tellProgress } from "./send_file.ts";
import { WrittenSource } from "./source.ts";
import type { Streams } from "./streams.ts";
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

/** What the commands of streams need of an agent. */
export interface StreamCommandParts {
  readonly context: AgentContext;
  readonly streams: Streams;
  /** Executes something as a command of the agent: rejects as these do, also when the agent is closed. */
  readonly command: <T>(execute: () => Promise<T>) => Promise<T>;
}

/** What an agent does with streams and files when it is told to. */
export class StreamCommands implements AgentStreams {
  readonly #parts: StreamCommandParts;

  /** Does nothing yet. */
  constructor(parts: StreamCommandParts) {
    this.#parts = parts;
  }

  /** See {@linkcode AgentStreams.offerStream}. */
  async offerStream(alias: string, description: StreamDescription = {}): Promise<WritableOutgoingStream> {
    const { command, streams } = this.#parts;
    const { name = "", type: mediaType = defaultType, size = null, sha256 = null } = description;
    const what = { name, mediaType, size, sha256: sha256 === null ? null : new Uint8Array(sha256) };
    checkOffered(what);
    return await command(() => streams.offer(alias, { ...what, file: null, source: new WrittenSource() }));
  }

  /** See {@linkcode AgentStreams.sendFile}. */
  async sendFile(
    alias: string,
    source: string | Blob,
    options: SendFileOptions = {},
  ): Promise<OutgoingStream> {
    const { command, context, streams } = this.#parts;
    await command(() => streams.check(alias));
    const offered = await offeredFile(source, options, context.signal);
    checkOffered(offered);
    return await command(async () => {
      const stream = await streams.offer(alias, offered);
      tellProgress(stream, options.onProgress);
      return stream;
    });
  }

  /** See {@linkcode AgentStreams.receiveFile}. */
  receiveFile(
    offer: StreamOffer,
    target: string | WritableFile,
    options: ReceiveFileOptions = {},
  ): Promise<ReceivedFile> {
    if (!(offer instanceof Incoming)) return Promise.reject(new TypeError("Cannot receive: it is no offer"));
    return receiveFile(offer, target, options);
  }

  /** See {@linkcode AgentStreams.streams}. */
  streams(alias?: string): (OutgoingStream | StreamOffer)[] {
    const { context: { connections }, streams } = this.#parts;
    return streams.list(alias === undefined ? undefined : connections.get(alias).record.id);
  }
}
