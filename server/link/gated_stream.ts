import type { ByteStream } from "./byte_stream.ts";

/** Says when something may be written. */
export interface Gate {
  readonly isOpen: boolean;
  /** Resolves when it may be open again. */
  opened(): Promise<void>;
}

/** A stream that writes only while a gate is open; what is to be written meanwhile waits. */
export function gatedStream(stream: ByteStream, gate: Gate): ByteStream {
  const closed = Promise.withResolvers<void>();
  let isClosed = false;
  return {
    read: (buffer) => stream.read(buffer),
    async write(bytes) {
      while (!gate.isOpen && !isClosed) await Promise.race([gate.opened(), closed.promise]);
      return await stream.write(bytes);
    },
    close() {
      isClosed = true;
      closed.resolve();
      stream.close();
    },
  };
}
