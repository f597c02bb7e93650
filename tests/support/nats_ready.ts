import { jetstream, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { patience, until } from "./wait.ts";

/** Of the names of streams that are there to see whether they are stored. */
const prefix = "ready-";

/** Milliseconds that NATS servers have to become a whole cluster, at first. */
const firstWait = 6_000;

/** NATS servers have not become ready in time. */
export class NotReadyError extends Error {
  override readonly name = "NotReadyError";
  /** Names of the servers that do not store what they should; all, where nothing is stored. */
  readonly absent: readonly string[];

  constructor(absent: readonly string[], cause: unknown) {
    super(`the NATS servers are not ready: nothing comes of ${absent.join(", ")}`, { cause });
    this.absent = absent;
  }
}

/**
 * Calls `becomeReady` with the milliseconds that it has, more each time, for a busy machine; `mend` does something for
 * it after each failure.
 */
export async function untilReady(
  becomeReady: (milliseconds: number) => Promise<void>,
  mend: (error: unknown) => Promise<void>,
): Promise<void> {
  const end = performance.now() + patience;
  for (let wait = firstWait;; wait *= 2) {
    try {
      return await becomeReady(wait);
    } catch (error) {
      if (performance.now() > end) throw error;
      await mend(error);
    }
  }
}

export interface AllStoreOptions {
  /** Names of the servers. */
  readonly servers: readonly string[];
  readonly milliseconds: number;
  /** A stream that there is for this; `null`: one is made. */
  readonly probe: string | null;
}

/**
 * Waits, for `milliseconds` at most, until each of the servers stores a message that is published now, and what it should
 * of all other streams: then any one may be killed. Gives the name of the stream with that message, which stays: when
 * one is deleted, NATS 2.10.27 writes down which streams there are, and a server that is killed meanwhile may have
 * forgotten the others, for good. Throws {@linkcode NotReadyError}.
 */
export async function allStore(
  connection: NatsConnection,
  { servers, milliseconds, probe: known }: AllStoreOptions,
): Promise<string> {
  const end = performance.now() + milliseconds;
  let absent = servers;
  const attempt = (work: () => Promise<boolean>) =>
    until(() =>
      work().catch((error) => {
        if (performance.now() > end) throw error;
        return false;
      })
    );
  try {
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 1000 });
    // Nobody answers without a leader of all.
    await attempt(async () => (await manager.getAccountInfo(), true));
    let probe = known ?? "";
    await attempt(async () => {
      // One that was made without all of them may never have a leader.
      if (known === null) probe = `${prefix}${crypto.randomUUID()}`;
      const { length: num_replicas } = servers;
      if (known === null) {
        await manager.streams.add({ name: probe, subjects: [probe], num_replicas, max_msgs: 1 });
      }
      await jetstream(connection, { timeout: 1000 }).publish(probe);
      return true;
    });
    const present = new Set<string>();
    await attempt(async () => {
      const all = await manager.streams.names().next();
      const wanted = all.filter((name) => name === probe || !name.startsWith(prefix));
      for (const name of wanted) {
        for (const server of await storing(manager, name, servers)) present.add(`${name}/${server}`);
      }
      absent = servers.filter((server) => wanted.some((name) => !present.has(`${name}/${server}`)));
      if (absent.length > 0) throw new Error("some servers do not have all of what they should store");
      return true;
    });
    return probe;
  } catch (cause) {
    throw new NotReadyError(absent, cause);
  }
}

/** Those of the servers that have all of a stream, as its leader knows; all, where they need not. */
async function storing(
  manager: JetStreamManager,
  stream: string,
  servers: readonly string[],
): Promise<readonly (string | undefined)[]> {
  const { cluster, config } = await manager.streams.info(stream);
  // One alone does not say that it leads.
  if (servers.length === 1 || config.num_replicas < servers.length) return servers;
  // Those that were never heard of have not been silent for any time.
  const heard = cluster?.replicas?.filter(({ current, active }) => current && active > 0) ?? [];
  return [cluster?.leader, ...heard.map(({ name }) => name)];
}
