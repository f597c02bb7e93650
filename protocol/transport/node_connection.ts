import type * as NodeNet from "node:net";
import type { TcpConnection } from "./tcp_channel.ts";

const runtime = globalThis as { process?: { getBuiltinModule?(id: string): unknown } };

/** Connects to `host:port` by Node's sockets, where there is no Deno. Rejects when there is no connection, or `signal` aborts. */
export async function connectNode(host: string, port: number, signal?: AbortSignal): Promise<TcpConnection> {
  const net = runtime.process?.getBuiltinModule?.("node:net") as typeof NodeNet | undefined;
  if (net === undefined) throw new Error("there is no TCP here; use WebSockets");
  const socket = net.connect({ host, port, allowHalfOpen: true, ...(signal && { signal }) });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return new NodeConnection(socket);
}

/** A socket of Node as the channel wants it. */
class NodeConnection implements TcpConnection {
  readonly #socket: NodeNet.Socket;
  #rest: Uint8Array = new Uint8Array(0);
  #hasEnded = false;
  #failure: Error | null = null;
  #wake: () => void = () => {};

  constructor(socket: NodeNet.Socket) {
    this.#socket = socket;
    socket.on("readable", () => this.#wake());
    socket.on("end", () => {
      this.#hasEnded = true;
      this.#wake();
    });
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the connection is closed")));
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const chunk: Uint8Array | null = this.#socket.read();
      if (chunk !== null) this.#rest = chunk;
      else if (this.#hasEnded) return null;
      else if (this.#failure !== null) throw this.#failure;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const count = Math.min(buffer.length, this.#rest.length);
    buffer.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }

  write(bytes: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#socket.write(bytes, (error) => error ? reject(error) : resolve(bytes.length))
    );
  }

  closeWrite(): Promise<void> {
    return new Promise((resolve) => this.#socket.end(() => resolve()));
  }

  close(): void {
    this.#socket.destroy();
  }

  setNoDelay(noDelay?: boolean): void {
    this.#socket.setNoDelay(noDelay);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }
}
