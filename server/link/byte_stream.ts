/** Bytes both ways, for instance the `Deno.Conn` of a Unix socket. One reader and one writer use it at a time. */
export interface ByteStream {
  /** Reads at most as many bytes as the buffer has; `null` when the peer has ended the stream. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes, at least one; resolves to how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends both directions at once: reads and writes under way fail. */
  close(): void;
}

/** Writes all bytes. */
export async function writeAll(stream: ByteStream, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await stream.write(at === 0 ? bytes : bytes.subarray(at));
}
