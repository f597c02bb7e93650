import { JetStreamApiError } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { StreamMessage } from "./log_stream.ts";

/** "no message found" */
const notThere = 10037;

interface Answer {
  readonly error?: ConstructorParameters<typeof JetStreamApiError>[0];
  /** `data`: base64. */
  readonly message?: { readonly seq: number; readonly data?: string };
}

/**
 * Asks the leader of a stream for a message; `null` when it has none. The manager of the client's package asks the same,
 * but goes through the bytes of what it gives one by one, which a node that loads many queues feels.
 */
export async function storedMessage(
  { connection, name, timeout = 2000 }: {
    readonly connection: NatsConnection;
    /** Of the stream. */
    readonly name: string;
    /** Milliseconds. @default 2000 */
    readonly timeout?: number;
  },
  which: { readonly seq: number } | { readonly last_by_subj: string },
): Promise<StreamMessage | null> {
  const answer = await connection.request(`$JS.API.STREAM.MSG.GET.${name}`, JSON.stringify(which), {
    timeout,
  });
  const { error, message } = answer.json<Answer>();
  if (error?.err_code === notThere) return null;
  if (error !== undefined) throw new JetStreamApiError(error);
  if (message === undefined) {
    throw new Error(`Cannot read stream ${name}: the answer has neither a message nor an error`);
  }
  return { sequence: message.seq, data: Uint8Array.fromBase64(message.data ?? "") };
}
