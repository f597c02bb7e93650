import type { NatsConnection } from "@nats-io/nats-core";
import { EngineError } from "./error.ts";
import { retrying } from "./retrying.ts";

export interface LinkCheckOptions {
  readonly connection: NatsConnection;
  /** Subjects that this node is asked on; what is said there without a word nobody takes for anything. */
  readonly own: readonly string[];
  /** Subjects that others are heard on. */
  readonly heard: readonly string[];
  readonly signal: AbortSignal;
}

/** Times that nothing is heard: a connection that is lost meanwhile may have cost one. */
const mostUnheard = 3;

/**
 * Says something on each of its own subjects and listens whether it comes: a node that cannot be reached, or does not
 * hear the others, would be given partitions that nobody can use. Throws `EngineError` (`UNAUTHORIZED`).
 */
export async function checkLinks({ connection, own, heard, signal }: LinkCheckOptions): Promise<void> {
  for (const subject of [...own, ...heard]) {
    const isOwn = own.includes(subject);
    const isHeard = () => retrying("hear itself", () => tryLink(connection, subject, isOwn), { signal });
    let unheard = 0;
    while (unheard < mostUnheard && !await isHeard()) unheard++;
    if (unheard < mostUnheard) continue;
    throw new EngineError(
      "UNAUTHORIZED",
      `Cannot speak with other nodes: this user may not subscribe to ${subject}${
        isOwn ? ", or publish to it" : ""
      }`,
    );
  }
}

async function tryLink(connection: NatsConnection, subject: string, isOwn: boolean): Promise<boolean> {
  let isHeard = !isOwn;
  const subscription = connection.subscribe(subject, {
    callback: (error) => void (isHeard = error === null),
  });
  try {
    if (isOwn) connection.publish(subject);
    // What was published before comes before its answer.
    await connection.flush();
  } finally {
    subscription.unsubscribe();
  }
  return isHeard;
}
