import type { ByteStream } from "./byte_stream.ts";

/** Says when something may be written. */
export interface Gate {
  readonly isOpen: boolean;
  /** Resolves when it may be open again, or the signal aborts. */
  opened(signal: AbortSignal): Promise<void>;
}

/** A stream that writes only while a gate is open; what is to be written meanwhile waits. */
export function gatedStream(stream: ByteStream, gate: Gate): ByteStream {
  const closing = new AbortController();
  const { signal } = closing;
  return {
    read: (buffer) => stream.read(buffer),
    async write(bytes) {
      while (!gate.isOpen && !signal.aborted) await gate.opened(signal);
      return await stream.write(bytes);
    },
    close() {
      closing.abort();
      stream.close();
    },
  };
}
