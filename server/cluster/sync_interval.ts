import type { NatsConnection } from "@nats-io/nats-core";
import { EngineError } from "./error.ts";
import { isOlder, oldestVersion } from "./server_info.ts";

/** Servers that were asked, by what they are named. */
export interface SyncCheck {
  readonly synced: readonly string[];
}

const subject = "$SYS.REQ.SERVER.PING.JSZ";
const most = 100;

/**
 * Asks all servers whether they have on disk what they acknowledge (`sync_interval: always`). Only those answer whose
 * system account exports the question to the account that is used. Throws `EngineError` (`NOT_SYNCED`, `VERSION`) for
 * one that answers and does not. `time` is how long answers are waited for, milliseconds.
 */
export async function checkSyncInterval(connection: NatsConnection, time: number): Promise<SyncCheck> {
  const synced: string[] = [];
  for (const answer of await answers(connection, time)) {
    const { server, data } = answer;
    const { name, ver } = isRecord(server) ? server : {};
    if (typeof name !== "string" || typeof ver !== "string") continue;
    const place = `NATS server ${name.slice(0, 100)}`;
    if (isOlder(ver)) {
      throw new EngineError(
        "VERSION",
        `Cannot use the cluster of NATS servers: the version of ${place} is ${ver.slice(0, 50)}: ` +
          `install ${oldestVersion} or later`,
      );
    }
    const config = isRecord(data) ? data.config : undefined;
    if (!isRecord(config)) continue;
    if (config.sync_always !== true) {
      throw new EngineError(
        "NOT_SYNCED",
        `Cannot use the cluster of NATS servers: ${place} acknowledges what it can lose: ` +
          "set `sync_interval: always` in the `jetstream` block of its configuration",
      );
    }
    synced.push(name);
  }
  return { synced };
}

async function answers(connection: NatsConnection, time: number): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  try {
    const messages = await connection.requestMany(subject, JSON.stringify({ config: true }), {
      strategy: "stall",
      stall: Math.ceil(time / 3),
      maxWait: time,
      maxMessages: most,
    });
    for await (const message of messages) {
      const value: unknown = message.json();
      if (isRecord(value)) found.push(value);
    }
  } catch {
    // Nobody may answer, or this account may not ask.
  }
  return found;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
