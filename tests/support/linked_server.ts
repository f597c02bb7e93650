import type { PartitionOwner } from "../../server/broker/owner.ts";
import { RemoteOwner } from "../../server/link/remote_owner.ts";
import { Metrics, SmpServer, type SmpServerOptions } from "../../server/mod.ts";
import type { Gauges } from "../../server/observe/metrics.ts";
import type { ServerPlace } from "../../server/server_options.ts";
import { WorkerRouter } from "../../server/workers/worker_router.ts";
import { connectTo, ServedOwner } from "./link.ts";
import { cutStores } from "./partitions.ts";
import { steadyPort } from "./ports.ts";

/**
 * Starts a server that has half of the partitions and uses another one over a link for the other half, as workers do;
 * both are in this process, so that tests see what they count. New queues are made by one and the other in turn.
 */
export async function startLinkedServer(options: SmpServerOptions): Promise<SmpServer> {
  const { queues, messages, metrics = new Metrics(), limits, log, signal, ...others } = options;
  const [own, far] = cutStores({ ...(queues && { queues }), ...(messages && { messages }) }, 2);
  const parts: AsyncDisposable[] = [];
  const clean = async () => {
    for (const part of parts) await part[Symbol.asyncDispose]();
  };
  const shared = { ...others, metrics, ...(limits && { limits }), ...(log && { log }) };
  const port = steadyPort();
  try {
    const owner = await SmpServer.start({
      ...shared,
      ...far,
      webSocketPort: 0,
      place: placeOf(1, (broker, { turns }) => {
        parts.push(new ServedOwner(port, broker, { turns }));
        return broker;
      }),
    });
    parts.push(owner);
    const server = await SmpServer.start({
      ...shared,
      ...own,
      ...(signal && { signal }),
      place: placeOf(0, (broker, { limits, metrics }) => {
        const remote = new RemoteOwner({
          connect: () => connectTo(port),
          close: (connection) => connection.close?.(),
        });
        parts.unshift(remote);
        return new SpreadingRouter({
          owners: [broker, remote],
          own: [broker],
          far: remote,
          counters: [broker, remote],
          limits,
          metrics,
        });
      }),
    });
    return joined(server, owner, clean);
  } catch (error) {
    await clean();
    throw error;
  }
}

/** As that of a worker, but it makes every other new queue elsewhere. */
class SpreadingRouter extends WorkerRouter {
  readonly #far: PartitionOwner;
  #created = 0;

  constructor(
    { far, ...options }: ConstructorParameters<typeof WorkerRouter>[0] & { readonly far: PartitionOwner },
  ) {
    super(options);
    this.#far = far;
  }

  override submit(...given: Parameters<PartitionOwner["submit"]>): Promise<void> {
    const isFar = given[1].command.type === "NEW" && this.#created++ % 2 === 0;
    return isFar ? this.#far.submit(...given) : super.submit(...given);
  }
}

function placeOf(partition: number, route: ServerPlace["route"]): ServerPlace {
  return { partitions: { own: [partition], count: 2 }, epoch: 1, route };
}

/** What is asked of a server, with the owner behind it. */
function joined(server: SmpServer, owner: SmpServer, clean: () => Promise<void>): SmpServer {
  let stopping: Promise<void> | null = null;
  const stop: SmpServer["stop"] = (options) =>
    stopping ??= (async () => {
      await server.stop(options);
      await clean();
    })();
  const changes: Partial<Record<string | symbol, unknown>> = {
    stop,
    [Symbol.asyncDispose]: () => stop(),
    setLimits(...limits: Parameters<SmpServer["setLimits"]>) {
      for (const one of [server, owner]) one.setLimits(...limits);
    },
    gauges: (): Gauges => sum(server.gauges(), owner.gauges()),
  };
  return new Proxy(server, {
    get(target, name) {
      const member: unknown = changes[name] ?? Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

/** Each of them counts the memory of this process. */
function sum(gauges: Gauges, more: Gauges): Gauges {
  const { queues, messages, messageBytes, subscriptions, windows, delivered, opened, cryptoInWork } = more;
  return {
    ...gauges,
    queues: gauges.queues + queues,
    messages: gauges.messages + messages,
    messageBytes: gauges.messageBytes + messageBytes,
    subscriptions: gauges.subscriptions + subscriptions,
    windows: gauges.windows + windows,
    delivered: gauges.delivered + delivered,
    opened: gauges.opened + opened,
    cryptoInWork: gauges.cryptoInWork + cryptoInWork,
    memoryHeld: gauges.memoryHeld + more.memoryHeld,
  };
}
