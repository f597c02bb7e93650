import type { ByteStream } from "./byte_stream.ts";

/** Both ends of a stream inside this process: what is written is copied once, into the buffer of whoever reads it. */
export function streamPair(): [ByteStream, ByteStream] {
  const [there, back] = [new Pipe(), new Pipe()];
  const close = () => {
    there.close();
    back.close();
  };
  return [
    { read: (buffer) => back.read(buffer), write: (bytes) => there.write(bytes), close },
    { read: (buffer) => there.read(buffer), write: (bytes) => back.write(bytes), close },
  ];
}

/** One direction: a write resolves when all of it was read. */
class Pipe {
  #written: Uint8Array | null = null;
  #writing: PromiseWithResolvers<number> | null = null;
  #length = 0;
  #reading: PromiseWithResolvers<number | null> | null = null;
  #buffer: Uint8Array | null = null;
  #isClosed = false;

  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#isClosed) return Promise.resolve(null);
    this.#buffer = buffer;
    this.#reading = Promise.withResolvers();
    const { promise } = this.#reading;
    this.#pass();
    return promise;
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#isClosed) return Promise.reject(closedError());
    this.#written = bytes;
    this.#length = bytes.length;
    this.#writing = Promise.withResolvers();
    const { promise } = this.#writing;
    this.#pass();
    return promise;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reading?.resolve(null);
    this.#writing?.reject(closedError());
  }

  #pass(): void {
    if (this.#written === null || this.#reading === null) return;
    const count = Math.min(this.#written.length, this.#buffer!.length);
    this.#buffer!.set(this.#written.subarray(0, count));
    const { resolve } = this.#reading;
    this.#reading = this.#buffer = null;
    this.#written = this.#written.subarray(count);
    if (this.#written.length === 0) {
      this.#written = null;
      this.#writing!.resolve(this.#length);
      this.#writing = null;
    }
    resolve(count);
  }
}

function closedError(): Error {
  return new Deno.errors.BrokenPipe("the stream is closed");
}
