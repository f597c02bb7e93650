import type { Broker } from "../broker/broker.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import type { Partitions } from "../broker/partition.ts";
import { RemoteOwner } from "../link/remote_owner.ts";
import { ServedLinks } from "../link/served_links.ts";
import { acceptLoop } from "../net/accept_loop.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ServerPlace } from "../server_options.ts";
import { AliasedOwner } from "./aliased_owner.ts";
import { partitionsOf, type Spread, workerOf } from "./partition.ts";
import { socketPath } from "./socket_folder.ts";
import { WorkerRouter } from "./worker_router.ts";

export interface WorkerLinksOptions {
  readonly worker: number;
  /** How often this worker was started. */
  readonly incarnation: number;
  readonly spread: Spread;
  /** Private folder for the sockets. */
  readonly sockets: string;
  /** Recipient IDs of other workers' queues by sender IDs that lead to this worker. */
  readonly aliases: ReadonlyMap<string, string>;
}

/** What joins a worker with the others: its sessions use their brokers, and theirs its own. */
export class WorkerLinks implements ServerPlace, AsyncDisposable {
  readonly partitions: Partitions;
  /** No time, which can be set back: what others had here must not look later than what they get here. */
  readonly epoch: number;
  readonly #options: WorkerLinksOptions;
  /** By worker. */
  readonly #others = new Map<number, Other>();
  #metrics: Metrics | null = null;
  #served: ServedLinks | null = null;
  #listener: Deno.Listener<Deno.UnixConn> | null = null;
  #serving: Promise<void> | null = null;
  readonly #stop = new AbortController();

  constructor(options: WorkerLinksOptions) {
    const { worker, spread, incarnation } = options;
    this.#options = options;
    this.epoch = incarnation;
    this.partitions = partitionsOf(worker, spread);
    for (let other = 0; other < spread.workers; other++) {
      if (other === worker) continue;
      const failed = (command: string) => this.#metrics?.answered(command, "ERR INTERNAL");
      this.#others.set(other, new Other(socketPath(options.sockets, other), failed));
    }
  }

  route(
    broker: Broker,
    { stores: { queues }, turns, limits, metrics, stall }: Parameters<ServerPlace["route"]>[1],
  ): PartitionOwner {
    const { spread, worker, sockets, aliases } = this.#options;
    this.#metrics = metrics;
    const others = [...this.#others.values()].map(({ owner }) => owner);
    const ofWorker = (worker: number) => this.#others.get(worker)?.owner ?? own;
    const own: PartitionOwner = others.length === 0 || aliases.size === 0 ? broker : new AliasedOwner({
      own: broker,
      queues,
      aliases,
      others,
      ownerOf: (id) => ofWorker(workerOf(id, spread)),
    });
    this.#served = new ServedLinks(own, { turns, stall });
    this.#listener = listen(socketPath(sockets, worker));
    this.#serving = serve(this.#listener, this.#served, this.#stop.signal);
    const owners = Array.from({ length: spread.partitions }, (_, partition) => {
      return ofWorker(partition % spread.workers);
    });
    return new WorkerRouter({ owners, own: [own], counters: [broker, ...others], limits, metrics });
  }

  /** Another worker serves, or does no more. */
  tell(worker: number, isUp: boolean): void {
    this.#others.get(worker)?.tell(isUp);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#others.values()].map(({ owner }) => owner[Symbol.asyncDispose]()));
    this.#stop.abort();
    this.#listener?.close();
    await this.#served?.[Symbol.asyncDispose]();
    await this.#serving;
  }
}

function listen(path: string): Deno.Listener<Deno.UnixConn> {
  // A worker that was killed leaves its socket behind.
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return Deno.listen({ transport: "unix", path });
}

/** Another worker that was started again has no other way to this one's queues: whatever fails, it goes on. */
async function serve(
  listener: Deno.Listener<Deno.UnixConn>,
  served: ServedLinks,
  signal: AbortSignal,
): Promise<void> {
  const serving = new Set<Promise<unknown>>();
  await acceptLoop(listener, {
    take(stream) {
      const work = served.serve(stream).finally(() => serving.delete(work));
      serving.add(work);
    },
    failed() {},
  }, signal);
  await Promise.all(serving);
}

/** Another worker. */
class Other {
  readonly owner: RemoteOwner;
  #up = Promise.withResolvers<void>();

  constructor(path: string, failed: (command: string) => void) {
    this.owner = new RemoteOwner({
      failed,
      connect: async (signal) => {
        await Promise.race([this.#up.promise, aborted(signal)]);
        signal.throwIfAborted();
        return await Deno.connect({ transport: "unix", path });
      },
      close: (connection) => connection.close?.(),
    });
  }

  tell(isUp: boolean): void {
    if (isUp) this.#up.resolve();
    else this.#up = Promise.withResolvers();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
