import type { NatsConnection } from "@nats-io/nats-core";

const noCluster = 10010;

/**
 * Asks NATS to have another server lead a stream; `false` where there is no other one. Rejects when nobody answers, or
 * this user may not ask.
 */
export async function stepDown(
  connection: NatsConnection,
  stream: string,
  timeout: number,
): Promise<boolean> {
  const subject = `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`;
  const { error } = (await connection.request(subject, undefined, { timeout })).json<
    { readonly error?: { readonly err_code?: number; readonly description?: string } }
  >();
  if (error === undefined) return true;
  if (error.err_code === noCluster) return false;
  throw new Error(
    `Cannot have another server lead stream ${stream}: ${error.description} (${error.err_code})`,
  );
}
