import type { LimitSource } from "../../server/config/limits.ts";
import type { ByteStream } from "../../server/link/byte_stream.ts";
import { RemoteOwner } from "../../server/link/remote_owner.ts";
import { ServedLinks } from "../../server/link/served_links.ts";
import { WorkerRouter } from "../../server/workers/worker_router.ts";
import { type TestBroker, TestConnection, turn } from "./broker.ts";
import { roundTrip } from "./link.ts";
import { patience } from "./wait.ts";

/** Two workers without processes and sockets: each has one of the two partitions of a broker, and uses the other one's over a link. */
export class TwoWorkers implements AsyncDisposable {
  readonly #test: TestBroker;
  readonly #views: readonly TestBroker[];
  readonly #remotes: readonly RemoteOwner[];
  readonly #served: readonly ServedLinks[];
  readonly #serving: Promise<unknown>[] = [];
  readonly #connections: TestConnection[] = [];

  constructor(test: TestBroker, limits: LimitSource) {
    this.#test = test;
    const brokers = test.brokers.all;
    this.#served = brokers.map((broker) => new ServedLinks(broker));
    this.#remotes = this.#served.map((served) =>
      new RemoteOwner({
        connect: () => {
          const [near, far] = bytePipe();
          this.#serving.push(served.serve(far));
          return Promise.resolve(near);
        },
        close: (connection) => connection.close?.(),
      })
    );
    this.#views = brokers.map((broker, worker) => {
      const owners = brokers.map((one, owner) => owner === worker ? one : this.#remotes[owner]!);
      const router = new WorkerRouter({
        owners,
        own: [broker],
        counters: [broker, this.#remotes[1 - worker]!],
        limits,
        metrics: test.metrics,
      });
      return Object.create(test, {
        router: { value: router },
        answeredTwice: { value: false, writable: true },
        idle: { value: () => this.idle() },
      });
    });
  }

  /** A connection to one of the workers. */
  connect(worker: number): TestConnection {
    const connection = new TestConnection(this.#views[worker]!, 4096, null);
    this.#connections.push(connection);
    return connection;
  }

  /** Resolves when every command is answered and all pushes have come. */
  async idle(): Promise<void> {
    const end = performance.now() + patience;
    while (this.#connections.some(({ closed, waiting }) => !closed && waiting > 0)) {
      if (performance.now() > end) throw new Error("a command was not answered");
      await turn();
    }
    await this.#test.idle();
    for (const remote of this.#remotes) await roundTrip(remote);
    if (this.#views.some(({ answeredTwice }) => answeredTwice)) {
      throw new Error("a command was answered twice");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const remote of this.#remotes) await remote[Symbol.asyncDispose]();
    for (const served of this.#served) await served[Symbol.asyncDispose]();
    await Promise.all(this.#serving);
  }
}

/** Two ends of a stream in memory. */
function bytePipe(): [ByteStream, ByteStream] {
  const [there, back] = [new Direction(), new Direction()];
  const close = () => {
    there.end();
    back.end();
  };
  const end = (from: Direction, to: Direction): ByteStream => ({
    read: (buffer) => from.read(buffer),
    write: (bytes) => to.write(bytes),
    close,
  });
  return [end(back, there), end(there, back)];
}

class Direction {
  #waiting: Uint8Array[] = [];
  #isEnded = false;
  #wake: () => void = () => {};

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#waiting.length === 0) {
      if (this.#isEnded) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const [first] = this.#waiting;
    const count = Math.min(buffer.length, first!.length);
    buffer.set(first!.subarray(0, count));
    if (count === first!.length) this.#waiting.shift();
    else this.#waiting[0] = first!.subarray(count);
    return count;
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#isEnded) return Promise.reject(new Error("the stream has ended"));
    this.#waiting.push(bytes.slice());
    this.#wake();
    return Promise.resolve(bytes.length);
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }
}
