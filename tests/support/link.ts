import type { PartitionOwner } from "../../server/broker/owner.ts";
import type { ByteStream } from "../../server/link/byte_stream.ts";
import type { LinkError } from "../../server/link/error.ts";
import { RemoteOwner, type RemoteOwnerParts } from "../../server/link/remote_owner.ts";
import { ServedLinks, type ServedLinksOptions } from "../../server/link/served_links.ts";
import type { BrokerConnection } from "../../server/broker/subscriptions.ts";
import { TestBroker, TestConnection } from "./broker.ts";
import { steadyPort } from "./ports.ts";
import { soon, until } from "./wait.ts";

/** A stream that sends what is written at once, as those of links do. */
export async function connectTo(port: number): Promise<ByteStream> {
  const stream = await Deno.connect({ hostname: "127.0.0.1", port });
  stream.setNoDelay();
  return stream;
}

/** What stands between the two ends of links; each stream that is made goes through it. */
export type Wrap = (stream: ByteStream) => ByteStream;

/** A port on which links to an owner are served, as another process would. */
export class ServedOwner implements AsyncDisposable {
  readonly links: ServedLinks;
  /** Why links have ended. */
  readonly ends: LinkError[] = [];
  readonly #listener: Deno.TcpListener;
  readonly #serving = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #isClosed = false;

  constructor(port: number, owner: PartitionOwner, options: ServedLinksOptions = {}) {
    this.links = new ServedLinks(owner, options);
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port });
    this.#accepting = this.#accept();
  }

  async #accept(): Promise<void> {
    for await (const stream of this.#listener) {
      stream.setNoDelay();
      const work = this.links.serve(stream).then((error) => {
        this.ends.push(error);
        this.#serving.delete(work);
      });
      this.#serving.add(work);
    }
  }

  /** The port can be listened on again after it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener.close();
    await this.#accepting;
    await this.links[Symbol.asyncDispose]();
    await Promise.all(this.#serving);
  }
}

/** A session's process: a remote owner, and connections to it that write down what they get. */
export class SessionSide implements AsyncDisposable {
  readonly remote: RemoteOwner;
  /** Connections that the remote owner has closed. */
  readonly closed: BrokerConnection[] = [];
  /** The streams of its links, the last one last. */
  readonly streams: ByteStream[] = [];
  readonly #test: TestBroker;
  readonly #view: TestBroker;
  readonly #connections: TestConnection[] = [];

  constructor(
    test: TestBroker,
    port: number,
    { wrap = (stream) => stream, ...parts }: Partial<RemoteOwnerParts> & { readonly wrap?: Wrap } = {},
  ) {
    this.#test = test;
    this.remote = new RemoteOwner({
      connect: async () => {
        const stream = wrap(await connectTo(port));
        this.streams.push(stream);
        return stream;
      },
      close: (connection) => {
        this.closed.push(connection);
        if (connection instanceof TestConnection) connection.disconnect();
      },
      ...parts,
    });
    // What a test connection knows of its broker, with another one behind it.
    this.#view = Object.create(test, {
      router: { value: this.remote satisfies PartitionOwner },
      answeredTwice: { value: false, writable: true },
      idle: { value: () => this.idle() },
    });
  }

  connect(blockSize = 4096, client: string | null = null): TestConnection {
    const connection = new TestConnection(this.#view, blockSize, client);
    this.#connections.push(connection);
    return connection;
  }

  /** Resolves when every command is answered and all pushes have come. */
  async idle(): Promise<void> {
    const isAnswered = () => this.#connections.every(({ closed, waiting }) => closed || waiting === 0);
    await until(isAnswered);
    await this.#test.idle();
    // What comes after everything else on the link.
    await soon(roundTrip(this.remote));
    await until(isAnswered);
    if (this.#view.answeredTwice) throw new Error("a command was answered twice");
  }

  /** Ends the link without saying anything. */
  cut(): void {
    this.streams.at(-1)!.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remote[Symbol.asyncDispose]();
  }
}

/** A connection that nothing is sent to. */
export const quietConnection: BrokerConnection = {
  blockSize: 4096,
  binding: new Uint8Array(32),
  client: null,
  closed: false,
  isFull: false,
  answer: () => {},
  notify: () => {},
};

/** Resolves when what was sent to the owner before was read and what it sent before has come. */
export async function roundTrip(remote: RemoteOwner): Promise<void> {
  const answered = Promise.withResolvers<void>();
  const connection = { ...quietConnection, answer: () => answered.resolve() };
  const ping = {
    signature: none,
    signed: pingBytes,
    corrId: none,
    queueId: "",
    command: { type: "PING" },
  } as const;
  await remote.submit(connection, ping);
  await answered.promise;
  remote.disconnect(connection);
}

const none = new Uint8Array(0);
const pingBytes = new TextEncoder().encode("  PING");

/** A broker that is used through a link: by sessions of the same process, and of another one. */
export interface LinkedBroker extends AsyncDisposable {
  readonly test: TestBroker;
  readonly served: ServedOwner;
  readonly session: SessionSide;
  readonly port: number;
}

/** What a linked broker is made with. */
export interface LinkedOptions {
  readonly broker?: ConstructorParameters<typeof TestBroker>[0];
  readonly served?: ServedLinksOptions;
  readonly remote?: Partial<RemoteOwnerParts> & { readonly wrap?: Wrap };
}

/** Makes a broker and a link to it over a socket; the link is up. */
export async function linkedBroker(options: LinkedOptions = {}): Promise<LinkedBroker> {
  const port = steadyPort();
  const test = new TestBroker(options.broker);
  const served = new ServedOwner(port, test.router, options.served);
  const session = new SessionSide(test, port, options.remote);
  await until(() => session.remote.isLinked);
  return {
    test,
    served,
    session,
    port,
    async [Symbol.asyncDispose]() {
      await session[Symbol.asyncDispose]();
      await served[Symbol.asyncDispose]();
    },
  };
}
